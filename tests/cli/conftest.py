"""An instance, its plan, and a way to run the command line in this process."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from command_line import INSTANCE, Ran

import moeopt
from moeopt.cli.main import main


@pytest.fixture(scope="session", autouse=True)
def _compiled(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Compile the kernels before any test looks at standard error, where a line says so."""
    path = tmp_path_factory.mktemp("warm") / "small.json"
    path.write_text(json.dumps(INSTANCE))
    moeopt.solve(moeopt.load_problem(path))


@pytest.fixture
def instance(tmp_path: Path) -> Path:
    """Return the file of a small instance: imbalance 1.4 in order, 1.0 at best."""
    path = tmp_path / "small.json"
    path.write_text(json.dumps(INSTANCE))
    return path


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes a document of some name and fields."""

    def write_document(name: str, document: dict[str, Any], **fields: Any) -> Path:
        path = tmp_path / name
        path.write_text(json.dumps({**document, **fields}))
        return path

    return write_document


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., Ran]:
    """Return a function that runs ``moeopt`` with arguments and gives code and output."""

    def run_main(*arguments: object) -> Ran:
        capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        return Ran(code, *capsys.readouterr())

    return run_main
