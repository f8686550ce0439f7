"""What is malformed is named with its path; what cannot be met is counted."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest
from buffering_oracle import brute_force, problem_of

from moeopt.buffering.problem import BufferingProblem, Timing
from moeopt.buffering.validate import impossible
from moeopt.core.errors import InstanceError

ACTIVE = np.array([0, 1, 2, 0, 2, 1])
STARTS = np.array([0, 2, 3, 3, 6])


def problem(**fields: Any) -> BufferingProblem:
    """Return two layers of three experts and two steps unless `fields` say otherwise."""
    stated = {"layers": 2, "experts": 3, "active": ACTIVE, "starts": STARTS, "slots": 2}
    return BufferingProblem(**{**stated, **fields})


def room(**fields: Any) -> dict[str, Any]:
    """Return fields in which `slots` is left out."""
    return {"slots": None, **fields}


SOFT = {"serve": "bypass"}
TIMING = Timing(link_bytes_per_s=2.0)


@pytest.mark.parametrize(
    ("fields", "path", "rule"),
    [
        ({"layers": 0}, "$.layers", ">= 1"),
        ({"experts": 600_000}, "$.experts", "at most 1000000"),
        ({"layers": 3}, "$.starts", "shape (steps * 3 + 1,)"),
        ({"starts": [0]}, "$.starts", "shape"),
        ({"starts": [[0, 2, 3, 3, 6]]}, "$.starts", "shape"),
        ({"starts": [1, 2, 3, 3, 6]}, "$.starts[0]", "rise from 0 to 6"),
        ({"starts": [0, 2, 3, 3, 5]}, "$.starts[4]", "rise from 0 to 6"),
        ({"starts": [0, 3, 2, 3, 6]}, "$.starts[2]", "rise from 0 to 6"),
        ({"starts": [0, 2, 3, 9, 6]}, "$.starts[3]", "rise from 0 to 6"),
        ({"starts": [0, 2, 2.5, 3, 6]}, "$.starts[2]", "rise from 0 to 6"),
        ({"active": [[0, 1, 2], [0, 2, 1]]}, "$.active", "one axis"),
        ({"active": [0, 1, 2, 0, 3, 1]}, "$.active[4]", "an expert, 0 to 2"),
        ({"active": [0, -1, 2, 0, 2, 1]}, "$.active[1]", "an expert, 0 to 2"),
        ({"active": [0, 1, 2, 0, np.nan, 1]}, "$.active[4]", "an expert, 0 to 2"),
        ({"active": [0, 1, 2, 0.5, 2, 1]}, "$.active[3]", "an expert, 0 to 2"),
        ({"active": [0, 1, 2, 2, 0, 2]}, "$.active[5]", "once in its group: group 3"),
        ({"active": [1, 1, 2, 2, 0, 1]}, "$.active[1]", "once in its group: group 0"),
        ({"sequence_starts": []}, "$.sequence_starts", "an entry for each sequence"),
        ({"sequence_starts": [1]}, "$.sequence_starts[0]", "rising from 0"),
        ({"sequence_starts": [0, 0]}, "$.sequence_starts[1]", "rising from 0"),
        ({"sequence_starts": [0, 2]}, "$.sequence_starts[1]", "steps, 0 to 1"),
        ({"weights": [1.0, 2.0]}, "$.weights", "shape (6,)"),
        ({"weights": [1, 1, 1, -1, 1, 1]}, "$.weights[3]", ">= 0"),
        ({"history": [[1.0, 2.0, 3.0]]}, "$.history", "shape (2, 3)"),
        ({"history": [[1, 2, 3], [1, 2, np.inf]]}, "$.history[1][2]", "finite"),
        ({"expert_bytes": [1, 2, 3]}, "$.expert_bytes", "(2,) or (2, 3)"),
        ({"expert_bytes": 0}, "$.expert_bytes", "whole number >= 1"),
        ({"expert_bytes": [1, 1.5]}, "$.expert_bytes[1]", "whole number >= 1"),
        ({"expert_bytes": [[1, 1, 1], [1, 0, 1]]}, "$.expert_bytes[1][1]", "whole number >= 1"),
        ({"expert_bytes": [1, np.nan]}, "$.expert_bytes[1]", "finite"),
        ({"expert_bytes": 2**53}, "$.expert_bytes", "sum up to"),
        ({"load_s": [1.0, 2.0, 3.0]}, "$.load_s", "(2,) or (2, 3)"),
        ({"load_s": [1.0, -2.0]}, "$.load_s[1]", ">= 0"),
        ({"miss_s": -1.0}, "$.miss_s", ">= 0"),
        ({"timing": msgspec.structs.replace(TIMING, compute_s=[1.0])}, "$.timing.compute_s",
         "shape (2,)"),
        ({"timing": msgspec.structs.replace(TIMING, compute_s=[1.0, -1.0])},
         "$.timing.compute_s[1]", ">= 0"),
        (room(), "$.slots", "the only one stated"),
        ({"cache_bytes": 4}, "$.cache_bytes", "the only one stated"),
        ({"budget_bytes": 4}, "$.budget_bytes", "the only one stated"),
        (room(budget_bytes=4, pooled=True), "$.budget_bytes", "left out if pooled"),
        (room(budget_bytes=-4), "$.budget_bytes", ">= 0"),
        (room(budget_bytes=2**63 - 1), "$.budget_bytes", "at most 9007199254740992"),
        ({"timing": Timing(link_bytes_per_s=5e-324)}, "$.timing.link_bytes_per_s", "finite"),
        ({"slots": [1, 2, 3]}, "$.slots", "shape (2,)"),
        ({"slots": [1, 2], "pooled": True}, "$.slots", "one number"),
        ({"slots": [1, 1.5]}, "$.slots[1]", "whole number"),
        ({"slots": -1}, "$.slots", "whole number"),
        (room(cache_bytes=[3, -1]), "$.cache_bytes[1]", "whole number"),
        (room(cache_bytes=1e300), "$.cache_bytes", "whole number"),
        ({"loads_per_group": 1}, "$.loads_per_group", 'left out with serve="load"'),
        ({"update_period": 2}, "$.update_period", 'left out with serve="load"'),
        ({"free_fill": True}, "$.free_fill", 'left out with serve="load"'),
        ({**SOFT, "any_order": True}, "$.any_order", 'left out with serve="bypass"'),
        ({**SOFT, "loads_per_group": 0}, "$.loads_per_group", ">= 1"),
        ({"pinned": [0, 1]}, "$.pinned", "shape (pins, 2)"),
        ({"pinned": [[0, 1], [2, 0]]}, "$.pinned[1][0]", "a layer, 0 to 1"),
        ({"pinned": [[0, 3]]}, "$.pinned[0][1]", "an expert, 0 to 2"),
        ({"pinned": [[0, 0.5]]}, "$.pinned[0][1]", "an expert, 0 to 2"),
        ({"pinned": [[0, 1], [1, 1], [0, 1]]}, "$.pinned[2]", "once"),
        ({"objective": "seconds"}, "$.load_s", "must be stated"),
        ({**SOFT, "objective": "seconds", "load_s": 1.0}, "$.miss_s", "must be stated"),
        ({"objective": "seconds", "load_s": 1e308}, "$.load_s", "finite number of seconds"),
        ({**SOFT, "objective": "seconds", "miss_s": 1e308}, "$.miss_s", "finite"),
        ({**SOFT, "objective": "seconds", "miss_s": 1e300, "weights": np.full(6, 1e300)},
         "$.miss_s", "finite"),
        ({"objective": "energy"}, "$.objective", "must be one of"),
        ({"serve": "skip"}, "$.serve", "must be one of"),
    ],
)  # fmt: skip
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
        {"active": [], "starts": [0, 0, 0, 0, 0]},
        {"active": [1, 0, 2, 2, 1, 0]},
        {"slots": 7},
        {"slots": [2, 1]},
        {"pinned": []},
        {"pinned": [[0, 1], [1, 2]]},
        room(cache_bytes=[5, 9], expert_bytes=[[5, 1, 2], [9, 9, 9]]),
        room(budget_bytes=0, **SOFT),
        {"slots": 0, **SOFT},
        {"slots": 1, "pooled": True, "any_order": True},
        {"objective": "seconds", "timing": TIMING},
        {"objective": "seconds", "miss_s": 1.0, **SOFT},
        # Facts that this way of serving does not need are facts all the same.
        {"weights": np.ones(6), "miss_s": 1.0, "history": np.ones((2, 3))},
    ],
)
def test_what_is_unusual_but_sound_is_accepted(fields: dict[str, Any]) -> None:
    stated = problem(**fields)
    assert impossible(stated) == []
    assert brute_force(stated) is not None


@pytest.mark.parametrize(
    ("fields", "constraint", "path", "amount"),
    [
        ({"slots": 0}, "C2", "$.slots", 1),
        ({"slots": [1, 0]}, "C2", "$.slots", 1),
        ({"pinned": [[1, 0], [1, 1]]}, "C2", "$.slots", 1),
        ({"pinned": [[1, 0], [1, 1], [1, 2]], **SOFT}, "C2", "$.slots", 1),
        ({"pooled": True, "pinned": [[0, 0], [1, 1]]}, "C2", "$.slots", 1),
        (room(cache_bytes=4, expert_bytes=[[4, 2, 2], [2, 7, 2]]), "C2", "$.cache_bytes", 3),
        (
            room(cache_bytes=[4, 4], expert_bytes=[[1, 3, 1], [4, 4, 4]], pinned=[[0, 0], [1, 0]]),
            "C2", "$.cache_bytes", 4,
        ),
        (room(budget_bytes=6, expert_bytes=[3, 4]), "C6", "$.budget_bytes", 1),
        (
            room(budget_bytes=7, expert_bytes=[3, 4], pinned=[[0, 1]], **SOFT),
            "C6", "$.budget_bytes", 0,
        ),
        (room(budget_bytes=2, expert_bytes=3, pinned=[[0, 1]], **SOFT), "C6", "$.budget_bytes", 1),
    ],
)  # fmt: skip
def test_what_counting_shows_impossible_is_named(
    fields: dict[str, Any], constraint: str, path: str, amount: float
) -> None:
    stated = problem(**fields)
    found = impossible(stated)
    if not amount:
        assert found == []
        assert brute_force(stated) is not None
        return
    assert [(one.constraint, one.path) for one in found] == [(constraint, path)]
    assert found[0].amount == pytest.approx(amount)
    assert brute_force(stated) is None


def test_an_expert_that_nobody_asks_for_needs_no_room() -> None:
    stated = problem_of([[0], [1]], experts=3, cache_bytes=3, expert_bytes=[[1, 3, 9]])
    assert impossible(stated) == []
    assert brute_force(stated) is not None
    pinned = problem_of([[0], [0]], slots=1, pinned=[[0, 0]])
    assert impossible(pinned) == []
    assert brute_force(pinned) is not None
