"""The governor itself: a small process that is told of workers by lines on its standard input.

Each running worker has a bucket of processor seconds that fills at its share of a processor, and
that what it uses empties. When it is empty the worker is stopped, until it is full again, with a
period's worth, as long as Linux's own bandwidth control has it. What was used beyond it is owed.

It is run by its path, with the standard library alone, so that it starts at once and stays small.
"""

from __future__ import annotations

import contextlib
import math
import os
import select
import signal
import sys
import time

#: Seconds whose share is a full bucket.
PERIOD_S = 0.02

#: Moments at which workers are looked at lie on a grid, so that one waking serves many.
_TICK_S = 0.0005

#: Who used less than this part of a processor waits for something; seconds until the next look.
_WAITS, _WAITING_S = 0.01, 0.002

#: Memory is looked at when it can have been used up at this rate, within bounds.
_FILL_KB_PER_S = 4e6
_SOONEST_S, _LATEST_S = 0.002, 0.02

#: Which of a worker's files is which: itself, and what the kernel tells of it.
_HANDLE, _STAT, _STATUS, _SCHEDULER = range(4)

_PAGE_KB = os.sysconf("SC_PAGESIZE") >> 10
_PROCESSORS = len(os.sched_getaffinity(0))


def clock_of(pid: int) -> int:
    """Return the clock of a process's processor seconds, of all its threads."""
    return (~pid << 3) | 2


def peak_kb_of(status: bytes) -> int:
    """Return the most resident memory that a ``/proc/PID/status`` tells; 0 of one that ended."""
    value = status.partition(b"VmHWM:")[2].split(maxsplit=1)
    return int(value[0]) if value else 0


class Bucket:
    """Processor seconds of one worker: its account, and whether it must stand still.

    The account of a worker that works goes up and down between nothing and a period's share. One
    that waits for something saves up half of that: what it then gets for a while is its share on
    average, neither more for having waited nor less.

    Parameters
    ----------
    share
        Processors that it gets; below 1 for a part of one.

    Attributes
    ----------
    stopped
        Whether it is to stand still.
    """

    def __init__(self, share: float) -> None:
        self._share = share
        self._full_s = share * PERIOD_S
        self.stopped = self._waits = False
        self._has_s = self._seen_s = self._used_s = self._denied_s = 0.0

    def begin(self, now_s: float, used_s: float, denied_s: float) -> None:
        """Begin to count: what there was before, as `look` has it, counts no more."""
        self._has_s, self._seen_s = self._full_s / 2.0, now_s
        self._used_s, self._denied_s = used_s, denied_s
        self.stopped = self._waits = False

    def look(self, now_s: float, used_s: float, denied_s: float) -> None:
        """Settle the account, and decide whether the worker is to stand still.

        Parameters
        ----------
        now_s
            The clock.
        used_s
            Processor seconds that it has used in all.
        denied_s
            Seconds in all for which it could have run, but others had the processors.
        """
        passed_s, spent_s = now_s - self._seen_s, used_s - self._used_s
        # Who is continued late, or comes late to a processor, shall not lose by it.
        most_s = 2.0 * self._full_s if self.stopped else max(self._has_s, self._full_s / 2.0)
        most_s += (denied_s - self._denied_s) * self._share
        self._has_s = min(most_s, self._has_s + passed_s * self._share - spent_s)
        self._seen_s, self._used_s, self._denied_s = now_s, used_s, denied_s
        self._waits = not self.stopped and spent_s < _WAITS * passed_s
        if self._has_s <= 0.0:
            self.stopped = True
        elif self._has_s >= self._full_s:
            self.stopped = False

    def rest_s(self, processors: int) -> float:
        """Return the seconds for which there is nothing to look at.

        Parameters
        ----------
        processors
            That the worker can have at most.
        """
        if self.stopped:
            return (self._full_s - self._has_s) / self._share
        if processors <= self._share:
            return math.inf
        rest_s = max(0.0, self._has_s) / (processors - self._share)
        return max(rest_s, _WAITING_S) if self._waits else rest_s


