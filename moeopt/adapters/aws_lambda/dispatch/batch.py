"""One layer of one batch, run until each row has its output: what succeeded is not done again."""

from __future__ import annotations

import contextlib
import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from moeopt.adapters.aws_lambda.calls import Call, LayerRecord
from moeopt.adapters.aws_lambda.dispatch.pieces import Piece, cut
from moeopt.adapters.aws_lambda.dispatch.routing import Routing, combine
from moeopt.adapters.aws_lambda.dispatch.turn import Lost, Means, Turn, Work, submitted
from moeopt.adapters.aws_lambda.worker.protocol import NUMBER, Tensor
from moeopt.core.errors import AdapterError

#: Failures that an error's sentence tells of.
_TOLD = 3


@dataclass(frozen=True)
class LayerResult:
    """What a layer gave.

    Attributes
    ----------
    outputs
        ``(tokens, output width)``; zeros for a token without an expert.
    record
        The run that completed it.
    """

    outputs: Tensor
    record: LayerRecord


class LayerError(AdapterError):
    """Some pieces of a layer failed for good. What succeeded is kept by the `LayerBatch`.

    Parameters
    ----------
    batch
        To be run again.
    lost
        Pieces that failed, and why.
    record
        The run, whose calls are billed.
    """

    def __init__(self, batch: LayerBatch, lost: tuple[Lost, ...], record: LayerRecord) -> None:
        self.batch = batch
        self.lost = lost
        self.record = record
        tokens = sum(one.piece.tokens for one in lost)
        super().__init__(
            f"layer {record.layer}: {tokens} of {sum(record.tokens)} tokens at experts failed "
            f"({_told(lost)}); the others are kept: run the batch again for the rest"
        )


class LayerBatch:
    """A layer's work on one batch. Made by `moeopt.adapters.aws_lambda.gate.Gate.batch`.

    Parameters
    ----------
    means
        The gate's.
    layer
        Which.
    tokens
        Of the batch; not copied, so they must not change before the batch is done.
    routing
        Their rows.
    name
        For records.
    recorder
        Given each run's record.
    """

    def __init__(
        self, means: Means, layer: int, tokens: Tensor, routing: Routing, name: str,
        recorder: Callable[[LayerRecord], None] | None = None,
    ) -> None:  # fmt: skip
        self._means = means
        self._layer = layer
        self._routing = routing
        self._recorder = recorder
        # Never a name that was there before: a function would take old inputs for its own.
        own = uuid.uuid4().hex
        self.name = name or own
        self._work: Work | None = Work(
            layer=layer,
            tokens=tokens,
            token=routing.token,
            answers=np.empty((routing.rows, means.fleet.widths(layer)[1]), dtype=NUMBER),
            objects=f"{means.fleet.names.batches}{own}/",
        )
        self._missing = {p.name: p for p in cut(means.fleet, layer, routing.counts)}
        self._keys: set[str] = set()
        self._result: LayerResult | None = None
        self._one_run = threading.Lock()
        self._turn: Turn | None = None
        self._stopped = False

    @property
    def missing(self) -> tuple[Piece, ...]:
        """Pieces that have no outputs yet."""
        return tuple(self._missing.values())

    def run(self) -> LayerResult:
        """Compute what is missing, and return the layer's outputs.

        Raises
        ------
        LayerError
            If some pieces failed for good.
        """
        with self._one_run:
            try:
                return self._result or self._run()
            finally:
                self._turn, self._stopped = None, False

    def stop(self) -> None:
        """End the run under way, or else the next one, as soon as what has begun has ended.

        It raises a `LayerError` unless it was done; one after it goes on. Any thread may say so.
        """
        self._stopped = True
        if self._turn is not None:
            self._turn.stop()

    def _run(self) -> LayerResult:
        assert self._work is not None, "kept until there is a result"
        tokens = [0] * len(self._routing.counts)
        for piece in self._missing.values():
            tokens[piece.expert] += piece.tokens
        turn = self._turn = Turn(self._means, self._work, self._missing, self._keys)
        if self._stopped:
            turn.stop()
        turn.run()
        record = self._record(turn, tuple(tokens))
        if not turn.lost:
            self._result = LayerResult(combine(self._routing, self._work.answers), record)
            self._work = None
            self._forget()
        if self._recorder is not None:
            self._recorder(record)
        if self._result is None:
            lost = sorted(turn.lost.values(), key=lambda one: one.piece.first)
            raise LayerError(self, tuple(lost), record)
        return self._result

    def _forget(self) -> None:
        """Have the batch's objects deleted, for which nobody waits."""
        if self._keys:
            with contextlib.suppress(AdapterError):
                # A gate that was closed meanwhile leaves them to expire, or to be removed.
                submitted(self._means.carrying, self._means.exchange.forget, self._keys)

    def _record(self, turn: Turn, tokens: tuple[int, ...]) -> LayerRecord:
        return LayerRecord(
            batch=self.name,
            layer=self._layer,
            design=int(self._means.fleet.plan.design[self._layer]),
            tokens=tokens,
            seconds=turn.seconds,
            calls=tuple(sorted(turn.calls, key=_order)),
            traffic=turn.traffic,
        )


def _order(call: Call) -> tuple[int, int, float]:
    return call.expert, call.replica, call.began_s


def _told(lost: tuple[Lost, ...]) -> str:
    """Return what failed and why, each kind of an expert's failures once, in the first's words."""
    kinds: dict[tuple[int, str], list[Lost]] = {}
    for one in lost:
        # Not by their messages: these say how long each piece was tried.
        kinds.setdefault((one.piece.expert, one.failure.kind), []).append(one)
    told = [
        f"expert {expert}, {sum(one.piece.tokens for one in own)} tokens in {len(own)} calls: "
        f"{kind}: {own[0].failure.message.rstrip('.')}"
        for (expert, kind), own in kinds.items()
    ]
    more = [f"and {len(told) - _TOLD} more"] if len(told) > _TOLD else []
    return "; ".join(told[:_TOLD] + more)
