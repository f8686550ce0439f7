"""Well-formed instances that no plan can meet."""

from __future__ import annotations

from bad_instance import edit

_PAIR = {"expert": 0, "device": 0}

#: Well-formed, and no plan can exist: exit code 3, with the constraint and by how much.
INFEASIBLE = [
    edit(
        "few-slots",
        "infeasible: C2 at $.slots_per_device",
        "3 live slots must hold 4 experts",
        "add 1 slots",
        "off by 1",
        code=3,
        slots_per_device=[1, 1, 1, 0],
    ),
    edit(
        "few-slots-alive",
        "infeasible: C2 at $.slots_per_device",
        "3 live slots",
        "add 1",
        code=3,
        dead_devices=[2],
    ),
    edit(
        "many-slots",
        "infeasible: C2 at $.allow_empty_slots",
        "cannot all be filled",
        "set allow_empty_slots",
        code=3,
        slots_per_device=5,
    ),
    edit(
        "copies-on-nodes",
        "infeasible: C9 at $.min_copies_per_expert",
        "needs 3 copies",
        "lower",
        code=3,
        slots_per_device=3,
        min_copies_per_expert=3,
        distinct_nodes=True,
    ),
    edit(
        "homeless",
        "infeasible: C7 at $.forbidden",
        "expert 1 of layer 0",
        "allow one",
        code=3,
        forbidden=[{"expert": 1, "device": d} for d in range(4)],
    ),
    edit(
        "pins",
        "infeasible: C6 at $.pinned",
        "2 experts are pinned to device 0",
        "unpin some",
        code=3,
        pinned=[_PAIR, {"expert": 1, "device": 0}],
    ),
    edit(
        "memory",
        "infeasible: C5 at $.expert_memory_bytes",
        "must hold 800 bytes",
        "add memory",
        "off by 760",
        code=3,
        expert_bytes=100,
        expert_memory_bytes=10,
    ),
    edit(
        "device-memory",
        "infeasible: C5 at $.cluster",
        "must hold",
        "add memory",
        code=3,
        expert_bytes=10**12,
        cluster={"nodes": [{"node": "hgx-h100"}]},
        allow_empty_slots=True,
    ),
    edit(
        "groups-on-nodes",
        "infeasible: C10 at $.group_rule",
        "1 groups of 4 slots must each fit",
        "add slots",
        code=3,
        group_rule="one_node",
    ),
]
