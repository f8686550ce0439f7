"""What is known of a call after it: who was called, what it took, what is billed."""

from __future__ import annotations

import msgspec

from moeopt.core.wing import Document


class Seconds(Document, frozen=True, kw_only=True):
    """What the function's own clock said, by minibatch where there are several.

    The fields are those of `moeopt.adapters.aws_lambda.worker.protocol.Stages`.
    """

    load_s: float
    load_bytes: int
    wait_s: float
    read_s: tuple[float, ...]
    read_bytes: tuple[int, ...]
    compute_s: tuple[float, ...]
    write_s: tuple[float, ...]
    write_bytes: tuple[int, ...]
    gets: int
    puts: int


class Call(Document, frozen=True, kw_only=True):
    """One call of one function, whether it ended well or not.

    Attributes
    ----------
    function
        Its name.
    layer, expert, replica
        Whose tokens: `replica` counts from 0.
    design
        1, 2 or 3.
    memory_mb
        Memory that is billed.
    piece
        The work's name, the same in each attempt.
    attempt
        From 1.
    minibatches
        Tokens of each minibatch.
    began_s, ended_s
        On the caller's clock, from the batch's start.
    duration_s, billed_s, init_s
        As the platform reported: the handler's seconds, those on the bill (with `init_s`, where
        that is billed), and those of a cold start, ``None`` if it was warm. 0 for a call that
        never ran, such as a throttled one.
    used_mb
        Most memory used, as the platform reported.
    request_bytes, response_bytes
        Of the payloads.
    error
        What kind of failure it was; ``None`` if it ended well.
    message
        What was said of it.
    seconds
        The function's own clock, if it answered.
    estimated
        Whether the platform's report was lost of a call that ran, or may have: its seconds are
        then the caller's round trip.
    """

    function: str
    layer: int
    expert: int
    replica: int
    design: int
    memory_mb: int
    piece: str
    attempt: int
    minibatches: tuple[int, ...]
    began_s: float
    ended_s: float
    duration_s: float
    billed_s: float
    init_s: float | None
    used_mb: int | None
    request_bytes: int
    response_bytes: int
    error: str | None = None
    message: str = ""
    seconds: Seconds | None = None
    estimated: bool = False

    @property
    def tokens(self) -> int:
        """Tokens of the call."""
        return sum(self.minibatches)

    @property
    def cold(self) -> bool:
        """Whether the function was started for it."""
        return self.init_s is not None

    @property
    def billed_gb_s(self) -> float:
        """GB-seconds on the bill."""
        return self.billed_s * self.memory_mb / 1024.0


class GateTraffic(Document, frozen=True, kw_only=True):
    """What the caller itself asked of storage in a layer, and how long each access took.

    Attributes
    ----------
    write_s, write_bytes, read_s, read_bytes
        By object.
    """

    write_s: tuple[float, ...] = ()
    write_bytes: tuple[int, ...] = ()
    read_s: tuple[float, ...] = ()
    read_bytes: tuple[int, ...] = ()


class LayerRecord(Document, frozen=True, kw_only=True):
    """One layer of one batch, as it was met: what is written to a recording, a line each.

    Attributes
    ----------
    batch
        The batch's name.
    layer
        Which.
    design
        1, 2 or 3.
    tokens
        Of each expert.
    seconds
        From the gate's first byte until all outputs are there.
    calls
        All of them, failed ones too.
    traffic
        The caller's own.
    """

    batch: str
    layer: int
    design: int
    tokens: tuple[int, ...]
    seconds: float
    calls: tuple[Call, ...]
    traffic: GateTraffic = msgspec.field(default_factory=GateTraffic)