class Worker:
    """A process and what it may have.

    Parameters
    ----------
    pid
        Leader of its process group.
    memory_mb
        Resident memory that it may have.
    share
        Processors that it gets while it runs.

    Attributes
    ----------
    due_s
        When to look at it again.
    peak_kb
        Most memory that it was seen to have.
    """

    def __init__(self, pid: int, memory_mb: int, share: float) -> None:
        self._pid = pid
        self._limit_kb = memory_mb << 10
        self._clock = clock_of(pid)
        self._bucket = Bucket(share)
        self._held = self._stopped = False
        self._memory_due_s, self._threads = 0.0, 1
        self.due_s, self.peak_kb = math.inf, 0
        # These mean the process that they were opened for, even if its number is another's by now.
        self._files: list[int] = []
        with contextlib.suppress(OSError):
            self._files.append(os.pidfd_open(pid))
            for name in ("stat", "status", "schedstat"):
                self._files.append(os.open(f"/proc/{pid}/{name}", os.O_RDONLY))
        if len(self._files) > _STATUS:
            self.due_s = 0.0

    def hold(self, now_s: float) -> None:
        """Begin a call: the worker gets its share from now on."""
        with contextlib.suppress(OSError):
            self._bucket.begin(now_s, time.clock_gettime(self._clock), self._denied_s())
            self._held, self.due_s = True, 0.0

    def let_go(self) -> None:
        """End a call: the worker does as it likes, and is not looked at."""
        self._held, self.due_s = False, math.inf
        self._stop(False)

    def look(self, now_s: float) -> None:
        """Stop or continue the worker, kill it if its memory is too much, and set `due_s`."""
        try:
            rest_s = self._keep_to_share(now_s) if self._held else math.inf
            if not self._stopped and now_s >= self._memory_due_s:
                self._memory_due_s = now_s + self._watch_memory()
        except (OSError, IndexError):
            # It has ended: there is nothing left to look at.
            self.due_s = math.inf
            return
        self.due_s = now_s + rest_s
        if not self._stopped:
            self.due_s = min(self.due_s, self._memory_due_s)

    def _keep_to_share(self, now_s: float) -> float:
        """Hold the worker to its share; return the seconds for which nothing can change."""
        self._bucket.look(now_s, time.clock_gettime(self._clock), self._denied_s())
        self._stop(self._bucket.stopped)
        return self._bucket.rest_s(min(self._threads, _PROCESSORS))

    def _denied_s(self) -> float:
        """Return the seconds for which its first thread waited for a processor."""
        if len(self._files) <= _SCHEDULER:
            # A kernel that does not count them.
            return 0.0
        return int(os.pread(self._files[_SCHEDULER], 128, 0).split()[1]) * 1e-9

    def _stop(self, stop: bool) -> None:
        if stop != self._stopped:
            self._stopped = stop
            with contextlib.suppress(OSError):
                number = signal.SIGSTOP if stop else signal.SIGCONT
                signal.pidfd_send_signal(self._files[_HANDLE], number)

    def _watch_memory(self) -> float:
        """Kill the worker if its memory is too much; return the seconds until it can be."""
        # The name in brackets may hold anything; the fields after it are numbers.
        fields = os.pread(self._files[_STAT], 1024, 0).rpartition(b")")[2].split()
        self._threads, resident_kb = int(fields[17]), int(fields[21]) * _PAGE_KB
        self.peak_kb = max(self.peak_kb, resident_kb)
        if resident_kb > self._limit_kb:
            self.look_back()
            self.end()
        left_kb = max(0, self._limit_kb - resident_kb)
        return min(_LATEST_S, max(_SOONEST_S, left_kb / (_FILL_KB_PER_S * self._threads)))

    def look_back(self) -> None:
        """Ask for the most memory that it ever had, which may lie between two looks."""
        with contextlib.suppress(OSError, IndexError):
            self.peak_kb = max(self.peak_kb, peak_kb_of(os.pread(self._files[_STATUS], 4096, 0)))

    def end(self) -> None:
        """Kill it with its group, unless it has ended and was waited for."""
        with contextlib.suppress(OSError, IndexError):
            signal.pidfd_send_signal(self._files[_HANDLE], 0)
            os.killpg(self._pid, signal.SIGKILL)

    def close(self) -> None:
        """Let go of it for good."""
        self.let_go()
        while self._files:
            os.close(self._files.pop())


def obey(line: str, workers: dict[int, Worker]) -> None:
    """Do what a line says: ``watch PID MB SHARE``, ``run PID``, ``idle PID`` or ``forget PID``.

    The last is answered with the peak of its memory, in KB.
    """
    word, pid, *numbers = line.split()
    worker = workers.get(int(pid))
    if word == "watch":
        if worker is not None:
            worker.close()
        workers[int(pid)] = Worker(int(pid), int(numbers[0]), float(numbers[1]))
    elif word == "run" and worker is not None:
        worker.hold(time.monotonic())
    elif word == "idle" and worker is not None:
        worker.let_go()
    elif word == "forget":
        if worker is not None:
            worker.look_back()
            worker.close()
            del workers[int(pid)]
        os.write(1, b"%d\n" % (0 if worker is None else worker.peak_kb))


def govern(workers: dict[int, Worker]) -> None:
    """Look after workers until standard input ends."""
    unread = b""
    while True:
        due_s = min((w.due_s for w in workers.values()), default=math.inf)
        if due_s == math.inf:
            wait_s = None
        else:
            wait_s = max(0.0, math.ceil(due_s / _TICK_S) * _TICK_S - time.monotonic())
        if select.select([0], [], [], wait_s)[0]:
            data = os.read(0, 65536)
            if not data:
                return
            *lines, unread = (unread + data).split(b"\n")
            for line in lines:
                obey(line.decode("ascii"), workers)
        now_s = time.monotonic()
        for worker in workers.values():
            if worker.due_s <= now_s:
                worker.look(now_s)


def main() -> None:
    """Govern; whatever ends that, no worker stays, stopped or running."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    workers: dict[int, Worker] = {}
    try:
        govern(workers)
    finally:
        for worker in workers.values():
            worker.end()


if __name__ == "__main__":
    main()
