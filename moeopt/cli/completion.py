"""``moeopt completion``: a script that lets a shell complete commands, options, files and names."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from typing import Any

from moeopt.cli.codes import DONE

#: The same as `shtab.SUPPORTED_SHELLS` begins with, which a parser need not load.
_SHELLS = ("bash", "zsh", "tcsh")

#: What help calls arguments that are files, and those that are folders.
_FILES = ("FILE", "PATH", "PLAN", "RECORDING")
_FOLDERS = ("DIR",)

#: What help says of an argument that may be an instance of the library.
_LIBRARY = "@wing/name"

#: A file or the name of an instance. Bash would break a word at its ``@``.
_BASH = """\
COMP_WORDBREAKS=${{COMP_WORDBREAKS//@/}}
_moeopt_instances() {{
  compgen -f -- "$1"
  compgen -W "{names}" -- "$1"
}}"""
_ZSH = """\
_moeopt_instances() {{
  _files
  compadd -- {names}
}}"""


def add(commands: Any) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "completion",
        help="print what lets a shell complete moeopt's commands",
        description="Print a script for a shell to read: source <(moeopt completion bash).",
    )
    parser.add_argument("shell", metavar="SHELL", choices=_SHELLS, help=", ".join(_SHELLS))
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the script."""
    from moeopt.cli.main import parser_of_all

    print(script(parser_of_all(), args.shell))
    return DONE


def script(parser: argparse.ArgumentParser, shell: str) -> str:
    """Return the script of a shell.

    Parameters
    ----------
    parser
        Of all commands; what can be completed is noted in it.
    shell
        One of bash, zsh and tcsh.
    """
    import shtab

    from moeopt.library import entries

    for command, action in _actions(parser):
        _note(command, action)
    names = " ".join(f"@{entry.name}" for entry in entries())
    preamble = {"bash": _BASH.format(names=names), "zsh": _ZSH.format(names=names)}
    made: str = shtab.complete(parser, shell=shell, preamble=preamble.get(shell, ""))
    return made


def _actions(parser: argparse.ArgumentParser) -> Iterator[tuple[str, argparse.Action]]:
    """Return the arguments of a parser and of all its commands, with whose they are."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                yield from _actions(command)
        else:
            yield parser.prog, action


def _note(command: str, action: Any) -> None:
    """Note in an argument what it takes, as shtab reads it."""
    import shtab

    if action.choices is None:
        action.choices = _choices(command, action.dest, action.metavar)
    if _LIBRARY in (action.help or ""):
        ours = "_moeopt_instances"
        action.complete = {**shtab.FILE, "bash": ours, "zsh": ours}
    elif action.metavar in _FILES:
        action.complete = shtab.FILE
    elif action.metavar in _FOLDERS:
        action.complete = shtab.DIRECTORY


def _choices(command: str, name: str, metavar: str | None) -> Sequence[str] | None:
    """Return the names that an argument may be, where the parser does not list them."""
    from moeopt.core.registry import wing_named, wing_names

    if (command, name) == ("moeopt bench", "name"):
        from moeopt.bench.registry import workload_names

        return workload_names()
    if name == "method":
        methods = (wing_named(wing).methods for wing in wing_names())
        return sorted({method for of_wing in methods for method in of_wing})
    if metavar == "WING":
        return wing_names()
    return None
