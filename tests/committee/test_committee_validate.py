"""What is malformed is named with its path; what cannot be met is counted."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from committee_oracle import brute_force

from moeopt.committee.problem import CommitteeProblem
from moeopt.committee.validate import impossible
from moeopt.core.errors import InstanceError

IMPORTANCE = np.array([[[4, 1, 0], [2, 2, 1]], [[0, 3, 1], [7, 1, 0]]], dtype=float)
ROUTER = np.ones((4, 2, 3))
TABLE = np.array([[9, 4, 2, 0], [8, 5, 3, 1]], dtype=float)
SWAPS = np.array([[0, 1, 1, 0], [0, 1, 2, 0]], dtype=float)


def problem(**fields: Any) -> CommitteeProblem:
    """Return two layers of three experts in two windows unless `fields` say otherwise."""
    stated = {"layers": 2, "experts": 3, "importance": IMPORTANCE, "budget_bytes": 4}
    return CommitteeProblem(**{**stated, **fields})


def routed(**fields: Any) -> dict[str, Any]:
    """Return fields of a problem with a router in place of importance."""
    return {"loss": "masked", "importance": None, "router": ROUTER, **fields}


def measured(**fields: Any) -> dict[str, Any]:
    """Return fields of a problem with a table in place of importance."""
    return {"loss": "table", "importance": None, "table": TABLE, **fields}


LINK = {"link_bytes_per_s": 2.0, "window_s": 1.0}
HUGE = np.full((2, 2, 3), 1e308)


@pytest.mark.parametrize(
    ("fields", "path", "rule"),
    [
        ({"layers": 0}, "$.layers", ">= 1"),
        ({"experts": 600_000}, "$.experts", "at most 1000000"),
        ({"loss": "mask"}, "$.loss", "must be one of"),
        ({"importance": None}, "$.importance", 'must be stated for loss="additive"'),
        ({"loss": "masked"}, "$.router", 'must be stated for loss="masked"'),
        ({"loss": "skip"}, "$.router", 'must be stated for loss="skip"'),
        ({"loss": "table"}, "$.table", 'must be stated for loss="table"'),
        ({"router": ROUTER}, "$.router", 'left out with loss="additive"'),
        (routed(importance=IMPORTANCE), "$.importance", 'left out with loss="masked"'),
        ({"table": TABLE}, "$.table", 'left out with loss="additive"'),
        ({"swaps": SWAPS}, "$.swaps", 'left out with loss="additive"'),
        (routed(swaps=SWAPS), "$.swaps", 'left out with loss="masked"'),
        (measured(importance=IMPORTANCE), "$.importance", 'left out with loss="table"'),
        (measured(router=ROUTER), "$.router", 'left out with loss="table"'),
        (measured(window_starts=[0]), "$.window_starts", 'left out with loss="table"'),
        (measured(load_price=[0.0, 1.0]), "$.load_price", 'left out with loss="table"'),
        (measured(free_fill=False), "$.free_fill", 'left out with loss="table"'),
        ({"window_starts": [0, 1]}, "$.window_starts", 'left out with loss="additive"'),
        ({"importance": IMPORTANCE[0]}, "$.importance", "shape (windows, 2, 3)"),
        ({"importance": IMPORTANCE[:, :1]}, "$.importance", "shape (windows, 2, 3)"),
        ({"importance": IMPORTANCE[:0]}, "$.importance", "shape (windows, 2, 3)"),
        ({"importance": -IMPORTANCE}, "$.importance[0][0][0]", ">= 0"),
        ({"importance": np.full((2, 2, 3), np.inf)}, "$.importance[0][0][0]", "finite"),
        (routed(router=ROUTER[0]), "$.router", "shape (tokens, 2, 3)"),
        (routed(router=ROUTER[:0]), "$.router", "shape (tokens, 2, 3)"),
        (routed(router=-ROUTER), "$.router[0][0][0]", ">= 0"),
        (routed(window_starts=[]), "$.window_starts", "an entry at least"),
        (routed(window_starts=[[0]]), "$.window_starts", "an entry at least"),
        (routed(window_starts=[1]), "$.window_starts[0]", "rising from 0"),
        (routed(window_starts=[0, 2, 2]), "$.window_starts[2]", "rising from 0"),
        (routed(window_starts=[0, 3, 2]), "$.window_starts[2]", "rising from 0"),
        (routed(window_starts=[0, 4]), "$.window_starts[1]", "tokens, 0 to 3"),
        (routed(window_starts=[0, 1.5]), "$.window_starts[1]", "tokens, 0 to 3"),
        (routed(window_starts=[0, np.nan]), "$.window_starts[1]", "tokens, 0 to 3"),
        (measured(table=TABLE[:, :3]), "$.table", "shape (2, 4)"),
        (measured(table=[TABLE, TABLE]), "$.table", "or (1, 2, 4)"),
        (measured(table=[TABLE], periods=[1, 2]), "$.table", "or (2, 2, 4)"),
        (measured(table=-TABLE), "$.table[0][0]", ">= 0"),
        (measured(swaps=SWAPS[:1]), "$.swaps", "shape (2, 4)"),
        (measured(swaps=SWAPS - 1), "$.swaps[0][0]", ">= 0"),
        (measured(swaps=SWAPS + 1), "$.swaps[0][0]", "at most the number of slots"),
        (measured(swaps=SWAPS * 1.5), "$.swaps[0][1]", "at most the number of slots"),
        (measured(**LINK), "$.swaps", "for a link"),
        ({"top_k": 0}, "$.top_k", ">= 1"),
        ({"expert_bytes": [1, 2, 3]}, "$.expert_bytes", "shape (2,)"),
        ({"expert_bytes": [[1], [2]]}, "$.expert_bytes", "shape (2,)"),
        ({"expert_bytes": 0}, "$.expert_bytes", "whole number >= 1"),
        ({"expert_bytes": [1, 1.5]}, "$.expert_bytes[1]", "whole number >= 1"),
        ({"expert_bytes": [1, np.nan]}, "$.expert_bytes[1]", "finite"),
        ({"expert_bytes": 2**53}, "$.expert_bytes", "sum up to"),
        ({"expert_bytes": 1e308}, "$.expert_bytes", "sum up to"),
        ({"activation_bytes": -1}, "$.activation_bytes", ">= 0"),
        ({"activation_bytes": 0.5}, "$.activation_bytes", "whole number >= 0"),
        ({"activation_bytes": 2**53}, "$.expert_bytes", "sum up to"),
        ({"staging_slots": [0, 0.5]}, "$.staging_slots[1]", "whole number >= 0"),
        ({"staging_slots": 2**53}, "$.expert_bytes", "sum up to"),
        ({"fixed_bytes": -1}, "$.fixed_bytes", ">= 0"),
        ({"fixed_bytes": 10**400}, "$.expert_bytes", "sum up to"),
        ({"budget_bytes": -1}, "$.budget_bytes", ">= 0"),
        ({"budget_bytes": 2**60}, "$.budget_bytes", "at most 9007199254740992"),
        ({"min_slots": [0, 4]}, "$.min_slots[1]", "0 to 3"),
        ({"min_slots": [[0], [1]]}, "$.min_slots", "shape (2,)"),
        ({"max_slots": 4}, "$.max_slots", "0 to 3"),
        ({"max_slots": 1.5}, "$.max_slots", "whole number"),
        ({"max_slots": -1}, "$.max_slots", ">= 0"),
        ({"min_slots": 2, "max_slots": [2, 1]}, "$.max_slots", "at least 2 in layer 1: min_slots"),
        ({"max_slots": 1, "top_k": 2}, "$.max_slots", "at least 2 in layer 0: top_k"),
        ({"base_s": -1.0}, "$.base_s", ">= 0"),
        ({"slot_s": [1.0, -1.0]}, "$.slot_s[1]", ">= 0"),
        ({"slot_s": [1.0]}, "$.slot_s", "shape (2,)"),
        ({"latency_s": -1.0}, "$.latency_s", ">= 0"),
        ({"load_price": np.nan}, "$.load_price", "finite"),
        ({"load_price": [1.0, 2.0, 3.0]}, "$.load_price", "shape (2,)"),
        ({"link_bytes_per_s": 0.0}, "$.link_bytes_per_s", "> 0"),
        ({"link_bytes_per_s": 1.0}, "$.window_s", "beside link_bytes_per_s"),
        ({"window_s": 1.0}, "$.link_bytes_per_s", "beside window_s"),
        ({"window_s": 0.0, "link_bytes_per_s": 1.0}, "$.window_s", "> 0"),
        ({"periods": []}, "$.periods", "an entry at least"),
        ({"periods": [[1]]}, "$.periods", "an entry at least"),
        ({"periods": [1, 0]}, "$.periods[1]", "whole number of windows >= 1"),
        ({"periods": [1.5]}, "$.periods[0]", "whole number of windows >= 1"),
        ({"periods": [1e300]}, "$.periods[0]", "whole number of windows >= 1"),
        ({"periods": [2, 1, 2]}, "$.periods[2]", "named once"),
        ({"importance": HUGE}, "$.importance", "finite number"),
        (routed(router=HUGE), "$.router", "finite number"),
        (measured(table=HUGE[:, 0, :1] * np.ones(4)), "$.table", "finite number"),
        ({"load_price": 1e308}, "$.load_price", "finite number"),
        ({"slot_s": 1e308}, "$.slot_s", "finite number"),
        ({"link_bytes_per_s": 1e200, "window_s": 1e200}, "$.link_bytes_per_s", "finite number"),
    ],
)
def test_a_malformed_problem_names_the_field_and_the_rule(
    fields: dict[str, Any], path: str, rule: str
) -> None:
    with pytest.raises(InstanceError) as caught:
        problem(**fields)
    assert caught.value.path == path
    assert rule in caught.value.rule
    assert caught.value.remedy
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    "fields",
    [
        {"top_k": 9, "budget_bytes": 6},
        {"min_slots": 0, "budget_bytes": 0},
        {"min_slots": [1, 0], "max_slots": [1, 3]},
        {"max_slots": 0, "min_slots": 0},
        {"periods": [100, 3]},
        {"load_price": 0.0, "free_fill": False, **LINK},
        {"expert_bytes": [1.0, 2.0], "activation_bytes": [1, 0]},
        {"importance": np.zeros((1, 2, 3))},
        routed(),
        routed(window_starts=[0, 3], loss="skip", top_k=3, budget_bytes=6),
        measured(),
        measured(load_price=0.0, swaps=SWAPS, **LINK),
        measured(swaps=[SWAPS, SWAPS], periods=[2, 1], table=[TABLE, TABLE]),
        measured(swaps=SWAPS, table=[TABLE, TABLE], periods=[2, 1]),
    ],
)
def test_what_is_unusual_but_sound_is_accepted(fields: dict[str, Any]) -> None:
    stated = problem(**fields)
    assert impossible(stated) == []
    assert brute_force(stated) is not None


@pytest.mark.parametrize(
    ("fields", "constraint", "path", "amount"),
    [
        ({"budget_bytes": 1}, "C1", "$.budget_bytes", 1),
        ({"budget_bytes": 0, "min_slots": [0, 1]}, "C1", "$.budget_bytes", 1),
        ({"top_k": 3, "experts": 3, "budget_bytes": 5}, "C1", "$.budget_bytes", 1),
        ({"fixed_bytes": 2, "activation_bytes": 1}, "C1", "$.budget_bytes", 2),
        ({"staging_slots": [3, 0], "min_slots": 1}, "C1", "$.budget_bytes", 1),
        ({"min_slots": 0, "fixed_bytes": 9}, "C1", "$.budget_bytes", 5),
        ({"base_s": 1.0, "latency_s": 0.5}, "C2", "$.latency_s", 0.5),
        ({"slot_s": [1.0, 2.0], "latency_s": 2.0}, "C2", "$.latency_s", 1),
        (measured(swaps=SWAPS, max_slots=2, **LINK, expert_bytes=2, budget_bytes=8), "C3",
         "$.link_bytes_per_s", 2),
        (measured(swaps=[SWAPS, SWAPS], periods=[1, 2], max_slots=[2, 1], window_s=0.25,
                  link_bytes_per_s=1.0), "C3", "$.link_bytes_per_s", 1.5),
    ],
)  # fmt: skip
def test_what_counting_shows_impossible_is_named(
    fields: dict[str, Any], constraint: str, path: str, amount: float
) -> None:
    stated = problem(**fields)
    found = impossible(stated)
    assert [(one.constraint, one.path) for one in found] == [(constraint, path)]
    assert found[0].amount == pytest.approx(amount)
    assert brute_force(stated) is None


def test_several_impossible_rules_are_all_named() -> None:
    stated = problem(budget_bytes=1, base_s=2.0, latency_s=1.0)
    assert [one.constraint for one in impossible(stated)] == ["C1", "C2"]


def test_counting_forgives_the_rounding_that_the_checker_forgives() -> None:
    stated = problem(slot_s=[0.1, 0.2], latency_s=0.3)
    assert 0.1 + 0.2 > 0.3
    assert impossible(stated) == []
    assert brute_force(stated) is not None
