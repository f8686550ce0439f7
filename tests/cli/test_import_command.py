"""``moeopt import``: recordings become traces, counts and instances, placements become plans."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import INSTANCE, Ran

from moeopt.traces import read_csv_counts, read_trace

Run = Callable[..., Ran]
Write = Callable[..., Path]

#: Three tokens of each of two requests, a dense layer and two MoE layers of four experts.
ROUTED = np.array(
    [
        [[0, 0], [0, 1], [2, 3]],
        [[0, 0], [0, 2], [1, 3]],
        [[0, 0], [0, 3], [0, 3]],
    ]
)


@pytest.fixture
def routed(tmp_path: Path) -> Path:
    path = tmp_path / "routed.npy"
    np.save(path, ROUTED)
    return path


@pytest.fixture
def counts(tmp_path: Path) -> Path:
    path = tmp_path / "counts.csv"
    rows = ["0,0,0,0", "0,1,0,5", "0,1,3,1", "0,3,2,4", "1,1,1,7", "1,3,0,2", "2,1,0,1"]
    path.write_text("window,layer,expert,count\n" + "\n".join(rows) + "\n")
    return path


def test_a_recording_as_a_trace_and_as_counts(run: Run, routed: Path) -> None:
    out = routed.with_name("trace.npz")
    ran = run("import", routed, "--format", "recording", "-o", out)
    assert (ran.code, ran.out) == (0, f"{out}: a trace of 3 tokens in 2 layers\n")
    assert read_trace(out).expert_ids.tolist() == ROUTED[:, 1:].tolist()
    table = routed.with_name("counts.csv")
    assert run("import", out, "-o", table, "--windows", 3).code == 0
    assert read_csv_counts(table).counts.sum(axis=(1, 2)).tolist() == [4, 4, 4]
    assert run("import", table, "-o", out.with_name("same.csv")).code == 0
    assert out.with_name("same.csv").read_bytes() == table.read_bytes()


def test_several_files_of_one_recording(run: Run, routed: Path) -> None:
    other, out = routed.with_name("other.npy"), routed.with_name("trace.npz")
    np.save(other, ROUTED[:2])
    assert run("import", routed, other, "--format", "recording", "-o", out).code == 0
    assert read_trace(out).sequence_lengths is not None
    assert read_trace(out).num_tokens == 5


def test_a_recording_as_an_instance(run: Run, counts: Path) -> None:
    out = counts.with_name("instance.json")
    ran = run(
        "import", counts, "-o", out, "--devices", 2, "--slots", 6, "--nodes", 2, "--windows", 2
    )
    assert (ran.code, ran.err) == (0, "")
    document = json.loads(out.read_text())
    # Of three windows the first two are joined; the dense layer 0 is left out.
    assert document["loads_tokens"] == [[[5, 7, 0, 1], [2, 0, 4, 0]], [[1, 0, 0, 0], [0, 0, 0, 0]]]
    assert document["source"] == "counted from counts.csv"
    assert document["slots_per_device"] == 3
    assert run("show", out).out.count("nodes") == 1
    assert run("solve", out, "-o", counts.with_name("plan.json")).code == 0


def test_an_instance_of_a_model(run: Run, tmp_path: Path) -> None:
    """Mixtral: 32 layers of 8 experts, of which only two are used here."""
    counts, out = tmp_path / "counts.csv", tmp_path / "instance.json"
    rows = [f"{layer},{expert},{1 + layer}" for layer in range(32) for expert in (0, 5)]
    counts.write_text("layer,expert,count\n" + "\n".join(rows) + "\n")
    assert run("import", counts, "-o", out, "--devices", 4, "--model", "mixtral-8x7b").code == 0
    document = json.loads(out.read_text())
    loads = np.array(document["loads_tokens"])
    assert loads.shape == (1, 32, 8)
    assert loads[0, 3].tolist() == [4, 0, 0, 0, 0, 4, 0, 0]
    assert document["expert_bytes"] == 3 * 4096 * 14336 * 2
    assert document["slots_per_device"] == 2
    ran = run("import", counts, "-o", out, "--devices", 4, "--model", "olmoe-1b-7b")
    assert (ran.code, "is it the right model?" in ran.err) == (0, False)
    assert np.array(json.loads(out.read_text())["loads_tokens"]).shape == (1, 16, 64)
    ran = run("import", counts, "-o", out, "--devices", 4, "--model", "kimi-k2")
    assert (ran.code, "--layer-ids: must be among the 32" in ran.err) == (2, True)


def _placed(run: Run, folder: Path, form: str, suffix: str, *options: object) -> Path:
    """Return a file of an engine with the best plan of `INSTANCE`."""
    (folder / "small.json").write_text(json.dumps(INSTANCE))
    plan, out = folder / "plan.json", folder / f"placement{suffix}"
    assert run("solve", folder / "small.json", "-o", plan).code == 0
    arguments = ("--instance", folder / "small.json", "--format", form, "-o", out, *options)
    assert run("export", plan, *arguments).code == 0
    return out


@pytest.mark.parametrize(
    ("form", "suffix", "seen"),
    [
        ("sglang", ".json", True),
        ("tensorrt-llm", ".yaml", True),
        ("vllm", ".json", True),
        ("vllm-ascend", ".json", True),
        ("omni", ".npy", False),
    ],
)
def test_a_placement_becomes_a_plan(
    run: Run, tmp_path: Path, form: str, suffix: str, seen: bool
) -> None:
    layers = ("--layer-ids", "1-2", "--model-layers", 4)
    file = _placed(run, tmp_path, form, suffix, *layers)
    out, instance = tmp_path / "again.json", tmp_path / "small.json"
    arguments: tuple[object, ...] = ("import", file, "--instance", instance, "-o", out, *layers)
    ran = run(*arguments)
    if not seen:
        assert (ran.code, "--format: must be given for .npy" in ran.err) == (2, True)
        ran = run(*arguments, "--format", form)
    assert (ran.code, ran.out) == (0, f"{out}: a plan, objective 100\n")
    assert run("check", instance, out).code == 0
    plan, again = (json.loads(path.read_text()) for path in (tmp_path / "plan.json", out))
    held = [np.sort(np.reshape(p["physical_to_logical"], (2, 2, 2))) for p in (plan, again)]
    assert held[0].tolist() == held[1].tolist()
    # What is in force: with the loads of a recording, the instance of a replanning.
    counts, replan = tmp_path / "counts.csv", tmp_path / "replan.json"
    counts.write_text("layer,expert,count\n1,0,9\n2,3,9\n")
    previous = ("--previous", file, "--devices", 2, *layers)
    assert run("import", counts, "-o", replan, *previous).code == 0
    found = json.loads(replan.read_text())["previous"]
    assert found == again["physical_to_logical"]


def test_a_plan_of_ours_may_be_in_force(run: Run, tmp_path: Path) -> None:
    _placed(run, tmp_path, "vllm", ".json")
    counts, out = tmp_path / "counts.csv", tmp_path / "replan.json"
    counts.write_text("layer,expert,count\n0,0,9\n1,3,9\n")
    plan = tmp_path / "plan.json"
    assert run("import", counts, "-o", out, "--devices", 2, "--previous", plan).code == 0
    held = json.loads(plan.read_text())["physical_to_logical"]
    assert json.loads(out.read_text())["previous"] == held


def test_a_plan_that_breaks_constraints_is_told_of(run: Run, write: Write) -> None:
    instance = write("i.json", INSTANCE, forbidden=[{"expert": 0, "device": 0}])
    file = write("map.json", {})
    file.write_text("[[0, 1, 2, 3], [3, 2, 1, 0]]")
    out = file.with_name("plan.json")
    ran = run("import", file, "--instance", instance, "-o", out)
    assert (ran.code, "C7" in ran.err) == (0, True)
    assert "breaks 1 constraints" in ran.out
    assert run("check", instance, out).code == 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("counts.csv", "-o", "x.npz"), "-o: must end in .csv: the recording has counts"),
        (("counts.csv", "-o", "x.txt"), "-o: must end in .npz for a trace"),
        (("counts.csv", "-o", "x.json"), "--devices: must be given for an instance"),
        (("counts.csv", "-o", "x.csv", "--slots", "4"), "--slots: must not be given"),
        (("counts.csv", "-o", "x.csv", "--devices", "2"), "--devices: must not be given for"),
        (("counts.csv", "-o", "x.json", "--devices", "1000001"), "--devices: must be a whole num"),
        (("counts.csv", "-o", "x.csv", "--layer-ids", ""), "--layer-ids: must be numbers"),
        (("counts.csv", "-o", "x.csv", "--windows", "4"), "--windows: must be 1 to 3"),
        (("counts.csv", "-o", "x.json", "--devices", "3", "--slots", "4"), "--slots: must be a mu"),
        (("counts.csv", "-o", "x.json", "--devices", "3", "--nodes", "2"), "--nodes: must divide"),
        (("counts.csv", "counts.csv", "-o", "x.csv"), "must be .csv too"),
        (("counts.csv", "-o", "x.csv", "--instance", "i"), "--instance: must not be given"),
        (("map.json", "-o", "x.json"), "--instance: must be given"),
        (("map.json", "map.json", "-o", "x.json"), "FILE: must be one placement"),
        (("map.json", "-o", "x.json", "--devices", "2"), "--devices: must not be given"),
        (("map.json", "-o", "x.json", "--instance", "@transfers/tiny-whole-messages"), "placement"),
        (("map.json", "-o", "x.json", "--instance", "@placement/tiny-replicas"), "4 slots, equal"),
        (("routed.npy", "-o", "x.npz"), "--format: must be given for .npy"),
        (("nothing.csv", "-o", "x.csv"), "nothing.csv"),
    ],
)
def test_what_is_refused(
    run: Run,
    routed: Path,
    counts: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    said: str,
) -> None:
    monkeypatch.chdir(counts.parent)
    Path("map.json").write_text("[[0, 1, 2, 0, 1, 2]]")
    ran = run("import", *arguments)
    assert ran.code == 2
    assert said in ran.err
    assert not list(Path().glob("x.*"))


def test_an_instance_on_standard_output(run: Run, counts: Path) -> None:
    ran = run("import", counts, "-o", "-", "--devices", 2)
    assert ran.json()["problem"] == "placement"
    assert "an instance of 2 devices" in ran.err


def test_dumps_with_dense_layers(run: Run, tmp_path: Path) -> None:
    torch: Any = pytest.importorskip("torch")
    dump, out = tmp_path / "dump.pt", tmp_path / "instance.json"
    count = torch.zeros((2, 4, 4), dtype=torch.int32)
    count[:, 1], count[:, 2] = 3, 5
    torch.save({"rank": 0, "logical_count": count}, dump)
    options = ("--devices", 2, "--layer-ids", "1-2", "--model-layers", 4)
    assert run("import", dump, "-o", out, *options).code == 0
    assert json.loads(out.read_text())["loads_tokens"] == [[[6] * 4, [10] * 4]]
