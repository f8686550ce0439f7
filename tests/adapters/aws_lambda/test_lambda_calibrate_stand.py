"""A stand of a known shape is recorded and its instance calibrated: nothing is faster."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from lambda_cases import mini, plan_of
from lambda_deployed import QUICK, deployed

import moeopt
from moeopt.adapters.aws_lambda.clients import Clients
from moeopt.adapters.aws_lambda.dispatch.routing import routed
from moeopt.adapters.aws_lambda.fleet import Fleet
from moeopt.adapters.aws_lambda.gate import Gate
from moeopt.adapters.aws_lambda.predict import predicted
from moeopt.adapters.aws_lambda.record import Recorder, read_recording
from moeopt.adapters.aws_lambda.stand.local import Stand
from moeopt.adapters.aws_lambda.stand.shape import Shape
from moeopt.cli.main import main
from moeopt.io import load_problem, save_problem

SHAPE = Shape(
    storage_bytes_per_s=1e6,
    access_delay_s=0.03,
    function_bytes_per_s=1e6,
    warm_start_s=0.02,
    cold_start_s=0.3,
    processors=False,
)


def record(fleet: Fleet, clients: Clients, path: Path) -> None:
    """Run batches of several sizes, and record them."""
    with Gate(fleet, clients, patience=QUICK, recorder=Recorder(path)) as gate:
        for seed, tokens in enumerate((10, 400, 1600, 100, 900, 1600)):
            gate.layer(0, *routed([tokens, tokens // 2], fleet.widths(0)[0], seed))


def test_a_stand_is_as_slow_as_it_was_made(stand: Stand, clients: Clients, tmp_path: Path) -> None:
    problem = mini([[1600, 800]], max_replicas=1)
    path, old, new = tmp_path / "met.jsonl", tmp_path / "old.json", tmp_path / "new.json"
    with deployed("shaped", problem, plan_of(problem, 2), clients) as here:
        # The same functions do both; the plan is the gate's.
        direct = dataclasses.replace(here.fleet, plan=plan_of(problem, 3))
        stand.reshape(SHAPE)
        try:
            record(here.fleet, clients, path)
            record(direct, clients, path)
        finally:
            stand.reshape(Shape())
    save_problem(old, problem)
    command = ["calibrate", str(path), "--instance", str(old), "-o", str(new)]
    assert main(command) == 0
    found = load_problem(new)
    network = found.network
    # Both ends of a call's way take time of their own; nothing takes less than the shape says.
    assert network.storage_bytes_per_s < 1.5 * 1e6
    assert network.access_delay_s > 0.02
    assert network.function_bytes_per_s < 1.5 * 1e6
    assert network.warm_start_s > 0.01
    assert network.cold_start_s > 0.2
    assert moeopt.solve(found).plan is not None
    records = [r for r in read_recording(path) if r.design == 3 and sum(r.tokens) == 2400]
    assert len(records) == 2
    fleet = dataclasses.replace(direct, problem=found)
    seen = predicted(fleet, 0, found.tokens_of(0)[0].astype(int))
    # Inputs and outputs of 1,600 tokens on their way, of 32 and 16 bytes.
    assert min(record.seconds for record in records) > 1600 * 48 / 1e6
    assert seen.simulated_s > 1600 * 48 / (1.5 * 1e6)
    assert seen.calls == 2
