"""What README and docs show is what happens."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path

import pytest
from doc_blocks import PAGES, ROOT, assert_alike, blocks, commands, run_python

from moeopt.cli.main import main

#: Programs that documents name beside moeopt; ``.ci/run`` runs those of the README.
OTHERS = {"pip", "pytest", "python", "python3", "sphinx-build", "torchrun", "."}

#: Needs an account of AWS.
LAMBDA = ROOT / "docs/adapters/lambda.md"


def _name(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", [page for page in PAGES if page != LAMBDA], ids=_name)
def test_page_runs(
    page: Path, folder: Path, moeopt_prints: Callable[[list[str]], list[str]]
) -> None:
    _run(page, moeopt_prints)


@pytest.mark.usefixtures("folder", "account")
def test_the_page_of_lambda_runs_on_a_stand(
    moeopt_prints: Callable[[list[str]], list[str]],
) -> None:
    _run(LAMBDA, moeopt_prints)


def _run(page: Path, moeopt_prints: Callable[[list[str]], list[str]]) -> None:
    """Run Python blocks in order in one namespace; commands print what is shown."""
    namespace: dict[str, object] = {"__name__": "page"}
    for block in blocks(page):
        if block.kind in ("python", "doctest"):
            run_python(block, page, namespace)
        for command in commands(block) if block.kind == "console" else ():
            for program, *arguments in command.parts():
                if program != "moeopt":
                    assert program in OTHERS, f"{_name(page)}: what is {program}?"
                elif _is_run_elsewhere(arguments, command.shown):
                    assert main([*arguments, "--help"]) == 0
                else:
                    assert_alike(command.shown, moeopt_prints(arguments))


def _is_run_elsewhere(arguments: list[str], shown: list[str]) -> bool:
    """Tell whether a command takes too long here, or what is not installed."""
    match arguments[0]:
        case "bench":  # a minute: .ci/run does it
            return True
        case "run" if "--local" in arguments:  # a stand of its own: the page of Lambda has one
            return not shown
        case "run":
            return importlib.util.find_spec("torch") is None
    return False


def test_shown_output_is_compared() -> None:
    printed = ["total  1.4408  0.070", "status  feasible", "time  1.2 s"]
    assert_alike(["total  1.4409  0.071", "status  feasible", "time  0.9 s, busy"], printed)
    assert_alike(["…", "status  feasible", "…"], printed)
    assert_alike([], printed)
    for wrong in (
        ["total  1.5900  0.070", "…"],
        ["total  1.4408", "…"],
        ["status  optimal", "…"],
        ["total  1.4408  0.070"],
        ["…", "nothing of the kind"],
    ):
        with pytest.raises(AssertionError):
            assert_alike(wrong, printed)
