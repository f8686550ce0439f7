"""Fields of the wrong type, shape or name."""

from __future__ import annotations

from bad_instance import edit, without

_NUMBER = "write the number without quotes"
_PAIR = {"expert": 0, "device": 0}

#: Types and shapes.
TYPES = [
    without("no-loads", "loads_tokens", "$.loads_tokens: must be given", "<missing>", "add"),
    without("no-cluster", "cluster", "$.cluster: must be given", "<missing>", "add"),
    edit(
        "unknown-field",
        "$.slot_per_device: must not be",
        "got 1",
        "did you mean 'slots_per_device'?",
        slot_per_device=1,
    ),
    edit(
        "unknown-strange", "$.zzz: must not be there", "got 'x'", "there are version, name", zzz="x"
    ),
    edit(
        "unknown-deep",
        "$.cluster.nodes[0].node.gpus",
        "got 2",
        "no such field",
        "there are device",
        cluster={"nodes": [{"node": {"gpus": 2}}]},
    ),
    edit(
        "string-for-int",
        "$.slots_per_device: must be a whole number",
        "got '1'",
        slots_per_device="1",
    ),
    edit(
        "string-for-float",
        "$.move_price_per_byte: must be a number",
        "got '0.5'",
        _NUMBER,
        move_price_per_byte="0.5",
    ),
    edit(
        "bool-for-int",
        "$.groups: must be a whole number",
        "got True",
        "not true or false",
        groups=True,
    ),
    edit("float-for-int", "$.groups: must be a whole number", "got 2.0", "write 2", groups=2.0),
    edit(
        "null-for-int",
        "$.groups: must be a whole number",
        "got None",
        "leave the field out",
        groups=None,
    ),
    edit(
        "int-for-bool",
        "$.distinct_nodes: must be true or false",
        "got 1",
        "correct",
        distinct_nodes=1,
    ),
    edit("object-for-list", "$.pinned: must be a list", "got {'expert'", "correct", pinned=_PAIR),
    edit(
        "missing-deep",
        "$.pinned[1].device: must be given",
        "<missing>",
        "add",
        pinned=[_PAIR, {"expert": 1}],
    ),
    edit("below", "$.groups: must be a whole number >= 1", "got 0", "correct", groups=0),
    edit(
        "above",
        "$.slots_per_device: must be a whole number <= 1000000",
        "got 1000001",
        "correct",
        slots_per_device=1000001,
    ),
    edit("huge-int", "$.groups: must be a whole number", f"got {10**30}", "correct", groups=10**30),
    edit(
        "negative-price",
        "$.cross_node_price: must be a number >= 0",
        "got -1",
        "correct",
        cross_node_price=-1,
    ),
    edit(
        "enum",
        "$.objective: must be one of",
        "got 'maxload'",
        "did you mean 'max_load'?",
        objective="maxload",
    ),
    edit(
        "array-string",
        "$.loads_tokens[1][2]: must be a number",
        "got '30'",
        "write it plainly",
        loads_tokens=[[40, 30, 20, 10], [10, 20, "30", 40]],
    ),
    edit(
        "array-bool",
        "$.loads_tokens[0][1]: must be a number",
        "got True",
        "write it plainly",
        loads_tokens=[[40, True, 20, 10]],
    ),
    edit(
        "array-null",
        "$.loads_tokens[0][1]: must be a number",
        "got None",
        "write it plainly",
        loads_tokens=[[40, None, 20, 10]],
    ),
    edit(
        "array-scalar",
        "$.loads_tokens: must be a list of numbers",
        "got 40",
        "write [..]",
        loads_tokens=40,
    ),
    edit(
        "array-ragged",
        "$.loads_tokens[1]: must make a rectangular array",
        "got [10, 20, 30]",
        "complete the short rows",
        loads_tokens=[[40, 30, 20, 10], [10, 20, 30]],
    ),
    edit(
        "array-mixed",
        "$.loads_tokens[1]: must make a rectangular array",
        "got 5",
        "complete the short rows",
        loads_tokens=[[40, 30, 20, 10], 5],
    ),
    edit(
        "array-1d",
        "$.loads_tokens: must have shape (scenarios, layers, experts)",
        "<shape (4,)>",
        "give at least one",
        loads_tokens=[40, 30, 20, 10],
    ),
    edit(
        "array-empty",
        "$.loads_tokens: must have shape",
        "<shape (0,)>",
        "give at least one",
        loads_tokens=[],
    ),
    edit(
        "array-hollow",
        "$.loads_tokens: must have shape",
        "<shape (1, 2, 0)>",
        "give at least one",
        loads_tokens=[[], []],
    ),
    edit(
        "array-beyond-128-bits",
        "$.loads_tokens: every integer must fit",
        f"<{2**127}>",
        "round it",
        loads_tokens=[[2**127, 30, 20, 10]],
    ),
    edit(
        "bytes-string",
        "$.expert_bytes: must be a number or a list",
        "got '5 GB'",
        "write it plainly",
        expert_bytes="5 GB",
    ),
]
