"""Tiny colocation problems: one for each rule, with the optimum, and some that have no plan.

Tokens have one byte, ports send one byte a second and devices have speed 1 unless said otherwise,
so that seconds are tokens. The optimum of each is found again by brute force in the tests, once
with the rule and once without.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from moeopt.colocation.problem import ColocationProblem, ModelLayer, Pin
from moeopt.describe.cluster import Cluster, Device, Node, NodeGroup

#: Line sums of the papers' example of Case II: (5, 2), (3, 2), (2, 6) and (3, 3), (4, 1), (2, 5).
_CASE_2 = [[0, 1, 4], [1, 0, 2], [1, 1, 0]], [[0, 1, 2], [1, 0, 3], [2, 0, 0]]

#: As much sent as received by each expert: 3, 4, 1 and 5, 7, 2.
_CASE_1 = [[0, 3, 0], [3, 0, 1], [0, 1, 0]], [[0, 5, 0], [5, 0, 2], [0, 2, 0]]

#: Expert 0 sends 3 and receives 1, expert 1 the other way round.
_ONE_WAY = [[0, 3], [1, 0]]


def known() -> Iterator[tuple[ColocationProblem, float]]:
    """Yield each tiny problem with its least objective."""
    yield from _worked()
    yield from _rules()
    yield from _devices()
    yield from _models()


def infeasible() -> Iterator[tuple[ColocationProblem, str]]:
    """Yield problems that no plan can meet, each for one reason, with the constraint's label."""
    three, two, one = np.ones((3, 3)), np.ones((2, 2)), np.ones((1, 1))
    yield (
        _problem("infeasible-too-few-places", "3 experts, 2 places", [three, two], devices=2),
        "C2",
    )
    yield (
        _problem(
            "infeasible-memory",
            "4 experts of 2 bytes, 2 devices of 3 bytes",
            [two, two],
            expert_bytes=(2, 2),
            expert_memory_bytes=3,
        ),
        "C3",
    )
    yield (
        _problem(
            "infeasible-memory-packing",
            "2 + 3 + 3 bytes would fit into twice 4, but no device has room for two experts",
            [one, two],
            expert_bytes=(2, 3),
            expert_memory_bytes=4,
        ),
        "C3",
    )
    yield (
        _problem(
            "infeasible-pins",
            "two experts of a model are pinned to a device that holds one",
            [two, two],
            pinned=(Pin(model=0, expert=0, device=0), Pin(model=0, expert=1, device=0)),
        ),
        "C4",
    )
    yield (
        _problem(
            "infeasible-beside-a-pin",
            "both devices get an expert of 3 bytes; that of 2 fits beside it on device 1, but is"
            " pinned to device 0",
            [one, two],
            expert_bytes=(2, 3),
            expert_memory_bytes=(4, 5),
            pinned=(Pin(model=0, expert=0, device=0),),
        ),
        "C4",
    )


def _problem(
    name: str,
    why: str,
    traffic: Sequence[Any],
    *,
    devices: int | Sequence[tuple[float, float]] | None = None,
    **fields: Any,
) -> ColocationProblem:
    """Return a problem.

    Parameters
    ----------
    name, why
        Its name, and the sum that gives the optimum.
    traffic
        Tokens of each model.
    devices
        How many, or speed and port of each; as many as experts if left out.
    fields
        Of the problem, or of the models: a tuple with one value for each, or one for all.
    """
    experts = max(len(tokens) for tokens in traffic)
    own = {name: fields.pop(name) for name in ModelLayer.__struct_fields__ if name in fields}
    models = tuple(
        ModelLayer(
            traffic_tokens=np.array(tokens, dtype=np.float64),
            **{key: value[m] if isinstance(value, tuple) else value for key, value in own.items()},
        )
        for m, tokens in enumerate(traffic)
    )
    count = experts if devices is None else devices
    each = [(1.0, 1.0)] * count if isinstance(count, int) else count
    return ColocationProblem(
        name=name, source=f"made by hand: {why}", models=models, cluster=_cluster(each), **fields
    )


def _cluster(devices: Sequence[tuple[float, float]]) -> Cluster:
    """Return devices of these speeds and ports, each a node of its own."""
    nodes = [
        Node(
            device=Device(relative_speed=speed, link_bandwidth_bytes_per_s=port),
            nic_bandwidth_bytes_per_s=port,
        )
        for speed, port in devices
    ]
    return Cluster(nodes=tuple(NodeGroup(node=node) for node in nodes))


def _worked() -> Iterator[tuple[ColocationProblem, float]]:
    yield (
        _problem(
            "aurora-case-1",
            "Aurora's Case I: line sums 3, 4, 1 and 5, 7, 2, sorted against each other 1 + 7, 3 + 5"
            " and 4 + 2",
            _CASE_1,
            objective="communication",
        ),
        8,
    )
    yield (
        _problem(
            "aurora-case-2",
            "Aurora's Case II: sent and received (5, 2), (3, 2), (2, 6) and (3, 3), (4, 1), (2, 5);"
            " only expert 0 with 2, 1 with 0 and 2 with 1 reach 7, sorting has 9, the worst is 11",
            _CASE_2,
            objective="communication",
        ),
        7,
    )
    seconds: dict[str, Any] = {"gate_s": 1.0, "aggregation_s": 1.0}
    yield (
        _problem(
            "aurora-exclusive",
            "eq. (3) of Aurora: 1 + 4 + 3 + 4 + 1",
            [[[0, 4], [4, 0]]],
            seconds_per_token=0.75,
            **seconds,
        ),
        13,
    )
    pair = [[[0, 4], [4, 0]], [[0, 3], [3, 0]]]
    yield (
        _problem(
            "aurora-table-2",
            "Table 2 of Aurora, the network never idle: dispatches until 7, experts until 7 and 10,"
            " combines until 11 and 14, aggregation 15, gate 16; one after the other 13 + 11",
            pair,
            seconds_per_token=(0.75, 1.0),
            **seconds,
        ),
        16,
    )
    yield (
        _problem(
            "aurora-table-2-idle",
            "the same with slower experts of model 0: they end at 10, until when the network is"
            " idle from 7 on; combines until 14 and 17, aggregation 18, gate 19",
            pair,
            seconds_per_token=(1.5, 1.0),
            **seconds,
        ),
        19,
    )


