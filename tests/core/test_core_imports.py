"""What an import loads, and what a first compilation says: each in a process of its own."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import moeopt

HEAVY = ("numba", "ortools", "pulp", "matplotlib", "torch", "boto3", "hypothesis", "scipy")

KERNEL = """
import logging
from moeopt.core.jit import kernel

logging.basicConfig(format="%(message)s")

def double(x):
    return 2 * x

def triple(x):
    return 3 * x

double, triple = kernel(double), kernel(triple)
print(double(2), triple(2), double(2.0))
"""


def python(*arguments, **environment):
    """Run Python here, with the modules of this process."""
    path = os.pathsep.join(entry for entry in sys.path if entry)
    return subprocess.run(
        [sys.executable, *arguments],
        env={**os.environ, "PYTHONPATH": path, **environment},
        capture_output=True,
        text=True,
        check=True,
    )


def test_import_is_light():
    code = f"import sys, moeopt; print([name for name in {HEAVY} if name in sys.modules])"
    assert python("-c", code).stdout.strip() == "[]"


def test_public_names_load_on_first_use():
    code = "import moeopt, sys; print('moeopt.core.solve' in sys.modules); print(moeopt.solve)"
    first, second = python("-c", code).stdout.splitlines()
    assert first == "False"
    assert "function solve" in second


@pytest.mark.parametrize("name", moeopt.__all__)
def test_every_public_name_resolves(name):
    assert getattr(moeopt, name) is not None
    assert name in dir(moeopt)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'sovle'"):
        _ = moeopt.sovle


def test_the_library_has_a_quiet_logger():
    code = "import moeopt, logging; logging.getLogger('moeopt').error('unheard')"
    answer = python("-c", code)
    assert answer.stdout + answer.stderr == ""


def test_compiling_is_said_once_and_a_warm_cache_is_silent(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(KERNEL)
    cache = str(tmp_path / "cache")
    first = python(str(script), NUMBA_CACHE_DIR=cache)
    assert first.stdout.split() == ["4", "6", "4.0"]
    assert first.stderr.count("compiling moeopt's kernels") == 1
    assert len(first.stderr.splitlines()) == 1
    second = python(str(script), NUMBA_CACHE_DIR=cache)
    assert second.stdout == first.stdout
    assert second.stderr == ""


def test_without_the_compiler_nothing_is_said(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(KERNEL)
    answer = python(str(script), NUMBA_DISABLE_JIT="1")
    assert answer.stdout.split() == ["4", "6", "4.0"]
    assert answer.stderr == ""


def test_the_strategies_say_what_they_need(tmp_path):
    code = (
        "import sys; sys.modules['hypothesis'] = None\n"
        "try:\n    import moeopt.testing.strategies\n"
        "except ImportError as error:\n    print(error)"
    )
    assert "pip install 'moeopt[test]'" in python("-c", code).stdout


#: What extras bring.
EXTRAS = {
    "accelerate", "atheris", "awslambdaric", "boto3", "botocore", "dask", "distributed",
    "hypothesis", "matplotlib", "moto", "optuna", "playwright", "plotly", "ray", "safetensors",
    "sklearn", "torch", "transformers", "triton", "werkzeug", "yaml",
}  # fmt: skip

#: The parts of moeopt that load it as they are imported.
PARTS = (
    "moeopt.adapters.aws_lambda.stand",
    "moeopt.adapters.aws_lambda.worker",
    "moeopt.adapters.torch",
    "moeopt.bench.torch_jobs",
    "moeopt.testing.strategies",
)

#: An import as it stands above a module's code; what stands further right is loaded when needed.
IMPORT = re.compile(r"^(?:import (.+)|from (\S+) import (?:\(([^)]*)\)|(.+)))", re.MULTILINE)
CODE = re.compile(r"^(?:@|def |class )", re.MULTILINE)


def loaded(text):
    """Return what a module loads as it is imported: modules, their packages, and names in them."""
    found = set()
    for plain, package, several, one in IMPORT.findall(CODE.split(text)[0]):
        for name in (plain or several or one).split(","):
            parts = f"{package}.{name.strip()}".strip(".").split(".")
            found |= {".".join(parts[:count]) for count in range(1, len(parts) + 1)}
    return found


def test_all_but_some_parts_are_imported_without_extras():
    package = Path(moeopt.__file__).parent
    loads = {}
    for path in package.rglob("*.py"):
        module = path.relative_to(package.parent).with_suffix("")
        name = ".".join(module.parts).removesuffix(".__init__")
        loads[name] = loaded(path.read_text(encoding="utf-8"))
    needing, more = set(), EXTRAS
    while more:
        more = {name for name, names in loads.items() if names & more} - needing
        needing |= more
    assert {name for name in needing if not name.startswith(PARTS)} == set()
    assert all(any(name.startswith(part) for name in needing) for part in PARTS)
