"""Hypothesis as a fuzzer: it draws edits of valid files, and shrinks those that go wrong."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from random import Random

from moeopt.bench.reliability.fuzz_judge import judged_bytes
from moeopt.bench.reliability.fuzz_mutations import mutated
from moeopt.bench.reliability.fuzz_targets import Target
from moeopt.bench.reliability.trial import Trial


def drawn(family: str, readers: Sequence[Target], times: int) -> Trial:
    """Let each reader read an equal part of so many files.

    Parameters
    ----------
    family
        What the readers are called together.
    readers
        Those without seeds are left out.
    times
        Files in all.
    """
    readers = [target for target in readers if target.seeds()]
    seen, failures = 0, []
    with tempfile.TemporaryDirectory(prefix="moeopt-fuzz-") as folder:
        for number, target in enumerate(readers):
            share = times // len(readers) + (number < times % len(readers))
            count, failure = _drawn_of(target, Path(folder), share)
            seen += count
            failures += [failure] * bool(failure)
    return Trial(f"{family}, drawn by hypothesis", seen, tuple(failures), f"{len(readers)} readers")


def _drawn_of(target: Target, folder: Path, times: int) -> tuple[int, str]:
    """Return how many files were read, and what went wrong with the smallest that it did with."""
    from hypothesis import HealthCheck, Phase, given, settings
    from hypothesis import strategies as st

    count, failure = 0, ""

    @settings(
        max_examples=times,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
        phases=(Phase.generate, Phase.shrink),
    )
    @given(st.sampled_from(target.seeds()), st.randoms(use_true_random=False))
    def try_one(seed: bytes, random: Random) -> None:
        nonlocal count, failure
        count += 1
        said = judged_bytes(target, folder, mutated(seed, target.kind, random))
        if said:
            failure = said
            raise AssertionError

    # Not only what the test itself raises: hypothesis wraps what does not fail every time.
    try:
        try_one()
    except Exception as error:
        failure = failure or f"{target.name}: {type(error).__name__}: {error}"
    return count, failure
