"""Recordings: what was met, a line of JSON for each layer of each batch, read back to calibrate."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

import msgspec

from moeopt.adapters.aws_lambda.calls import LayerRecord
from moeopt.core.errors import InstanceError
from moeopt.core.files import append_line, plain_size
from moeopt.core.wing import Document
from moeopt.traces.archive import require_small


class _Line(Document, frozen=True, kw_only=True):
    """A line of a recording: it says what it is, for there is no header."""

    recording: Literal["aws-lambda"] = "aws-lambda"
    version: Literal[1] = 1
    layer: LayerRecord


class Recorder:
    """A file to which records are appended; several processes may share it.

    A line is there whole or not at all: what a killed process left of one is cut off before the
    next is written, and what a full disk took of one is taken back.

    Parameters
    ----------
    path
        The file; made if it is not there.

    Raises
    ------
    InstanceError
        If it cannot be written.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = Path(path)
        try:
            append_line(self._path, b"")
        except OSError as error:
            raise _unwritable(self._path, error) from None

    def __call__(self, record: LayerRecord) -> None:
        """Append a record."""
        line = msgspec.json.encode(_Line(layer=record)) + b"\n"
        try:
            append_line(self._path, line)
        except OSError as error:
            raise _unwritable(self._path, error) from None


def read_recording(path: str | os.PathLike[str]) -> tuple[LayerRecord, ...]:
    """Return the records of a file, in order; an unfinished last line is left out.

    Raises
    ------
    InstanceError
        If it cannot be read, or a line is no record: path and line are named.
    """
    name = os.fspath(path)
    try:
        size = plain_size(name)
        require_small(name, size, size)
        data = Path(name).read_bytes()
    except InstanceError:
        raise
    except (OSError, ValueError) as error:
        reason = (getattr(error, "strerror", None) or str(error)).lower()
        raise InstanceError(
            str(path), f"<{reason}>", "must be a readable file", "name a recording"
        ) from None
    lines = data[: data.rfind(b"\n") + 1].split(b"\n")[:-1]
    if not lines:
        raise InstanceError(
            str(path), "<no line>", "must hold a record", "record a run: --record FILE"
        )
    decoder = msgspec.json.Decoder(_Line)
    return tuple(_decoded(decoder, line, f"{path}, line {n}") for n, line in enumerate(lines, 1))


def read_recordings(paths: Iterable[str | os.PathLike[str]]) -> tuple[LayerRecord, ...]:
    """Return the records of several files, one file after the other."""
    return tuple(record for path in paths for record in read_recording(path))


def _decoded(decoder: msgspec.json.Decoder[_Line], line: bytes, where: str) -> LayerRecord:
    try:
        return decoder.decode(line).layer
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        said = " ".join(str(error).split())
        rule = "must be a record as this library writes it"
        raise InstanceError(where, f"<{said}>", rule, "give another file") from None


def _unwritable(path: Path, error: OSError) -> InstanceError:
    reason = (error.strerror or type(error).__name__).lower()
    return InstanceError(
        str(path), f"<{reason}>", "must be a file that can be written", "choose another place"
    )
