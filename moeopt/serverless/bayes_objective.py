"""The cost of a deployment made from an adjusted table: the objective of Bayesian optimisation.

Predict, deploy, let real batches come: ``run`` is either `moeopt.serverless.realised.meet`, which
computes what happens, or the user's own, which makes it happen.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np

from moeopt.core.arrays import BoolArray, FloatArray, IntArray, own_array, require_shape
from moeopt.core.errors import InstanceError
from moeopt.core.result import Status
from moeopt.core.solve import solve
from moeopt.popularity.checks import check_token_ids
from moeopt.popularity.predictors import Predictor
from moeopt.serverless.bayes_numbers import finite
from moeopt.serverless.bayes_pairs import Pairs, TableSpace
from moeopt.serverless.bayes_trials import Measured
from moeopt.serverless.plan import ServerlessPlan, evaluate
from moeopt.serverless.problem import ServerlessProblem
from moeopt.serverless.realised import Met, checked_tables, meet

#: Runs real batches, ``(batches, experts)`` for each layer, on a plan.
Run = Callable[[ServerlessProblem, ServerlessPlan, Sequence[FloatArray]], Met]

#: Relative slack with which the shortest latency is promised instead of a shorter one.
_SLACK = 1e-9


@dataclass(frozen=True)
class Deployed:
    """Lines 2 to 4 of Algorithm 2: pairs in, what the deployment cost out.

    Attributes
    ----------
    problem
        Its own tokens do not count: they are predicted.
    space
        Where pairs are laid over.
    tokens
        Real tokens of each expert, for each layer ``(batches, experts)``.
    token_ids
        Token IDs of each batch, for the limited range.
    method
        What plans the deployment: ``"ods"`` is the paper's.
    tolerance_tokens
        ``alpha``: by how many tokens those of a replica may be others than predicted. Where they
        are nearer, nothing is fed back, as in the paper, even of calls that overran.
    late_usd_per_s
        Charge for each second that a batch takes longer than promised; the paper has none.
    run
        What happens to the batches.
    """

    problem: ServerlessProblem
    space: TableSpace
    tokens: Sequence[FloatArray]
    token_ids: Sequence[IntArray]
    method: str = "exact"
    tolerance_tokens: float = 100.0
    late_usd_per_s: float = 0.0
    run: Run = meet

    def __post_init__(self) -> None:
        stated = tuple(self.problem.experts().tolist())
        if stated != tuple(self.space.table.experts):
            raise InstanceError(
                "problem: $.layers",
                f"<experts {stated}>",
                f"must have the experts of the space's layers, {tuple(self.space.table.experts)}",
                "make the table from the same model",
            )
        tables = tuple(own_array(t, "tokens") for t in checked_tables(self.problem, self.tokens))
        if not len(tables[0]):
            raise InstanceError("tokens", "<no batches>", "must hold one batch or more", "give one")
        batches = tuple(own_array(ids, "token_ids", np.int64) for ids in self.token_ids)
        require_shape(np.empty(len(batches)), "token_ids", (len(tables[0]),), "batches")
        for batch, ids in enumerate(batches):
            try:
                check_token_ids(ids)
            except InstanceError as error:
                raise InstanceError(
                    error.path.replace("$.token_ids", f"token_ids[{batch}]"),
                    error.value,
                    error.rule,
                    error.remedy,
                ) from None
        settled = {
            "tokens": tables,
            "token_ids": batches,
            "tolerance_tokens": finite("tolerance_tokens", self.tolerance_tokens, 0.0),
            "late_usd_per_s": finite("late_usd_per_s", self.late_usd_per_s, 0.0),
        }
        for name, value in settled.items():
            object.__setattr__(self, name, value)

    def __call__(self, pairs: Pairs) -> Measured:
        """Return what a deployment made from the table with `pairs` costs."""
        prediction = self.space.prediction
        predictor = Predictor(self.space.adjusted(pairs))
        predicted = predictor.tokens(prediction.token_ids, prediction.rule)
        problem, plan = self.planned(predicted)
        met = self.run(problem, plan, self.tokens)
        late_s = np.zeros(len(met.latency_s))
        if self.problem.slo_s is not None:
            late_s = np.maximum(0.0, met.latency_s - self.problem.slo_s)
        apart = self._apart(plan, predicted)
        batches = apart.any(axis=(1, 2))
        return Measured(
            cost_usd=float((met.cost_usd + self.late_usd_per_s * late_s).mean()),
            over_memory=bool((met.over_memory & apart).any()),
            over_payload=bool((met.over_payload & apart).any()),
            mispredicted=bool(batches.any()),
            token_ids=self._ids_of(np.flatnonzero(batches)),
            layer_usd=self._layer_usd(problem, plan, met, late_s),
            tokens=self._mean_tokens(),
        )

    def fingerprint(self) -> str:
        """Return what tells this objective from others; of `run` only the name counts."""
        from moeopt.io import problem_sha256

        digest = hashlib.sha256(problem_sha256(self.problem).encode())
        digest.update(self.space.fingerprint().encode())
        for array in (*self.tokens, *self.token_ids):
            digest.update(repr(array.shape).encode() + np.ascontiguousarray(array).tobytes())
        named = self.run if hasattr(self.run, "__qualname__") else type(self.run)
        run = f"{named.__module__}.{named.__qualname__}"
        rest = (self.method, self.tolerance_tokens, self.late_usd_per_s, run)
        digest.update(repr(rest).encode())
        return digest.hexdigest()

    def planned(self, predicted: Sequence[FloatArray]) -> tuple[ServerlessProblem, ServerlessPlan]:
        """Return the problem with predicted tokens, and its plan.

        If no plan keeps the promise with them, the one of the shortest latency there is.

        Raises
        ------
        InstanceError
            If there is no plan whatever the promise.
        """
        problem = with_tokens(self.problem, predicted)
        result = solve(problem, self.method)
        late = [v for v in result.violations if v.constraint == "C6"]
        if result.plan is None and problem.slo_s is not None:
            if not late:
                # Only some methods say how short the latency can be.
                result = solve(problem, "exact")
                late = [v for v in result.violations if v.constraint == "C6"]
            if late:
                shortest = (problem.slo_s + late[0].amount) * (1.0 + _SLACK)
                problem = msgspec.structs.replace(problem, slo_s=shortest)
                result = solve(problem, "exact")
        if result.plan is None:
            why = str(result.violations[0]) if result.status is Status.INFEASIBLE else "none found"
            raise InstanceError(
                "problem", f"<{why}>", "must have a plan for predicted tokens", "allow more memory"
            )
        return problem, result.plan

    def _apart(self, plan: ServerlessPlan, predicted: Sequence[FloatArray]) -> BoolArray:
        """Return which experts' replicas have other tokens than predicted.

        The shape is ``(batches, layers, experts)``.
        """
        experts = max(len(expected) for expected in predicted)
        apart = np.zeros((len(self.tokens[0]), len(predicted), experts), dtype=np.bool_)
        for layer, (real, expected) in enumerate(zip(self.tokens, predicted, strict=True)):
            own = slice(0, len(expected))
            far = np.abs(real - expected) / plan.replicas[layer, own] > self.tolerance_tokens
            apart[:, layer, own] = far
        return apart

    def _ids_of(self, batches: IntArray) -> IntArray:
        if not batches.size:
            return np.empty(0, dtype=np.int64)
        return np.unique(np.concatenate([self.token_ids[batch] for batch in batches]))

    def _layer_usd(
        self, problem: ServerlessProblem, plan: ServerlessPlan, met: Met, late_s: FloatArray
    ) -> FloatArray:
        """Return what each layer causes: its bill, and its part of the charge for lateness.

        That is dealt out by how much longer layers took than planned, and what belongs to no
        layer in equal parts.
        """
        over_s = np.maximum(0.0, met.layer_s - evaluate(problem, plan).layer_s)
        equal = np.full_like(over_s, 1.0 / over_s.shape[1])
        total = over_s.sum(axis=1, keepdims=True)
        part = np.divide(over_s, total, out=equal, where=total > 0)
        rest = met.cost_usd - met.layer_usd.sum(axis=1)
        usd = met.layer_usd + rest[:, None] / over_s.shape[1]
        mean: FloatArray = (usd + self.late_usd_per_s * late_s[:, None] * part).mean(axis=0)
        return mean

    def _mean_tokens(self) -> FloatArray:
        mean = np.zeros((len(self.tokens), max(table.shape[1] for table in self.tokens)))
        for layer, table in enumerate(self.tokens):
            mean[layer, : table.shape[1]] = table.mean(axis=0)
        return mean


def with_tokens(problem: ServerlessProblem, tokens: Sequence[FloatArray]) -> ServerlessProblem:
    """Return the problem with other tokens, for each layer ``(experts,)``, and no scenarios."""
    layers = tuple(
        msgspec.structs.replace(layer, tokens=own)
        for layer, own in zip(problem.layers, tokens, strict=True)
    )
    return msgspec.structs.replace(problem, layers=layers, prediction=None, scenario_weights=None)
