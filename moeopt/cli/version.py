"""``moeopt --version``: what a bug report needs."""

from __future__ import annotations

import argparse
import sys
from typing import Any

_TOLD = ("ortools", "pulp", "scipy", "numpy", "numba", "msgspec", "networkx")

#: Libraries inside ortools: the solver, and what tells its version. Python has no name for these.
_LIBRARIES = {
    "libhighs": ("HiGHS", ("Highs_versionMajor", "Highs_versionMinor", "Highs_versionPatch")),
    "libscip": ("SCIP", ("SCIPmajorVersion", "SCIPminorVersion", "SCIPtechVersion")),
}


class ShowVersions(argparse.Action):
    """Print the versions and stop."""

    def __init__(self, option_strings: list[str], dest: str, help: str | None = None) -> None:
        super().__init__(option_strings, dest, nargs=0, default=argparse.SUPPRESS, help=help)

    def __call__(self, parser: argparse.ArgumentParser, *rest: Any) -> None:
        """Print one line for each distribution."""
        # In one piece: who reads only the first lines breaks no second one.
        sys.stdout.write("\n".join([*versions(), ""]))
        parser.exit()


def versions() -> list[str]:
    """Return ``name version`` of moeopt, Python and the solvers at hand, with what they carry."""
    import platform
    from importlib import metadata

    import moeopt

    lines = [f"moeopt {moeopt.__version__}", f"python {platform.python_version()}"]
    for name in _TOLD:
        try:
            lines.append(f"{name} {metadata.version(name)}{_carried(name)}")
        except metadata.PackageNotFoundError:
            lines.append(f"{name} not installed")
    return lines


def _carried(name: str) -> str:
    """Return the solvers inside a distribution, as far as they tell their versions."""
    asked = {"ortools": _in_ortools, "pulp": _in_pulp}.get(name)
    try:
        found = asked() if asked else []
    except (ImportError, OSError, AttributeError):
        found = []  # built another way: the distribution's own version must do
    return f" ({', '.join(found)})" if found else ""


def _in_ortools() -> list[str]:
    import ctypes
    from importlib import metadata

    found = []
    for file in metadata.files("ortools") or ():
        solver, functions = _LIBRARIES.get(file.name.partition(".")[0], ("", ()))
        if solver:
            library = ctypes.CDLL(str(file.locate()))
            numbers = [str(library[function]()) for function in functions]
            found.append(f"{solver} {'.'.join(numbers)}")
    return ["CP-SAT", *sorted(found)]


def _in_pulp() -> list[str]:
    import re
    import subprocess

    from pulp import PULP_CBC_CMD

    asked = [str(PULP_CBC_CMD(msg=False).path), "-quit"]
    said = subprocess.run(asked, capture_output=True, text=True, check=False).stdout
    return [f"CBC {version}" for version in re.findall(r"^Version: (\S+)", said, re.MULTILINE)]
