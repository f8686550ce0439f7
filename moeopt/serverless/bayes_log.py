"""The log of a run of Bayesian optimisation: one line of JSON for each evaluation.

A line reaches the disk whole before the next evaluation begins. What a killed run left unfinished
of a line is dropped, and the run goes on behind the last whole one.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from moeopt.core.errors import InstanceError
from moeopt.core.files import append_line, plain_size, write_atomically
from moeopt.serverless.bayes_pairs import pairs_of
from moeopt.serverless.bayes_trials import Measured, Trial

_KIND = "serverless-bayes"

#: What numbers of more than 64 bits, and lists nested too deeply, make NumPy and Python raise.
_BEYOND = (OverflowError, RecursionError)

#: What of a header says which costs are in the log.
_OBJECTIVE = ("objective", "label")


class TrialLog:
    """A log that a run continues, or begins.

    Parameters
    ----------
    path
        The file.
    setting
        What the run depends on, as plain JSON types. A log of another setting is refused.
    check
        Raises `InstanceError` for a trial that the run could not have made.

    Raises
    ------
    InstanceError
        If the file holds something else, or a run of another setting, or cannot be a file.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        setting: Mapping[str, Any],
        check: Callable[[Trial], None],
    ) -> None:
        if not isinstance(path, str | os.PathLike):
            raise InstanceError("log", path, "must be a path", "name a file")
        self._path, self._check = Path(path), check
        header = {"log": _KIND, "version": 1, **setting}
        self.trials: list[Trial] = []
        try:
            if self._path.exists() and plain_size(self._path):
                self._read(json.loads(json.dumps(header)))
            else:
                write_atomically(self._path, _line(header))
        except OSError as error:
            raise self._unwritable(error) from None

    def append(self, trial: Trial) -> None:
        """Add an evaluation; it is on the disk when this returns.

        Raises
        ------
        InstanceError
            If the file cannot be written, or is full.
        """
        try:
            append_line(self._path, _line(_plain(trial)), durable=True)
        except OSError as error:
            raise self._unwritable(error) from None
        self.trials.append(trial)

    def _read(self, header: dict[str, Any]) -> None:
        data = self._path.read_bytes()
        whole = data[: data.rfind(b"\n") + 1]
        lines = whole.split(b"\n")[:-1]
        if not lines:
            raise self._error(1, "must be a log of this library's Bayesian optimisation")
        self._check_header(lines[0], header)
        for number, line in enumerate(lines[1:], start=2):
            try:
                trial = _trial(json.loads(line))
                self._check(trial)
                self.trials.append(trial)
            except InstanceError as error:
                raise error.under(f"{self._path}, line {number}: $") from None
            except (ValueError, KeyError, TypeError, IndexError, *_BEYOND):
                raise self._error(
                    number, "must be an evaluation as this library wrote it"
                ) from None
        if len(whole) < len(data):
            append_line(self._path, b"")

    def _check_header(self, line: bytes, header: dict[str, Any]) -> None:
        try:
            found = json.loads(line)
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict) or found.get("log") != _KIND:
            raise self._error(1, "must be a log of this library's Bayesian optimisation")
        for name in {**header, **found}:
            if found.get(name) != header.get(name):
                other = "objective" if name in _OBJECTIVE else "run"
                raise InstanceError(
                    f"{self._path}, line 1: $.{name}",
                    found.get(name),
                    f"must be {header.get(name)!r}: the log is of another {other}",
                    "give its settings again, or another file",
                )

    def _unwritable(self, error: OSError) -> InstanceError:
        return InstanceError(
            "log",
            str(self._path),
            f"must be a file that can be written ({error.strerror})",
            "make its folder first, or name another file",
        )

    def _error(self, number: int, rule: str) -> InstanceError:
        return InstanceError(
            f"{self._path}, line {number}", "<something else>", rule, "give another file"
        )


def _line(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode() + b"\n"


def _plain(trial: Trial) -> dict[str, Any]:
    """Return a trial as plain JSON types; floats keep every bit."""
    measured = {
        name: value.tolist() if isinstance(value, np.ndarray) else value
        for name, value in msgspec.structs.asdict(trial.measured).items()
    }
    return {"pairs": trial.pairs.rows().tolist(), **measured}


def _trial(line: Any) -> Trial:
    if not isinstance(line, dict):
        raise TypeError(line)
    pairs = pairs_of(np.array(line.pop("pairs"), dtype=np.int64).reshape(-1, 5))
    names = Measured.__struct_fields__
    if line.keys() != set(names):
        raise KeyError(*names)
    line["token_ids"] = np.array(line["token_ids"], dtype=np.int64)
    for name in ("layer_usd", "tokens"):
        if line[name] is not None:
            line[name] = np.array(line[name], dtype=np.float64)
    return Trial(pairs, Measured(**line))
