"""``moeopt run``: workers are started, what they answer is checked, and printed in 80 columns."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import Ran

pytest.importorskip("torch")

from moeopt.adapters.torch.workers import Workers
from moeopt.traces.npz import write_trace
from moeopt.traces.trace import RoutingTrace

Run = Callable[..., Ran]
Solved = Callable[[str], Path]

#: A layer small enough that two workers are done at once.
SMALL = ("--hidden", 16, "--inner", 16, "--tokens", 32, "--steps", 3)


@pytest.fixture(scope="module")
def solved(tmp_path_factory: pytest.TempPathFactory) -> Solved:
    """Return a function that gives the file of a plan of an instance, solved once."""
    import moeopt

    folder = tmp_path_factory.mktemp("plans")

    def plan_of(name: str) -> Path:
        path = folder / (name.replace("/", "-").removeprefix("@") + ".json")
        if not path.exists():
            problem = moeopt.load_problem(name)
            moeopt.save_plan(path, problem, moeopt.solve(problem))
        return path

    return plan_of


def rows_of(text: str) -> dict[str, list[str]]:
    """Return the words of each line under its first."""
    lines = [line.split() for line in text.splitlines() if line.strip()]
    return {line[0]: line[1:] for line in lines}


def test_a_placement_plan_of_the_library(
    run: Run, solved: Solved, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Many steps take longer than other calls may.
    monkeypatch.setitem(Workers.run.__kwdefaults__, "timeout_s", 0.0)
    ran = run("run", solved("@placement/tiny-nearest-split"), "--exchange", "single", *SMALL)
    assert (ran.code, ran.err) == (0, "")
    assert max(map(len, ran.out.splitlines())) <= 80
    assert ran.out.startswith("tiny-nearest-split on 2 gloo workers\n")
    rows = rows_of(ran.out)
    for phase in ("gate", "dispatch", "compute", "combine", "aggregation", "layer"):
        assert len(rows[phase]) >= 2
    measured, predicted, *figures = rows["0"]
    assert min(float(measured), float(predicted)) > 0
    # 16 tokens of 64 a rank: 8 of device 0's 9 and 3 of device 1's 9, as loads say, within one.
    assert float(figures[0]) == pytest.approx(float(figures[1]), rel=0.1)
    assert float(figures[-1]) <= 1e-6


def test_a_trace_on_fewer_workers_as_json(run: Run, solved: Solved, tmp_path: Path) -> None:
    trace = tmp_path / "trace.npz"
    first = np.arange(60)[:, None, None]
    write_trace(trace, RoutingTrace(np.concatenate([first % 3, (first + 1) % 3], axis=2)))
    plan = solved("@placement/tiny-replicas")
    options = ("--trace", trace, "--world", 1, "--tokens", 20, "--hidden", 16, "--inner", 16)
    ran = run("run", plan, *options, "--layers", "0", "--dtype", "bf16", "--json")
    assert (ran.code, ran.err) == (0, "")
    found = ran.json()
    assert (found["run"], found["adapter"], found["traced"]) == ("placement", "torch", True)
    assert (found["devices"], found["world"], found["top_k"]) == (2, 1, 2)
    assert found["shape"]["dtype"] == "bf16"
    (layer,) = found["layers"]
    assert set(layer["measured_s"]) == set(layer["predicted_s"])
    assert (layer["imbalance"], layer["sent_bytes"]) == (1, 0)
    assert layer["difference"] <= 2e-2


def test_a_transfer_plan(run: Run, solved: Solved) -> None:
    plan = solved("@transfers/tiny-two-ports")
    ran = run("run", plan, "--port-bytes", 4096, "--steps", 3)
    assert (ran.code, ran.err) == (0, "")
    assert max(map(len, ran.out.splitlines())) <= 80
    assert "tiny-two-ports between 2 gloo workers\n" in ran.out
    assert "every byte arrived right" in ran.out
    assert "one all-to-all" in ran.out
    assert "the plan's rounds (1)" in ran.out
    assert "4096 at the busiest port" in ran.out


def test_a_colocation_plan(run: Run, solved: Solved) -> None:
    ran = run("run", solved("@colocation/tiny-two-models"), "--world", 1, *SMALL)
    assert (ran.code, ran.err) == (0, "")
    assert max(map(len, ran.out.splitlines())) <= 80
    assert "in turns on 1 gloo worker for 2 devices\n" in ran.out
    assert "counted from the end of the first gate, that of" in ran.out
    ends = [line for line in ran.out.splitlines() if line.startswith("aggregation, ")]
    assert len(ends) == 2
    assert rows_of(ran.out)["together"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--world", "3"), "--world: must divide the plan's 2 devices"),
        (("--world", "0"), "--world: must be >= 1"),
        (("--layers", "1"), "--layers: must be layers of the plan, 0 to 0, got 1"),
        (("--layers", "3-1"), "--layers: must be numbers and ranges"),
        (("--layers", "all"), "--layers: must be numbers and ranges"),
        (("--top-k", "9"), "--top-k: must be at most"),
        (("--port-bytes", "9"), "--port-bytes: must not be given for a placement plan"),
        (("--trace", "nowhere.npz"), "nowhere.npz: must be"),
        (("--instance", "nowhere"), "nowhere: must be a readable file"),
        (("--instance", "@placement/tiny-two"), "must be an instance of the library"),
        (("--instance", "@transfers/tiny-two-ports"), "$.plan: must be transfers"),
        (("--instance", "@placement/tiny-pins"), "$.physical_to_logical[0]: must keep C1"),
        (("--tokens", "many"), "invalid int value"),
        (("--adapter", "abacus"), "invalid choice"),
    ],
)
def test_wrong_inputs(run: Run, solved: Solved, options: tuple[str, ...], said: str) -> None:
    ran = run("run", solved("@placement/tiny-replicas"), *options)
    assert (ran.code, ran.out) == (2, "")
    assert said in ran.err
    assert "Traceback" not in ran.err


def test_a_trace_and_top_k(run: Run, solved: Solved, tmp_path: Path) -> None:
    trace = tmp_path / "trace.npz"
    write_trace(trace, RoutingTrace(np.zeros((8, 1, 1), dtype=np.int64), experts=3))
    plan = solved("@placement/tiny-replicas")
    ran = run("run", plan, "--trace", trace, "--top-k", 1)
    assert (ran.code, ran.out) == (2, "")
    assert "--top-k: must not be given with a trace" in ran.err
    ran = run("run", plan, "--trace", trace, "--tokens", 5)
    assert "--tokens: must be 1 to 4: the trace has 8 for 2 workers" in ran.err


def test_a_plan_of_no_instance_of_the_library(run: Run, solved: Solved, tmp_path: Path) -> None:
    document: dict[str, Any] = json.loads(solved("@placement/tiny-replicas").read_text())
    for digest, shown in (("0" * 64, "'000"), (None, "<none>")):
        path = tmp_path / "plan.json"
        path.write_text(json.dumps({**document, "problem_sha256": digest}))
        ran = run("run", path)
        assert (ran.code, ran.out) == (2, "")
        assert "plan.json: $.problem_sha256: must be that of an instance of the library" in ran.err
        assert shown in ran.err
        assert "--instance" in ran.err


def test_a_plan_from_standard_input(
    run: Run, solved: Solved, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = solved("@placement/tiny-replicas").read_bytes()
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text)))
    ran = run("run", "-", "--instance", "@placement/tiny-pins")
    assert (ran.code, ran.out) == (2, "")
    assert "moeopt: <stdin>: $.problem_sha256: the plan was made for another problem" in ran.err
    assert "moeopt: <stdin>: $.physical_to_logical[0]: must keep C1" in ran.err


def test_plans_that_no_worker_runs(run: Run, solved: Solved) -> None:
    ran = run("run", solved("@buffering/tiny-cap"))
    assert (ran.code, ran.out) == (2, "")
    assert "tiny-cap.json: $.plan: must be placement, transfers or colocation" in ran.err


def test_both_from_standard_input(run: Run) -> None:
    ran = run("run", "-", "--instance", "-")
    assert (ran.code, ran.out) == (2, "")
    assert "must be a file if --instance is -" in ran.err


def test_help_is_light() -> None:
    code = "import sys; from moeopt.cli.main import main; main(['run', '--help'])"
    shown = f"{code}; print(*{{'torch', 'numpy', 'msgspec'}} & set(sys.modules), file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", shown], capture_output=True, text=True, check=True)
    assert "--adapter" in done.stdout
    assert done.stderr.strip() == ""


def test_without_torch(run: Run, solved: Solved, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch.distributed", None)
    ran = run("run", solved("@placement/tiny-replicas"))
    assert (ran.code, ran.out) == (1, "")
    assert ran.err == "moeopt: the torch adapter needs PyTorch: pip install 'moeopt[torch]'\n"


@pytest.mark.parametrize("missing", ["boto3", "moto", "awslambdaric"])
def test_without_what_functions_take(
    run: Run, solved: Solved, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    ran = run("run", solved("@serverless/tiny-2x4"), "--local")
    assert (ran.code, ran.out, ran.err.count("\n")) == (1, "", 1)
    needed = "aws" if missing == "boto3" else "stand"
    assert ran.err.endswith(f" needs {missing}: pip install 'moeopt[{needed}]'\n")
