"""Small instances of a wing: drawn by its hypothesis strategies, or made by its generators."""

from __future__ import annotations

import importlib
import inspect
import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from moeopt.core.errors import InstanceError
from moeopt.core.wing import Problem
from moeopt.library import entries
from moeopt.testing.conformance import kit_for, problem_json

_SEED = 2026

#: Instances of generators whose JSON is longer are not small.
_MOST_CHARACTERS = 1200

#: Batches of draws, and calls of a generator for each instance, after which fewer must do.
_MOST_TRIES = 50

_Call = dict[str, str | int | float]


@dataclass(frozen=True)
class Instance:
    """A problem and where it comes from.

    Attributes
    ----------
    problem
        The problem.
    kind
        ``"feasible"`` and ``"infeasible"`` are drawn so; ``"generated"`` is by a generator.
    """

    problem: Problem
    kind: str

    @property
    def impossible(self) -> bool:
        """Whether it surely has no plan."""
        return self.kind == "infeasible"


@dataclass(frozen=True)
class Drawn:
    """Instances, and what the reader must know of them."""

    instances: tuple[Instance, ...]
    note: str = ""


def instances(wing: str, counts: Mapping[str, int]) -> Drawn:
    """Return as many distinct instances of each kind as asked for, the same ones each time.

    Parameters
    ----------
    wing
        Name of the wing.
    counts
        How many, by kind of `Instance`.
    """
    found: dict[str, Instance] = {}
    note = ""
    try:
        for kind in ("feasible", "infeasible"):
            _draw(found, kit_for(wing).problems(kind == "feasible"), kind, counts[kind])
    except ImportError:
        note = "nothing was drawn: that needs hypothesis, pip install 'moeopt[test]'"
    _generate(found, wing, counts["generated"])
    return Drawn(tuple(found.values()), note)


def _draw(found: dict[str, Instance], strategy: Any, kind: str, count: int) -> None:
    """Add `count` problems of a strategy, or as many different ones as it gives."""
    import hypothesis

    wanted = len(found) + count

    def body(problem: Problem) -> None:
        if len(found) < wanted:
            found.setdefault(problem_json(problem), Instance(problem, kind))

    given: Any = hypothesis.given  # Typed for test functions with annotations only.
    for batch in range(_MOST_TRIES):
        settings = hypothesis.settings(
            max_examples=max(10, wanted - len(found)),
            deadline=None,
            database=None,
            suppress_health_check=list(hypothesis.HealthCheck),
            verbosity=hypothesis.Verbosity.quiet,
            phases=[hypothesis.Phase.generate],
        )
        hypothesis.seed(_SEED + batch)(settings(given(strategy)(body)))()
        if len(found) == wanted:
            return


def _generate(found: dict[str, Instance], wing: str, count: int) -> None:
    """Add `count` problems of the wing's generators, called with small numbers at random."""
    module = importlib.import_module(f"moeopt.{wing}.generate")
    rng = np.random.default_rng(_SEED)
    names = itertools.cycle(module.GENERATORS)
    wanted = len(found) + count
    for name in itertools.islice(names, _MOST_TRIES * count):
        if len(found) == wanted:
            return
        try:
            problem = module.remake(_call(wing, name, module.GENERATORS[name], rng))
        except InstanceError:
            continue  # Sizes that do not go together.
        json = problem_json(problem)
        if len(json) <= _MOST_CHARACTERS:
            found.setdefault(json, Instance(problem, "generated"))


def _call(
    wing: str, name: str, generator: Callable[..., Problem], rng: np.random.Generator
) -> _Call:
    """Return a generator's call: words of a library instance's, small counts, other quantities."""
    known = [
        e.generator for e in entries(f"{wing}/*") if e.generator and e.generator["name"] == name
    ]
    call: _Call = dict(known[rng.integers(len(known))]) if known else {"name": name}
    for parameter in inspect.signature(generator).parameters.values():
        usual = call.get(parameter.name, parameter.default)
        if parameter.name == "seed":
            call["seed"] = int(rng.integers(1_000_000))
        elif str(parameter.annotation) == "int":
            call[parameter.name] = int(rng.integers(0 if usual == 0 else 1, 9))
        elif isinstance(usual, float):
            call[parameter.name] = usual * float(rng.choice([0.5, 1.0, 2.0]))
    return call
