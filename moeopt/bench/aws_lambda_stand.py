"""A stand, and a layer that is run on it again and again, under one plan after the other."""

from __future__ import annotations

from types import TracebackType

from moeopt.adapters.aws_lambda.calls import LayerRecord
from moeopt.adapters.aws_lambda.deploy import DeployOptions, deploy, fleet_of
from moeopt.adapters.aws_lambda.dispatch.routing import routed
from moeopt.adapters.aws_lambda.fleet import Fleet
from moeopt.adapters.aws_lambda.gate import Gate
from moeopt.adapters.aws_lambda.reference import reference, require_alike
from moeopt.adapters.aws_lambda.stand.local import Stand
from moeopt.adapters.aws_lambda.stand.shape import Shape
from moeopt.adapters.aws_lambda.weights import Weights, random_weights
from moeopt.core.arrays import IntArray
from moeopt.serverless.plan import ServerlessPlan
from moeopt.serverless.problem import ServerlessProblem

#: Of every function: longer than any batch takes.
TIMEOUT_S = 60


class Bench:
    """A stand with a deployment of one layer; a context manager that ends it.

    Parameters
    ----------
    shape
        What the stand is told to be.
    problem
        Gives the experts.
    """

    def __init__(self, shape: Shape, problem: ServerlessProblem) -> None:
        self._stand = Stand(shape)
        self._clients = self._stand.clients()
        # With one time-out for all plans their functions differ in memory alone.
        self._options = DeployOptions(name="bench", timeout_s=TIMEOUT_S)
        self._memory_mb: list[list[int]] = []
        self._weights: Weights = random_weights(problem)

    def fleet(self, problem: ServerlessProblem, plan: ServerlessPlan) -> Fleet:
        """Return the plan under the deployment's name."""
        return fleet_of(problem, plan, self._options, self._clients)

    def run(self, fleet: Fleet, tokens: IntArray, repeats: int) -> list[LayerRecord]:
        """Return the records of warm batches, each compared with the reference.

        If functions have another memory than before, one more batch goes first, uncounted.

        Parameters
        ----------
        fleet
            Deployed first, unless its functions are there.
        tokens
            Of each expert, ``(experts,)``.
        repeats
            Warm batches.

        Raises
        ------
        AdapterError
            If a call fails, or an output is wrong.
        """
        memory_mb = fleet.plan.memory_mb.tolist()
        changed = memory_mb != self._memory_mb
        if changed:
            deploy(fleet, self._weights, self._clients, self._options)
            self._memory_mb = memory_mb
        batch = routed(tokens, fleet.widths(0)[0])
        truth = reference(self._weights, 0, *batch)
        records = []
        with Gate(fleet, self._clients) as gate:
            for _ in range(repeats + changed):
                result = gate.layer(0, *batch)
                require_alike("a batch", result.outputs, truth)
                records.append(result.record)
        return records[-repeats:]

    def __enter__(self) -> Bench:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stand.close()
