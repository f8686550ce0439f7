"""The README's promises: two commands for everything, and an output that is real."""

from __future__ import annotations

import re

from doc_blocks import PAGES, ROOT, Command, blocks, commands

from moeopt.cli.main import main

README = ROOT / "README.md"


def _commands() -> list[Command]:
    return [c for b in blocks(README) if b.kind == "console" for c in commands(b)]


def _shown() -> list[str]:
    return [command.line for command in _commands()]


def test_two_commands_do_all_the_set_up() -> None:
    set_up = [line for line in _shown() if line.startswith("pip install")]
    assert set_up == [
        "pip install . && moeopt solve instances/placement/deepseek-v2-lite-intent.json",
        "pip install '.[test]' && pytest",
    ]


def test_real_output_has_every_part() -> None:
    (command,) = [command for command in _commands() if command.shown]
    firsts = [line.split()[0] for line in command.shown if line.split()]
    for part in ("layer", "total", "objective", "lower", "gap", "status", "method", "time", "…"):
        assert part in firsts
    layers = [int(first) for first in firsts if first.isdigit()]
    assert layers[0] == 0
    assert layers[-1] == 25


def test_commands_exist(capsys) -> None:
    assert main(["--help"]) == 0
    known = set(re.findall(r"^    (\w+)", capsys.readouterr().out, re.MULTILINE))
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        named = set(re.findall(r"(?:`|\$ |&& )moeopt (\w+)", text))
        assert named <= known, f"{page.name} names {named - known}"


def test_every_command_is_in_the_readme(capsys) -> None:
    assert main(["--help"]) == 0
    known = set(re.findall(r"^    (\w+) ", capsys.readouterr().out, re.MULTILINE))
    shown = {word for line in _shown() for word in re.findall(r"moeopt (\w+)", line)}
    assert {"solve", "check", "show", "schema", "instances", "export", "bench"} <= shown
    assert shown <= known | {"instances"}
