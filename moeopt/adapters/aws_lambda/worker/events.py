"""What a function accepts: a wrong event is told what is wrong with it before anything is read."""

from __future__ import annotations

import math
from typing import Any, cast

from .protocol import NUMBER_BYTES, VERSION, Event, Tensor, from_text, text_bytes


def checked(event: Any) -> Event:
    """Return an event that keeps to the protocol.

    Raises
    ------
    ValueError
        If it does not: which field, and what was expected.
    """
    if not isinstance(event, dict):
        raise ValueError(f"the event must be an object, is {type(event).__name__}")
    fine = _whole(event.get("version")) and event["version"] == VERSION
    _require(event, "version", fine, f"must be {VERSION}")
    names = Event.__annotations__
    for name in names:
        if name not in event:
            raise ValueError(f"$.{name}: is missing")
    for name in event:
        _require(event, name, name in names, f"is none of {', '.join(names)}")
    _require(event, "piece", isinstance(event["piece"], str) and event["piece"], "must be a name")
    fine = _whole(event["design"]) and event["design"] <= 3
    _require(event, "design", fine, "must be 1, 2 or 3")
    _require(event, "width", _whole(event["width"]), "must be a whole number of at least 1")
    tokens = event["minibatches"]
    fine = isinstance(tokens, list) and tokens and all(map(_whole, tokens))
    _require(event, "minibatches", fine, "must be whole numbers of at least 1, and some")
    fine = event["design"] == 1 or len(tokens) == 1
    _require(event, "minibatches", fine, "must be one, unless the design is 1")
    for name in ("inputs", "outputs"):
        _require_keys(event, name, 0 if event["design"] == 3 else len(tokens))
    _require_payload(event)
    wait_s = event["wait_s"]
    fine = type(wait_s) in (int, float) and math.isfinite(wait_s) and wait_s >= 0
    _require(event, "wait_s", fine, "must be seconds, at least 0")
    return cast("Event", event)


def tokens_of(event: Event) -> Tensor:
    """Return the tokens that came with a call of design 3, ``(tokens, width)``.

    Raises
    ------
    ValueError
        If the payload is no base64.
    """
    try:
        return from_text(event["payload"], event["width"])
    except ValueError as error:
        # Of base64's own class, whose name says nothing to whom the error is told.
        raise ValueError(f"$.payload: {error}") from None


def _whole(value: Any) -> bool:
    return type(value) is int and value >= 1


def _require(event: dict[str, Any], name: str, fine: Any, rule: str) -> None:
    if not fine:
        shown = repr(event.get(name))
        shown = shown if len(shown) <= 60 else f"{shown[:57]}..."
        raise ValueError(f"$.{name}: {rule}, is {shown}")


def _require_keys(event: dict[str, Any], name: str, count: int) -> None:
    keys = event[name]
    fine = isinstance(keys, list) and all(isinstance(key, str) and key for key in keys)
    _require(event, name, fine, "must be a list of keys")
    _require(event, name, len(keys) == count, f"must be {count} keys with this design")


def _require_payload(event: dict[str, Any]) -> None:
    payload, direct = event["payload"], event["design"] == 3
    _require(event, "payload", isinstance(payload, str), "must be text")
    size = NUMBER_BYTES * event["width"] * event["minibatches"][0]
    wanted = text_bytes(size) if direct else 0
    if len(payload) != wanted:
        raise ValueError(f"$.payload: must have {wanted} characters, has {len(payload)}")
