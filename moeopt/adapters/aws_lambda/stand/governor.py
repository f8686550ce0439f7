"""The stand's side of the governor, the process that keeps workers to their functions' memory.

The governor gives each running worker its memory's share of a processor, and kills what uses more
memory than it has. It is a process of its own so that the stand's work does not delay it, and so
that no worker outlives the stand: at the end of its standard input it kills all that it watches.
"""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from moeopt.adapters.aws_lambda.stand import governor_process
from moeopt.core.errors import AdapterError

#: Memory for which a function gets one whole processor.
MB_PER_PROCESSOR = 1769

_END_S = 10.0


@dataclass(frozen=True)
class Used:
    """What a worker has used.

    Attributes
    ----------
    peak_mb
        Most resident memory since it started, in MB, rounded up; 0 if never seen.
    over_memory
        Whether that is more than it may use.
    """

    peak_mb: int
    over_memory: bool


class Governor:
    """A governor process; threads share it.

    Workers are leaders of their own process groups (``start_new_session=True``) and have no
    children. A worker is not held back until it is said to run: a function's start gets a whole
    processor. Its memory is watched from the start, except between calls.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._limits_kb: dict[int, int] = {}
        # In a session of its own, so that no signal from a terminal ends it before its workers.
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", str(Path(governor_process.__file__))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            start_new_session=True,
        )

    @property
    def pid(self) -> int:
        """The governor's process."""
        return self._process.pid

    def watch(self, pid: int, memory_mb: int) -> None:
        """Watch a worker that was just started and has not been waited for."""
        share = memory_mb / MB_PER_PROCESSOR
        with self._lock:
            self._limits_kb[pid] = memory_mb << 10
            self._tell(f"watch {pid} {memory_mb} {share!r}")

    def running(self, pid: int) -> None:
        """Tell that a worker begins a call: from now on it gets its share only."""
        with self._lock:
            self._tell(f"run {pid}")

    def idle(self, pid: int) -> Used:
        """Tell that a worker's call has ended, and return what it has used so far.

        From now on it may do as it likes. A worker with `Used.over_memory` is to be taken for
        killed, and to be killed, even if it was quick enough to answer.
        Nothing is known of one that was forgotten.
        """
        with self._lock:
            limit_kb = self._limits_kb.get(pid)
            self._tell(f"idle {pid}")
        if limit_kb is None:
            return Used(peak_mb=0, over_memory=False)
        return _used(_peak_kb(pid), limit_kb)

    def forget(self, pid: int) -> Used:
        """Stop watching a worker, and return what it has used in all.

        To be asked before the process is killed or waited for, or its last peak may be missed;
        what it was killed for is known in any case. Nothing is known of one that was forgotten.
        """
        with self._lock:
            limit_kb = self._limits_kb.pop(pid, 0)
            self._tell(f"forget {pid}")
            peak_kb = int(self._answer())
        return _used(peak_kb, limit_kb)

    @property
    def alive(self) -> bool:
        """Whether the governor's process has not ended."""
        return self._process.poll() is None

    def cpu_s(self) -> float:
        """Return the processor time that the governor itself has taken."""
        return time.clock_gettime(governor_process.clock_of(self._process.pid))

    def close(self) -> None:
        """Kill all that is still watched, and end the governor."""
        with self._lock:
            if self._process.stdin is not None:
                self._process.stdin.close()
            self._process.wait(_END_S)
            if self._process.stdout is not None:
                self._process.stdout.close()

    def _tell(self, line: str) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(f"{line}\n".encode("ascii"))
        except (OSError, ValueError):
            raise AdapterError("the stand's governor has ended") from None

    def _answer(self) -> bytes:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise AdapterError("the stand's governor has ended")
        return line


def _used(peak_kb: int, limit_kb: int) -> Used:
    return Used(peak_mb=-(-peak_kb // 1024), over_memory=peak_kb > limit_kb)


def _peak_kb(pid: int) -> int:
    """Return the most resident memory that a process ever had; 0 if it has ended."""
    try:
        status = Path(f"/proc/{pid}/status").read_bytes()
    except OSError:
        return 0
    return governor_process.peak_kb_of(status)
