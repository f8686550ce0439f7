"""Stands that many tests share: to start one costs a second."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from moeopt.adapters.aws_lambda.clients import Clients
from moeopt.adapters.aws_lambda.stand.local import Stand


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep tests that share a stand in one process of xdist (``--dist loadgroup``)."""
    for item in items:
        if item.path.parent == Path(__file__).parent:
            item.add_marker(pytest.mark.xdist_group("lambda"))


@pytest.fixture(scope="session")
def stand() -> Iterator[Stand]:
    """Start a stand without delays; a test that injects faults or reshapes it undoes that."""
    with Stand() as started:
        yield started


@pytest.fixture(scope="session")
def clients(stand: Stand) -> Clients:
    return stand.clients()
