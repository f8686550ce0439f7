"""The process whose answers are compared: it works all of them out and prints a digest of each."""

from __future__ import annotations

import json
import random
import sys
import threading
from collections.abc import Callable

import numpy as np

from moeopt.bench.reliability.determinism_way import DIGITS, Way, digest_of, taken_up
from moeopt.core.parallel import run_all

Work = Callable[[], bytes]


def main(way: Way, much: str) -> dict[str, str]:
    """Return a digest of every answer, come to in the way asked for.

    Parameters
    ----------
    way
        How.
    much
        How much there is to answer: see `moeopt.bench.reliability.determinism_work.tasks`.
    """
    from moeopt.bench.reliability.determinism_work import tasks

    every = tasks(way, much)
    if way.backwards:
        random.seed(7)
        np.random.seed(7)  # noqa: NPY002  # for whoever would use the global dice
        every = every[::-1]
    if way.where == "processes":
        return dict(run_all(digest, every, workers=2))
    found: dict[str, str] = {}
    if way.where == "thread":
        thread = threading.Thread(target=lambda: found.update(map(digest, every)))
        thread.start()
        thread.join()
        return found
    return dict(map(digest, every))


def digest(task: tuple[str, Work]) -> tuple[str, str]:
    """Return a task's name and a digest of its answer, or what it raised."""
    name, work = task
    try:
        return name, digest_of(work())
    except Exception as error:
        return name, f"{type(error).__name__}: {error}"


def is_digest(found: str) -> bool:
    """Tell whether an answer is a digest, and not what was raised in its place."""
    return len(found) == DIGITS and " " not in found


if __name__ == "__main__":
    print(json.dumps(main(taken_up(sys.argv[1]), sys.argv[2])))
