"""The smallest and emptiest problems of each wing, as documents."""

from __future__ import annotations

from typing import Any


def shapes(wing: str) -> list[dict[str, Any]]:
    """Return documents of a wing: one of everything, nothing asked for, no room to spare."""
    return [{"problem": wing, "version": 1, **document} for document in _SHAPES[wing]]


def _placement(loads: list[list[float]], devices: int, slots: int) -> dict[str, Any]:
    nodes = [{"node": {"devices": devices}}]
    return {"loads_tokens": loads, "cluster": {"nodes": nodes}, "slots_per_device": slots}


def _transfers(traffic: list[list[float]], **rules: Any) -> dict[str, Any]:
    return {"traffic_bytes": traffic, "bandwidth_bytes_per_s": 1, **rules}


def _buffering(active: list[int], starts: list[int], **rules: Any) -> dict[str, Any]:
    return {"experts": 3, "active": active, "starts": starts, "slots": 1, **rules}


def _colocation(*traffics: list[list[float]], devices: int) -> dict[str, Any]:
    device = {"link_bandwidth_bytes_per_s": 1e9}
    bytes_ = {"dispatch_bytes_per_token": 2, "combine_bytes_per_token": 2}
    return {
        "cluster": {"nodes": [{"node": {"devices": devices, "device": device}}]},
        "models": [{"traffic_tokens": traffic, **bytes_} for traffic in traffics],
    }


def _committee(importance: Any, budget: int) -> dict[str, Any]:
    layers, experts = len(importance[0]), len(importance[0][0])
    return {
        "layers": layers,
        "experts": experts,
        "importance": importance,
        "expert_bytes": 1,
        "budget_bytes": budget,
    }


_NOTHING: list[list[float]] = [[0, 0], [0, 0]]

_SHAPES: dict[str, list[dict[str, Any]]] = {
    "placement": [
        _placement([[3]], 1, 1),
        _placement([[0]], 1, 1),
        _placement([[3, 1, 2]], 1, 3),
        _placement([[3]], 3, 1),
        _placement([[0, 0, 0, 0], [1, 2, 3, 4]], 2, 2),
        _placement([[1, 1, 1], [0, 5, 0]], 3, 3),
        _placement([[7, 7, 7, 7]], 4, 1),
    ],
    "transfers": [
        _transfers([[5]]),
        _transfers(_NOTHING),
        _transfers([[0, 4], [0, 0]]),
        _transfers([[0, 4, 0], [1, 0, 0], [0, 0, 9]], peers="one"),
        _transfers(_NOTHING, peers="one", preemptive=False),
        _transfers([[0, 4, 1], [1, 0, 0], [0, 2, 0]], objective="rounds"),
    ],
    "buffering": [
        _buffering([], [0, 0]),
        _buffering([0], [0, 1]),
        _buffering([1, 1, 2], [0, 0, 1, 2, 2, 3]),
        _buffering([0, 1], [0, 1, 1, 2, 2], layers=2, serve="bypass"),
        {**_buffering([0, 0], [0, 1, 2]), "experts": 1},
    ],
    "colocation": [
        _colocation([[5]], devices=1),
        _colocation(_NOTHING, devices=2),
        _colocation(_NOTHING, _NOTHING, devices=2),
        _colocation([[0, 3], [0, 0]], [[0, 0], [1, 0]], devices=2),
    ],
    "committee": [
        _committee([[[1.0]]], 1),
        _committee([[[0, 0, 0]]], 2),
        _committee([[[0, 0], [1, 3]]], 3),
    ],
    "serverless": [],
}
