"""Summary, tables and steps of a placement plan: every number is the plan's, every command runs."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from placement_samples import fact, solved

import moeopt
from moeopt import library
from moeopt.adapters.layers import chosen_layers
from moeopt.adapters.torch.layout import layouts_of_plan
from moeopt.cli import run
from moeopt.cli.main import main
from moeopt.describe.cluster import Cluster
from moeopt.io import result_to_json
from moeopt.placement.plan import PlacementPlan, evaluate, moved_bytes
from moeopt.placement.problem import PlacementProblem
from moeopt.report.page import markup
from moeopt.report.placement import REPORT
from moeopt.report.wings import Names, Summary

_ENGINES = ("SGLang", "TensorRT-LLM", "vLLM")


def test_summary_tells_what_was_gained() -> None:
    problem, result = solved("tiny-move-price")
    summary = REPORT.summary(problem, result.plan, result)
    value = evaluate(problem, result.plan)
    assert fact(summary.asked, "instance").text == "tiny-move-price"
    assert fact(summary.gained, "imbalance").number == value.imbalance[0]
    assert fact(summary.gained, "imbalance").text == "1.4872 → 1.0256"
    assert fact(summary.gained, "busiest device, summed over layers (tokens)").text == "29 → 20"
    # The mean of both devices is 19.5: 0.5 of 20 is waited.
    assert fact(summary.gained, "what it means").number == pytest.approx(0.5 / 20)
    assert "2.5 %" in fact(summary.gained, "what it means").text
    assert "32.8 % before" in fact(summary.gained, "what it means").text
    assert fact(summary.gained, "bytes moved").number == 20.0
    assert fact(summary.distance, "objective").number == result.objective


def test_what_was_wanted_of_the_worst_scenarios_is_told_first() -> None:
    for name, where in (("tiny-worst-max", "in the worst scenario"), ("tiny-cvar", "over the")):
        problem, result = solved(name)
        first = REPORT.summary(problem, result.plan, result).gained[0]
        assert f"busiest device {where}" in first.label
        assert first.number == result.objective
        before = evaluate(problem, PlacementPlan(physical_to_logical=np.array([[0, 1, 2, 3]])))
        assert first.text.startswith(f"{before.objective:g} → ")


def test_a_plan_proven_with_its_prices_is_not_told_to_be_open() -> None:
    problem, result = solved("tiny-move-price")
    (layer,) = [f for f in REPORT.summary(problem, result.plan, result).binds if f.label[0] == "1"]
    assert layer.text.startswith("the whole plan: proven optimal")
    assert layer.text.endswith("knows nothing of the price of a move")
    # Without the proof nothing is known.
    (layer,) = [f for f in REPORT.summary(problem, result.plan, None).binds if f.label[0] == "1"]
    assert layer.text.startswith("not known: a better plan may exist")


def test_summary_tells_tokens_that_leave_their_groups_node() -> None:
    problem, result = solved("tiny-priced-groups")
    across = fact(
        REPORT.summary(problem, result.plan, result).gained,
        "tokens served outside their group's node",
    )
    assert across.number == evaluate(problem, result.plan).cross_node_tokens


def test_limits_of_moves_and_memory_are_told_with_what_is_used() -> None:
    problem, result = solved("tiny-move-limit")
    binds = REPORT.summary(problem, result.plan, result).binds
    moved = moved_bytes(problem, result.plan.physical_to_logical)
    assert fact(binds, "bytes moved in all (C11)").number == moved
    problem, result = solved("tiny-memory-across-layers")
    budget = problem.memory_budget_bytes()
    copies = result.plan.copies(problem)
    used = np.einsum("leg,le->g", copies, problem.bytes_of_experts())
    told = fact(REPORT.summary(problem, result.plan, result).binds, "memory of the fullest device")
    assert told.number == used[np.argmax(used / budget)]


def why(loads: Any, table: Any, **fields: Any) -> Summary:
    """Return the summary of a table by hand, on as many devices of one slot each as it takes."""
    cluster = fields.pop("cluster", Cluster.uniform(2))
    problem = PlacementProblem(loads_tokens=[loads], cluster=cluster, **fields)
    return REPORT.summary(problem, PlacementPlan(physical_to_logical=np.array([table])), None)


def test_what_binds_is_the_cause_that_bounds_the_layer() -> None:
    even = why([2.0, 2.0, 1.0, 1.0], [0, 2, 1, 3], slots_per_device=2)
    assert fact(even.binds, "1 layer (0)").text == "nothing: devices are loaded alike"
    # No copy more: 9 against 3.
    large = why([9.0, 3.0], [0, 1], slots_per_device=1)
    assert fact(large.binds, "1 layer (0)").text.startswith("the largest copy")
    worst = fact(large.binds, "worst layer: 0")
    assert worst.number == 1.5
    assert "150 % of the mean are expert 0, which has 1 copy" in worst.text
    assert "a copy more would take the slot of another's" in worst.text
    # Forbidden to have a second copy, though a slot is free.
    capped = why(
        [9.0, 3.0], [0, -1, 1, -1], slots_per_device=2, max_copies_per_expert=1,
        allow_empty_slots=True,
    )  # fmt: skip
    assert "as many as it may (C4)" in fact(capped.binds, "worst layer: 0").text
    # Three large ones and nothing to fill up with on two devices: two meet.
    sizes = why(
        [4.0, 4.0, 4.0], [0, 1, 2, -1], slots_per_device=2, allow_empty_slots=True,
        max_copies_per_expert=1,
    )  # fmt: skip
    assert fact(sizes.binds, "1 layer (0)").number == 1
    # A bad plan is told to be one.
    bad = why([5.0, 4.0, 2.0, 1.0], [0, 1, 2, 3], slots_per_device=2)
    assert fact(bad.binds, "1 layer (0)").text.startswith("not known: a better plan may exist")
    assert fact(bad.distance, "layers proven optimal").number == 0


def test_a_hot_node_is_the_cause_where_groups_stay_on_one() -> None:
    problem, result = solved("deepseek-v3-320-64-hierarchical")
    binds = REPORT.summary(problem, result.plan, result).binds
    causes = [f.text for f in binds if f.label.startswith(("3 layers", "2 layers", "1 layer"))]
    assert causes
    assert all(text.startswith("groups that must stay on one node") for text in causes)


def test_slots_of_the_table_are_the_plans_and_empty_ones_have_no_expert() -> None:
    for name in ("tiny-empty-slots", "tiny-dead-device", "qwen3-144-16"):
        problem, result = solved(name)
        table = result.plan.physical_to_logical
        rows = REPORT.tables(problem, result.plan, result)[2].rows
        assert len(rows) == table.size
        for layer, device, slot, expert, copies, tokens in rows:
            held = int(table[layer, slot])
            assert device == problem.slot_device()[slot]
            assert expert == (None if held < 0 else held)
            assert copies == (None if held < 0 else (table[layer] == held).sum())
            assert tokens == (
                0 if held < 0 else pytest.approx(problem.mean_loads()[layer, held] / copies)
            )


def test_devices_of_the_table_tell_memory_and_arrivals() -> None:
    problem, result = solved("tiny-move-limit")
    table = REPORT.tables(problem, result.plan, result)[1]
    columns = {column.name: i for i, column in enumerate(table.columns)}
    arrive = sum(row[columns["GB that arrive"]] for row in table.rows)  # type: ignore[misc]
    assert 1e9 * arrive == pytest.approx(evaluate(problem, result.plan).moved_bytes)
    held = sum(row[columns["GB"]] for row in table.rows)  # type: ignore[misc]
    size = problem.bytes_of_experts()[0, result.plan.physical_to_logical[0]].sum()
    assert 1e9 * held == pytest.approx(size)


@pytest.mark.parametrize("name", ["tiny-speeds", "tiny-empty-slots", "deepseek-v2-lite-intent-72"])
def test_commands_of_the_steps_run_and_print_what_starts_the_engine(
    name: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    problem = moeopt.load_problem(library.find(f"placement/{name}"))
    result = moeopt.solve(problem)
    monkeypatch.chdir(tmp_path)
    named = Names(plan="my plan.json", instance=f"@placement/{name}")
    Path(named.plan).write_bytes(result_to_json(problem, result))
    steps = REPORT.steps(problem, result.plan, named)
    commands = [shlex.split(step.command) for step in steps]
    assert commands[0] == ["moeopt", "check", named.instance, named.plan]
    assert commands[1][:2] == ["moeopt", "run"]
    assert [step.way for step in steps[1:]] == ["", *np.repeat(_ENGINES, 2)]
    for step, words in zip(steps, commands, strict=True):
        if words[:2] == ["moeopt", "run"]:
            continue  # its own test is below
        if words[0] == "moeopt":
            assert main(words[1:]) == 0
            printed = capsys.readouterr().out
        elif "options.yaml" in words:
            # The engine's file, line by line, then its command.
            *_, served = step.command.splitlines()
            assert served in printed
            assert all(line in printed for line in step.command.splitlines()[1:4])
        else:
            assert step.command in printed
    assert {path.name for path in Path().iterdir()} == {
        "my plan.json", "placement.json", "placement.yaml", "map.json",
    }  # fmt: skip


def test_models_known_by_name_are_named() -> None:
    for name, model in (
        ("deepseek-v2-lite-intent-72", "deepseek-v2-lite"),
        ("deepseek-v3-288-32", "deepseek-v3"),
        ("qwen3-144-16", "qwen3-235b-a22b"),
    ):
        problem = moeopt.load_problem(library.find(f"placement/{name}"))
        plan = PlacementPlan(physical_to_logical=np.zeros((1, 1), dtype=np.int64))
        steps = REPORT.steps(problem, plan, Names(plan="p.json", instance="i.json"))
        assert f"--format sglang --model {model} -o" in steps[2].command
    # Three layers are of no such model.
    problem, result = solved("qwen3-144-16")
    steps = REPORT.steps(problem, result.plan, Names(plan="p.json", instance="i.json"))
    assert "--layer-ids 0-2" in steps[2].command


def test_a_page_shows_engines_as_ways_of_which_one_is_taken() -> None:
    problem, result = solved("qwen3-144-16")
    steps = REPORT.steps(problem, result.plan, Names(plan="p.json", instance="i.json"))
    outer, *ways = markup.steps(steps).split("<h3>")
    # Two steps for everybody, and the one that holds the ways.
    assert outer.count("<li>") == 2
    assert outer.count("<li class=ways>") == 1
    assert [way.partition("</h3>")[0] for way in ways] == list(_ENGINES)
    assert [way.count("<li>") for way in ways] == [2, 2, 2]


def test_no_engine_is_told_to_take_dead_devices() -> None:
    problem, result = solved("tiny-dead-device")
    steps = REPORT.steps(problem, result.plan, Names(plan="p.json", instance="i.json"))
    assert [step.command.split()[1] for step in steps] == ["check", "run"]


@pytest.mark.parametrize("name", ["tiny-speeds", "tiny-dead-device", "qwen3-144-16"])
def test_the_step_that_tries_a_plan_out_fits_the_plan(name: str) -> None:
    problem, result = solved(name)
    named = Names(plan="plan.json", instance="one.json")
    words = shlex.split(REPORT.steps(problem, result.plan, named)[1].command)
    parser = argparse.ArgumentParser()
    run.add(parser.add_subparsers())
    args = parser.parse_args(words[1:])
    assert (args.plan, args.instance) == (named.plan, named.instance)
    # What the run itself asks of them; workers would take longer than all tests here.
    assert chosen_layers((int(args.layers),), problem.num_layers) == [0]
    for layout in layouts_of_plan(problem, result.plan):
        assert layout.folded(args.world).num_ranks == args.world <= 8
