"""The gate's side of a layer: tokens to the functions of their experts, and what they make of them.

Gate, non-MoE layers and combining run in the caller's process; only experts are functions.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType

from moeopt.adapters.aws_lambda.calls import LayerRecord
from moeopt.adapters.aws_lambda.clients import CONNECTIONS, Clients
from moeopt.adapters.aws_lambda.dispatch.batch import LayerBatch, LayerResult
from moeopt.adapters.aws_lambda.dispatch.exchange import Exchange
from moeopt.adapters.aws_lambda.dispatch.invoke import Caller
from moeopt.adapters.aws_lambda.dispatch.patience import Patience
from moeopt.adapters.aws_lambda.dispatch.routing import route
from moeopt.adapters.aws_lambda.dispatch.turn import Means, submitted
from moeopt.adapters.aws_lambda.fleet import Fleet
from moeopt.adapters.aws_lambda.worker.protocol import Tensor
from moeopt.core.arguments import whole
from moeopt.core.arrays import IntArray
from moeopt.core.errors import InstanceError


class Gate:
    """Dispatches batches to the functions of a fleet, and combines what they answer.

    Threads may share it: layers and batches may overlap. To be closed, or used in a ``with``.

    Parameters
    ----------
    fleet
        Plan, names and bucket; deployed.
    clients
        Doors to AWS.
    patience
        How long to keep trying what passes; `Patience`'s own if left out.
    threads
        Calls at once, and objects read or written at once.
    wait_s
        How long a function waits for inputs; half its planned time-out if left out.
    recorder
        Given the record of each run of a layer, by the thread that runs it.

    Raises
    ------
    InstanceError
        If there are no threads, or more than connections.
    """

    def __init__(
        self, fleet: Fleet, clients: Clients, *, patience: Patience | None = None,
        threads: int = 64, wait_s: float | None = None,
        recorder: Callable[[LayerRecord], None] | None = None,
    ) -> None:  # fmt: skip
        threads = whole("threads", threads)
        if not 1 <= threads <= CONNECTIONS:
            raise InstanceError("threads", threads, f"must be 1 to {CONNECTIONS}", "give others")
        if wait_s is not None and not 0 <= wait_s < float("inf"):
            rule = "must be finite and not negative"
            raise InstanceError("wait_s", wait_s, rule, "give seconds, or leave it out")
        patience = patience or Patience()
        self._fleet = fleet
        self._recorder = recorder
        # Runs wait for calls, calls for objects: each has threads of its own.
        self._running = ThreadPoolExecutor(threads, "moeopt-layer")
        self._means = Means(
            fleet=fleet,
            caller=Caller(clients, fleet, patience=patience),
            exchange=Exchange(clients, fleet.bucket, patience=patience),
            calling=ThreadPoolExecutor(threads, "moeopt-call"),
            carrying=ThreadPoolExecutor(threads, "moeopt-object"),
            patience=patience,
            wait_s=wait_s,
        )

    def batch(
        self, layer: int, tokens: Tensor, expert_ids: IntArray, weights: Tensor, *, name: str = ""
    ) -> LayerBatch:
        """Return a layer's work on a batch, to be run, and run again if some of it failed.

        Parameters
        ----------
        layer
            Which, from 0.
        tokens
            Float32, ``(tokens, width)``. Not copied: they must not change before all is done.
        expert_ids
            Experts of each token, ``(tokens, choices)``.
        weights
            Of each choice, float32, ``(tokens, choices)``. A choice of weight 0 is none; an expert
            chosen twice by a token computes it once.
        name
            Of the batch, for records.

        Raises
        ------
        InstanceError
            If there is no such layer or expert, or an array has another shape or type.
        """
        layer = whole("layer", layer)
        if not 0 <= layer < self._fleet.layers:
            rule = f"must be one of the plan's, 0 to {self._fleet.layers - 1}"
            raise InstanceError("layer", layer, rule, "give another")
        width, experts = self._fleet.widths(layer)[0], self._fleet.experts(layer)
        inputs, routing = route(tokens, expert_ids, weights, width=width, experts=experts)
        return LayerBatch(self._means, layer, inputs, routing, name, self._recorder)

    def layer(
        self, layer: int, tokens: Tensor, expert_ids: IntArray, weights: Tensor, *, name: str = ""
    ) -> LayerResult:
        """Return what a layer makes of a batch; parameters are those of `batch`.

        Raises
        ------
        LayerError
            If some of it failed for good; its ``batch`` keeps the rest.
        """
        return self.batch(layer, tokens, expert_ids, weights, name=name).run()

    async def layer_async(
        self, layer: int, tokens: Tensor, expert_ids: IntArray, weights: Tensor, *, name: str = ""
    ) -> LayerResult:
        """Do the same while others run. If cancelled, no further call of it is begun."""
        batch = self.batch(layer, tokens, expert_ids, weights, name=name)
        running = submitted(self._running, batch.run)
        try:
            return await asyncio.wrap_future(running)
        except asyncio.CancelledError:
            batch.stop()
            raise

    def close(self) -> None:
        """Wait for what still runs, deletions of objects among it, and end all threads."""
        for threads in (self._running, self._means.calling, self._means.carrying):
            threads.shutdown()

    def __enter__(self) -> Gate:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        self.close()
