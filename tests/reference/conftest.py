"""The example's modules import each other by their plain names: its folder is on the path."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).resolve().parents[2] / "examples" / "reference_moe"))


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    """Let PyTorch, if it is there, take one core: others run tests on the rest."""
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)
