"""Contradictions: each turns a stated serverless problem into one that no plan can satisfy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np
from hypothesis import strategies as st

Fields = dict[str, Any]

#: More than any function of the problems has, and seconds that most calls would need.
_HUGE_BYTES, _SLOW_S = 2**40, 600.0

#: Part of the shortest latency there is that a contradiction promises.
_SHARE = 0.9


@st.composite
def broken_serverless(draw: st.DrawFn, fields: Fields) -> Fields:
    """Draw a contradiction and return the fields with it.

    Parameters
    ----------
    fields
        Fields of a problem.
    """
    # What counting does not show comes more often: only that reaches a method at all.
    weighted = [*_CONTRADICTIONS, "hurried", "hurried", "either_way", "either_way"]
    return _CONTRADICTIONS[draw(st.sampled_from(weighted))](fields)


def _too_large(fields: Fields) -> Fields:
    """Let experts need more memory than any function has."""
    return _with_experts(fields, intermediate_bytes=_HUGE_BYTES)


def _carried_away(fields: Fields) -> Fields:
    """Allow direct calls alone, which carry next to nothing."""
    return {
        **_with_tokens(_with_experts(fields, input_bytes_per_token=1000.0)),
        "designs": (3,),
        "payload_bytes": 1,
    }


def _timed_out(fields: Fields) -> Fields:
    """Let a start take longer than any call may."""
    network = msgspec.structs.replace(fields["network"], warm_start_s=2 * _SLOW_S)
    return {**fields, "network": network, "prices": "aws-lambda"}


def _hurried(fields: Fields) -> Fields:
    """Promise less than the starts of the functions between the layers."""
    network = msgspec.structs.replace(fields["network"], warm_start_s=1.0)
    return {**fields, "network": network, "slo_s": _SHARE * len(fields["layers"])}


def _either_way(fields: Fields) -> Fields:
    """Let calls be too long through storage, and carry too much without it."""
    network = msgspec.structs.replace(fields["network"], access_delay_s=_SLOW_S, warm_start_s=0.0)
    return {
        **_with_tokens(_with_experts(fields, input_bytes_per_token=1000.0, parameter_bytes=0)),
        "designs": (1, 2, 3),
        "payload_bytes": 1,
        "network": network,
        "prices": "aws-lambda",
    }


def _with_experts(fields: Fields, **changes: Any) -> Fields:
    """Change all experts, those of layers with their own too."""
    changed = {**fields, "expert": msgspec.structs.replace(fields["expert"], **changes)}
    changed["layers"] = tuple(
        layer
        if layer.expert is None
        else msgspec.structs.replace(layer, expert=msgspec.structs.replace(layer.expert, **changes))
        for layer in fields["layers"]
    )
    return changed


def _with_tokens(fields: Fields) -> Fields:
    """Give every expert a token, and parameters of no size of its own."""
    return {
        **fields,
        "layers": tuple(
            msgspec.structs.replace(
                layer,
                tokens=None if layer.tokens is None else np.ones_like(layer.tokens),
                parameter_bytes=None,
            )
            for layer in fields["layers"]
        ),
    }


_CONTRADICTIONS: dict[str, Callable[[Fields], Fields]] = {
    "too_large": _too_large,
    "carried_away": _carried_away,
    "timed_out": _timed_out,
    "hurried": _hurried,
    "either_way": _either_way,
}
