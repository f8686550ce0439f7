"""Many calls of one function: in this process, in others, or on a Ray or Dask cluster.

joblib spreads the calls; Ray and Dask join in as its backends. The results are those of a loop.
"""

from __future__ import annotations

import os
import pickle
import signal
import threading
from collections.abc import Callable, Sequence
from typing import Any, Literal, TypeVar, get_args

from moeopt.core.arguments import whole
from moeopt.core.errors import BackendError, InstanceError, MoeoptError, shorten

A = TypeVar("A")
R = TypeVar("R")

#: ``"serial"``: a loop in this process. ``"loky"``: processes of this machine. ``"ray"`` and
#: ``"dask"``: a cluster, the one that is named or a local one for as long as the calls take.
Backend = Literal["serial", "loky", "ray", "dask"]

#: Takes the number of calls that are done and of all. It may be called from any thread.
Advance = Callable[[int, int], None]


def run_all(
    call: Callable[[A], R],
    arguments: Sequence[A],
    *,
    workers: int | None = None,
    backend: Backend = "loky",
    address: str | None = None,
    progress: Advance | None = None,
) -> list[R]:
    """Call a function with each argument, several at a time; return the results in order.

    Parameters
    ----------
    call
        A function of a module. A script that calls this must guard what it does by ``if __name__
        == "__main__":``, as new processes import it.
    arguments
        One for each call, in any number; they travel as pickles.
    workers
        Calls at a time, each with one thread for numerics; ``None`` for as many as there are
        cores here, or in the cluster that is named. 1 with ``"loky"`` is a loop in this process.
    backend
        Where the calls run.
    address
        Of the cluster, which needs moeopt on its machines: ``auto`` or ``ray://host:10001`` for
        Ray, ``tcp://host:8786`` for Dask. Left out, a local cluster is started and shut down.
    progress
        Told after every call or batch of calls.

    Returns
    -------
    list
        ``[call(argument) for argument in arguments]``.

    Raises
    ------
    InstanceError
        If an option is wrong, or the backend's package is not installed.
    BackendError
        If the cluster cannot be reached, or a worker died.
    Stopped
        At Ctrl-C: with the results there are, which `ray` and `dask` hand over only at the end.
    Exception
        What the first call to fail raised, with a note that names its argument. The others are
        stopped.
    """
    count = _checked(workers, backend, address)
    if backend == "serial" or (backend == "loky" and count == 1) or not arguments:
        return _in_turn(call, arguments, progress)
    from moeopt.core import clusters

    cluster = clusters.opened(backend, count, address)
    try:
        with cluster as options:
            return _spread(call, arguments, options, progress)
    except _CallError as failed:
        # Its own cause is the worker's traceback, as text.
        raise _noted(failed.error, failed.index, arguments) from failed.__cause__
    except MoeoptError:
        raise
    except Exception as error:
        # What the calls raise comes as `_CallError`: this is the backend's own.
        said = " ".join(f"{type(error).__name__}: {error}".split())
        remedy = "use fewer workers, which need less memory, or backend serial"
        raise BackendError(backend, said, remedy) from error


def cores() -> int:
    """Return how many cores this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity is not None else os.cpu_count() or 1


class Stopped(KeyboardInterrupt):
    """Ctrl-C among many calls.

    Attributes
    ----------
    done
        What had been returned by then, by the number of the call.
    """

    def __init__(self, done: dict[int, Any]) -> None:
        super().__init__()
        self.done = done


class _CallError(Exception):
    """What one call raised, on its way from a worker."""

    def __init__(self, index: int, error: Exception) -> None:
        super().__init__(index, error)
        self.index = index
        self.error = error


def _checked(workers: int | None, backend: str, address: str | None) -> int | None:
    """Return the number of workers, checked; ``None`` for all of a cluster that is named."""
    if backend not in get_args(Backend):
        rule = f"must be one of {', '.join(get_args(Backend))}"
        raise InstanceError("backend", backend, rule, "choose one of them")
    if address is not None and backend not in ("ray", "dask"):
        rule = f"must be left out: {backend} runs on this machine"
        raise InstanceError("address", address, rule, "name a backend: ray or dask")
    if workers is None:
        return None if address is not None else cores()
    workers = whole("workers", workers)
    if workers < 1:
        raise InstanceError("workers", workers, "must be >= 1", "leave it out for all there are")
    return workers


def _in_turn(call: Callable[[A], R], arguments: Sequence[A], progress: Advance | None) -> list[R]:
    results = []
    for index, argument in enumerate(arguments):
        try:
            results.append(call(argument))
        except KeyboardInterrupt:
            raise Stopped(dict(enumerate(results))) from None
        except Exception as error:
            raise _noted(error, index, arguments) from error.__cause__
        if progress is not None:
            progress(len(results), len(arguments))
    return results


def _spread(
    call: Callable[[A], R],
    arguments: Sequence[A],
    options: dict[str, Any],
    progress: Advance | None,
) -> list[R]:
    """Return the results of all calls by joblib, whose backend `options` name."""
    import joblib

    class Told(joblib.Parallel):  # type: ignore[misc]
        """Hands joblib's own count of finished calls to `progress`."""

        def print_progress(self) -> None:
            if progress is not None:
                progress(self.n_completed_tasks, len(arguments))

    parent = os.getpid()
    local = options["backend"] == "loky"
    found: dict[int, R] = {}
    with joblib.parallel_config(**options):
        # Arrays in files are of no use to another machine.
        parallel = Told(max_nbytes=None, return_as="generator_unordered" if local else "list")
        calls = (
            joblib.delayed(_guarded)(call, index, argument, parent)
            for index, argument in enumerate(arguments)
        )
        try:
            # What came before an exception stays.
            found.update(parallel(calls))
        except KeyboardInterrupt:
            raise Stopped(found) from None
    return [found[index] for index in range(len(arguments))]


def _guarded(call: Callable[[A], R], index: int, argument: A, parent: int) -> tuple[int, R]:
    """Call in a worker; what is raised says of which call it is."""
    if os.getpid() != parent and threading.current_thread() is threading.main_thread():
        # Ctrl-C reaches the whole group of processes, and is the parent's to handle.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        return index, call(argument)
    except Exception as error:
        raise _CallError(index, _portable(error)) from error


def _portable(error: Exception) -> Exception:
    """Return the error, or one with its words where it cannot travel as a pickle."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return MoeoptError(f"{type(error).__name__}: {error}")
    return error


def _noted(error: Exception, index: int, arguments: Sequence[Any]) -> Exception:
    """Return the error with a note that names the argument of its call."""
    error.add_note(f"in call {index + 1} of {len(arguments)}: {shorten(arguments[index])}")
    return error
