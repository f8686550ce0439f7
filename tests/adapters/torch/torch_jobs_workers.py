"""What workers run for the tests of workers: mostly what goes wrong."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
import types
from typing import Any

import torch
import torch.distributed as dist

from moeopt.core.errors import InstanceError


def ranked(factor: int, *, plus: int = 0) -> int:
    return dist.get_rank() * factor + plus


def total(value: torch.Tensor) -> torch.Tensor:
    value = value * (dist.get_rank() + 1)
    dist.all_reduce(value)
    return value


def chatty() -> str:
    """Print in every way, and read what is not for it."""
    print("not a frame", flush=True)
    sys.stdout.write("nor this")
    os.write(1, b"nor that\n")
    os.system("echo nor what others print")
    return "heard" + sys.stdin.read() + os.popen("cat").read()


def pid() -> int:
    return os.getpid()


class Odd(Exception):
    """An error that no pickle brings back."""

    def __init__(self, one: str, two: str) -> None:
        super().__init__(one + two)


def raising(rank: int) -> None:
    """Raise on one worker, while the others wait for it."""
    if dist.get_rank() == rank:
        raise Odd("a ", "thing")
    dist.barrier()


def refusing() -> None:
    raise InstanceError("here", 3, "must be 4", "count again")


def refusing_unreadably() -> None:
    raise InstanceError("here", threading.Lock(), "must be 4", "count again")


def returning_a_lock() -> Any:
    return threading.Lock()


def returning_a_stranger() -> Any:
    """Return an object of a module that only this worker has."""
    module = types.ModuleType("torch_jobs_nowhere")
    exec("class Stranger: pass", module.__dict__)
    sys.modules[module.__name__] = module
    return module.Stranger()


def leaving(rank: int, code: int) -> None:
    """Leave in the middle, while the others wait."""
    if dist.get_rank() == rank:
        sys.exit(code)
    dist.barrier()


def crashing() -> None:
    os.write(2, b"first words\nlast words\n")
    os._exit(7)


def killed(rank: int) -> None:
    if dist.get_rank() == rank:
        os.kill(os.getpid(), signal.SIGKILL)
    dist.barrier()


def stuck(rank: int) -> None:
    if dist.get_rank() == rank:
        time.sleep(3600)


def interrupting(parent: int) -> None:
    """Do what Ctrl-C does to a parent that waits."""
    os.kill(parent, signal.SIGINT)
    time.sleep(3600)
