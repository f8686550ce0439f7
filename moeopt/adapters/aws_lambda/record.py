"""Recordings: what was met, a line of JSON for each layer of each batch, read back to calibrate."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

import msgspec

from moeopt.adapters.aws_lambda.calls import LayerRecord
from moeopt.core.errors import InstanceError
from moeopt.core.wing import Document


class _Line(Document, frozen=True, kw_only=True):
    """A line of a recording: it says what it is, for there is no header."""

    recording: Literal["aws-lambda"] = "aws-lambda"
    version: Literal[1] = 1
    layer: LayerRecord


class Recorder:
    """A file to which records are appended; several processes may share it.

    Each record is one write at the file's end, so that a line is there whole or not at all. What
    a killed process or a full disk left of one is cut off before the next is written.

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
            with self._path.open("a+b") as file:
                _cut_unfinished(file.fileno())
        except OSError as error:
            raise _unwritable(self._path, error) from None

    def __call__(self, record: LayerRecord) -> None:
        """Append a record."""
        line = msgspec.json.encode(_Line(layer=record)) + b"\n"
        try:
            file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
            try:
                written = os.write(file, line)
            finally:
                os.close(file)
        except OSError as error:
            raise _unwritable(self._path, error) from None
        if written < len(line):
            raise InstanceError(
                str(self._path), f"<{written} bytes>", "must take a whole line", "make room for it"
            )


def read_recording(path: str | os.PathLike[str]) -> tuple[LayerRecord, ...]:
    """Return the records of a file, in order; an unfinished last line is left out.

    Raises
    ------
    InstanceError
        If it cannot be read, or a line is no record: path and line are named.
    """
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        reason = (error.strerror or type(error).__name__).lower()
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
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        said = " ".join(str(error).split())
        rule = "must be a record as this library writes it"
        raise InstanceError(where, f"<{said}>", rule, "give another file") from None


def _cut_unfinished(file: int) -> None:
    """Cut off what stands behind the last whole line."""
    end = os.fstat(file).st_size
    size = 1 << 16
    begin = end
    while begin > 0:
        at = max(0, begin - size)
        found = os.pread(file, begin - at, at).rfind(b"\n")
        if found >= 0:
            begin = at + found + 1
            break
        begin = at
    if begin < end:
        os.ftruncate(file, begin)


def _unwritable(path: Path, error: OSError) -> InstanceError:
    reason = (error.strerror or type(error).__name__).lower()
    return InstanceError(
        str(path), f"<{reason}>", "must be a file that can be written", "choose another place"
    )
