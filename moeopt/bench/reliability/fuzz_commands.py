"""The commands of ``moeopt`` that read files, as functions of one file's bytes."""

from __future__ import annotations

import contextlib
import functools
import io
from collections.abc import Iterable
from pathlib import Path

from moeopt.bench.reliability import fuzz_seeds as seeds
from moeopt.bench.reliability.fuzz_targets import Target
from moeopt.cli.codes import BAD_INPUT, DONE, NO_PLAN
from moeopt.cli.main import main

_OUTCOMES = (DONE, BAD_INPUT, NO_PLAN)


class CommandFailed(Exception):
    """A command ended as none should, whatever it was given."""


def commands() -> list[Target]:
    """Return every command that reads a file, for each kind of file that it reads."""
    return [*_of_documents(), *_of_recordings()]


def _of_documents() -> Iterable[Target]:
    for wing in seeds.all_wings():
        problems, plans = (functools.partial(of, wing) for of in (seeds.problems, seeds.plans))
        planned = seeds.PLANNED[wing]
        yield _command(f"show {wing}", "json", "problem.json", problems, "show")
        yield _command(f"show {wing} plan", "json", "plan.json", plans, "show")
        yield _command(f"check {wing}", "json", "plan.json", plans, "check", planned)
        yield _command(
            f"report {wing}",
            "json",
            "plan.json",
            plans,
            *("report", "--quiet", "-o", "/dev/null", "--instance", planned),
        )
        options = ("--format", "lp", "-o", "model.lp")
        yield _command(f"export {wing}", "json", "problem.json", problems, "export", *options)


def _of_recordings() -> Iterable[Target]:
    counts = ("import", "--devices", "2", "-o", "counts.json")
    yield _command("import .csv", "text", "counts.csv", seeds.csv_counts, *counts)
    yield _command("import .npz", "zip", "trace.npz", seeds.traces, *counts)
    yield _command("import .jsonl", "lines", "rank0.jsonl", seeds.megatron, *counts)
    yield _command("import .pt", "zip", "dump.pt", seeds.sglang, *counts)
    planned = seeds.PLANNED["placement"]
    into = ("import", "--instance", planned, "-o", "plan.out")
    for name in ("vllm", "sglang", "vllm-ascend"):
        engine = functools.partial(seeds.engine, name)
        yield _command(f"import {name}", "json", "map.json", engine, *into, "--format", name)
    measured = ("calibrate", "--instance", seeds.PLANNED["serverless"])
    yield _command("calibrate", "lines", "run.jsonl", seeds.recordings, *measured)


def _command(name: str, kind: str, file: str, given: seeds.Seeds, *words: str) -> Target:
    return Target("commands", f"moeopt {name}", kind, file, given, functools.partial(run, words))


def run(words: tuple[str, ...], path: str) -> str:
    """Run a command on a file and return what it said on standard error.

    Parameters
    ----------
    words
        The command; the file is its last word, and outputs lie in the file's folder.
    path
        The file.

    Raises
    ------
    CommandFailed
        If it ends with another code than 0, 2 or 3, or shows its insides.
    """
    out, err = io.StringIO(), io.StringIO()
    beside = Path(path).parent
    argv = [str(beside / word) if word in _OUTPUTS else word for word in words]
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main([*argv, path])
    said = err.getvalue()
    if code not in _OUTCOMES or "Traceback" in said or "internal error" in said:
        raise CommandFailed(f"moeopt {' '.join(words)} ended with {code}: {said[:400]}")
    return said


_OUTPUTS = ("counts.json", "plan.out", "model.lp")
