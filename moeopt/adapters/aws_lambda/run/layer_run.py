"""One layer of a run: its tokens, what it should take, and what it took, batch by batch."""

from __future__ import annotations

from moeopt.adapters.aws_lambda.bill import bill_of_records
from moeopt.adapters.aws_lambda.calls import LayerRecord
from moeopt.adapters.aws_lambda.dispatch.routing import routed
from moeopt.adapters.aws_lambda.fleet import Fleet
from moeopt.adapters.aws_lambda.gate import Gate
from moeopt.adapters.aws_lambda.predict import LayerForecast, predicted
from moeopt.adapters.aws_lambda.reference import reference, require_alike
from moeopt.adapters.aws_lambda.run.report import BatchSeen, LayerSeen
from moeopt.adapters.aws_lambda.run.room import planned_tokens
from moeopt.adapters.aws_lambda.weights import Weights
from moeopt.core.errors import AdapterError


class LayerRun:
    """One layer of a plan, run again and again with the same tokens.

    Parameters
    ----------
    fleet
        The plan.
    weights
        Of the experts that were deployed.
    layer
        Which.
    seed
        Of the tokens.
    """

    def __init__(self, fleet: Fleet, weights: Weights, layer: int, seed: int) -> None:
        self.layer = layer
        self._fleet = fleet
        self.counts = planned_tokens(fleet, layer)
        width, _ = fleet.widths(layer)
        self._batch = routed(self.counts, width, seed + layer)
        self._truth = reference(weights, layer, *self._batch)
        self.forecast: LayerForecast = predicted(fleet, layer, self.counts)
        self._records: list[LayerRecord] = []
        self._difference = 0.0

    def step(self, gate: Gate) -> None:
        """Run a batch, and compare what comes out.

        Raises
        ------
        AdapterError
            If functions fail, are not the plan's, or an output is wrong.
        """
        result = gate.layer(self.layer, *self._batch)
        self._require_memory(result.record)
        difference = require_alike(f"layer {self.layer}", result.outputs, self._truth)
        self._difference = max(self._difference, difference)
        self._records.append(result.record)

    def seen(self) -> LayerSeen:
        """Return what the layer showed."""
        return LayerSeen(
            layer=self.layer,
            name=self._fleet.problem.layers[self.layer].name,
            design=int(self._fleet.plan.design[self.layer]),
            tokens=int(self.counts.sum()),
            difference=self._difference,
            forecast=self.forecast,
            batches=tuple(self._seen(record) for record in self._records),
        )

    def _require_memory(self, record: LayerRecord) -> None:
        """Raise unless the functions that answered have the plan's memory."""
        for call in record.calls:
            planned = self._fleet.memory_mb(call.layer, call.expert)
            if call.memory_mb != planned:
                raise AdapterError(
                    f"{call.function} has {call.memory_mb} MB, the plan {planned}: deploy the plan"
                )

    def _seen(self, record: LayerRecord) -> BatchSeen:
        problem = self._fleet.problem
        bill = bill_of_records(problem, [record])
        return BatchSeen(
            seconds=record.seconds,
            gb_s=bill.gb_s,
            usd=bill.counted_usd(problem.billing),
            all_usd=bill.usd,
            failed_usd=bill.failed_usd,
            calls=len(record.calls),
            cold=sum(call.cold for call in record.calls),
            failed=sum(call.error is not None for call in record.calls),
            init_s=max((call.init_s or 0.0 for call in record.calls), default=0.0),
        )
