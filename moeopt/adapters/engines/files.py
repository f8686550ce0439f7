"""Files of engines: what they leave out, how they are read safely, tables as text."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec
import numpy as np

from moeopt.adapters.engines.placements import EnginePlacement, ModelLayers, require_experts
from moeopt.core.arrays import IntArray, array_from_lists, whole_array
from moeopt.core.errors import InstanceError
from moeopt.core.files import plain_size

#: Largest file of text: the largest placement that is served today has a tenth of a megabyte.
MAX_BYTES = 16 * 2**20

_T = TypeVar("_T")


@dataclass(frozen=True)
class Known:
    """What the reader of a placement knows beside its file.

    Attributes
    ----------
    devices
        Ranks.
    experts
        Logical experts of each layer; left out, one more than the largest that is placed.
    layers
        Where the MoE layers stand in the model.
    """

    devices: int | None = None
    experts: int | None = None
    layers: ModelLayers | None = None


def placed(
    path: str | os.PathLike[str], table: IntArray, known: Known, devices: int | None = None
) -> EnginePlacement:
    """Return the placement of a file that has been read.

    Parameters
    ----------
    path
        The file, for errors.
    table
        Expert in each slot, ``(MoE layers, slots)``.
    known
        What is known beside the file.
    devices
        Ranks as the file states them, which must be those that are known.

    Raises
    ------
    InstanceError
        If the number of ranks is not known, the file contradicts what is, or an expert is nowhere.
    """
    name = os.fspath(path)
    if devices is None:
        devices = known.devices
    elif known.devices not in (None, devices):
        raise InstanceError(
            name, f"<{devices} devices>", f"must have {known.devices}", "is it the right file?"
        )
    if devices is None:
        raise InstanceError(
            "devices", None, f"must be given: {name} does not say how many", "give --devices 8"
        )
    experts = 1 + int(table.max(initial=-1)) if known.experts is None else known.experts
    try:
        placement = EnginePlacement(table, devices, experts, known.layers)
        require_experts(placement, "the engine")
        return placement
    except InstanceError as error:
        raise error.under(f"{name}: ") from None


def read_text(path: str | os.PathLike[str]) -> bytes:
    """Return the bytes of a plain file of at most `MAX_BYTES`.

    Raises
    ------
    InstanceError
        If it is none.
    """
    name = os.fspath(path)
    try:
        size = plain_size(name)
        if size > MAX_BYTES:
            rule = f"must have at most {MAX_BYTES // 2**20} MiB"
            raise InstanceError(name, f"<{size} bytes>", rule, "is it a placement?")
        with open(name, "rb") as file:
            return file.read(MAX_BYTES)
    except (OSError, ValueError) as error:
        if isinstance(error, InstanceError):
            raise
        said = getattr(error, "strerror", None) or str(error)
        raise InstanceError(
            name, f"<{said.lower()}>", "must be a readable file", "check the name"
        ) from None


def read_json(path: str | os.PathLike[str], kind: type[_T], what: str) -> _T:
    """Return a JSON file as a type.

    Parameters
    ----------
    path
        The file.
    kind
        What it must hold.
    what
        The same in words, for errors: "must be ...".

    Raises
    ------
    InstanceError
        If it holds something else.
    """
    name = os.fspath(path)
    try:
        return msgspec.json.decode(read_text(name), type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        said = " ".join(str(error).split())[:120]
        raise InstanceError(
            name, f"<{said}>", f"must be {what}", "is it of another engine?"
        ) from None


def rows_of(path: str | os.PathLike[str], rows: Any) -> IntArray:
    """Return lists of whole numbers, of equal length, as an array.

    Raises
    ------
    InstanceError
        If their lengths differ, or a number is negative or beyond 64 bits.
    """
    name = os.fspath(path)
    try:
        table = whole_array(array_from_lists(rows), "$")
    except InstanceError as error:
        raise error.under(f"{name}: table") from None
    if table.min(initial=0) < 0:
        where = "".join(f"[{i}]" for i in np.argwhere(table < 0)[0])
        raise InstanceError(f"{name}: table{where}", -1, "must be an expert >= 0", "correct it")
    return table


def json_rows(table: IntArray, indent: str = "") -> str:
    """Return a table as a JSON list of lists, a line for each row.

    Parameters
    ----------
    table
        Whole numbers, ``(layers, slots)``.
    indent
        What the line begins with that the list ends on.
    """
    rows = ",\n".join(f"{indent}  {row}" for row in table.tolist())
    return f"[\n{rows}\n{indent}]"
