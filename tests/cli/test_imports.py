"""What is not loaded until it is needed."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = {
    "numba", "ortools", "pulp", "scipy", "matplotlib", "torch", "networkx", "pandas",
    "boto3", "botocore", "moto", "flask", "awslambdaric", "joblib", "ray", "distributed",
}  # fmt: skip

_LIST = "import sys; print(*{name.partition('.')[0] for name in sys.modules}, file=sys.stderr)"


def _loaded(code: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\n{_LIST}"], capture_output=True, text=True, check=True
    )
    return set(done.stderr.split())


@pytest.mark.parametrize(
    "code",
    [
        "import moeopt",
        "from moeopt.cli.main import main; main(['--help'])",
        "from moeopt.cli.main import main; main(['solve', '--help'])",
        "from moeopt.cli.main import main; main(['sweep', '--help'])",
        "from moeopt.cli.main import main; main(['lambda', 'deploy', '--help'])",
    ],
)
def test_start_up_is_light(code: str) -> None:
    loaded = _loaded(code)
    assert not loaded & {*HEAVY, "numpy", "msgspec", "rich"}


def test_names_load_on_first_use() -> None:
    loaded = _loaded("import moeopt; moeopt.load_problem; moeopt.solve; moeopt.InstanceError")
    assert not loaded & HEAVY
    assert "msgspec" in loaded
