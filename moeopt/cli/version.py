"""``moeopt --version``: what a bug report needs, found without importing it."""

from __future__ import annotations

import argparse
from typing import Any

_TOLD = ("ortools", "pulp", "scipy", "numpy", "numba", "msgspec", "networkx")


class ShowVersions(argparse.Action):
    """Print the versions and stop."""

    def __init__(self, option_strings: list[str], dest: str, help: str | None = None) -> None:
        super().__init__(option_strings, dest, nargs=0, default=argparse.SUPPRESS, help=help)

    def __call__(self, parser: argparse.ArgumentParser, *rest: Any) -> None:
        """Print one line for each distribution."""
        print("\n".join(versions()))
        parser.exit()


def versions() -> list[str]:
    """Return ``name version`` of moeopt, Python and the solvers at hand."""
    import platform
    from importlib import metadata

    import moeopt

    lines = [f"moeopt {moeopt.__version__}", f"python {platform.python_version()}"]
    for name in _TOLD:
        try:
            lines.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            lines.append(f"{name} not installed")
    return lines
