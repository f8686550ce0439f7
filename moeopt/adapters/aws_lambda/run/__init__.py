"""A plan run by functions, on AWS or on this machine: `moeopt run PLAN --adapter lambda`."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from moeopt.adapters.aws_lambda.clients import Clients, connect, require_boto3
from moeopt.adapters.aws_lambda.fleet import Fleet
from moeopt.adapters.aws_lambda.record import Recorder
from moeopt.adapters.aws_lambda.run.options import LambdaOptions
from moeopt.adapters.aws_lambda.run.report import LambdaReport, LayerSeen
from moeopt.adapters.aws_lambda.weights import Weights, random_weights, read_weights
from moeopt.adapters.layers import chosen_layers
from moeopt.core.errors import InstanceError
from moeopt.core.wing import Plan, Problem
from moeopt.serverless.plan import ServerlessPlan
from moeopt.serverless.problem import ServerlessProblem

__all__ = ["LambdaOptions", "Options", "run_plan"]

#: The options that it takes of the command line.
Options = LambdaOptions

#: Warm batches where nothing is said.
STEPS = 3


@dataclass(frozen=True)
class _Place:
    """Where a plan runs: deployed, and who calls it."""

    fleet: Fleet
    clients: Clients
    deploy_s: float | None


def run_plan(problem: Problem, plan: Plan, options: LambdaOptions | None = None) -> LambdaReport:
    """Run a plan's layers on functions, compare every output, and price every call.

    The first batch finds no function started; the others are warm, and what is reported are their
    medians. Tokens are those of the problem's first scenario, in whole ones, and random.

    Parameters
    ----------
    problem
        A serverless problem.
    plan
        A plan of it. On AWS it must have been deployed; a stand of this machine is started,
        deployed to, and ended.
    options
        What to run.

    Raises
    ------
    InstanceError
        If the plan breaks its problem's rules, or an option does not fit.
    AdapterError
        If boto3 is missing, AWS or a function fails, or an output is wrong.
    """
    require_boto3()
    if not isinstance(problem, ServerlessProblem) or not isinstance(plan, ServerlessPlan):
        kind = type(plan).__struct_config__.tag
        rule = "must be serverless, and of its problem"
        raise InstanceError("$.plan", kind, rule, "give a plan that the lambda adapter runs")
    options = LambdaOptions() if options is None else options
    layers = chosen_layers(options.layers, problem.num_layers)
    # Before anything is started: a file that cannot be written is told at once.
    recorder = None if options.record is None else Recorder(options.record)
    with _placed(problem, plan, options, layers) as place:
        seen = _run(place, options, layers, recorder)
    return LambdaReport(
        name=problem.name,
        local=bool(options.local),
        deployment=place.fleet.names.deployment,
        region=place.clients.region,
        steps=options.steps or STEPS,
        deploy_s=place.deploy_s,
        prices=problem.book().name,
        prices_date=problem.book().date,
        layers=tuple(seen),
    )


@contextlib.contextmanager
def _placed(
    problem: ServerlessProblem, plan: ServerlessPlan, options: LambdaOptions, layers: list[int]
) -> Iterator[_Place]:
    """Yield where the plan runs: on AWS as it is deployed, or on a stand of its own."""
    from moeopt.adapters.aws_lambda.deploy import DeployOptions, deploy, fleet_of

    how = DeployOptions(
        name=options.name,
        bucket=options.bucket,
        seed=options.seed or 0,
        weights=None if options.weights is None else Path(options.weights),
    )
    if not options.local:
        clients = connect(region=options.region)
        yield _Place(fleet_of(problem, plan, how, clients), clients, None)
        return
    from moeopt.adapters.aws_lambda.run.room import require_room
    from moeopt.adapters.aws_lambda.stand.local import Stand
    from moeopt.adapters.aws_lambda.stand.shape import shape_of

    require_room(problem, plan, layers)
    with Stand() as stand:
        clients = stand.clients()
        fleet = fleet_of(problem, plan, how, clients)
        began = time.perf_counter()
        deploy(fleet, _weights(problem, options), clients, how)
        deploy_s = time.perf_counter() - began
        # As slow as the platform for batches alone; all that was deployed ends with the stand.
        stand.reshape(shape_of(problem))
        yield _Place(fleet, clients, deploy_s)


def _weights(problem: ServerlessProblem, options: LambdaOptions) -> Weights:
    if options.weights is not None:
        return read_weights(options.weights, problem)
    return random_weights(problem, options.seed or 0)


def _run(
    place: _Place, options: LambdaOptions, layers: list[int], recorder: Recorder | None
) -> list[LayerSeen]:
    """Run the first batch and the warm ones, each from layer to layer."""
    from moeopt.adapters.aws_lambda.gate import Gate
    from moeopt.adapters.aws_lambda.run.layer_run import LayerRun

    fleet, seed = place.fleet, options.seed or 0
    weights = _weights(fleet.problem, options)
    runs = [LayerRun(fleet, weights, layer, seed) for layer in layers]
    with Gate(fleet, place.clients, recorder=recorder) as gate:
        for _ in range(1 + (options.steps or STEPS)):
            for run in runs:
                run.step(gate)
    return [run.seen() for run in runs]
