"""A folder in which the documents' commands find what they name, and leave what they write."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import matplotlib
import pytest
from doc_blocks import ROOT
from matplotlib import pyplot

from moeopt.cli.main import main
from moeopt.core import registry

#: Parts of the names of tests that need PyTorch, which is no part of ``moeopt[test]``.
_WITH_TORCH = (
    "test_examples.py::test_torch_",
    "test_reference_names_exist[moeopt.adapters.torch",
    "[docs/adapters/torch.md]",
    "[docs/adapters/emulated-networks.md]",
    "[docs/traces.md]",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip pages and examples that need PyTorch where it is not installed."""
    if importlib.util.find_spec("torch") is not None:
        return
    for item in items:
        if any(part in item.nodeid for part in _WITH_TORCH):
            item.add_marker(pytest.mark.skip(reason="needs PyTorch: pip install 'moeopt[torch]'"))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Return a fresh working folder with the repository's instances in it."""
    os.symlink(ROOT / "instances", tmp_path / "instances", target_is_directory=True)
    monkeypatch.chdir(tmp_path)
    pyplot.switch_backend("agg")
    known = registry.wing_names()
    with matplotlib.rc_context({"figure.max_open_warning": 0}):  # a gallery has many
        yield tmp_path
    pyplot.close("all")
    for name in set(registry.wing_names()) - set(known):  # the page on wings adds one
        del registry._WINGS[name]


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Lead what boto3 asks of its environment to a stand."""
    from moeopt.adapters.aws_lambda.deployer import package, wanted
    from moeopt.adapters.aws_lambda.stand.local import Stand

    def without_numpy(architecture: str, *_: object, bare: bool) -> package.Package:
        return package.code_package(architecture, bare=True)

    # Functions of a stand find NumPy without it. To pack it is the adapter's tests' to do.
    monkeypatch.setattr(wanted, "code_package", without_numpy)
    with Stand() as stand:
        for name, value in stand.environment().items():
            monkeypatch.setenv(name, value)
        yield


@pytest.fixture
def moeopt_prints(capsys: pytest.CaptureFixture[str]) -> Callable[[list[str]], list[str]]:
    """Return a function that runs ``moeopt`` in this process and returns the printed lines."""

    def run(arguments: list[str]) -> list[str]:
        capsys.readouterr()
        code = main(arguments)
        out, err = capsys.readouterr()
        assert code == 0, f"moeopt {' '.join(arguments)} exits {code}: {err}"
        return out.splitlines()

    return run
