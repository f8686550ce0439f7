"""Quantities at the ends of what numbers can say: every wing and method, nothing but sentences.

Loads, bytes, seconds and rates of 0, of the smallest and the largest doubles and where integers of
32 and 64 bits end stand in small problems, drawn ones and the emptiest there are. A method must
return a valid plan with a finite objective and a bound at most as large as any method's objective,
without a warning of NumPy, or the problem must be refused in one sentence.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from moeopt.bench.registry import Report, Setting
from moeopt.bench.reliability import numbers_arrays
from moeopt.bench.reliability.numbers_cases import drawn, extreme, stated
from moeopt.bench.reliability.numbers_check import solved, unscaled, wrong
from moeopt.bench.reliability.numbers_shapes import shapes
from moeopt.bench.reliability.trial import Trial, report_of
from moeopt.core.errors import InstanceError
from moeopt.core.registry import wing_named, wing_names
from moeopt.io.encode import problem_to_json

_EXPONENTS = (900, -900, 300, -300)

#: Characters of a problem that are told.
_TOLD = 2000


@dataclass(frozen=True)
class Amount:
    """How much is tried in each wing.

    Attributes
    ----------
    problems
        Problems whose quantities are replaced.
    scaled
        Problems that are scaled.
    methods
        Most methods for each problem, drawn at random.
    """

    problems: int
    scaled: int
    methods: int


_QUICK = Amount(problems=1, scaled=1, methods=3)
_FULL = Amount(problems=40, scaled=12, methods=99)


def run(setting: Setting) -> Report:
    """Try extreme quantities in every wing."""
    amount = _QUICK if setting.quick else _FULL
    trials = [arrays()]
    for wing in wing_names():
        setting.say(f"numbers: {wing}")
        problems = bases(wing, amount.problems)
        trials += [extremes(wing, problems, amount), scales(wing, problems, amount)]
    return report_of("numbers", trials)


def bases(wing: str, count: int) -> list[Any]:
    """Return small ordinary problems of a wing, the emptiest among them."""
    return [*map(stated, shapes(wing)), *drawn(wing, max(10, count), seed=0)]


def arrays() -> Trial:
    """Try arrays of every type, filled with their largest numbers."""
    cases = list(numbers_arrays.cases())
    failures = [f"{what} {said}" for what, tell in cases if (said := tell()) is not None]
    return Trial("plain arrays of 8 to 64 bits, filled to the last", len(cases), tuple(failures))


def extremes(wing: str, problems: Sequence[Any], amount: Amount) -> Trial:
    """Try problems with quantities replaced by extreme ones; one of them is told by its JSON."""
    rng = np.random.default_rng(0)
    failures: list[str] = []
    solves = refused = 0
    for i in range(amount.problems):
        problem, turned_down = _accepted(problems, rng)
        refused += turned_down
        found = solved(problem, _methods(wing, amount, rng))
        solves += len(found)
        shown = problem_to_json(problem).decode()
        failures += [
            f"problem {i}: {said}; {' '.join(shown.split())[:_TOLD]}"
            for said in wrong(problem, found)
        ]
    seen = f"{amount.problems} problems; {refused} more refused in a sentence"
    return Trial(f"{wing}: extreme quantities", solves, tuple(failures), seen)


def scales(wing: str, problems: Sequence[Any], amount: Amount) -> Trial:
    """Try problems times powers of two: nothing may change but the objective's unit."""
    rng = np.random.default_rng(1)
    of_wing = wing_named(wing).methods
    failures, times, refused = [], 0, 0
    for _ in range(amount.scaled):
        problem = problems[int(rng.integers(len(problems)))]
        exponent = int(rng.choice(_EXPONENTS))
        for name in _methods(wing, amount, rng):
            can = of_wing[name].capabilities
            # A search that is stopped by its clock may be elsewhere the second time.
            if of_wing[name].refuses(problem) or (can.anytime and not can.exact):
                continue
            try:
                said = unscaled(problem, name, exponent)
            except InstanceError:
                refused += 1
                continue
            times += 1
            if said is not None:
                failures.append(f"{said}; {problem_to_json(problem).decode()[:_TOLD]}")
    seen = f"{refused} more refused in a sentence"
    return Trial(f"{wing}: times 2**300 to 2**900, and divided", times, tuple(failures), seen)


def _accepted(problems: Sequence[Any], rng: np.random.Generator) -> tuple[Any, int]:
    """Return a problem with extreme quantities that is not refused, and how many were."""
    refused = 0
    while True:
        try:
            return extreme(problems[int(rng.integers(len(problems)))], rng), refused
        except InstanceError:
            refused += 1


def _methods(wing: str, amount: Amount, rng: np.random.Generator) -> list[str]:
    names = list(wing_named(wing).methods)
    if len(names) <= amount.methods:
        return names
    return [names[i] for i in rng.choice(len(names), amount.methods, replace=False)]
