"""The tests with the oldest or the newest dependencies that pyproject.toml admits.

    python tools/dependency_bounds.py lowest --extras test,traces tests/core tests/mip
    python tools/dependency_bounds.py highest --python python3.12
    python tools/dependency_bounds.py highest --extras core

Makes a virtual environment that is gone afterwards, installs moeopt there, prints the versions,
and runs pytest with what else is given. The lowest are those of direct dependencies; theirs are
the newest. With ``core`` for extras there are pytest, pytest-xdist and hypothesis beside it.
Needs uv, which looks for packages where its own settings say.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from licences import ROOT, requirements
from packaging.requirements import Requirement

#: Resolutions of uv by ends of the bounds.
_ENDS = {"lowest": "lowest-direct", "highest": "highest"}

#: Without these no test runs.
_TESTS_NEED = ("hypothesis", "pytest", "pytest-xdist")

_VERSIONS = """
import sys
from importlib.metadata import distributions
found = {one.name.lower().replace("_", "-"): one.version for one in distributions()}
print(*(f"{name} {found[name]}" for name in sys.argv[1:] if name in found), sep="\\n", flush=True)
"""


def _asked() -> tuple[argparse.Namespace, list[str]]:
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("end", choices=_ENDS)
    parser.add_argument("--extras", default="test", help="moeopt's, with commas (default: test)")
    parser.add_argument("--python", default=sys.executable, help="the interpreter")
    return parser.parse_known_args()


def _needed(extras: list[str]) -> list[Requirement]:
    """Return what the core, some extras, and the tests of any need."""
    tests = [needed for needed in requirements("test") if needed.name in _TESTS_NEED]
    named = [needed for extra in extras for needed in requirements(extra)]
    return [*requirements(), *named, *tests]


def _install(python: Path, resolution: str, needed: list[Requirement]) -> None:
    install = ["uv", "pip", "install", "--quiet", "--python", str(python)]
    wanted = list(dict.fromkeys(map(str, needed)))
    subprocess.run([*install, "--resolution", resolution, *wanted], check=True)
    subprocess.run([*install, "--no-deps", str(ROOT)], check=True)
    subprocess.run(["uv", "pip", "check", "--python", str(python)], check=True)


def main() -> int:
    """Install, print versions, test; return pytest's exit code."""
    asked, pytest_arguments = _asked()
    needed = _needed(asked.extras.split(","))
    with tempfile.TemporaryDirectory() as folder:
        programs = Path(folder) / "environment" / "bin"
        make = ["uv", "venv", "--quiet", "--python", asked.python, str(programs.parent)]
        subprocess.run(make, check=True)
        _install(programs / "python", _ENDS[asked.end], needed)
        names = sorted({one.name for one in needed})
        subprocess.run([programs / "python", "-c", _VERSIONS, *names], check=True)
        # The installed package is tested, also by processes that tests start.
        environment = {name: text for name, text in os.environ.items() if name != "PYTHONPATH"}
        environment["PATH"] = f"{programs}{os.pathsep}{environment['PATH']}"
        tests = [str(programs / "pytest"), "-m", "not gpu", *pytest_arguments]
        return subprocess.run(tests, cwd=ROOT, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
