"""Constants fitted to recordings that were made up from known ones, with noise and outliers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from lambda_recordings import EXPERT, TOKEN, Drawn, Truth, recording, stated

import moeopt
from moeopt.adapters.aws_lambda.calibrate import Calibration, calibrated
from moeopt.adapters.aws_lambda.calibration.fits import line_through, rate_through, residual_of
from moeopt.adapters.aws_lambda.calls import GateTraffic, LayerRecord
from moeopt.adapters.aws_lambda.record import Recorder
from moeopt.cli.main import main
from moeopt.core.errors import InstanceError
from moeopt.core.table import print_tables
from moeopt.io import load_problem, save_problem
from moeopt.serverless.problem import ExpertFunction, MemoryTable, VcpuModel

#: How near constants come with the noise and the outliers of these recordings.
NEAR = 0.06


def notes(found: Calibration) -> dict[str, str]:
    """Return what is said of each constant."""
    return {row.name: row.note for row in found.fitted}


@pytest.mark.parametrize("seed", range(4))
def test_known_constants_are_found(seed: int) -> None:
    truth = Truth(noise=0.05)
    found = calibrated(stated(), recording(truth, seed, times=100))
    network = found.problem.network
    assert network.access_delay_s == pytest.approx(truth.delay_s, rel=NEAR)
    assert network.storage_bytes_per_s == pytest.approx(truth.storage_bytes_per_s, rel=NEAR)
    assert network.function_bytes_per_s == pytest.approx(truth.function_bytes_per_s, rel=NEAR)
    # What the platform takes, and what goes on in the function beside its stages.
    assert network.warm_start_s == pytest.approx(truth.start_s + truth.inside_s, rel=NEAR)
    assert network.cold_start_s == pytest.approx(truth.cold_s, rel=NEAR)
    # It was said of bytes both ways; here of those that go there.
    assert found.beyond.unbilled_s == pytest.approx(truth.start_s, rel=NEAR)
    assert found.beyond.unbilled_s_per_byte == pytest.approx(
        2 / truth.function_bytes_per_s, rel=NEAR
    )
    # Calls are sums of what differs.
    assert 0.01 < found.beyond.straggling < 2 * truth.noise
    expert = found.problem.expert
    assert expert is not None
    assert isinstance(expert.compute, MemoryTable)
    for mb, seconds in zip((512, 1024, 1769, 3008), expert.compute.seconds_per_token, strict=True):
        assert seconds == pytest.approx(truth.seconds_per_token(mb), rel=NEAR), mb
    assert expert.intermediate_bytes == pytest.approx(truth.used_bytes, rel=0.01)
    assert moeopt.solve(found.problem).plan is not None


def test_without_noise_the_residuals_vanish() -> None:
    exact = Truth(noise=0.0, odd=0.0)
    found = calibrated(stated(), recording(exact))
    residuals = [row.residual for row in found.fitted if row.residual is not None]
    assert len(residuals) >= 8
    assert max(residual.most for residual in residuals) < 1e-9
    assert found.beyond.straggling < 1e-9
    again = calibrated(found.problem, recording(exact))
    assert again.problem == found.problem
    assert found.problem.source == "a guess; constants fitted to 120 calls"


def test_what_was_not_seen_stays() -> None:
    """One size of objects only: the delay is fitted, the rate is the instance's."""
    problem = stated()
    drawn = Drawn(Truth(noise=0.02, odd=0.0))
    one = [drawn.call(2, (EXPERT // TOKEN,)) for _ in range(20)]
    same = EXPERT // TOKEN * TOKEN
    one = [
        msgspec.structs.replace(
            call, seconds=msgspec.structs.replace(call.seconds, load_bytes=same)
        )
        for call in one
        if call.seconds is not None
    ]
    found = calibrated(problem, [drawn.record([call]) for call in one])
    network, said = found.problem.network, notes(found)
    assert network.storage_bytes_per_s == problem.network.storage_bytes_per_s
    assert "one size only" in said["network.storage_bytes_per_s"]
    # What an access takes with the instance's rate, in all.
    whole_s = 0.02 + EXPERT / 65e6
    assert network.access_delay_s + EXPERT / 1e9 == pytest.approx(whole_s, rel=0.05)
    assert network.function_bytes_per_s == problem.network.function_bytes_per_s
    assert "no direct call" in said["network.function_bytes_per_s"]
    assert network.cold_start_s == problem.network.cold_start_s
    assert "no cold start" in said["network.cold_start_s"]
    # One memory size: all are as much slower.
    assert found.problem.expert is not None
    assert isinstance(found.problem.expert.compute, VcpuModel)
    assert found.problem.expert.compute.seconds_per_token == pytest.approx(2e-3, rel=0.05)
    assert "not seen" in said["expert.compute: a token's seconds with 512 MB"]


def test_a_table_of_one_size_is_scaled_and_functions_that_keep_parameters_read_nothing() -> None:
    problem = stated(MemoryTable(seconds_per_token=(4e-3, 2e-3, 1e-3, 9e-4)))
    drawn = Drawn(Truth(noise=0.0, odd=0.0, token_s=5e-3))
    calls = [
        msgspec.structs.replace(
            call, seconds=msgspec.structs.replace(call.seconds, load_bytes=0, load_s=0.0)
        )
        for call in (drawn.call(3, (n,), 1769) for n in range(20, 40))
        if call.seconds is not None
    ]
    found = calibrated(problem, [drawn.record([call]) for call in calls])
    assert found.problem.expert is not None
    compute = found.problem.expert.compute
    assert isinstance(compute, MemoryTable)
    np.testing.assert_allclose(compute.seconds_per_token, (2e-2, 1e-2, 5e-3, 4.5e-3))
    assert found.problem.network.access_delay_s == problem.network.access_delay_s
    assert "no access" in notes(found)["network.access_delay_s"]


def test_layers_with_experts_of_their_own_are_fitted_by_themselves() -> None:
    problem = stated()
    own = ExpertFunction(
        parameter_bytes=EXPERT,
        input_bytes_per_token=TOKEN,
        output_bytes_per_token=TOKEN,
        compute=VcpuModel(seconds_per_token=1.0),
    )
    layers = (problem.layers[0], msgspec.structs.replace(problem.layers[1], expert=own))
    problem = msgspec.structs.replace(problem, layers=layers)
    exact = {"noise": 0.0, "odd": 0.0}
    slow, fast = Drawn(Truth(token_s=8e-3, **exact)), Drawn(Truth(used_bytes=40e6, **exact))
    records = [fast.record([fast.call(2, (n,), 1769)]) for n in (10, 20)]
    records += [slow.record([slow.call(2, (n,), 1769, layer=1)]) for n in (10, 20)]
    found = calibrated(problem, records).problem
    assert found.expert is not None
    assert found.layers[1].expert is not None
    for expert, seconds, used in ((found.expert, 2e-3, 40e6), (found.layers[1].expert, 8e-3, 15e7)):
        assert isinstance(expert.compute, VcpuModel)
        assert expert.compute.seconds_per_token == pytest.approx(seconds)
        assert expert.intermediate_bytes == pytest.approx(used, rel=0.02)


def test_a_call_that_ran_out_of_memory_shows_what_is_needed() -> None:
    drawn = Drawn(Truth(noise=0.0, odd=0.0))
    fine, died = drawn.call(2, (10,), 512), drawn.call(2, (60_000,), 512)
    died = msgspec.structs.replace(died, error="memory", seconds=None, used_mb=512)
    found = calibrated(stated(), [drawn.record([fine, died])]).problem.expert
    assert found is not None
    least = 512 * 2**20 - EXPERT - 60_000 * 2 * TOKEN
    assert found.intermediate_bytes == max(least, round(150e6 / 2**20) * 2**20)


def changed(record: LayerRecord, **fields: Any) -> LayerRecord:
    """Return a record with another first call."""
    first = msgspec.structs.replace(record.calls[0], **fields)
    return msgspec.structs.replace(record, calls=(first, *record.calls[1:]))


def test_recordings_of_another_instance_are_refused() -> None:
    drawn = Drawn(Truth())
    good = drawn.record([drawn.call(2, (10,))])
    clock = good.calls[0].seconds
    assert clock is not None
    direct = drawn.record([drawn.call(3, (10,))])
    longer = msgspec.structs.replace(clock, read_bytes=(1,))
    wider = msgspec.structs.replace(clock, write_bytes=(30 * TOKEN,))
    uneven = msgspec.structs.replace(clock, compute_s=())
    for record, message in (
        (msgspec.structs.replace(good, layer=2), "record 1: layer: must be one of"),
        (msgspec.structs.replace(good, tokens=(1,)), "record 1: tokens: must be 3 experts"),
        (changed(good, expert=3), "record 1: calls: must be of experts of layer 0"),
        (changed(good, layer=1), "record 1: calls: must be of experts of layer 0"),
        (changed(good, seconds=longer), "inputs: must be 2048 bytes of each of 10 tokens"),
        (changed(good, seconds=wider), "outputs: must be 2048 bytes of each of 10 tokens"),
        (changed(direct, request_bytes=60_000), "inputs: must be 2048 bytes of each of 10"),
        (changed(direct, response_bytes=900), "outputs: must be 2048 bytes of each of 10"),
        (changed(good, seconds=uneven), "must tell of 1 minibatches"),
        (changed(good, error="crash"), "must hold a call that ended well"),
        (changed(good, estimated=True), "must hold a call that ended well"),
    ):
        with pytest.raises(InstanceError, match=message):
            calibrated(stated(), [record])
    with pytest.raises(InstanceError, match="must hold a call that ended well"):
        calibrated(stated(), [])


def test_recordings_that_were_damaged_are_refused() -> None:
    """Nobody measures less than no time: such a line would make every other constant wrong."""
    drawn = Drawn(Truth())
    good = drawn.record([drawn.call(2, (10,))])
    clock = good.calls[0].seconds
    assert clock is not None
    backwards = msgspec.structs.replace(clock, load_s=-5.0)
    halves = msgspec.structs.replace(clock, compute_s=(-1.0,))
    traffic = GateTraffic(write_s=(1.0,), write_bytes=(1, 2))
    for record, message in (
        (changed(good, seconds=backwards), "call of 1: seconds: load_s: must be >= 0"),
        (changed(good, seconds=halves), "call of 1: seconds: compute_s: must be >= 0"),
        (changed(good, used_mb=-1), "call of 1: used_mb: must be >= 0"),
        (changed(good, ended_s=0.5), "call of 1: ended_s: must be >= began_s, 1"),
        (changed(good, design=7), "call of 1: design: must be 1, 2 or 3"),
        (msgspec.structs.replace(good, traffic=traffic), "must be one for each of 1 accesses"),
    ):
        with pytest.raises(InstanceError, match=message):
            calibrated(stated(), [record])


def test_cold_calls_alone_show_both_starts() -> None:
    drawn = Drawn(Truth(noise=0.0, odd=0.0))
    network = calibrated(
        stated(), [drawn.record([drawn.call(2, (n,), cold=True)]) for n in range(10, 20)]
    ).problem.network
    assert network.warm_start_s == pytest.approx(0.02)
    assert network.cold_start_s == pytest.approx(0.7)


def test_bytes_of_direct_calls_are_slower_in_small_functions() -> None:
    truth = Truth(noise=0.0, odd=0.0, text_s_per_byte=1e-8)
    found = calibrated(stated(), recording(truth)).beyond.call_s_per_byte
    there = 1 / truth.function_bytes_per_s
    expected = [there + 1e-8 * (1769 / 512 - 1), there, there]
    assert [found[k] for k in (0, 2, 3)] == pytest.approx(expected)
    assert there < found[1] < found[0]
    # Through storage nothing is made of text.
    stored = [record for record in recording(truth) if record.design != 3]
    assert calibrated(stated(), stored).beyond.call_s_per_byte == ()


def test_lines_through_few_or_strange_samples() -> None:
    one = np.array([5.0])
    assert line_through(one, np.array([3.0]), 0.5).start == 0.5
    assert line_through(one, np.array([1.0]), 0.5) == line_through(one, one / 5, 0.5)
    # Falling: the slope is kept, and nothing is negative.
    amounts = np.arange(1.0, 20.0)
    falling = line_through(amounts, 40.0 - amounts, 0.5)
    assert not falling.slope_shown
    assert falling.slope == 0.5
    # Through zero at least.
    steep = line_through(amounts, np.maximum(0.1, 2 * amounts - 9.0), 0.5)
    assert steep.start == 0.0
    assert steep.slope_shown
    assert 1.0 < steep.slope < 2.0
    assert rate_through(np.zeros(2), np.ones(2)) is None
    assert rate_through(np.ones(2), np.zeros(2)) is None
    assert rate_through(np.array([1.0, 1.0, 9.0]), np.array([7.0, 8.0, 18.0])) == 2.0
    assert residual_of(np.zeros(1), np.ones(1)) is None


def test_half_of_the_samples_may_be_anything() -> None:
    rng = np.random.default_rng(0)
    amounts = rng.integers(1, 50, 3000) * 1e4
    seconds = 0.02 + amounts / 65e6
    spoilt = rng.random(3000) < 0.25
    seconds[spoilt] *= rng.uniform(2, 100, spoilt.sum())
    line = line_through(amounts, seconds, 1.0)
    assert line.start == pytest.approx(0.02, rel=0.1)
    assert line.slope == pytest.approx(1 / 65e6, rel=0.1)


def written(tmp_path: Path, records: list[LayerRecord]) -> list[str]:
    """Write instance and recording, and return the arguments that name them."""
    save_problem(tmp_path / "old.json", stated())
    recorder = Recorder(tmp_path / "met.jsonl")
    for record in records:
        recorder(record)
    return ["calibrate", str(tmp_path / "met.jsonl"), "--instance", str(tmp_path / "old.json")]


def test_the_command_writes_an_instance(tmp_path: Path, capsysbinary: Any) -> None:
    records = recording(Truth(noise=0.0, odd=0.0), times=20)
    command, new = written(tmp_path, records), tmp_path / "new.json"
    assert main([*command, "-o", str(new)]) == 0
    told = capsysbinary.readouterr().out.decode()
    assert "network.storage_bytes_per_s" in told
    assert "within" in told  # its heading may be broken: the table is wide
    assert load_problem(new) == calibrated(stated(), records).problem
    assert main([*command, "-o", "-"]) == 0
    assert capsysbinary.readouterr().out == new.read_bytes()
    assert main([*command, "--json"]) == 0
    document = json.loads(capsysbinary.readouterr().out)
    delay = document["fitted"][0]
    assert delay["name"] == "network.access_delay_s"
    assert delay["after"] == pytest.approx(0.02)
    assert delay["residual"]["median"] == pytest.approx(0.0, abs=1e-9)
    assert document["beyond"]["unbilled_s"] == pytest.approx(0.015)


def test_the_command_writes_nothing_where_it_fails(tmp_path: Path, capsys: Any) -> None:
    drawn = Drawn(Truth(used_bytes=4e9))
    command, new = written(tmp_path, [drawn.record([drawn.call(2, (9,))])]), tmp_path / "new.json"
    assert main([*command, "-o", str(new)]) == 3
    assert "with what was fitted there is no plan: C3" in capsys.readouterr().err
    assert main([*command, "-o", str(tmp_path / "none" / "new.json")]) == 2
    assert main([*command, "--json", "-o", "-"]) == 2
    assert main([*command[:-1], "@placement/tiny-cvar", "-o", str(new)]) == 2
    assert "$.problem: must be serverless" in capsys.readouterr().err
    (tmp_path / "met.jsonl").write_bytes(b"[]\n")
    assert main([*command, "-o", str(new)]) == 2
    assert "met.jsonl, line 1: must be a record" in capsys.readouterr().err
    assert not new.exists()


def test_the_table_is_for_people(capsys: Any) -> None:
    print_tables(calibrated(stated(), recording(Truth())).tables())
    told = capsys.readouterr().out
    assert "not fitted" in told
    assert "the most that any function needed" in told
