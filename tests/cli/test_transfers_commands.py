"""The command line with problems of the transfers wing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from command_line import Ran

Run = Callable[..., Ran]


def test_solve_check_and_show(run: Run, tmp_path: Path) -> None:
    plan = tmp_path / "plan.json"
    solved = run("solve", "@transfers/aurora-padding", "-o", plan)
    assert solved.code == 0
    lines = solved.out.splitlines()
    assert lines[0] == "whom each port sends to, every 62.5 ms"
    assert [line.split()[0] for line in lines[3:6]] == ["0", "1", "2"]
    # How wide a column is differs from rich to rich.
    assert ["lower", "bound", "4", "s"] in [line.split() for line in lines]
    checked = run("check", "@transfers/aurora-padding", plan)
    assert checked.code == 0
    assert "plan.json: valid, objective 4" in checked.out
    assert "whom each port sends to" in checked.out
    shown = run("show", plan)
    assert (shown.code, shown.out.splitlines()[0]) == (0, "transfers plan")
    wrong = run("check", "@transfers/aurora-figure-4", plan)
    assert wrong.code != 0


def test_an_impossible_exchange(run: Run) -> None:
    ran = run("solve", "@transfers/infeasible-deadline")
    assert (ran.code, ran.out) == (3, "")
    assert "infeasible: C6 at $.windows: port 0 sends 1 s too much" in ran.err
    assert "(off by 1)" in ran.err


def test_methods_and_schemas_are_there(run: Run) -> None:
    listed = run("solve", "@transfers/tiny-busy", "--list-methods").out
    assert listed.startswith("methods of transfers")
    assert "birkhoff" in listed
    for arguments in (("schema", "transfers"), ("schema", "transfers", "--plan")):
        assert run(*arguments).json()["additionalProperties"] is False


def test_export_writes_the_exact_model(run: Run, tmp_path: Path) -> None:
    ran = run(
        "export", "@transfers/tiny-whole-messages", "--format", "mps", "-o", tmp_path / "model.mps"
    )
    assert ran.code == 0
    assert [Path(line).is_file() for line in ran.out.splitlines()] == [True]
