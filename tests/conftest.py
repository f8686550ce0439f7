"""Hypothesis profiles, and which tests run in one process.

``HYPOTHESIS_PROFILE`` chooses the profile; ``ci`` where CI is set, else ``dev``.
"""

from __future__ import annotations

import importlib.util
import os
import re
import signal
import sys
from fnmatch import fnmatch
from pathlib import PurePosixPath
from typing import Any

import pytest
from hypothesis import settings
from torch_forks import workers_are_forked

from moeopt.core.registry import wing_names

_WINGS = frozenset(wing_names())

if "PYTEST_XDIST_WORKER" in os.environ:
    # Tests that run beside each other take a core each, also in PyTorch.
    os.environ.setdefault("OMP_NUM_THREADS", "1")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # As shells start what is to run in the background: tests of Ctrl-C would wait for ever.
    signal.signal(signal.SIGINT, signal.default_int_handler)

settings.register_profile("dev", max_examples=25, deadline=None)
settings.register_profile(
    "ci", max_examples=10, derandomize=True, deadline=None, print_blob=True, database=None
)
settings.register_profile("nightly", max_examples=1000, deadline=None, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci" if os.environ.get("CI") else "dev"))


#: Tests that need more than moeopt's core: by package, the extra that brings it, and patterns of
#: files and folders that are left out without it, or of single tests (::) that are skipped.
_NEEDS = {
    "dask": ("dask", ["core/test_parallel.py::*dask*"]),
    "matplotlib": ("plot", ["docs"]),
    "moto": ("stand", ["adapters/aws_lambda", "docs"]),
    "optuna": ("bayes", ["serverless/test_serverless_bayes*", "docs"]),
    "playwright": ("test", ["report/test_page_browser.py"]),
    "plotly": ("plot", ["cli/test_report_command.py", "report/test_page*.py", "docs"]),
    "ray": ("ray", ["core/test_parallel.py::*ray*"]),
    "sklearn": ("bayes", ["serverless/test_serverless_bayes*", "docs"]),
    "torch": ("torch", ["adapters/torch"]),
    "yaml": ("test", ["adapters/engines/test_engines_[ot]*.py", "docs"]),
}
_MISSING = {name: needs for name, needs in _NEEDS.items() if importlib.util.find_spec(name) is None}

collect_ignore_glob = [name for _, names in _MISSING.values() for name in names if "::" not in name]


def pytest_report_header() -> list[str]:
    """Tell what is left out."""
    return [
        f"no {package}: without {', '.join(names)} (moeopt[{extra}])"
        for package, (extra, names) in _MISSING.items()
    ]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip single tests that need what is missing."""
    for package, (extra, names) in _MISSING.items():
        needs = pytest.mark.skip(reason=f"needs {package}: pip install 'moeopt[{extra}]'")
        for item in items:
            if any("::" in name and fnmatch(item.nodeid, f"tests/{name}") for name in names):
                item.add_marker(needs)


@pytest.fixture(scope="session", autouse=True)
def _workers_start_fast() -> None:
    if sys.platform == "linux":
        workers_are_forked()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Keep tests that share something in one process (``--dist loadgroup``).

    By names: ``xdist_group`` marks do nothing under pytest 9.2 with xdist 3.8.
    """
    if config.getvalue("dist") != "loadgroup":
        return None
    from xdist.scheduler import LoadScopeScheduling

    class Scheduling(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return _group(nodeid) or nodeid

    return Scheduling(config, log)


def _group(nodeid: str) -> str | None:
    """Return what a test shares: kernels and drawn problems of a wing, or what it starts."""
    path, _, test = nodeid.partition("::")
    match PurePosixPath(path).parts[1:]:
        case ["testing", *_]:
            of = re.search(r"\[(\w+)", test)
            folder = of[1] if of else ""
        case ["adapters", "torch", name] if "_hf" in name:
            return "transformers"
        case ["adapters", "aws_lambda", name]:
            # Two groups, each with a stand of its own, take about as long as each other.
            return f"aws_lambda {'a-g' if name < 'test_lambda_h' else 'h-z'}"
        case ["adapters", name, *_] | ["bench", "test_bench_torch.py" as name]:
            return name
        case ["report", "test_page_browser.py" as name]:
            return name  # one browser
        case [folder, *_]:
            pass
        case _:
            return None
    return folder if folder in _WINGS else None
