"""What an import loads, and what a first compilation says: each in a process of its own."""

import os
import subprocess
import sys

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
