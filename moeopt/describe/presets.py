"""Shapes and machines people run, by name: data files beside this module, each with its source."""

from __future__ import annotations

import difflib
import functools
import importlib
from importlib import resources
from typing import Any, Literal

import msgspec

from moeopt.core.errors import InstanceError

Kind = Literal["device", "node", "model", "price_book"]

_TYPES = {
    "device": "cluster.Device",
    "node": "cluster.Node",
    "model": "model.MoEModel",
    "price_book": "pricing.PriceBook",
}


def preset(kind: Kind, name: str) -> Any:
    """Return the preset called `name` as its typed record.

    Raises
    ------
    InstanceError
        If there is no such preset.
    """
    if kind not in _TYPES:
        raise InstanceError("kind", kind, f"must be one of {', '.join(_TYPES)}", "choose one")
    known = _raw(kind)
    if not isinstance(name, str) or name not in known:
        close = difflib.get_close_matches(str(name), known, n=1)
        remedy = f"did you mean {close[0]!r}?" if close else "write the record out instead"
        what = kind.replace("_", " ")
        raise InstanceError("$", name, f"must be a {what} preset ({', '.join(known)})", remedy)
    return _record(kind, name)


def preset_names(kind: Kind) -> list[str]:
    """Return the names of all presets of a kind."""
    return list(_raw(kind))


@functools.cache
def _record(kind: Kind, name: str) -> Any:
    # One for all: records are frozen.
    module, _, type_name = _TYPES[kind].partition(".")
    record = getattr(importlib.import_module(f"moeopt.describe.{module}"), type_name)
    return msgspec.convert(_raw(kind)[name], record)


@functools.cache
def _raw(kind: Kind) -> dict[str, Any]:
    text = resources.files("moeopt.describe").joinpath(f"data/{kind}s.json").read_bytes()
    return dict(msgspec.json.decode(text))
