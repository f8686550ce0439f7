"""The library: tiny instances have their optimum, infeasible ones none, real ones their tokens."""

from __future__ import annotations

import numpy as np
import pytest
from oracle import brute_force

from moeopt import library
from moeopt.describe.presets import preset
from moeopt.io import load_problem

TINY = library.entries("placement/tiny-*")
INFEASIBLE = library.entries("placement/infeasible-*")

#: Which tokens of the two texts are in the counts.
TOKENS = {"intent": 8222, "translation": 8251}


def named(entries: list[library.Entry]) -> list[object]:
    return [pytest.param(entry, id=entry.name.partition("/")[2]) for entry in entries]


def test_the_library_is_small() -> None:
    files = [path for path in library.folder().rglob("*") if path.is_file()]
    # Traces have a limit of their own.
    traces = library.folder() / "traces"
    assert sum(path.stat().st_size for path in files if traces not in path.parents) < 3_000_000


@pytest.mark.parametrize("entry", named(TINY))
def test_enumeration_finds_the_optimum_of_the_index(entry: library.Entry) -> None:
    best = brute_force(load_problem("@" + entry.name))
    assert best is not None
    assert entry.proven_by == "enumeration"
    assert entry.best_objective == entry.best_bound == pytest.approx(best.objective)


@pytest.mark.parametrize("entry", named(INFEASIBLE))
def test_nothing_meets_an_infeasible_instance_but_for_the_named_rule(entry: library.Entry) -> None:
    problem = load_problem("@" + entry.name)
    assert entry.proven_by is not None
    constraint = entry.proven_by.removeprefix("infeasible: ")
    assert brute_force(problem) is None
    # Too few slots (C2) show as experts without one (C1).
    assert brute_force(problem, ("C1" if constraint == "C2" else constraint,)) is not None


@pytest.mark.parametrize("task", TOKENS)
def test_real_counts_are_those_of_the_text(task: str) -> None:
    model = preset("model", "deepseek-v2-lite")
    whole = load_problem(f"@placement/deepseek-v2-lite-{task}").loads_tokens[0]
    assert whole.shape == (model.moe_layers, model.experts)
    assert (whole.sum(axis=1) == TOKENS[task] * model.top_k).all()
    spare = load_problem(f"@placement/deepseek-v2-lite-{task}-72")
    np.testing.assert_array_equal(spare.loads_tokens[0], whole)
    assert spare.num_slots == 72
    short = load_problem(f"@placement/deepseek-v2-lite-{task}-windows-64").loads_tokens
    longer = load_problem(f"@placement/deepseek-v2-lite-{task}-windows").loads_tokens
    assert (short.sum(axis=2) == 64 * model.top_k).all()
    np.testing.assert_array_equal(short.reshape(32, 4, *whole.shape).sum(axis=1), longer)
