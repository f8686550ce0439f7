"""The paper's search for slots: a genetic algorithm over configurations (arXiv:2308.15030, 3.4.2).

It starts from random configurations. In each round one parameter of each is mutated, new ones are
made by exchanging or averaging two, and those that break a constraint or are worse are dropped. The
paper states neither sizes nor rates, and no end. Those here are ours, and favour it: every step
works on the whole population at once, equal configurations count once, and when a search has come
to rest another starts with twice the population, so that more time always is more search.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from moeopt.committee.configurations import Space
from moeopt.core.arguments import whole
from moeopt.core.arrays import FloatArray, IntArray
from moeopt.core.errors import InstanceError
from moeopt.core.stop import Context

#: Configurations of the first search, and the most of any.
_POPULATION, _MOST = 256, 2**14

#: Rounds without anything better after which a search has come to rest.
_PATIENCE = 20

#: A mutation redraws a layer's slots half of the time, else it changes them by some steps, on
#: average this share of their range.
_STEP_SHARE = 1 / 16

#: Searches after which there is no further one, if nothing else ends them.
RUNS = 4

#: Of configurations, ``(configurations, layers)``, what each costs, ``(configurations,)``.
Objective = Callable[[IntArray], FloatArray]


@dataclass(frozen=True)
class Point:
    """Something better than all before.

    Attributes
    ----------
    elapsed_s
        Seconds since the solve began.
    evaluations
        Configurations that the objective had been asked for by then.
    cost
        Of the best.
    """

    elapsed_s: float
    evaluations: int
    cost: float


@dataclass(frozen=True)
class Search:
    """What a search found.

    Attributes
    ----------
    slots
        Of each layer, ``(layers,)``; ``None`` if no configuration was found that keeps the
        constraints and costs anything finite.
    cost
        By the objective that was given; ``inf`` without slots.
    history
        Each better cost and when it was found.
    evaluations
        Configurations that the objective was asked for, each of which keeps the constraints.
    rounds
        Of mutation, exchange and averaging.
    runs
        Searches, each with twice the population of the one before.
    complete
        Whether it came to its own end; ``False`` if time was up.
    """

    slots: IntArray | None
    cost: float
    history: tuple[Point, ...]
    evaluations: int
    rounds: int
    runs: int
    complete: bool


def search(
    objective: Objective,
    space: Space,
    context: Context,
    *,
    population: int = _POPULATION,
    runs: int | None = RUNS,
) -> Search:
    """Return the best configuration that the paper's search finds.

    Parameters
    ----------
    objective
        What configurations cost, many at a time: `costs_by`, a surrogate's, or any other.
    space
        Configurations to choose from; none is ever looked at that breaks a constraint.
    context
        Seed, time and listener of the solve.
    population
        Configurations of the first run.
    runs
        After which the search ends; ``None``: when time is up, or all configurations were in
        reach.
    """
    if whole("population", population) < 4:
        raise InstanceError("population", population, "must be 4 or more", "give more")
    if runs is None and context.time_limit_s is None:
        raise InstanceError("runs", runs, "must be stated without a time limit", "give one")
    if runs is not None and whole("runs", runs) < 1:
        raise InstanceError("runs", runs, "must be 1 or more", "give more")
    state = _State(objective, space, context)
    while runs is None or state.runs < runs:
        state.run(population)
        if state.best is None or not state.in_time or population > space.size():
            break
        population = min(2 * population, _MOST)
    return Search(
        slots=state.best,
        cost=state.cost,
        history=tuple(state.history),
        evaluations=state.evaluations,
        rounds=state.rounds,
        runs=state.runs,
        complete=state.in_time,
    )


def costs_by(curves: Sequence[FloatArray]) -> Objective:
    """Return the objective of losses that add up over layers.

    Parameters
    ----------
    curves
        What 0, 1, ... slots cost each layer, ``(points,)`` each.
    """
    table = np.stack(list(curves))
    layers = np.arange(len(table))

    def costs(configurations: IntArray) -> FloatArray:
        return np.asarray(table[layers, configurations].sum(axis=1))

    return costs


class _State:
    """A search under way."""

    def __init__(self, objective: Objective, space: Space, context: Context) -> None:
        self.objective, self.space, self.context = objective, space, context
        self.rng = np.random.default_rng([space.fewest.size, context.seed])
        #: Equal configurations have equal products with these, others as good as never.
        self.keys = self.rng.integers(1, 2**62, space.fewest.size)
        self.best: IntArray | None = None
        self.cost = np.inf
        self.history: list[Point] = []
        self.evaluations, self.rounds, self.runs = 0, 0, 0
        self.in_time = True

    def run(self, population: int) -> None:
        """Search until nothing better has come for some rounds, or time is up."""
        self.runs += 1
        # The fewest slots are among them: random ones may all break a constraint.
        first = np.concatenate((self.space.draw(self.rng, population), self.space.fewest[None]))
        first = first[self.space.keeps(first)]
        alive, costs = self._survivors(first, self._asked(first), population)
        least, idle = np.inf, 0
        while len(alive) and idle < _PATIENCE:
            # A run may be behind the one before it and still be on its way.
            idle = 0 if costs[0] < least else idle + 1
            least = costs[0]
            self._note(alive[0], float(least))
            if self.context.out_of_time():
                self.in_time = False
                return
            born = self._offspring(alive)
            born = born[self.space.keeps(born)]
            self.rounds += 1
            alive, costs = self._survivors(
                np.concatenate((alive, born)),
                np.concatenate((costs, self._asked(born))),
                population,
            )

    def _offspring(self, alive: IntArray) -> IntArray:
        """Return each configuration mutated, and as many exchanged and averaged pairs each."""
        mates = self.rng.integers(0, len(alive), (4, len(alive)))
        one, other, third, fourth = alive[mates]
        exchanged = np.where(self.rng.random(alive.shape) < 0.5, one, other)
        # Rounded down, so that a mean keeps every row that grows evenly, as its parents do.
        averaged = (third + fourth) // 2
        return np.concatenate((self._mutated(alive), exchanged, averaged))

    def _mutated(self, alive: IntArray) -> IntArray:
        """Return every configuration with the slots of one layer changed."""
        low, high = self.space.fewest, self.space.most
        every = np.arange(len(alive))
        layer = self.rng.integers(0, low.size, len(alive))
        steps = np.ceil(self.rng.exponential((high - low)[layer] * _STEP_SHARE + 1e-9))
        near = alive[every, layer] + self.rng.choice((-1, 1), len(alive)) * steps.astype(np.int64)
        far = self.rng.integers(low[layer], high[layer] + 1)
        changed = alive.copy()
        drawn = np.where(self.rng.random(len(alive)) < 0.5, near, far)
        changed[every, layer] = np.clip(drawn, low[layer], high[layer])
        return changed

    def _survivors(
        self, pool: IntArray, costs: FloatArray, population: int
    ) -> tuple[IntArray, FloatArray]:
        """Return the best configurations, each once, best first."""
        _, once = np.unique(pool @ self.keys, return_index=True)
        kept = once[np.argsort(costs[once], kind="stable")[:population]]
        return pool[kept], costs[kept]

    def _asked(self, configurations: IntArray) -> FloatArray:
        """Return what configurations cost; one of no cost that compares is worse than any."""
        if not len(configurations):
            return np.zeros(0)
        self.evaluations += len(configurations)
        found = np.asarray(self.objective(configurations), dtype=np.float64)
        if found.shape != (len(configurations),):
            raise InstanceError(
                "objective",
                f"<shape {found.shape}>",
                f"must return one cost for each of {len(configurations)} configurations",
                "return an array of shape (configurations,)",
            )
        return np.where(np.isnan(found), np.inf, found)

    def _note(self, slots: IntArray, cost: float) -> None:
        if cost < self.cost:
            self.best, self.cost = slots.copy(), cost
            elapsed_s = self.context.elapsed_s()
            self.history.append(Point(elapsed_s, self.evaluations, cost))
            self.context.report(cost, None, "genetic")
