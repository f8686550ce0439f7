"""Tasks that take turns: what their batches ask of the experts, and how long each lasts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from moeopt.core.arguments import number
from moeopt.core.arrays import FloatArray, own_array, require_finite_nonnegative, require_shape
from moeopt.core.errors import InstanceError
from moeopt.placement.robust.windows import windows_of

#: Slack of probabilities that must sum to 1.
_SLACK = 1e-9


@dataclass(frozen=True, eq=False)
class Traffic:
    """Tasks that take turns (a semi-Markov chain).

    Attributes
    ----------
    batches
        Of each task, the loads of single batches, ``(batches, layers, experts)`` tokens: what the
        task asks for is their mean, and what a plan costs is the mean over them.
    dwell_s
        Seconds that a task lasts before the next one, on average, ``(tasks,)``.
    batches_per_s
        Batches in a second, of every task.
    next_task
        Probability that task j follows task i, ``(tasks, tasks)``, 0 on the diagonal; left out,
        every other task is equally likely.
    notice_s
        Seconds from a switch until the new task's plan is asked for; meanwhile the old one serves.
        No task is shorter.
    """

    batches: tuple[FloatArray, ...]
    dwell_s: FloatArray
    batches_per_s: float
    next_task: FloatArray | None = None
    notice_s: float = 0.0

    def __post_init__(self) -> None:
        batches = tuple(windows_of(b, f"batches[{i}]") for i, b in enumerate(self.batches))
        object.__setattr__(self, "batches", batches)
        object.__setattr__(self, "dwell_s", own_array(self.dwell_s, "dwell_s", np.float64))
        if self.next_task is not None:
            chain = own_array(self.next_task, "next_task", np.float64)
            object.__setattr__(self, "next_task", chain)
        _check(self)

    @property
    def num_tasks(self) -> int:
        """Number of tasks."""
        return len(self.batches)

    def means(self) -> FloatArray:
        """Return the mean batch of each task, ``(tasks, layers, experts)``."""
        return np.stack([batches.mean(axis=0) for batches in self.batches])

    def follows(self) -> FloatArray:
        """Return the probability that task j follows task i, ``(tasks, tasks)``."""
        if self.next_task is not None:
            return self.next_task
        others: FloatArray = (1.0 - np.eye(self.num_tasks)) / (self.num_tasks - 1)
        return others

    def visits(self) -> FloatArray:
        """Return the share of each task among all turns, ``(tasks,)``: the chain's stationary one.

        Of task i's turns ``visits()[i]``, the share ``follows()[i, j]`` ends in a switch to j.
        """
        tasks = self.num_tasks
        balance = np.vstack([self.follows().T - np.eye(tasks), np.ones(tasks)])
        found, _, rank, _ = np.linalg.lstsq(balance, np.append(np.zeros(tasks), 1.0), rcond=None)
        if rank < tasks:
            raise InstanceError(
                "next_task",
                self.follows().tolist(),
                "every task must come up again after every other",
                "leave tasks out that never meet",
            )
        visits: FloatArray = np.maximum(found, 0.0)
        return visits

    def mean_dwell_s(self) -> float:
        """Return the seconds from one switch to the next, on average."""
        return float(self.visits() @ self.dwell_s)

    def shares(self) -> FloatArray:
        """Return the share of each task in time, and so in batches, ``(tasks,)``."""
        time = self.visits() * self.dwell_s
        shares: FloatArray = time / time.sum()
        return shares


def _check(given: Traffic) -> None:
    tasks = given.num_tasks
    if tasks < 2:
        raise InstanceError("batches", f"<{tasks} tasks>", "must be of 2 tasks or more", "add one")
    shape = given.batches[0].shape[1:]
    for task, batches in enumerate(given.batches):
        require_shape(batches, f"batches[{task}]", (len(batches), *shape), "batches, as task 0")
    require_shape(given.dwell_s, "dwell_s", (tasks,), "tasks")
    require_finite_nonnegative(given.dwell_s, "dwell_s")
    rate = number("batches_per_s", given.batches_per_s)
    if not (np.isfinite(rate) and rate > 0):
        raise InstanceError("batches_per_s", rate, "must be a finite number > 0", "correct it")
    notice_s = number("notice_s", given.notice_s)
    if not 0 <= notice_s <= given.dwell_s.min() or given.dwell_s.min() == 0:
        raise InstanceError(
            "notice_s",
            notice_s,
            f"must be 0 to the shortest dwell, {given.dwell_s.min():g} s, which must not be 0",
            "a task that ends unnoticed is no task of its own",
        )
    if given.next_task is not None:
        _check_chain(given.next_task, tasks)
    given.visits()


def _check_chain(chain: FloatArray, tasks: int) -> None:
    require_shape(chain, "next_task", (tasks, tasks), "tasks, tasks")
    require_finite_nonnegative(chain, "next_task")
    if chain.diagonal().any() or (abs(chain.sum(axis=1) - 1.0) > _SLACK).any():
        raise InstanceError(
            "next_task",
            chain.tolist(),
            "rows must sum to 1, with 0 on the diagonal",
            "a task that follows itself only lasts longer",
        )
