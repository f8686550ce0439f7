"""Real functions as the objective of Bayesian optimisation: plans deployed, batches run, bills met.

`moeopt.serverless.bayes_objective.Deployed` asks what happens when a plan for predicted tokens
meets real ones. `moeopt.serverless.realised.meet` computes it; here it is made to happen, on AWS or
on a stand, and measured.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from moeopt.adapters.aws_lambda.bill import bill_of_records
from moeopt.adapters.aws_lambda.calls import LayerRecord
from moeopt.adapters.aws_lambda.clients import Clients
from moeopt.adapters.aws_lambda.deploy import DeployOptions, deploy, fleet_of
from moeopt.adapters.aws_lambda.dispatch.batch import LayerError
from moeopt.adapters.aws_lambda.dispatch.patience import Patience
from moeopt.adapters.aws_lambda.dispatch.pieces import cut
from moeopt.adapters.aws_lambda.dispatch.routing import routed
from moeopt.adapters.aws_lambda.fleet import Fleet
from moeopt.adapters.aws_lambda.gate import Gate
from moeopt.adapters.aws_lambda.weights import Weights
from moeopt.core.arrays import BoolArray, FloatArray, IntArray
from moeopt.core.errors import InstanceError
from moeopt.serverless.plan import ServerlessPlan
from moeopt.serverless.problem import ServerlessProblem
from moeopt.serverless.realised import Met, checked_tables

#: Runs of a layer whose calls fail for good before the error is passed on.
_RUNS = 2

#: Kinds of failures that say that a call had more tokens than it had room for.
_LIMITS = ("memory", "payload", "timeout")


@dataclass(frozen=True, kw_only=True)
class LambdaRun:
    """What happens to batches: each plan is deployed, and its functions run them.

    To be given to `moeopt.serverless.bayes_objective.Deployed` as ``run``. One deployment serves
    all plans: from plan to plan memory and time-outs are changed, code and parameters stay.

    Attributes
    ----------
    clients
        Doors to AWS, or to a stand.
    weights
        Parameters of the experts.
    options
        How plans are deployed, and under which name.
    warm_up
        Whether a plan's first batch is run once more before it, uncounted: every change of memory
        makes the next starts cold, which a deployment that stays would not pay.
    seed
        Of the tokens' numbers.
    patience
        How long to keep trying; the caller's own if left out.
    recorder
        Given each layer's record, those of warming up too.
    """

    clients: Clients
    weights: Weights
    options: DeployOptions
    warm_up: bool = True
    seed: int = 0
    patience: Patience | None = None
    recorder: Callable[[LayerRecord], None] | None = None

    def __call__(
        self, problem: ServerlessProblem, plan: ServerlessPlan, tokens: Sequence[FloatArray]
    ) -> Met:
        """Return what a plan costs, and how long it takes, with the tokens that really come.

        The bill is that of the functions' seconds and requests, and of all requests to storage, as
        far as the problem counts them. A layer lasts from the first byte that the caller sends
        until all outputs are there; the next layer's start is not in it, for the caller runs
        already.

        Parameters
        ----------
        problem
            What the plan was made for.
        plan
            A valid plan.
        tokens
            Real tokens of each expert, whole, for each layer ``(batches, experts)``.

        Raises
        ------
        InstanceError
            If there is not one table for each layer, it has another shape, or parts of tokens.
        AdapterError
            If AWS refuses something, or a batch fails for good.
        """
        tables = whole_tables(problem, tokens)
        fleet = fleet_of(problem, plan, self.options, self.clients)
        deploy(fleet, self.weights, self.clients, self.options)
        return measured(fleet, tables, self._run(fleet, tables))

    def _run(self, fleet: Fleet, tables: Sequence[IntArray]) -> list[list[list[LayerRecord]]]:
        """Run all batches, and return the records of each layer of each."""
        records: list[LayerRecord] = []

        def keep(record: LayerRecord) -> None:
            records.append(record)
            if self.recorder is not None:
                self.recorder(record)

        found = []
        with Gate(fleet, self.clients, patience=self.patience, recorder=keep) as gate:
            numbers = list(range(len(tables[0])))
            for turn, batch in enumerate([*numbers[: int(self.warm_up)], *numbers]):
                layers = []
                for layer, table in enumerate(tables):
                    records.clear()
                    self._run_layer(fleet, gate, layer, batch, table[batch])
                    layers.append(list(records))
                if turn >= self.warm_up:
                    found.append(layers)
        return found

    def _run_layer(
        self, fleet: Fleet, gate: Gate, layer: int, batch: int, counts: IntArray
    ) -> None:
        """Run a layer of a batch until all its outputs are there; what is bought is bought."""
        seed = int(np.random.SeedSequence([self.seed, layer, batch]).generate_state(1)[0])
        work = gate.batch(layer, *routed(counts, fleet.widths(layer)[0], seed), name=str(batch))
        for left in reversed(range(_RUNS)):
            try:
                work.run()
                return
            except LayerError:
                if not left:
                    raise


def whole_tables(problem: ServerlessProblem, tokens: Sequence[FloatArray]) -> list[IntArray]:
    """Return real tokens as whole numbers, for each layer ``(batches, experts)``.

    Raises
    ------
    InstanceError
        If there is not one table for each layer, it has another shape, or parts of tokens.
    """
    tables = checked_tables(problem, tokens)
    for layer, table in enumerate(tables):
        parts = np.argwhere(table != np.floor(table))
        if len(parts):
            batch, expert = parts[0].tolist()
            path, rule = f"tokens[{layer}][{batch}][{expert}]", "must be whole tokens to be run"
            raise InstanceError(path, float(table[batch, expert]), rule, "round them")
    return [table.astype(np.int64) for table in tables]


def measured(
    fleet: Fleet, tables: Sequence[IntArray], records: Sequence[Sequence[Sequence[LayerRecord]]]
) -> Met:
    """Return what the records of batches say.

    Parameters
    ----------
    fleet
        Problem and plan.
    tables
        Tokens of each expert, for each layer ``(batches, experts)``.
    records
        Of each layer of each batch: several of a layer that was run again.
    """
    problem = fleet.problem
    shape = (len(records), fleet.layers)
    layer_s, layer_usd = np.zeros(shape), np.zeros(shape)
    over = {kind: np.zeros((*shape, problem.num_experts), bool) for kind in _LIMITS}
    calls = np.zeros((*shape, problem.num_experts))
    for batch, layer in np.ndindex(*shape):
        runs = records[batch][layer]
        layer_s[batch, layer] = sum(run.seconds for run in runs)
        layer_usd[batch, layer] = bill_of_records(problem, runs).counted_usd(problem.billing)
        for call in (call for run in runs for call in run.calls):
            if call.error is None:
                calls[batch, layer, call.expert] += 1
            elif call.error in over:
                over[call.error][batch, layer, call.expert] = True
        split = _split(fleet, layer, tables[layer][batch])
        over["payload"][batch, layer, : len(split)] |= split
    non_moe_s = np.array([layer.non_moe_s for layer in problem.layers])
    rate, ends_s = problem.waiting_usd_per_s(), problem.head_s + problem.tail_s
    layer_usd += rate * (layer_s + non_moe_s)
    return Met(
        cost_usd=layer_usd.sum(axis=1) + rate * ends_s,
        latency_s=ends_s + (layer_s + non_moe_s).sum(axis=1),
        layer_usd=layer_usd,
        layer_s=layer_s,
        over_memory=over["memory"],
        over_payload=over["payload"],
        over_time=over["timeout"],
        calls=calls,
    )


def _split(fleet: Fleet, layer: int, counts: IntArray) -> BoolArray:
    """Return which experts had more tokens than their planned calls can carry, ``(experts,)``."""
    pieces = np.bincount([p.expert for p in cut(fleet, layer, counts)], minlength=len(counts))
    planned = [len(fleet.shares(layer, e, int(n))) for e, n in enumerate(counts)]
    split: BoolArray = pieces > np.array(planned)
    return split
