"""The drift benchmark: its streams, one case of it, and what is told of it."""

from dataclasses import replace

import numpy as np
import pytest

from moeopt import InstanceError
from moeopt.bench import motion_drift
from moeopt.bench.motion_drift import Case, Course, cases, judged, told
from moeopt.bench.motion_streams import TASKS, made_up, recorded
from moeopt.io import load_problem
from moeopt.placement.motion.baselines import Hysteresis, Periodic, eplb
from moeopt.placement.motion.simulate import simulate


def test_the_recorded_stream_is_the_tasks_in_turn_and_no_token_twice():
    """Windows of 1,024 tokens: four of intent, four of translation, and so on, to the last."""
    stream = recorded(1024)
    counts = [
        load_problem(f"@placement/deepseek-v2-lite-{task}-windows-64").loads_tokens
        for task in TASKS
    ]
    assert len(stream.windows) == 16
    np.testing.assert_array_equal(stream.windows[:4].sum(axis=0), counts[0][:64].sum(axis=0))
    np.testing.assert_array_equal(stream.windows[4:8].sum(axis=0), counts[1][:64].sum(axis=0))
    np.testing.assert_array_equal(stream.windows[9], counts[0][80:96].sum(axis=0))
    np.testing.assert_array_equal(stream.windows.sum(axis=0), sum(c.sum(axis=0) for c in counts))
    np.testing.assert_array_equal(recorded(256).windows[:4].sum(axis=0), stream.windows[0])


def test_a_planned_start_is_made_of_the_part_that_is_left_out():
    """The plan sees the first part, and the stream begins after it."""
    stream, whole = recorded(1024, planned=True), recorded(1024)
    np.testing.assert_array_equal(stream.windows, whole.windows[4:])
    history = whole.windows[:4].sum(axis=0)
    assert stream.start(72, 8).tolist() == eplb(history, 72, 8).tolist()
    # Without history experts lie in order, and copies in order again, as vLLM starts.
    assert whole.start(72, 8)[3].tolist() == [*range(64), *range(8)]


@pytest.mark.parametrize("tokens", [100, 8192, 3 * 64])
def test_windows_that_do_not_fit_the_parts_are_refused(tokens):
    """Of other than whole counts, or longer than a part, or such as leave a rest."""
    with pytest.raises(InstanceError, match="window_tokens"):
        recorded(tokens)


def test_the_made_up_stream_wanders_and_changes():
    """The same seed gives the same windows; a change is further than the steps before it."""
    stream = made_up()
    np.testing.assert_array_equal(stream.windows, made_up().windows)
    assert stream.windows.shape == (64, 26, 64)
    assert (stream.windows.sum(axis=2) == 256 * 6).all()
    parts = stream.windows.reshape(8, 8, 26, 64).sum(axis=1)
    step, change, back = (np.abs(parts[0] - parts[k]).sum() for k in (1, 2, 4))
    assert step < change
    assert back < change


def test_the_cells_that_are_asked_for_are_there():
    """Both windows, slots, ports and ways, and three lengths of a window, of the recorded tasks."""
    lines = [tuple(case.label()) for case in cases(quick=False)]
    assert len(set(lines)) == len(lines)
    for window in (256, 1024):
        for slots in (64, 72):
            for port in (450.0, 50.0):
                for way in ("blocking", "overlapped"):
                    mine = [line for line in lines if line[0] == "recorded"]
                    assert {line[4] for line in mine if line[1:4] == (window, slots, port)} == {
                        0.1,
                        1.0,
                        10.0,
                    }
                    assert ("recorded", window, slots, port, 1.0, way) in mine


def test_a_window_lasts_about_as_long_as_it_says():
    """Batches of 4,096 tokens a device, at the first window's bound."""
    world = Case(recorded(1024), 64, 50e9, 10.0, overlapped=True).world()
    assert world.overlapped
    windows = recorded(1024).windows[:1]
    assert world.batch_loads(windows).sum(axis=2) == pytest.approx(4096 * 8 * 6)
    bound = motion_drift.lower_bound_s(windows, world)
    assert bound == pytest.approx(10.0, rel=0.01)


def test_one_case_is_judged_and_told():
    """Bound, clairvoyant, ours and never are in order, and the report says so."""
    case = Case(recorded(1024), 64, 50e9, 1.0, overlapped=False)
    course = Course(case, eplb)
    found = judged(case, course)
    seconds = {name: run.total_s for name, run in found.runs.items()}
    # The rivals' plans serve in every world: these are the runs of the policies themselves.
    slower = replace(case, port_bytes_per_s=2e9, window_s=0.1, overlapped=True)
    for one, best in ((case, found.runs), (slower, course.rivals(slower))):
        for policy in (Periodic(4, 1, eplb), Hysteresis(1)):
            run = simulate(course.windows, course.start, policy, one.world())
            column = "periodic" if isinstance(policy, Periodic) else "hysteresis"
            assert best[column].total_s <= run.total_s
            if best[column].name == run.name:
                assert best[column].total_s == run.total_s
                assert best[column].moved_bytes == run.moved_bytes
    assert found.bound_s < seconds["clairvoyant"] < seconds["ours"] < seconds["never"]
    assert seconds["clairvoyant"] < min(seconds["periodic"], seconds["hysteresis"])
    way = (seconds["never"] - seconds["ours"]) / (seconds["never"] - seconds["clairvoyant"])
    assert found.share == pytest.approx(way)
    report = told([found], "moeopt's EPLB")
    row = dict(
        zip([c.name for c in report.tables[0].columns], report.tables[0].rows[0], strict=True)
    )
    assert row["never"] == seconds["never"]
    assert row["share"] == found.share
    figures = {figure.name: figure for figure in report.figures}
    lost = float(seconds["ours"] > min(seconds[name] for name in motion_drift.RIVALS))
    assert figures["drift: cases where ours is not the lowest"].value == lost
    assert figures["drift: cases below the bound"].value == 0.0
    case = report.data["drift"]["cases"][0]
    assert case["runs"]["ours"]["serving_s"] + case["runs"]["ours"]["migration_s"] == pytest.approx(
        seconds["ours"]
    )
