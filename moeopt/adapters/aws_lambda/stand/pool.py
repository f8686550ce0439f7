"""All workers: started when a call finds none that is free, kept for the next call, ended."""

from __future__ import annotations

import contextlib
import threading

from moeopt.adapters.aws_lambda.stand.callers import Callers
from moeopt.adapters.aws_lambda.stand.functions import Function
from moeopt.adapters.aws_lambda.stand.governor import Governor, Used
from moeopt.adapters.aws_lambda.stand.instance import Home, Instance
from moeopt.adapters.aws_lambda.stand.link import Links
from moeopt.core.errors import AdapterError


class Pool:
    """The workers of all functions; threads share it.

    Parameters
    ----------
    home
        What workers have in common.
    governor
        Watches over them.
    callers, links
        Where workers are known by their access keys.

    Attributes
    ----------
    governor
        The same.
    """

    def __init__(self, home: Home, governor: Governor, callers: Callers, links: Links) -> None:
        self._home = home
        self.governor = governor
        self._callers = callers
        self._links = links
        self._lock = threading.Lock()
        self._idle: dict[str, list[Instance]] = {}
        self._all: set[Instance] = set()
        #: As each function was when it was updated last; ``None`` if it was deleted.
        self._latest: dict[str, Function | None] = {}
        self._closed = False

    def idle(self, function: Function) -> Instance | None:
        """Take a worker of a function that has nothing to do, if there is one.

        Those of the function as it was before an update end.
        """
        taken = None
        stale = []
        with self._lock:
            idle = self._idle.get(function.name, [])
            while idle and taken is None:
                worker = idle.pop()
                if worker.alive and worker.function == function:
                    taken = worker
                else:
                    stale.append(worker)
        for worker in stale:
            self.end(worker)
        return taken

    def start(self, function: Function) -> Instance:
        """Start a worker."""
        key = self._callers.register(function.name)
        worker = Instance(function, self._home, key)
        with self._lock:
            closed = self._closed
            self._all.add(worker)
        try:
            self.governor.watch(worker.pid, function.memory_mb)
        except AdapterError:
            closed = True
        if closed:
            self.end(worker)
        return worker

    def held_back(self, worker: Instance) -> None:
        """Give a worker only its memory's share of a processor, until it is used no more."""
        self.governor.running(worker.pid)

    def used(self, worker: Instance) -> Used:
        """Return what a worker has used so far, and hold it back no more."""
        return self.governor.idle(worker.pid)

    def release(self, worker: Instance) -> None:
        """Keep a worker for the next call, unless its function is another by now."""
        with self._lock:
            latest = self._latest.get(worker.function.name, worker.function)
            keep = worker.alive and worker.function == latest and not self._closed
            if keep:
                self._idle.setdefault(worker.function.name, []).append(worker)
        if not keep:
            self.end(worker)

    def end(self, worker: Instance) -> Used | None:
        """Kill a worker, and return what it has used in all; ``None`` if it has ended already."""
        with self._lock:
            if worker not in self._all:
                return None
            self._all.discard(worker)
        try:
            return self.governor.forget(worker.pid)
        finally:
            # Even if there is no governor any more.
            worker.kill()
            worker.bury()
            self._callers.forget(worker.access_key)
            self._links.forget(worker.access_key)

    def update(self, name: str, function: Function | None) -> None:
        """End idle workers of a function that was updated, or deleted if it is ``None``."""
        with self._lock:
            self._latest[name] = function
            stale = self._idle.pop(name, [])
        for worker in stale:
            self.end(worker)

    def chill(self) -> None:
        """End all idle workers."""
        with self._lock:
            idle, self._idle = self._idle, {}
        for workers in idle.values():
            for worker in workers:
                self.end(worker)

    def alive(self) -> int:
        """Return the number of workers whose process has not ended."""
        with self._lock:
            return sum(worker.alive for worker in self._all)

    def close(self) -> None:
        """End all workers, those with a call too."""
        with self._lock:
            self._closed = True
            workers = list(self._all)
        for worker in workers:
            with contextlib.suppress(AdapterError):
                self.end(worker)
