"""The wings by name: moeopt's own, loaded on first use, and those that other packages add."""

from __future__ import annotations

import difflib
import importlib
import os

from moeopt.core.errors import InstanceError
from moeopt.core.wing import Method, Plan, Problem, Wing

#: moeopt's own wings and the module that registers each.
_OWN_WINGS = {
    "buffering": "moeopt.buffering.methods",
    "colocation": "moeopt.colocation.methods",
    "committee": "moeopt.committee.methods",
    "placement": "moeopt.placement.methods",
    "serverless": "moeopt.serverless.methods",
    "transfers": "moeopt.transfers.methods",
}

_WINGS: dict[str, Wing] = {}


def register(wing: Wing) -> Wing:
    """Add a wing, or replace the one of the same name, and return it."""
    _WINGS[wing.name] = wing
    return wing


def wing_names() -> list[str]:
    """Return the names of all wings, loaded or not."""
    return sorted({*_OWN_WINGS, *_WINGS})


def wing_named(name: str, path: str = "$.problem") -> Wing:
    """Return the wing called `name`.

    Raises
    ------
    InstanceError
        If there is no such wing; `path` says where the name was written.
    """
    if name not in _WINGS:
        if name not in _OWN_WINGS:
            raise InstanceError(
                path, name, f"must be one of {', '.join(wing_names())}", _closest(name)
            )
        importlib.import_module(_OWN_WINGS[name])
    return _WINGS[name]


def wing_of(document: Problem | Plan) -> Wing:
    """Return the wing that a problem or a plan belongs to.

    Raises
    ------
    InstanceError
        If it is neither, or of no wing that is known.
    """
    if not isinstance(document, Problem | Plan):
        raise InstanceError(
            "problem",
            document,
            "must be a problem or a plan of some wing, as PlacementProblem",
            "read a file by moeopt.load_problem"
            if isinstance(document, str | os.PathLike)
            else "make one, or read a file by moeopt.load_problem",
        )
    return wing_named(str(type(document).__struct_config__.tag))


def method_named(wing: Wing, name: str) -> Method:
    """Return a wing's method by name.

    Raises
    ------
    InstanceError
        If the wing has no such method.
    """
    if not isinstance(name, str) or name not in wing.methods:
        known = ", ".join(wing.methods)
        raise InstanceError("method", name, f"must be one of {known}", "choose one, or auto")
    return wing.methods[name]


def _closest(name: str) -> str:
    close = difflib.get_close_matches(name, wing_names(), n=1)
    return f"did you mean {close[0]!r}?" if close else "see `moeopt schema` for the documents"