def _rules() -> Iterator[tuple[ColocationProblem, float]]:
    yield (
        _problem(
            "tiny-two-models",
            "tokens of both, there and back: 2 x (2 + 1); without experts nothing is sent",
            [[[0, 2], [2, 0]], [[0, 1], [1, 0]]],
        ),
        6,
    )
    yield (
        _problem(
            "tiny-one-place",
            "each device holds one expert of each model: 4 + 1; with two places every model would"
            " have a device to itself and send nothing",
            [[[0, 4], [4, 0]], [[0, 1], [1, 0]]],
            objective="communication",
        ),
        5,
    )
    yield (
        _problem(
            "tiny-two-places",
            "experts 0 and 1 share a device, 2 + 1 tokens leave it; with one place on 3 devices"
            " 5 + 2 leave expert 0",
            [[[0, 5, 2], [5, 0, 1], [2, 1, 0]]],
            devices=2,
            experts_per_device=2,
            objective="communication",
        ),
        3,
    )
    yield (
        _problem(
            "tiny-memory",
            "device 2 has no memory, so device 1 holds an expert of each model: 4 + 4; with memory"
            " there both have a slow device of their own, 4",
            [[[0, 4], [4, 0]], [[0, 4], [4, 0]]],
            devices=[(1.0, 4.0), (1.0, 1.0), (1.0, 1.0)],
            expert_bytes=1,
            expert_memory_bytes=(2, 2, 0),
            objective="communication",
        ),
        8,
    )
    yield (
        _problem(
            "tiny-pins",
            "both experts that send 3 are pinned to device 0: 3 + 3; the other way round 3 + 1",
            [_ONE_WAY, _ONE_WAY],
            pinned=(Pin(model=0, expert=0, device=0), Pin(model=1, expert=0, device=0)),
            objective="communication",
        ),
        6,
    )


def _devices() -> Iterator[tuple[ColocationProblem, float]]:
    fast = [(2.0, 1.0), (1.0, 1.0)]
    popular = [[6, 0], [0, 2]]
    yield (
        _problem(
            "tiny-speeds",
            "both models' experts with 6 tokens on the device of speed 2: 3 + 3; on devices of"
            " speed 1, whoever shares, 6 + 6",
            [popular, popular],
            devices=fast,
            seconds_per_token=1.0,
        ),
        6,
    )
    yield (
        _problem(
            "tiny-ports",
            "expert 0 sends 6 at the port of rate 3, the others receive 3 at theirs of rate 1; at"
            " ports of rate 1 it takes 6",
            [[[0, 3, 3], [0, 0, 0], [0, 0, 0]]],
            devices=[(1.0, 1.0), (1.0, 3.0), (1.0, 1.0)],
            objective="communication",
        ),
        3,
    )
    models = [[[4, 2], [4, 1]], [[0, 4], [0, 4]]]
    rules: dict[str, Any] = {
        "devices": [(2.0, 1.0), (1.0, 2.0)],
        "gate_s": (0.0, 1.0),
        "seconds_per_token": 2.0,
    }
    yield (
        _problem(
            "tiny-time",
            "one device computes fast, the other sends fast: 24 if all go in step, by a plan that"
            " leaves a device 24 alone; where no device takes more than 21 alone, all take 32",
            models,
            **rules,
        ),
        24,
    )
    yield (
        _problem(
            "tiny-bottleneck",
            "the same for each device alone: 21, by a plan of another pairing",
            models,
            objective="bottleneck",
            **rules,
        ),
        21,
    )
    yield (
        _problem(
            "tiny-two-steps",
            "12; the pairs of the shortest all-to-all on equal devices, put on these as well as can"
            " be, take 18: the two decoupled steps of Aurora's section 7",
            [[[0, 2, 1], [2, 0, 0], [4, 0, 0]], [[0, 4, 3], [1, 0, 0], [3, 1, 0]]],
            devices=[(2.0, 2.0), (1.0, 1.0), (1.0, 1.0)],
            objective="bottleneck",
        ),
        12,
    )


def _models() -> Iterator[tuple[ColocationProblem, float]]:
    yield (
        _problem(
            "tiny-combine-twice",
            "FP8 there and BF16 back: 3 + 6",
            [[[0, 2], [2, 0]], [[0, 1], [1, 0]]],
            combine_bytes_per_token=2.0,
        ),
        9,
    )
    yield (
        _problem(
            "tiny-fewer-experts",
            "the second model's only expert, with 4 tokens of its own, goes with expert 2: 1 + 4;"
            " with another one 3 + 4",
            [[[3, 0, 0], [0, 3, 0], [0, 0, 1]], [[4]]],
            seconds_per_token=1.0,
            objective="bottleneck",
        ),
        5,
    )
    yield (
        _problem(
            "tiny-three-models",
            "experts 0 send 4, 3 and 2, experts 1 what these receive, 2, 1 and 2: crosswise"
            " 4 + 1 + 2, side by side 4 + 3 + 2",
            [[[0, 4], [2, 0]], [[0, 3], [1, 0]], [[0, 2], [2, 0]]],
            objective="communication",
        ),
        7,
    )
