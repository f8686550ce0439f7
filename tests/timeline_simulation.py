"""A round of models that take turns, event by event: devices and ports that are busy or free."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from moeopt.core.arrays import FloatArray

Task = tuple[str, int]


@dataclass
class Worker:
    """The devices' cores, or one direction of one port: a queue, done in order."""

    queue: deque[tuple[Task, float]]
    task: Task | None = None
    until: float = 0.0


def simulated(table: FloatArray) -> tuple[dict[Task, float], float]:
    """Return when each task ended and when the last did.

    Parameters
    ----------
    table
        Seconds, ``(models, 7, devices)``: gate, what is sent and received in the dispatch,
        experts, what is sent and received in the combine, aggregation.
    """
    workers = [_cores(table), *_ports(table)]
    parts: dict[Task, int] = {}
    for worker in workers:
        for task, _ in worker.queue:
            parts[task] = parts.get(task, 0) + 1
    ended: dict[Task, float] = {}
    now = 0.0
    while True:
        while _advance(workers, parts, ended, now, len(table)):
            pass
        running = [worker.until for worker in workers if worker.task]
        if not running:
            assert not any(worker.queue for worker in workers), "nothing runs, much is left"
            return ended, now
        now = min(running)


def _cores(table: FloatArray) -> Worker:
    """Return the devices' cores: the slowest device holds up all of them."""
    models = range(len(table))
    order = [("gate", k) for k in models[1:]]
    order += [(phase, k) for phase in ("compute", "aggregation") for k in models]
    row = {"gate": 0, "compute": 3, "aggregation": 6}
    queue = [((phase, k), float(max(table[k, row[phase]]))) for phase, k in [*order, ("gate", 0)]]
    return Worker(deque(queue))


def _ports(table: FloatArray) -> list[Worker]:
    workers = []
    for device in range(table.shape[2]):
        for direction in (0, 1):
            queue: deque[tuple[Task, float]] = deque()
            for phase, row in (("dispatch", 1), ("combine", 4)):
                for k in range(len(table)):
                    queue.append(((phase, k), float(table[k, row + direction, device])))
            workers.append(Worker(queue))
    return workers


def _needs(task: Task, models: int) -> list[Task]:
    """Return what must have ended before a task may start, besides its own queue."""
    phase, k = task
    if phase == "dispatch":
        return [("gate", k)] if k else []
    if phase == "compute":
        return [("dispatch", k)]
    if phase == "combine":
        return [("compute", k), *(("dispatch", j) for j in range(models))]
    return [("combine", k)] if phase == "aggregation" else []


def _advance(
    workers: list[Worker], parts: dict[Task, int], ended: dict[Task, float], now: float, models: int
) -> bool:
    """End and start what ends and starts now; tell whether anything did."""
    moved = False
    for worker in workers:
        if worker.task and worker.until <= now:
            parts[worker.task] -= 1
            if not parts[worker.task]:
                ended[worker.task] = now
            worker.task, moved = None, True
        if not worker.task and worker.queue:
            task, seconds = worker.queue[0]
            if all(need in ended for need in _needs(task, models)):
                worker.queue.popleft()
                worker.task, worker.until, moved = task, now + seconds, True
    return moved
