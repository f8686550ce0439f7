"""Tiny buffering problems: one for each rule, with the optimum, and some that have no plan.

There is one layer, an expert has one byte, and a load is what counts, unless said otherwise, so
that sums can be done by hand. The optimum of each is found again by brute force in the tests, once
with the rule and once without.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from moeopt.buffering.problem import BufferingProblem, Timing

#: Experts of each group, group after group.
_Groups = Sequence[Sequence[int]]

#: Loads of a second, and a host that takes longer.
_HOST: dict[str, Any] = {"serve": "bypass", "load_s": 1.0, "objective": "seconds"}


def known() -> Iterator[tuple[BufferingProblem, float]]:
    """Yield each tiny problem with its least objective."""
    yield from _worked()
    yield from _rules()
    yield from _prices()
    yield from _host()


def infeasible() -> Iterator[tuple[BufferingProblem, str]]:
    """Yield problems that no plan can meet, each for one reason, with the constraint's label."""
    yield (
        _problem(
            "infeasible-pins",
            "three pinned experts for two slots",
            [[0]],
            experts=4,
            slots=2,
            pinned=[[0, 1], [0, 2], [0, 3]],
        ),
        "C2",
    )
    yield (
        _problem(
            "infeasible-no-slot-left",
            "a pinned expert has the only slot, expert 0 is asked for",
            [[0]],
            experts=2,
            slots=1,
            pinned=[[0, 1]],
        ),
        "C2",
    )
    yield (
        _problem(
            "infeasible-expert-too-large",
            "expert 1 has 3 bytes, 2 fit",
            [[0], [1]],
            expert_bytes=[[1, 3]],
            cache_bytes=2,
        ),
        "C2",
    )
    yield (
        _problem(
            "infeasible-beside-a-pin",
            "expert 1 has 2 bytes as has the pinned expert 0, 3 fit",
            [[0], [1]],
            expert_bytes=2,
            cache_bytes=3,
            pinned=[[0, 0]],
        ),
        "C2",
    )
    yield (
        _problem(
            "infeasible-budget",
            "each of two layers needs a slot of 3 bytes, 5 are given",
            [[0], [1]],
            layers=2,
            expert_bytes=3,
            budget_bytes=5,
        ),
        "C6",
    )


def _problem(name: str, why: str, groups: _Groups, **fields: Any) -> BufferingProblem:
    """Return a problem.

    Parameters
    ----------
    name, why
        Its name, and the sum that gives the optimum.
    groups
        Experts of each group.
    fields
        Of the problem; `experts` is as many as are asked for, if left out.
    """
    experts = fields.pop("experts", 1 + max((e for group in groups for e in group), default=0))
    for field in ("pinned", "expert_bytes", "load_s", "miss_s", "weights", "slots"):
        if isinstance(fields.get(field), list):
            fields[field] = np.array(fields[field])
    return BufferingProblem(
        name=name,
        source=f"made by hand: {why}",
        experts=experts,
        active=np.array([e for group in groups for e in group], dtype=np.int64),
        starts=np.concatenate(([0], np.cumsum([len(group) for group in groups]))),
        **fields,
    )


def _worked() -> Iterator[tuple[BufferingProblem, float]]:
    yield (
        _problem(
            "paper-example",
            "arXiv:2303.06182: slots hold 1 and 2 when 1, 2 and 3 are needed; for 3 drop 2, keep 1."
            " The same batch twice, cold: 1, 2, 3 and then 2 alone; LRU loads six times",
            [[0, 1, 2], [0, 1, 2]],
            slots=2,
        ),
        4,
    )
    yield (
        _problem(
            "tiny-scan",
            "4 experts in turn, 4 times, 3 slots: 4 loads at first, then MIN hits (3 - 1) / (4 - 1)"
            " of 12: 4 + 4; LRU never hits",
            [[e] for e in (0, 1, 2, 3) * 4],
            slots=3,
        ),
        8,
    )


