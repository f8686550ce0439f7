"""Workers that many tests share: to start them costs a second or two."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from torch_forked import Forked
from torch_pools import Pool


def _shared(kind: Callable[[int], Pool | Forked], world: int) -> Any:
    @pytest.fixture(scope="session")
    def ranks() -> Iterator[Pool | Forked]:
        started = kind(world)
        yield started
        started.close()

    return ranks


workers2, workers4 = _shared(Pool, 2), _shared(Pool, 4)
forked2, forked4 = _shared(Forked, 2), _shared(Forked, 4)
