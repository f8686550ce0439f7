"""Recordings made up from known constants, with noise and with calls that are far off."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from moeopt.adapters.aws_lambda.calls import Call, GateTraffic, LayerRecord, Seconds
from moeopt.adapters.aws_lambda.worker.protocol import text_bytes
from moeopt.serverless.problem import (
    ExpertFunction,
    MemoryTable,
    Network,
    ServerlessLayer,
    ServerlessProblem,
    VcpuModel,
)

#: A token's bytes each way, and bytes of an expert.
TOKEN, EXPERT = 2048, 3_000_000


def stated(compute: VcpuModel | MemoryTable | None = None) -> ServerlessProblem:
    """Return the instance as a user guessed it: every constant is far off."""
    return ServerlessProblem(
        name="guessed",
        source="a guess",
        layers=(ServerlessLayer(tokens=np.array([200.0, 40.0, 9.0])),) * 2,
        expert=ExpertFunction(
            parameter_bytes=EXPERT,
            intermediate_bytes=1,
            input_bytes_per_token=TOKEN,
            output_bytes_per_token=TOKEN,
            compute=compute or VcpuModel(seconds_per_token=1e-4),
        ),
        network=Network(
            storage_bytes_per_s=1e9,
            function_bytes_per_s=1e9,
            access_delay_s=0.5,
            warm_start_s=0.3,
            cold_start_s=0.1,
        ),
        memory_mb=(512, 1024, 1769, 3008),
        max_replicas=4,
    )


@dataclass(frozen=True, kw_only=True)
class Truth:
    """The constants behind a recording.

    Attributes
    ----------
    noise
        Standard deviation of the logarithm of every measured second.
    odd
        Share of them that took ten times as long.
    text_s_per_byte
        What a byte of a direct call takes longer with half of 1,769 MB.
    """

    delay_s: float = 0.02
    storage_bytes_per_s: float = 65e6
    function_bytes_per_s: float = 40e6
    start_s: float = 0.015
    inside_s: float = 0.005
    text_s_per_byte: float = 0.0
    cold_s: float = 0.7
    token_s: float = 2e-3
    used_bytes: float = 150e6
    noise: float = 0.1
    odd: float = 0.08

    def seconds_per_token(self, mb: int) -> float:
        """Return what a token takes: a thread uses one processor at most."""
        return self.token_s / min(mb / 1769, 1.0)


class Drawn:
    """Draws records of a truth."""

    def __init__(self, truth: Truth, seed: int = 0) -> None:
        self._truth, self._rng = truth, np.random.default_rng(seed)
        self._calls = 0

    def _met(self, seconds: float) -> float:
        """Return a measured time."""
        late = 10.0 if self._rng.random() < self._truth.odd else 1.0
        return float(seconds * late * np.exp(self._truth.noise * self._rng.standard_normal()))

    def access(self, size: int) -> float:
        """Return the seconds of an access to storage."""
        return self._met(self._truth.delay_s + size / self._truth.storage_bytes_per_s)

    def call(
        self, design: int, minibatches: tuple[int, ...], mb: int = 1024, cold: bool = False,
        layer: int = 0,
    ) -> Call:  # fmt: skip
        """Return a call that ended well."""
        truth, tokens = self._truth, sum(minibatches)
        sizes = tuple(n * TOKEN for n in minibatches) if design != 3 else ()
        clock = Seconds(
            load_s=self.access(EXPERT),
            load_bytes=EXPERT,
            wait_s=0.0,
            read_s=tuple(self.access(size) for size in sizes),
            read_bytes=sizes,
            compute_s=tuple(self._met(n * truth.seconds_per_token(mb)) for n in minibatches),
            write_s=tuple(self.access(size) for size in sizes),
            write_bytes=sizes,
            gets=1 + len(sizes),
            puts=len(sizes),
        )
        written_s = now_s = clock.load_s
        for n, compute_s in enumerate(clock.compute_s):
            now_s += compute_s + (clock.read_s[n] if sizes else 0.0)
            now_s = max(now_s, written_s)
            written_s = now_s + (clock.write_s[n] if sizes else 0.0)
        inside_s, init_s = self._met(truth.inside_s), self._met(truth.cold_s) if cold else None
        carried = 2 * tokens * TOKEN if design == 3 else 0
        sent = 300 + text_bytes(tokens * TOKEN) * (design == 3)
        outside_s = self._met(truth.start_s + carried / truth.function_bytes_per_s)
        duration_s = written_s + inside_s + carried * truth.text_s_per_byte * (1769 / mb - 1)
        used = truth.used_bytes + EXPERT + 2 * tokens * TOKEN
        self._calls += 1
        return Call(
            function=f"f-{layer}-{tokens}",
            layer=layer,
            expert=0,
            replica=0,
            design=design,
            memory_mb=mb,
            piece=str(self._calls),
            attempt=1,
            minibatches=minibatches,
            began_s=1.0,
            ended_s=1.0 + outside_s + duration_s + (init_s or 0.0),
            duration_s=duration_s,
            billed_s=duration_s,
            init_s=init_s,
            used_mb=round(used / 2**20),
            request_bytes=sent,
            response_bytes=sent,
            seconds=clock,
        )

    def record(self, calls: list[Call]) -> LayerRecord:
        """Return a record of calls, with accesses of the gate."""
        sizes = (TOKEN, 90 * TOKEN)
        return LayerRecord(
            batch="b",
            layer=calls[0].layer,
            design=calls[0].design,
            tokens=(calls[0].tokens, 0, 0),
            seconds=1.0,
            calls=tuple(calls),
            traffic=GateTraffic(
                write_s=tuple(self.access(size) for size in sizes),
                write_bytes=sizes,
            ),
        )


def recording(truth: Truth, seed: int = 0, times: int = 40) -> list[LayerRecord]:
    """Return records of all designs, sizes of memory but one, warm and cold."""
    drawn, records = Drawn(truth, seed), []
    for turn in range(times):
        mb, tokens = (512, 1769)[turn % 2], 20 + 7 * turn
        for design, parts in ((1, (tokens, tokens)), (2, (tokens,)), (3, (tokens,))):
            cold = turn % 5 == 4
            records.append(drawn.record([drawn.call(design, parts, mb, cold, turn % 2)]))
    return records
