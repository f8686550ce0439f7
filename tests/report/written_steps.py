"""Running what a page says."""

from __future__ import annotations

import shlex

from moeopt.cli.main import parser_of_all
from moeopt.cli.plans import problem_of, read


def run_python(block: str) -> list[str]:
    """Run a block and return the lines that it printed."""
    lines: list[str] = []
    space = {"print": lambda *words: lines.append(" ".join(map(str, words)))}
    exec(compile(block, "<step>", "exec"), space)
    return lines


def require_command(command: str) -> None:
    """Fail unless a command is one of ours, of a plan and a problem that are there.

    Commands that start workers take seconds: that they do what they say is tested where they are.
    """
    program, *arguments = shlex.split(command)
    assert program == "moeopt"
    asked = parser_of_all().parse_args(arguments)
    problem_of(asked.plan, asked.instance, read(asked.plan, asked.instance))