def _rules() -> Iterator[tuple[BufferingProblem, float]]:
    yield (
        _problem("tiny-cold", "nothing is there at first: one load; C1 ignored 0", [[0]], slots=1),
        1,
    )
    yield (
        _problem("tiny-room", "0, 1, 0 in one slot: 3; in two 2", [[0], [1], [0]], slots=1),
        3,
    )
    yield (
        _problem(
            "tiny-on-demand",
            "each of two experts must be there when it runs: 2; if none need be, 0",
            [[0], [1]],
            slots=1,
        ),
        2,
    )
    yield (
        _problem(
            "tiny-cap",
            "a load a group, host 5 s: one of two experts loaded, the other served, then loaded:"
            " 1 + 5 + 1; without a cap 2",
            [[0, 1], [0, 1]],
            slots=2,
            miss_s=5.0,
            loads_per_group=1,
            **_HOST,
        ),
        7,
    )
    yield (
        _problem(
            "tiny-ahead",
            "a load a group, host 5 s: while nothing runs, 1 is loaded ahead for the group that"
            " needs 1 and 2: 3; on demand 1 + 1 + 5",
            [[0], [], [1, 2]],
            slots=3,
            miss_s=5.0,
            loads_per_group=1,
            **_HOST,
        ),
        3,
    )
    yield (
        _problem(
            "tiny-period",
            "0, 1, 0, 1 in a slot that changes every second step, host 3 s: 1 + 3 + 3; if it could"
            " change before each, 4",
            [[0], [1], [0], [1]],
            slots=1,
            miss_s=3.0,
            update_period=2,
            **_HOST,
        ),
        7,
    )
    yield (
        _problem(
            "tiny-budget",
            "layer 0 asks for 0, 1 and 2 in turn, layer 1 for 0 alone: two slots and one, 4 + 1;"
            " with room for all 3 + 1",
            [[0], [0], [1], [0], [2], [0]] * 2,
            layers=2,
            budget_bytes=3,
        ),
        5,
    )
    yield (
        _problem(
            "tiny-budget-unequal",
            "slots of 1 and 3 bytes, 7 bytes: one slot each costs 6 + 6. The best by the byte, one"
            " more of layer 0, leaves 3 + 6 in the end; one more of layer 1 gives 6 + 2",
            [[0], [0], [1], [1], [2], [0], [0], [1], [1], [0], [2], [1]],
            layers=2,
            expert_bytes=[1, 3],
            budget_bytes=7,
        ),
        8,
    )
    yield (
        _problem(
            "tiny-fixed-order",
            "0, 1 and again 0, 1 in one slot: 4; if 1 may come first 3",
            [[0, 1], [0, 1]],
            slots=1,
        ),
        4,
    )
    yield (
        _problem(
            "tiny-any-order",
            "the same in any order: what is there runs first, 2 + 1",
            [[0, 1], [0, 1]],
            slots=1,
            any_order=True,
        ),
        3,
    )
    yield (
        _problem(
            "tiny-pins",
            "a pinned expert that nobody asks for leaves one slot to 0, 1, 0, 1: 4; without it 2",
            [[0], [1], [0], [1]],
            experts=3,
            slots=2,
            pinned=[[0, 2]],
        ),
        4,
    )
    yield (
        _problem(
            "tiny-pool",
            "layer 0 asks for two experts in turn, layer 1 for one, three slots for both: 2 + 1",
            [[0], [0], [1], [0]] * 2,
            layers=2,
            slots=3,
            pooled=True,
        ),
        3,
    )
    yield (
        _problem(
            "tiny-layer-slots",
            "the same with a slot for one layer and two for the other: 4 + 1",
            [[0], [0], [1], [0]] * 2,
            layers=2,
            slots=[1, 2],
        ),
        5,
    )
    yield (_problem("tiny-nothing", "no group asks for anything", [[], []], slots=1), 0)


def _prices() -> Iterator[tuple[BufferingProblem, float]]:
    yield (
        _problem(
            "tiny-prices",
            "0, 1, 2, 1, 0 in two slots, loads of 10 s, 1 s, 1 s: keep 0 through, 10 + 1 + 1 + 1;"
            " MIN drops 0, which comes last, and pays 10 + 1 + 1 + 10",
            [[0], [1], [2], [1], [0]],
            slots=2,
            load_s=[[10.0, 1.0, 1.0]],
            objective="seconds",
        ),
        13,
    )
    yield (
        _problem(
            "tiny-sizes",
            "3 bytes fit, experts have 2, 1, 1: 0 stays beside 1 or 2, 2 + 4; or goes once for"
            " both, 2 + 1 + 1 + 2",
            [[0], [1], [2], [1], [2], [0]],
            expert_bytes=[[2, 1, 1]],
            cache_bytes=3,
            objective="miss_bytes",
        ),
        6,
    )
    yield (
        _problem(
            "tiny-rate",
            "8 bytes at 4 bytes/s, two loads: 4 s",
            [[0], [1], [0]],
            expert_bytes=8,
            slots=2,
            timing=Timing(link_bytes_per_s=4.0, compute_s=1.0),
            objective="seconds",
        ),
        4,
    )


def _host() -> Iterator[tuple[BufferingProblem, float]]:
    rare: _Groups = [[0], [0], [0], [0], [1], [2]]
    yield (
        _problem(
            "tiny-host",
            "loads of 3 s, the host takes 2 s: 0 is worth loading, 1 and 2 are not, 3 + 2 + 2",
            rare,
            slots=1,
            miss_s=2.0,
            **{**_HOST, "load_s": 3.0},
        ),
        7,
    )
    yield (
        _problem(
            "tiny-free-fill",
            "the same, but what is loaded at first is free: 2 + 2",
            rare,
            slots=1,
            miss_s=2.0,
            free_fill=True,
            **{**_HOST, "load_s": 3.0},
        ),
        4,
    )
    yield (
        _problem(
            "tiny-weights",
            "the same, but 1 serves four tokens, and then its load pays too: 3 + 3 + 2",
            rare,
            slots=1,
            miss_s=2.0,
            weights=[1.0, 1.0, 1.0, 1.0, 4.0, 1.0],
            **{**_HOST, "load_s": 3.0},
        ),
        8,
    )
    yield (
        _problem(
            "tiny-absent",
            "references without their expert are counted, loads are not: a load before each, 0",
            [[0], [1], [0]],
            slots=1,
            serve="bypass",
        ),
        0,
    )
