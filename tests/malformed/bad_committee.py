"""Bad and infeasible instances of the committee wing: small changes of one valid base."""

from __future__ import annotations

import json
from typing import Any

from bad_instance import Case, file_with

COMMITTEE_BASE: dict[str, Any] = {
    "problem": "committee",
    "version": 1,
    "name": "base",
    "layers": 2,
    "experts": 2,
    "importance": [[[3, 1], [2, 2]], [[0, 4], [1, 5]]],
    "expert_bytes": 10,
    "budget_bytes": 30,
}

#: Other data of the loss in place of importance.
ROUTED: dict[str, Any] = {
    "importance": None,
    "loss": "masked",
    "router": [[[3, 1], [2, 2]], [[0, 4], [1, 5]], [[0, 0], [1, 1]]],
}
MEASURED: dict[str, Any] = {
    "importance": None,
    "loss": "table",
    "table": [[4, 2, 0], [5, 3, 1]],
    "swaps": [[0, 1, 0], [0, 1, 1]],
}


def bad(name: str, *says: str, code: int = 2, **fields: Any) -> Case:
    """Return a case whose document has other or more fields; ``None`` leaves one out."""
    document = {**COMMITTEE_BASE, **fields}
    stated = {field: value for field, value in document.items() if value is not None}
    data = json.dumps(stated).encode()
    return Case(f"committee-{name}", lambda folder: file_with(folder, data), says, code)


#: Values of the wrong type or shape, or that contradict a rule or each other.
COMMITTEE = [
    bad("other-wing", "$.slots: must not be there", "no such field", slots=2),
    bad("no-budget", "$.budget_bytes", "missing", budget_bytes=None),
    bad(
        "loss",
        "$.loss: must be one of",
        "got 'mask'",
        "did you mean 'masked'?",
        loss="mask",
    ),
    bad(
        "no-importance",
        '$.importance: must be stated for loss="additive"',
        "<missing>",
        "state importance, or another loss",
        importance=None,
    ),
    bad(
        "two-losses",
        '$.router: must be left out with loss="additive"',
        "<shape (3, 2, 2)>",
        'state loss="masked" or "skip"',
        router=ROUTED["router"],
    ),
    bad(
        "swaps-of-no-table",
        '$.swaps: must be left out with loss="additive"',
        "leave it out",
        swaps=MEASURED["swaps"],
    ),
    bad(
        "price-of-no-loads",
        '$.load_price: must be left out with loss="table"',
        "got 2",
        "leave it out",
        **MEASURED,
        load_price=2,
    ),
    bad(
        "flat-importance",
        "$.importance: must have shape (windows, 2, 2)",
        "<shape (2, 2)>",
        "one entry for each",
        importance=[[3, 1], [2, 2]],
    ),
    bad(
        "negative-importance",
        "$.importance[0][1][0]: must be a finite number >= 0",
        "got -2",
        "correct",
        importance=[[[3, 1], [-2, 2]]],
    ),
    bad(
        "router-of-a-layer",
        "$.router: must have shape (tokens, 2, 2)",
        "<shape (1, 1, 2)>",
        **{**ROUTED, "router": [[[3, 1]]]},
    ),
    bad(
        "windows-fall",
        "$.window_starts[2]: must be tokens, 0 to 2, rising from 0",
        "got 1",
        "correct the entry",
        **ROUTED,
        window_starts=[0, 2, 1],
    ),
    bad(
        "windows-of-importance",
        '$.window_starts: must be left out with loss="additive"',
        "<shape (2,)>",
        window_starts=[0, 1],
    ),
    bad(
        "short-table",
        "$.table: must have shape (2, 3) = (layers, experts + 1)",
        "<shape (2, 2)>",
        "from 0 to all experts",
        **{**MEASURED, "table": [[4, 2], [5, 3]]},
    ),
    bad(
        "more-swaps-than-slots",
        "$.swaps[0][1]: must be at most the number of slots",
        "got 2",
        **{**MEASURED, "swaps": [[0, 2, 0], [0, 1, 1]]},
    ),
    bad(
        "link-without-swaps",
        "$.swaps: must be stated for a link",
        "<missing>",
        "leave link_bytes_per_s out",
        **{**MEASURED, "swaps": None},
        link_bytes_per_s=1.0,
        window_s=1.0,
    ),
    bad(
        "link-without-time",
        "$.window_s: must be stated beside link_bytes_per_s",
        "<missing>",
        "leave link_bytes_per_s out",
        link_bytes_per_s=1.0,
    ),
    bad(
        "time-without-link",
        "$.link_bytes_per_s: must be stated beside window_s",
        "leave window_s out",
        window_s=1.0,
    ),
    bad(
        "half-a-byte",
        "$.expert_bytes[1]: must be a whole number >= 1",
        "got 0.5",
        expert_bytes=[1, 0.5],
    ),
    bad(
        "bytes-of-three-layers",
        "$.expert_bytes: must be one number, or have shape (2,) = (layers,)",
        "<shape (3,)>",
        expert_bytes=[1, 2, 3],
    ),
    bad(
        "bytes-beyond-sums",
        "$.expert_bytes: must sum up to at most 9007199254740992",
        "larger unit",
        expert_bytes=2**52,
    ),
    bad(
        "slots-beyond-experts",
        "$.max_slots[1]: must be a whole number of experts, 0 to 2",
        "got 3",
        max_slots=[2, 3],
    ),
    bad(
        "least-above-most",
        "$.max_slots: must be at least 2 in layer 1: min_slots",
        "got 1",
        "a smaller min_slots",
        min_slots=[1, 2],
        max_slots=1,
    ),
    bad(
        "period-of-nothing",
        "$.periods[1]: must be a whole number of windows >= 1",
        "got 0",
        periods=[2, 0],
    ),
    bad("period-twice", "$.periods[2]: must be named once", "got 2", periods=[2, 1, 2]),
    bad(
        "sum-beyond-floats",
        "$.importance: must sum up to a finite number",
        "rescale",
        importance=[[[1e308, 1e308], [1, 1]]],
    ),
]

#: Well-formed, and no plan can exist: exit code 3, with the constraint and by how much.
COMMITTEE_INFEASIBLE = [
    bad(
        "memory",
        "infeasible: C1 at $.budget_bytes",
        "2 slots, the fewest allowed",
        "raise the budget",
        "off by 5",
        code=3,
        budget_bytes=15,
    ),
    bad(
        "latency",
        "infeasible: C2 at $.latency_s",
        "2 slots, the fewest allowed",
        "allow more",
        code=3,
        base_s=1.0,
        slot_s=0.5,
        latency_s=1.5,
    ),
    bad(
        "link",
        "infeasible: C3 at $.link_bytes_per_s",
        "an update replaces",
        "longer periods",
        code=3,
        **MEASURED,
        min_slots=1,
        max_slots=1,
        link_bytes_per_s=10.0,
        window_s=1.0,
    ),
]
