"""``moeopt export`` of plans: files that engines read, or a sentence that says why not."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from command_line import INSTANCE, Ran

Run = Callable[..., Ran]
Write = Callable[..., Path]

#: A plan of `INSTANCE`.
PLAN: dict[str, Any] = {
    "plan": "placement",
    "version": 1,
    "physical_to_logical": [[0, 3, 1, 2], [3, 0, 2, 1]],
}

#: The same with more slots, two of them empty, and its plan.
WIDE = {**INSTANCE, "slots_per_device": 3, "allow_empty_slots": True}
HALF = {**PLAN, "physical_to_logical": [[0, 3, -1, 1, 2, -1], [3, 0, 1, 2, 1, 0]]}


@pytest.fixture
def plan(write: Write) -> Path:
    return write("plan.json", PLAN)


def test_a_plan_for_an_engine(run: Run, instance: Path, plan: Path) -> None:
    out = plan.with_name("sglang.json")
    options = ("--layer-ids", "1-2", "--model-layers", 4)
    ran = run("export", plan, "--instance", instance, "--format", "sglang", "-o", out, *options)
    assert ran.code == 0
    assert ran.out.splitlines() == [
        f"{out}: for SGLang, 2 MoE layers of 4 slots on 2 ranks",
        "python -m sglang.launch_server --model-path MODEL --tp-size 2 --ep-size 2"
        f" --ep-num-redundant-experts 0 --init-expert-location {out}",
    ]
    rows = json.loads(out.read_text())["physical_to_logical_map"]
    assert rows == [[0, 1, 2, 3], *PLAN["physical_to_logical"], [0, 1, 2, 3]]


def test_the_problem_is_found_in_the_library(run: Run, tmp_path: Path) -> None:
    plan, out = tmp_path / "plan.json", tmp_path / "map.json"
    assert run("solve", "@placement/tiny-replicas", "-o", plan).code == 0
    ran = run("export", plan, "--format", "vllm", "-o", out)
    assert ran.code == 0
    assert '"num_redundant_experts": 1' in ran.out
    assert json.loads(out.read_text()) == json.loads(plan.read_text())["physical_to_logical"]


def test_the_last_moe_layer_is_the_models_last(run: Run, instance: Path, plan: Path) -> None:
    out = plan.with_name("placement.yaml")
    arguments = ("--instance", instance, "--format", "tensorrt-llm", "-o", out)
    assert run("export", plan, *arguments, "--layer-ids", "3,5").code == 0
    assert out.read_text().splitlines()[2:4] == ["  3: [0, 3, 1, 2]", "  5: [3, 0, 2, 1]"]


def test_empty_slots_are_filled_on_request(run: Run, write: Write) -> None:
    instance, plan = write("wide.json", WIDE), write("half.json", HALF)
    out = plan.with_name("map.json")
    arguments = ("export", plan, "--instance", instance, "--format", "vllm", "-o", out)
    ran = run(*arguments)
    assert ran.code == 2
    assert "half.json: $.physical_to_logical[0][2]: must hold an expert" in ran.err
    assert "--pad" in ran.err
    assert not out.exists()
    assert run(*arguments, "--pad").code == 0
    rows = json.loads(out.read_text())
    assert [sorted(set(row)) for row in rows] == [[0, 1, 2, 3]] * 2
    assert rows[1] == HALF["physical_to_logical"][1]
    # Devices have 40 + 10 and 30 + 20. A copy of expert 3 makes them 45 and 55, then one of 2
    # makes them 55 and 45: any other pair ends above 55, or is as good and comes later.
    assert rows[0] == [0, 3, 2, 1, 2, 3]


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"slots_per_device": [2, 2], "dead_devices": []}, ""),
        ({"slots_per_device": [3, 1]}, r"slots_per_device: must be equal"),
        ({"forbidden": [{"expert": 0, "device": 0}]}, "must keep every constraint"),
        ({"loads_tokens": [[1, 1, 1, 1]]}, "must keep every constraint"),
    ],
)
def test_what_is_refused(run: Run, write: Write, fields: dict[str, Any], said: str) -> None:
    instance, plan = write("i.json", {**INSTANCE, **fields}), write("plan.json", PLAN)
    out = plan.with_name("map.json")
    ran = run("export", plan, "--instance", instance, "--format", "vllm", "-o", out)
    assert ran.code == (2 if said else 0)
    assert said in ran.err
    assert out.exists() != bool(said)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ((), "--layer-ids: must be known: SGLang numbers all layers"),
        (("--model", "deepseek-v4"), "--model: must be a model preset"),
        (("--model", "kimi-k2"), "--layer-ids: must be as many as the placement's 2"),
        (("--model", "kimi-k2", "--layer-ids", "1-2"), "--layer-ids: must not be given with"),
        (("--model", "kimi-k2", "--model-layers", 61), "--model-layers: must not be given with"),
        (("--layer-ids", ""), "--layer-ids: must be numbers and ranges"),
        (("--model-layers", 4), "--model-layers: must be given with --layer-ids"),
        (("--layer-ids", "2-1"), "--layer-ids: must be numbers and ranges"),
        (("--layer-ids", "2,1"), "--layer-ids: must ascend"),
        (("--layer-ids", "1,2", "--model-layers", 2), "--model-layers: must be more than"),
    ],
)
def test_layers_that_do_not_fit(
    run: Run, instance: Path, plan: Path, options: tuple[object, ...], said: str
) -> None:
    out = plan.with_name("out.json")
    ran = run("export", plan, "--instance", instance, "--format", "sglang", "-o", out, *options)
    assert ran.code == 2
    assert said in ran.err
    assert not out.exists()


def test_other_plans_other_files_other_options(run: Run, instance: Path, plan: Path) -> None:
    out = plan.with_name("out.json")
    ran = run("export", plan, "--instance", instance, "--format", "omni", "-o", out)
    assert (ran.code, "-o: must end in .npy" in ran.err) == (2, True)
    ran = run("export", instance, "--format", "mps", "-o", out, "--pad")
    assert (ran.code, "--pad: must not be given to the format mps" in ran.err) == (2, True)
    order = plan.with_name("order.json")
    assert run("solve", "@transfers/tiny-whole-messages", "-o", order).code == 0
    ran = run("export", order, "--format", "vllm", "-o", out)
    assert (ran.code, "must be a placement" in ran.err) == (2, True)
    assert not out.exists()
