"""Records of SGLang's recorder: what one rank did in one forward pass, checked on first sight."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from moeopt.core.arrays import FloatArray, IntArray, numbers_of
from moeopt.core.errors import InstanceError
from moeopt.traces.joining import PAD
from moeopt.traces.torch_file import TorchFile, shown
from moeopt.traces.trace import MOST_EXPERTS, Integers

RECORDS = "records"
TOPK = "topk_ids_of_layer"

_COUNT, _MAP = "global_physical_count", "last_physical_to_logical_map"


@dataclass(frozen=True)
class ForwardPass:
    """One record of a dump.

    Attributes
    ----------
    file
        The dump.
    record
        The record as it stands there.
    where
        Its path in the dump.
    key
        Number of the forward pass, rank, and name of the gatherer.
    logical
        Logical expert of each physical one, ``(layers, physical)``.
    """

    file: TorchFile
    record: dict[str, Any]
    where: str
    key: tuple[int, int, str]
    logical: IntArray

    def expert_ids(self) -> IntArray:
        """Return the logical experts, `PAD` where there is none, ``(tokens, layers, places)``."""
        layers, physical = self.logical.shape
        ids = self._integers(TOPK, 3).transpose(1, 0, 2)
        if ids.shape[1] != layers:
            raise self._error(TOPK, f"<{ids.shape[1]} layers>", f"must have the map's {layers}")
        low, high = int(ids.min(initial=0)), int(ids.max(initial=0))
        if low < PAD or high >= physical:
            wrong, rule = low if low < PAD else high, f"must be -1, or 0 to {physical - 1}"
            raise self._error(TOPK, wrong, rule)
        there = self.logical[np.arange(layers)[:, None], np.maximum(ids, 0)]
        return np.where(ids == PAD, PAD, there)

    def token_ids(self, tokens: int) -> Integers:
        """Return the token IDs, ``(tokens,)``."""
        return self._list("input_ids", tokens)

    def sequences(self, tokens: int) -> IntArray:
        """Return the request of each token; in a decode each token is one of its own."""
        lengths = self.record.get("extend_seq_lens")
        if isinstance(lengths, list) and len(lengths) <= tokens:
            counts = self._list("extend_seq_lens", len(lengths))
            if counts.min(initial=0) >= 0 and counts.sum() == tokens:
                return np.repeat(np.arange(len(counts)), counts)
        return np.arange(tokens)

    def add_counts(self, counts: FloatArray) -> None:
        """Add the tokens of each logical expert to `counts`, ``(layers, experts)``."""
        physical = self._integers(_COUNT, 2)
        if physical.shape != self.logical.shape:
            shape = f"<shape {physical.shape}>"
            raise self._error(_COUNT, shape, f"must have the map's shape {self.logical.shape}")
        if physical.min() < 0:
            raise self._error(_COUNT, int(physical.min()), "must be counts >= 0")
        # Not by a dense array of its own: logical experts may be far more than physical ones.
        np.add.at(counts, (np.arange(len(physical))[:, None], self.logical), physical)

    def _integers(self, name: str, axes: int) -> Integers:
        return self.file.integers(self.record.get(name), f"{self.where}.{name}", axes)

    def _list(self, name: str, length: int) -> Integers:
        value = self.record.get(name)
        if not isinstance(value, list) or len(value) != length:
            rule = f"must be a list, one entry for each of {length} tokens"
            raise self._error(name, shown(value), rule)
        if any(type(entry) is not int for entry in value):
            raise self._error(name, shown(value), "must be whole numbers")
        array: Integers = numbers_of(value, f"{self.file.name}: {self.where}.{name}")
        return array.astype(np.int64)

    def _error(self, name: str, value: object, rule: str) -> InstanceError:
        return InstanceError(f"{self.file.name}: {self.where}.{name}", value, rule, "dump again")


def forward_passes(files: list[TorchFile]) -> list[ForwardPass]:
    """Return the records of some dumps by forward pass, then by rank.

    Parameters
    ----------
    files
        Dumps in the modes ``per_pass`` or ``per_token``.

    Raises
    ------
    InstanceError
        If there are none, one stands twice, or dumps are of models of different sizes.
    """
    passes = sorted((one for file in files for one in _passes(file)), key=lambda one: one.key)
    for one, other in itertools.pairwise(passes):
        if one.key == other.key:
            raise InstanceError(
                f"{other.file.name}: {other.where}",
                f"<forward pass {one.key[0]} of rank {one.key[1]}>",
                "must stand once",
                "was a file given twice?",
            )
        if one.logical.shape != other.logical.shape:
            raise InstanceError(
                f"{other.file.name}: {_MAP}",
                f"<shape {other.logical.shape}>",
                f"must have the shape {one.logical.shape} of {one.file.name}",
                "give the files of one run",
            )
    return passes


def _passes(file: TorchFile) -> Iterator[ForwardPass]:
    records = file.content.get(RECORDS)
    if not isinstance(records, list) or not records:
        raise InstanceError(
            f"{file.name}: {RECORDS}",
            shown(records),
            "must be a list of forward passes",
            "dump after recording in the mode per_pass or per_token",
        )
    logical = file.integers(file.content.get(_MAP), _MAP, 2).astype(np.int64)
    if not logical.size or logical.min() < 0 or logical.max() >= MOST_EXPERTS:
        raise InstanceError(
            f"{file.name}: {_MAP}",
            f"<shape {logical.shape}>",
            f"must name experts from 0 to below {MOST_EXPERTS}",
            "dump again",
        )
    for number, record in enumerate(records):
        where = f"{RECORDS}[{number}]"
        if not isinstance(record, dict):
            rule = "must be a record"
            raise InstanceError(f"{file.name}: {where}", shown(record), rule, "dump again")
        yield ForwardPass(file, record, where, _key(file, record, where), logical)


def _key(file: TorchFile, record: dict[str, Any], where: str) -> tuple[int, int, str]:
    number, rank = record.get("forward_pass_id"), record.get("rank")
    gatherer = record.get("gatherer_key", "")
    if type(number) is int and type(rank) is int and isinstance(gatherer, str):
        return number, rank, gatherer
    raise InstanceError(
        f"{file.name}: {where}",
        f"<{', '.join(type(one).__name__ for one in (number, rank, gatherer))}>",
        "must have whole numbers forward_pass_id and rank, and a text gatherer_key",
        "dump again",
    )
