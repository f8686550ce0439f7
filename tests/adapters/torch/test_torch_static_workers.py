"""Static gating over workers is what it is in one process, forward and gradients."""

from __future__ import annotations

from typing import Any

import pytest
from torch_jobs_static import Case, static_on_ranks

CASES_OF_2 = {
    "drops": Case((24, 24), 6, 2, 0.2),
    "places for all": Case((10, 10), 4, 2, 1.0, "relu"),
    "other numbers of tokens": Case((3, 17), 4, 2, 0.25, "relu", seed=1),
    "a rank without tokens": Case((0, 9), 2, 1, 0.3, seed=2),
    "no tokens": Case((0, 0), 4, 2, 0.5),
}
CASES_OF_4 = {
    "drops": Case((12, 12, 12, 12), 8, 2, 0.2, "relu", seed=3),
    "other numbers of tokens": Case((5, 0, 12, 1), 4, 3, 0.5, seed=4),
}


def _compare(pool: Any, case: Case) -> int:
    answers = pool.run(static_on_ranks, case)
    for found, dropped, lost in answers:
        assert max(found.values()) < 2e-6, found
        assert dropped == lost
    return sum(dropped for _, dropped, _ in answers)


@pytest.mark.parametrize("name", CASES_OF_2)
def test_two_workers(workers2: Any, name: str) -> None:
    dropped = _compare(workers2, CASES_OF_2[name])
    assert (dropped > 0) == (name not in ("places for all", "no tokens"))


@pytest.mark.parametrize("name", CASES_OF_4)
def test_four_workers(workers4: Any, name: str) -> None:
    assert _compare(workers4, CASES_OF_4[name]) > 0
