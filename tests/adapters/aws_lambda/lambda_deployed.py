"""Plans deployed on the shared stand, and batches run on them and compared."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from unittest import mock

import numpy as np
from lambda_cases import fleet_named

from moeopt.adapters.aws_lambda.clients import Clients
from moeopt.adapters.aws_lambda.deploy import Deployment, DeployOptions, deploy
from moeopt.adapters.aws_lambda.deployer import wanted
from moeopt.adapters.aws_lambda.deployer.package import code_package
from moeopt.adapters.aws_lambda.dispatch.batch import LayerBatch, LayerResult
from moeopt.adapters.aws_lambda.dispatch.patience import Patience
from moeopt.adapters.aws_lambda.dispatch.routing import routed
from moeopt.adapters.aws_lambda.fleet import Fleet
from moeopt.adapters.aws_lambda.gate import Gate
from moeopt.adapters.aws_lambda.names import Names
from moeopt.adapters.aws_lambda.reference import reference
from moeopt.adapters.aws_lambda.remove import remove
from moeopt.adapters.aws_lambda.weights import Weights, random_weights
from moeopt.serverless.plan import ServerlessPlan
from moeopt.serverless.problem import ServerlessProblem

#: Short waits; enough attempts for the faults of a test.
QUICK = Patience(attempts=4, first_s=0.005, most_s=0.02, total_s=10.0)


@contextlib.contextmanager
def bare_packages() -> Iterator[None]:
    """Pack no NumPy: workers here find it without."""
    bare = partial(code_package, bare=True)
    with mock.patch.object(wanted, "code_package", lambda machine, *_, **__: bare(machine)):
        yield


@dataclass(frozen=True)
class Deployed:
    """A fleet on the stand."""

    fleet: Fleet
    weights: Weights
    clients: Clients

    def again(self) -> Deployment:
        """Deploy it once more."""
        with bare_packages():
            return deploy(self.fleet, self.weights, self.clients, DeployOptions(timeout_s=60))

    def gate(self, patience: Patience = QUICK, wait_s: float = 5.0, *, threads: int = 8) -> Gate:
        """Return a gate of it."""
        return Gate(self.fleet, self.clients, patience=patience, threads=threads, wait_s=wait_s)

    def batch(self, gate: Gate, layer: int, seed: int = 0) -> LayerBatch:
        """Return a batch with the problem's tokens."""
        return gate.batch(layer, *self._routed(layer, seed))

    def require_right(self, layer: int, result: LayerResult, seed: int = 0) -> None:
        """Compare a result with the reference."""
        expected = reference(self.weights, layer, *self._routed(layer, seed))
        np.testing.assert_allclose(result.outputs, expected, rtol=0, atol=1e-5)

    def _routed(self, layer: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        counts = self.fleet.problem.tokens_of(layer)[0]
        return routed(counts, self.fleet.widths(layer)[0], seed)


def fleet_of_tests(
    name: str, problem: ServerlessProblem, plan: ServerlessPlan, clients: Clients
) -> Fleet:
    """Return a fleet in a bucket of its own."""
    return fleet_named(name, problem, plan, Names(name).bucket(clients.account))


@contextlib.contextmanager
def removed_at_the_end(here: Deployed) -> Iterator[Deployed]:
    """Deploy a fleet, and remove it at the end."""
    here.again()
    try:
        yield here
    finally:
        remove(here.fleet.names, here.clients)


def deployed(
    name: str, problem: ServerlessProblem, plan: ServerlessPlan, clients: Clients
) -> contextlib.AbstractContextManager[Deployed]:
    """Deploy a plan with random experts, and remove it at the end."""
    fleet = fleet_of_tests(name, problem, plan, clients)
    return removed_at_the_end(Deployed(fleet, random_weights(problem), clients))
