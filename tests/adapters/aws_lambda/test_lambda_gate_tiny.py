"""``tiny-2x4`` from plan to teardown, on the stand: each design, with replicas."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from lambda_cases import tiny
from lambda_deployed import bare_packages
from lambda_left import everything

from moeopt import solve
from moeopt.adapters.aws_lambda.clients import Clients
from moeopt.adapters.aws_lambda.deploy import DeployOptions, deploy, fleet_of
from moeopt.adapters.aws_lambda.dispatch.routing import routed
from moeopt.adapters.aws_lambda.gate import Gate
from moeopt.adapters.aws_lambda.reference import reference
from moeopt.adapters.aws_lambda.remove import remove
from moeopt.adapters.aws_lambda.stand.local import Stand
from moeopt.adapters.aws_lambda.stand.shape import Shape
from moeopt.adapters.aws_lambda.weights import random_weights
from moeopt.serverless.plan import ServerlessPlan


def _variants(plan: ServerlessPlan) -> list[ServerlessPlan]:
    """Return the plan, and the same functions with replicas in each design.

    The first layer has no direct one: two calls of the instance's payload do not carry its tokens.
    """
    replicas = np.array([[2, 1, 1, 1], [1, 2, 1, 1]])
    others = [((1, 2), (9, 0)), ((2, 1), (0, 4)), ((2, 3), (0, 0))]
    return [
        plan,
        *(
            msgspec.structs.replace(
                plan,
                design=np.array(design),
                pipeline_degree=np.array(degree),
                replicas=replicas,
            )
            for design, degree in others
        ),
    ]


def test_tiny_is_deployed_run_and_removed(stand: Stand, clients: Clients) -> None:
    before = everything(clients)
    # Shares of a processor would only make the functions slower to start.
    stand.reshape(Shape(processors=False))
    plan = solve(tiny()).plan
    assert isinstance(plan, ServerlessPlan)
    problem = tiny(slo_s=None)
    # The same for all plans, so that one deployment serves them all.
    options, weights = DeployOptions(name="tiny", timeout_s=60), random_weights(problem)
    names = fleet_of(problem, plan, options, clients).names
    try:
        for k, variant in enumerate(_variants(plan)):
            fleet = fleet_of(problem, variant, options, clients)
            with bare_packages():
                done = deploy(fleet, weights, clients, options)
            assert bool(done.changed) == (k == 0), done.changed
            with Gate(fleet, clients) as gate:
                for layer in range(fleet.layers):
                    batch = routed(problem.tokens_of(layer)[0], fleet.widths(layer)[0], seed=k)
                    result = gate.layer(layer, *batch)
                    here = reference(weights, layer, *batch)
                    np.testing.assert_allclose(result.outputs, here, rtol=0, atol=1e-5)
                    used = {(call.expert, call.replica) for call in result.record.calls}
                    assert len(used) == variant.replicas[layer].sum()
    finally:
        stand.reshape(Shape())
        remove(names, clients)
    assert everything(clients) == before
    with pytest.raises(clients.functions.exceptions.ResourceNotFoundException):
        clients.functions.get_function(FunctionName=names.function(0, 0))
