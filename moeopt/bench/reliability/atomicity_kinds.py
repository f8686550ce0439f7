"""Every kind of file that moeopt writes: two contents of it, and its own loader."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import moeopt
from moeopt.adapters.aws_lambda.calls import LayerRecord
from moeopt.adapters.aws_lambda.deployer.package import write_image_context
from moeopt.adapters.aws_lambda.record import Recorder, read_recording
from moeopt.adapters.engines.files import Known
from moeopt.adapters.engines.formats import FORMATS, Format
from moeopt.adapters.engines.placements import EnginePlacement, ModelLayers
from moeopt.core.files import write_atomically
from moeopt.core.registry import wing_of
from moeopt.io import problem_sha256
from moeopt.mip.export import read_mps, write_mps
from moeopt.serverless.bayes_log import TrialLog
from moeopt.serverless.bayes_pairs import pairs_of
from moeopt.serverless.bayes_trials import Measured, Trial
from moeopt.traces.archive import read_every_array, write_arrays
from moeopt.traces.counts import ExpertCounts
from moeopt.traces.csv_counts import read_csv_counts, write_csv_counts

#: Shape of the engines' placements: DeepSeek-V3's layers on 32 ranks.
_LAYERS, _EXPERTS, _RANKS, _SLOTS = 58, 256, 32, 288

#: A log that has grown to this size begins anew.
_LONG_BYTES = 500_000

#: A page with its pictures has about this size.
_PAGE_BYTES = 5_000_000


@dataclass(frozen=True)
class Kind:
    """One kind of file.

    Attributes
    ----------
    name
        What it is.
    file
        What it is called.
    write
        ``write(path, which)``: writes the first or the second content, or appends it.
    read
        Returns which content stands there, 0 or 1, or how many lines; raises if it is neither.
    appends
        Whether a write adds a line.
    """

    name: str
    file: str
    write: Callable[[Path, int], None]
    read: Callable[[Path], int]
    appends: bool = False


def kinds() -> Iterator[Kind]:
    """Yield all of them."""
    yield from _documents()
    yield from _traces()
    yield from (_engine(name, form) for name, form in FORMATS.items())
    problems = [moeopt.load_problem(f"@placement/{name}") for name in _MODELS]
    models = [wing_of(problem).build(problem)[0] for problem in problems]
    yield Kind(
        "model", "model.mps", lambda path, which: write_mps(models[which], path),
        lambda path: [m.name for m in models].index(read_mps(path).name),
    )  # fmt: skip
    yield Kind("page or picture", "plan.html", _write_page, _read_page)
    yield Kind("log of a search", "bayes.jsonl", _write_trial, _read_trials, appends=True)
    yield Kind("recording of calls", "calls.jsonl", _write_call, _read_calls, appends=True)
    yield Kind("context of an image", "Dockerfile", _write_context, _read_context)


_MODELS = ("tiny-replicas", "tiny-memory")


def _which(found: Any, contents: list[Any]) -> int:
    for index, content in enumerate(contents):
        if found == content:
            return index
    raise AssertionError("what is read is neither of the two")


def _documents() -> Iterator[Kind]:
    """Yield problems, and a plan of one of them."""
    problems = [moeopt.load_problem(f"@placement/{n}") for n in ("kimi-416-32", "kimi-448-32")]
    told = [problem_sha256(problem) for problem in problems]
    yield Kind(
        "problem", "problem.json",
        lambda path, which: moeopt.save_problem(path, problems[which]),
        lambda path: told.index(problem_sha256(moeopt.load_problem(path))),
    )  # fmt: skip
    results = [moeopt.solve(problems[0], method) for method in ("lpt", "contiguous")]
    tables = [r.plan.physical_to_logical.tolist() for r in results if r.plan is not None]
    yield Kind(
        "plan", "plan.json",
        lambda path, which: moeopt.save_plan(path, problems[0], results[which]),
        lambda path: tables.index(moeopt.load_plan(path).physical_to_logical.tolist()),
    )  # fmt: skip


def _traces() -> Iterator[Kind]:
    """Yield recordings as archives, and counts."""
    draws = [np.random.default_rng(which).integers(0, 64, (2, 4, 1000, 8)) for which in (0, 1)]

    def read(path: Path) -> int:
        found = read_every_array(path)["experts"].astype(np.int64)
        return _which(found.tolist(), [draw.tolist() for draw in draws])

    yield Kind(
        "archive of a trace", "trace.npz",
        lambda path, which: write_arrays(path, {"experts": draws[which]}), read,
    )  # fmt: skip
    counts = [ExpertCounts(draw.sum(axis=3).astype(np.float64), np.arange(4)) for draw in draws]
    sums = [one.counts.tolist() for one in counts]
    yield Kind(
        "counts", "counts.csv",
        lambda path, which: write_csv_counts(path, counts[which]),
        lambda path: _which(read_csv_counts(path).counts.tolist(), sums),
    )  # fmt: skip


def _engine(name: str, form: Format) -> Kind:
    rows = np.arange(_SLOTS) % _EXPERTS
    layers = ModelLayers(tuple(range(_LAYERS)), _LAYERS)
    placements = [
        EnginePlacement(np.tile(np.roll(rows, shift), (_LAYERS, 1)), _RANKS, _EXPERTS, layers)
        for shift in (0, 1)
    ]
    known = Known(_RANKS, _EXPERTS, layers)
    encoded = [form.encode(placement) for placement in placements]

    def read(path: Path) -> int:
        form.read(path, known)
        # Some put the copies of a rank in an order of their own.
        return _which(path.read_bytes(), encoded)

    return Kind(
        f"placement for {name}", f"placement{form.suffixes[0]}",
        lambda path, which: form.write(placements[which], path),
        read,
    )  # fmt: skip


def _page(which: int) -> bytes:
    return b"<html>" + str(which).encode() * _PAGE_BYTES + b"</html>"


def _write_page(path: Path, which: int) -> None:
    # As reports, pictures and the JSON of a benchmark are written, once they are made.
    write_atomically(path, _page(which))


def _read_page(path: Path) -> int:
    return _which(path.read_bytes(), [_page(0), _page(1)])


def _log(path: Path) -> TrialLog:
    return TrialLog(path, {"seed": 0}, lambda trial: None)


def _write_trial(path: Path, which: int) -> None:
    ids = np.arange(5000) + which
    pairs = pairs_of(np.zeros((0, 5), dtype=np.int64))
    _log(path).append(Trial(pairs, Measured(cost_usd=1.0, token_ids=ids)))


def _read_trials(path: Path) -> int:
    return _renewed(path, lambda: len(_log(path).trials), _write_trial)


def _write_call(path: Path, which: int) -> None:
    tokens = tuple(range(which, which + 5000))
    Recorder(path)(LayerRecord(batch="b", layer=0, design=1, tokens=tokens, seconds=1.0, calls=()))


def _read_calls(path: Path) -> int:
    return _renewed(path, lambda: len(read_recording(path)), _write_call)


def _renewed(path: Path, read: Callable[[], int], write: Callable[[Path, int], None]) -> int:
    """Return what was read of a log; a long one begins anew, with one line."""
    found = read()
    if path.stat().st_size > _LONG_BYTES:
        path.unlink()
        write(path, 0)
    return found


def _write_context(path: Path, which: int) -> None:
    write_image_context(path.parent, ("python3.12", "python3.13")[which])


def _read_context(path: Path) -> int:
    """Look whether each of the worker's files is what it is here."""
    from moeopt.adapters.aws_lambda import worker

    here = Path(os.path.dirname(worker.__file__))
    for file in path.parent.rglob("*.py"):
        if file.read_bytes() != (here / file.name).read_bytes():
            raise AssertionError(f"{file.name} is not whole")
    text = path.read_text(encoding="utf-8")
    if not text.endswith('"]\n'):
        raise AssertionError("Dockerfile is not whole")
    return int("python:3.13" in text)
