"""Tiny committee problems: one for each rule, with the optimum, and some that have no plan.

There is one layer and one window, a slot takes one byte, the loss is additive and a layer may be
without any expert, unless said otherwise, so that sums can be done by hand. The optimum of each is
found again by brute force in the tests, once with the rule and once without.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from moeopt.committee.problem import CommitteeProblem

#: Two experts that are needed in turn, and two that hand over.
_IN_TURN = [[[1, 0]], [[0, 1]], [[1, 0]], [[0, 1]]]
_HANDED_OVER = [[[1, 0]], [[0, 1]], [[0, 1]], [[0, 1]], [[1, 0]], [[1, 0]]]

#: Two tokens with first choices of their own and a second choice, expert 0, that they share.
_SHARED = [[[0.875, 1, 0]], [[0.875, 0, 1]]]


def known() -> Iterator[tuple[CommitteeProblem, float]]:
    """Yield each tiny problem with its least objective."""
    yield from _rules()
    yield from _losses()
    yield from _bytes()
    yield from _prices()


def infeasible() -> Iterator[tuple[CommitteeProblem, str]]:
    """Yield problems that no plan can meet, each for one reason, with the constraint's label."""
    both = {"importance": [[[1, 1], [1, 1]]]}
    yield (
        _problem(
            "infeasible-budget",
            "a slot of each of two layers takes 2 bytes, 3 are given",
            **both,
            min_slots=1,
            expert_bytes=2,
            budget_bytes=3,
        ),
        "C1",
    )
    yield (
        _problem(
            "infeasible-staging",
            "staging slots take what the slots need",
            **both,
            min_slots=1,
            staging_slots=1,
            budget_bytes=3,
        ),
        "C1",
    )
    yield (
        _problem(
            "infeasible-latency",
            "a slot of each of two layers takes 0.5 s after 0.25 s, 1 s is given",
            **both,
            min_slots=1,
            budget_bytes=4,
            base_s=0.25,
            slot_s=0.5,
            latency_s=1.0,
        ),
        "C2",
    )
    yield (
        _problem(
            "infeasible-link",
            "an update replaces half an expert of 4 bytes, the link carries 1 byte",
            table=[[5, 3, 1]],
            swaps=[[0, 0.5, 0.5]],
            expert_bytes=4,
            min_slots=1,
            budget_bytes=8,
            link_bytes_per_s=1.0,
            window_s=1.0,
        ),
        "C3",
    )


def _problem(name: str, why: str, **fields: Any) -> CommitteeProblem:
    """Return a problem.

    Parameters
    ----------
    name, why
        Its name, and the sum that gives the optimum.
    fields
        Of the problem; sizes are those of its losses, and `min_slots` is 0, if left out.
    """
    for field, value in fields.items():
        if isinstance(value, list):
            fields[field] = np.array(value)
    measured = fields.get("table")
    if measured is not None:
        fields |= {"loss": "table", "layers": measured.shape[-2]}
        fields["experts"] = measured.shape[-1] - 1
    else:
        losses = fields.get("importance", fields.get("router"))
        fields["layers"], fields["experts"] = losses.shape[1:]
    return CommitteeProblem(
        name=name, source=f"made by hand: {why}", **{"min_slots": 0, "budget_bytes": 1, **fields}
    )


def _rules() -> Iterator[tuple[CommitteeProblem, float]]:
    two = {"importance": [[[5, 3, 1], [4, 2, 1]]]}
    yield (
        _problem(
            "tiny-budget",
            "three slots for the experts of 5, 4 and 3: 2 + 1 + 1 are lost; with six none",
            **two,
            budget_bytes=3,
        ),
        4,
    )
    yield (
        _problem(
            "tiny-latency",
            "4 s for slots of 1 s and 2 s: two and one, 1 + 2 + 1; without the limit 0",
            **two,
            budget_bytes=6,
            slot_s=[1.0, 2.0],
            latency_s=4.0,
        ),
        4,
    )
    yield (
        _problem(
            "tiny-link",
            "0 and 1 hand over to 2 and 3, one of which passes the link in time: 2; both: 0",
            importance=[[[3, 3, 0, 0]], [[0, 0, 2, 3]]],
            budget_bytes=2,
            link_bytes_per_s=1.0,
            window_s=1.0,
        ),
        2,
    )
    yield (
        _problem(
            "tiny-link-table",
            "two slots would do best, but an expert at each update does not pass: one, 5; else 3",
            table=[[9, 5, 3, 0]],
            swaps=[[0, 0.5, 1, 0]],
            budget_bytes=2,
            link_bytes_per_s=0.5,
            window_s=1.0,
        ),
        5,
    )
    yield (
        _problem(
            "tiny-fewest",
            "of two slots one must be layer 1's: 3 + 2 + 1; else layer 0 had both, 2 + 2",
            importance=[[[5, 3, 2], [1, 1, 0]]],
            min_slots=1,
            budget_bytes=2,
        ),
        6,
    )
    yield (
        _problem(
            "tiny-most",
            "at most one slot for layer 0: 3 + 2 + 1; with two 2 + 2",
            importance=[[[5, 3, 2], [1, 1, 0]]],
            max_slots=[1, 3],
            budget_bytes=2,
        ),
        6,
    )
    yield (
        _problem(
            "tiny-slots",
            "two experts needed in turn, one slot, a load costs 2: one stays, 2; with all there 0",
            importance=_IN_TURN,
            load_price=2.0,
        ),
        2,
    )
    yield (
        _problem(
            "tiny-updates",
            "the same, loads free, but changes every second window: 2; before each 0",
            importance=_IN_TURN,
            periods=[2],
        ),
        2,
    )
    yield (
        _problem(
            "tiny-periods",
            "0, 1, 1, 1, 0, 0 are needed: every second window 1 is lost, every third 2; any: 0",
            importance=_HANDED_OVER,
            periods=[3, 2],
        ),
        1,
    )


