"""What shells complete: in a real bash, and in the other shells' scripts."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from command_line import Ran

from moeopt.cli import completion
from moeopt.cli.main import parser_of_all

Complete = Callable[..., list[str]]

_TRY = """\
source "$1"; shift
COMP_WORDS=("$@"); COMP_CWORD=$(( $# - 1 ))
_shtab_moeopt
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.fixture(scope="module")
def bash(tmp_path_factory: pytest.TempPathFactory) -> Complete:
    """Return a function that asks bash how the last of some words goes on."""
    shell = shutil.which("bash")
    if shell is None:
        pytest.skip("no bash here")
    folder = tmp_path_factory.mktemp("completion")
    made = folder / "moeopt.bash"
    made.write_text(completion.script(parser_of_all(), "bash"))
    (folder / "plan.json").touch()
    (folder / "sub").mkdir()

    def complete(*words: str) -> list[str]:
        done = subprocess.run(
            [shell, "--norc", "-c", _TRY, "try", str(made), "moeopt", *words],
            capture_output=True, text=True, check=True, cwd=folder,
        )  # fmt: skip
        assert done.stderr == ""
        return done.stdout.split()

    return complete


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["so"], ["solve"]),
        (["lambda", "re"], ["remove"]),
        (["solve", "--time"], ["--time-limit"]),
        (["solve", "x.json", "--method", "bottleneck_a"], ["bottleneck_assignment"]),
        (["export", "plan.json", "--format", "tens"], ["tensorrt-llm"]),
        (["solve", "@placement/tiny-rep"], ["@placement/tiny-replicas"]),
        (
            ["report", "plan.json", "--instance", "@placement/tiny-rep"],
            ["@placement/tiny-replicas"],
        ),
        (["solve", "pl"], ["plan.json"]),
        (["check", "@placement/tiny-replicas", "pl"], ["plan.json"]),
        (["solve", "x.json", "-o", "pl"], ["plan.json"]),
        (["lambda", "image", ""], ["sub"]),
        (["schema", "ser"], ["serverless"]),
        (["bench", "coll"], []),
        (["bench", "tran"], ["transfers"]),
        (["completion", "z"], ["zsh"]),
    ],
)
def test_bash_completes(bash: Complete, words: list[str], found: list[str]) -> None:
    assert bash(*words) == found


def test_the_other_shells_scripts(run: Callable[..., Ran], tmp_path: Path) -> None:
    for shell, begins in (("zsh", "#compdef moeopt"), ("tcsh", "#")):
        ran = run("completion", shell)
        assert (ran.code, ran.err) == (0, "")
        assert ran.out.startswith(begins)
        assert "bottleneck_assignment" in ran.out
        made = tmp_path / shell
        made.write_text(ran.out)
        if shutil.which(shell):
            subprocess.run([shell, "-n", str(made)], check=True)
    assert run("completion", "fish").code == 2
