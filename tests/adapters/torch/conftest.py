"""Workers that many tests share: to start them costs a second or two."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from torch_forked import Forked
from torch_pools import Pool


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep tests that share workers in one process of xdist (``--dist loadgroup``)."""
    for item in items:
        if item.path.parent == Path(__file__).parent:
            group = "transformers" if "_hf" in item.path.stem else "workers"
            item.add_marker(pytest.mark.xdist_group(group))


@pytest.fixture(scope="session")
def workers2() -> Iterator[Pool]:
    pool = Pool(2)
    yield pool
    pool.close()


@pytest.fixture(scope="session")
def workers4() -> Iterator[Pool]:
    pool = Pool(4)
    yield pool
    pool.close()


@pytest.fixture(scope="session")
def forked2() -> Iterator[Forked]:
    ranks = Forked(2)
    yield ranks
    ranks.close()


@pytest.fixture(scope="session")
def forked4() -> Iterator[Forked]:
    ranks = Forked(4)
    yield ranks
    ranks.close()