def _losses() -> Iterator[tuple[CommitteeProblem, float]]:
    yield (
        _problem(
            "tiny-masked",
            "an expert that is both tokens' second choice, by 1/8: 2/8; any first choice loses 1",
            loss="masked",
            router=_SHARED,
        ),
        0.25,
    )
    yield (
        _problem(
            "tiny-skip",
            "the same if nobody may take a token over: one of two first choices, 1",
            loss="skip",
            router=_SHARED,
        ),
        1,
    )
    yield (
        _problem(
            "tiny-masked-top-2",
            "two experts to a token, two there: 0 and 1 serve 4 + 3 and 4 + 0 of 4 + 3 each",
            loss="masked",
            router=[[[4, 3, 0]], [[4, 0, 3]]],
            top_k=2,
            budget_bytes=2,
        ),
        3,
    )
    yield (
        _problem(
            "tiny-ties",
            "of equal values the lowest expert's is the token: it alone is worth 2, 2 has 1",
            loss="skip",
            router=[[[2, 2, 0]], [[0, 0, 1]]],
        ),
        1,
    )
    yield (
        _problem(
            "tiny-windows",
            "first two tokens: expert 0 loses 1, 1 loses 3; then expert 1 none: 1; one for all: 3",
            loss="masked",
            router=[[[4, 1]], [[2, 3]], [[0, 5]]],
            window_starts=[0, 2],
        ),
        1,
    )
    yield (
        _problem(
            "tiny-table",
            "not convex: both slots to layer 0, 0 + 10; slot by slot 9 + 7",
            table=[[10, 9, 0], [10, 7, 6]],
            budget_bytes=2,
        ),
        10,
    )
    yield (
        _problem(
            "tiny-table-periods",
            "period 1 is better, but replaces more than the link carries: 4; else 2",
            table=[[[9, 2]], [[9, 4]]],
            swaps=[[[0, 1]], [[0, 1]]],
            periods=[1, 2],
            link_bytes_per_s=0.5,
            window_s=1.0,
        ),
        4,
    )
    yield _problem("tiny-nothing", "nobody is needed", importance=[[[0, 0]]]), 0


def _bytes() -> Iterator[tuple[CommitteeProblem, float]]:
    yield (
        _problem(
            "tiny-sizes",
            "slots of 1 and 2 bytes, 2 bytes: layer 1's 5, 3 + 1 + 3; the best by the byte first,"
            " layer 0's 3, leaves 5 + 3",
            importance=[[[3, 1], [5, 3]]],
            expert_bytes=[1, 2],
            budget_bytes=2,
        ),
        7,
    )
    yield (
        _problem(
            "tiny-staging",
            "a staging slot takes one of two bytes: 2; without it 0",
            importance=[[[3, 2]]],
            staging_slots=1,
            budget_bytes=2,
        ),
        2,
    )
    yield (
        _problem(
            "tiny-activations",
            "2 bytes to a slot with its activations, 3 of 8 are taken: two slots, 1; else 0",
            importance=[[[3, 2, 1]]],
            activation_bytes=1,
            fixed_bytes=3,
            budget_bytes=8,
        ),
        1,
    )


def _prices() -> Iterator[tuple[CommitteeProblem, float]]:
    yield (
        _problem(
            "tiny-paid-fill",
            "a load costs 2: the expert of 3 is worth it, that of 1 is not, 2 + 1",
            importance=[[[3, 1]]],
            load_price=2.0,
            free_fill=False,
            budget_bytes=2,
        ),
        3,
    )
    yield (
        _problem(
            "tiny-free-fill",
            "the first two are free: 0 and 1, then 2 in place of 0 for a price of 2",
            importance=[[[3, 1, 0]], [[0, 1, 3]]],
            load_price=2.0,
            budget_bytes=2,
        ),
        2,
    )
    yield (
        _problem(
            "tiny-layer-prices",
            "loads of 1 and 3, needed in turn with 2: layer 0 swaps, 1 + 1; layer 1 is empty,"
            " 2 + 2",
            importance=[[[2, 0], [2, 0]], [[0, 2], [0, 2]]],
            load_price=[1.0, 3.0],
            free_fill=False,
            budget_bytes=2,
        ),
        6,
    )
