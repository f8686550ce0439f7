"""How long a replica of an expert takes, by communication design: arXiv 2501.05313, (3) to (11).

Everything here is elementwise on arrays, so that one replica and all options of a model are the
same code. Seconds throughout. The misprints E1 to E10 are those of the formulation page.
E2: the paper's selector ``(a-2)(a-3)c1 + (a-1)(a-3)c2 + (a-1)(a-2)c3`` yields ``2 c1, -c2, 2 c3``;
here a design is looked up, and nothing selects by arithmetic.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from moeopt.core.arrays import FloatArray, IntArray

#: A token's worth of rounding in ``ceil(r / beta)`` of real-valued tokens.
_ROUNDING = 1e-9


@dataclass(frozen=True)
class Clock:
    """The times of one MoE layer that no decision changes.

    Attributes
    ----------
    input_storage_s, output_storage_s
        A token's input and output between a function and storage: ``D^in / B^s``, ``D^o / B^s``.
    input_direct_s, output_direct_s
        The same between functions, by ``B^f``.
    delay_s
        Of an access to storage, ``T^dl``.
    load_s
        Start and parameters of the next non-MoE layer's function, ``T^load``.
    """

    input_storage_s: float
    output_storage_s: float
    input_direct_s: float
    output_direct_s: float
    delay_s: float
    load_s: float

    def upload_s(self, tokens: FloatArray) -> FloatArray:
        """Return how long the gate uploads all `tokens` of the layer."""
        return self.delay_s + tokens * self.input_storage_s

    def gather_s(self, tokens: FloatArray) -> FloatArray:
        """Return S3, the next layer's download of all outputs of `tokens`."""
        return self.delay_s + tokens * self.output_storage_s

    def pipelined_s(
        self, share: FloatArray, blocks: FloatArray, compute_s: FloatArray
    ) -> FloatArray:
        """Return what a replica of design 1 takes after its start, (6) without ``T^{h,E}``.

        E1: as printed, (6) multiplies the block by the minibatch size and the tail by the number
        of minibatches; here it is the other way round. Minibatches are equal: `blocks` of them
        with ``share / blocks`` tokens each, none above the pipeline degree.

        Parameters
        ----------
        share
            Tokens of the replica, ``r``.
        blocks
            Its minibatches, ``ceil(r / beta)``.
        compute_s
            Of a token.
        """
        size = share / blocks
        block_s = self.delay_s + size * np.maximum(
            self.input_storage_s + compute_s, self.output_storage_s
        )
        return self.delay_s + size * self.output_storage_s + blocks * block_s

    def stored_s(self, share: FloatArray, compute_s: FloatArray) -> FloatArray:
        """Return what a replica of design 2 takes after its start, (8) without ``T^{h,E}``."""
        each_s = self.input_storage_s + self.output_storage_s + compute_s
        return 2 * self.delay_s + share * each_s

    def direct_s(self, share: FloatArray, compute_s: FloatArray) -> FloatArray:
        """Return what a replica of design 3 takes after its start, (10) without ``T^{h,E}``."""
        return share * (self.output_direct_s + compute_s)

    def until_stored_s(
        self, design: int, head_s: FloatArray, share: FloatArray, blocks: FloatArray,
        compute_s: FloatArray, upload_s: FloatArray,
    ) -> FloatArray:  # fmt: skip
        """Return when a replica is done, counted from the layer's start: S1 and S2.

        The paper omits these stages "due to space". A replica starts and loads parameters while
        the gate uploads. In design 1 its first minibatch may come early, but the last minibatch
        of the layer comes no earlier than `upload_s`, and no replica is spared being last: with
        one minibatch this is design 2. In design 3 its inputs come with the call, E5.

        Parameters
        ----------
        design
            1, 2 or 3.
        head_s
            Start and parameters of the replica, ``T^{h,E}``.
        share, blocks, compute_s
            As for `pipelined_s`.
        upload_s
            Of the whole layer.
        """
        first_s = self.begun_s(design, head_s, share, blocks, upload_s)
        if design == 3:
            return first_s + self.direct_s(share, compute_s)
        if design == 2:
            return first_s + self.stored_s(share, compute_s)
        last_s = upload_s + self.pipelined_s(share / blocks, np.ones_like(blocks), compute_s)
        return np.maximum(first_s + self.pipelined_s(share, blocks, compute_s), last_s)

    def begun_s(
        self, design: int, head_s: FloatArray, share: FloatArray, blocks: FloatArray,
        upload_s: FloatArray,
    ) -> FloatArray:  # fmt: skip
        """Return when a replica has its parameters and its first inputs can be had: S1.

        Parameters are those of `until_stored_s`.
        """
        if design == 3:
            return share * self.input_direct_s + head_s
        if design == 2:
            return np.maximum(head_s, upload_s)
        return np.maximum(head_s, self.delay_s + share / blocks * self.input_storage_s)

    def working_s(
        self, design: int, head_s: FloatArray, share: FloatArray, blocks: FloatArray,
        compute_s: FloatArray,
    ) -> FloatArray:  # fmt: skip
        """Return what the paper bills of a replica, ``t^rep``: (6), (8) or (10) with the head."""
        if design == 3:
            return head_s + self.direct_s(share, compute_s)
        if design == 2:
            return head_s + self.stored_s(share, compute_s)
        return head_s + self.pipelined_s(share, blocks, compute_s)

    def layer_s(self, design: int, done_s: FloatArray, tokens: FloatArray) -> FloatArray:
        """Return the layer's latency, (7), (9) or (11), from when its replicas are done.

        Through storage, the next layer's start is hidden behind S1 and S2; direct, it is not.
        """
        if design == 3:
            return done_s + self.load_s
        return np.maximum(done_s, self.load_s) + self.gather_s(tokens)


def blocks_of(share: FloatArray, degree: FloatArray | IntArray | int) -> FloatArray:
    """Return the minibatches of a replica with `share` tokens, ``ceil(r / beta)``, at least 1."""
    return np.maximum(1.0, np.ceil(share / np.maximum(degree, 1) - _ROUNDING))


def best_blocks(share: float, output_storage_s: float, delay_s: float) -> float:
    """Return the real number of minibatches at which a replica is fastest.

    ``sqrt(r D^o / (B^s T^dl))``, where computing is slower than uploading outputs.
    """
    return float(np.sqrt(share * output_storage_s / delay_s)) if delay_s else float(share)
