"""Where many calls run: processes of this machine, a Ray or a Dask cluster, ours or a named one.

Each yields what `joblib.parallel_config` takes. What was started here is ended here.
"""

from __future__ import annotations

import contextlib
import importlib
import logging
import os
import signal
import socket
import sys
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager
from multiprocessing import resource_tracker
from typing import Any
from urllib.parse import urlsplit

from moeopt.core.errors import BackendError, InstanceError

Options = dict[str, Any]

#: Bytes of a local Ray cluster's shared memory: problems and plans are small.
RAY_STORE_BYTES = 80 * 2**20

#: Seconds a named cluster has to answer.
ANSWERS_S = 10.0

#: A worker that dies is a failure at once, not after it was tried on three others.
_DASK = {"distributed.scheduler.allowed-failures": 0}

#: How addresses of the clusters are written.
_FORMS = {
    "ray": (("ray", ""), "auto or ray://host:10001"),
    "dask": (("tcp", "tls", ""), "tcp://host:8786"),
}


def opened(backend: str, count: int | None, address: str | None) -> AbstractContextManager[Options]:
    """Return a context in which the backend runs, and which yields joblib's options.

    Parameters
    ----------
    backend
        ``"loky"``, ``"ray"`` or ``"dask"``.
    count
        Calls at a time; ``None`` for all that the named cluster takes.
    address
        Of a cluster; ``None`` for one of our own.

    Raises
    ------
    InstanceError
        If the address is none, or, on entry, its package is not installed or there is another
        connection already.
    BackendError
        On entry, if there is no cluster at the address.
    """
    if backend == "loky":
        return _loky(count)
    if address is not None and (backend, address) != ("ray", "auto"):
        _require_listener(backend, address)
    return _ray(count, address) if backend == "ray" else _dask(count, address)


@contextlib.contextmanager
def _loky(count: int | None) -> Iterator[Options]:
    yield {"backend": "loky", "n_jobs": count, "inner_max_num_threads": 1}


@contextlib.contextmanager
def _ray(count: int | None, address: str | None) -> Iterator[Options]:
    try:
        ray: Any = importlib.import_module("ray")
        joblib: Any = importlib.import_module("ray.util.joblib")
        pool: Any = importlib.import_module("joblib.pool")
    except ImportError:
        raise _missing("ray") from None
    connected = ray.is_initialized()
    if connected and address is not None:
        rule = "must be left out: this process is connected to a Ray cluster already"
        raise InstanceError("address", address, rule, "leave it out, or call ray.shutdown() first")
    bases = pool.PicklingPool.__bases__
    with contextlib.ExitStack() as stack:
        if not connected:
            stack.enter_context(_ray_connection(ray, count, address))
        joblib.register_ray()
        try:
            yield {"backend": "ray", "n_jobs": count or int(ray.cluster_resources()["CPU"])}
        except Exception:
            pool.PicklingPool.__bases__ = bases
            raise
        # Ray's backend put a base of its own under this class. After Ctrl-C it stays: a pool that
        # was left as it was needs it to the end.
        pool.PicklingPool.__bases__ = bases


@contextlib.contextmanager
def _ray_connection(ray: Any, count: int | None, address: str | None) -> Iterator[None]:
    quiet: Options = {"log_to_driver": False, "logging_level": logging.ERROR}
    with contextlib.ExitStack() as stack:
        folder = None if address is not None else stack.enter_context(_scratch())
        stack.callback(ray.shutdown)
        try:
            if address is not None:
                ray.init(address=address, **quiet)
            else:
                stack.enter_context(_path_inherited())
                ray.init(
                    address="local",
                    num_cpus=count,
                    include_dashboard=False,
                    object_store_memory=RAY_STORE_BYTES,
                    _temp_dir=folder,
                    **quiet,
                )
        except Exception as error:
            raise _unreachable("ray", error) from error
        yield


@contextlib.contextmanager
def _dask(count: int | None, address: str | None) -> Iterator[Options]:
    try:
        dask: Any = importlib.import_module("dask")
        distributed: Any = importlib.import_module("distributed")
    except ImportError:
        raise _missing("dask") from None
    with contextlib.ExitStack() as stack:
        try:
            if address is None:
                folder = stack.enter_context(_scratch())
                with dask.config.set(_DASK), _interrupts_held():
                    cluster = distributed.LocalCluster(
                        n_workers=count,
                        threads_per_worker=1,
                        host="127.0.0.1",
                        dashboard_address="127.0.0.1:0",
                        local_directory=folder,
                        silence_logs=logging.CRITICAL,
                    )
                address = stack.enter_context(cluster).scheduler_address
            client = stack.enter_context(
                distributed.Client(address, timeout=ANSWERS_S, set_as_default=False)
            )
        except (OSError, ValueError, TimeoutError) as error:
            raise _unreachable("dask", error) from error
        yield {"backend": _dask_backend(client, _some_of(client, count)), "n_jobs": -1}


def _dask_backend(client: Any, options: Options) -> Any:
    """Return joblib's backend for Dask, which waits for ever where a worker dies, put right."""
    from joblib._dask import DaskDistributedBackend

    class Backend(DaskDistributedBackend):  # type: ignore[misc]
        """Hands on what came of a batch that Dask itself gave up."""

        def submit(self, func: Any, callback: Any = None) -> Any:
            future = super().submit(func, callback)

            def told(done: Any) -> None:
                if done.exception() is not None:
                    callback(done.exception())

            future.add_done_callback(told)
            return future

    return Backend(client=client, **options)


def _some_of(client: Any, count: int | None) -> Options:
    """Return the option that keeps to as many of a Dask cluster's workers as have `count` threads.

    Its joblib backend takes no number of jobs: it fills every worker that it is let.
    """
    if count is None:
        return {}
    chosen: list[str] = []
    threads = 0
    for name, has in sorted(client.nthreads().items()):
        if threads >= count:
            break
        chosen.append(name)
        threads += has
    return {"workers": chosen}


@contextlib.contextmanager
def _scratch() -> Iterator[str]:
    """Yield a folder for what a local cluster writes; its last processes may write as it goes."""
    with tempfile.TemporaryDirectory(
        prefix="moeopt-cluster-", ignore_cleanup_errors=True
    ) as folder:
        yield folder


@contextlib.contextmanager
def _path_inherited() -> Iterator[None]:
    """Let processes that are started meanwhile import what this one can."""
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(entry for entry in sys.path if entry)
    try:
        yield
    finally:
        if before is None:
            del os.environ["PYTHONPATH"]
        else:
            os.environ["PYTHONPATH"] = before


@contextlib.contextmanager
def _interrupts_held() -> Iterator[None]:
    """Hold Ctrl-C back for a while; processes and threads that are started never get it.

    It reaches the whole group of processes, and is this one's to handle.
    """
    mask = getattr(signal, "pthread_sigmask", None)
    if mask is None:
        yield
        return
    # It would be started on the way, and that ends with the signal let through again.
    resource_tracker.ensure_running()
    before = mask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        mask(signal.SIG_SETMASK, before)


def _require_listener(backend: str, address: str) -> None:
    """Raise an error now where nobody listens: Ray would try for minutes."""
    schemes, form = _FORMS[backend]
    parts = urlsplit(address if "://" in address else f"//{address}")
    host, port = parts.hostname, None
    with contextlib.suppress(ValueError):
        port = parts.port
    if parts.scheme not in schemes or not host or not port:
        raise InstanceError("address", address, "must name a host and a port", f"write {form}")
    try:
        socket.create_connection((host, port), ANSWERS_S).close()
    except OSError as error:
        raise _unreachable(backend, error) from error


def _missing(package: str) -> InstanceError:
    remedy = f"pip install 'moeopt[{package}]'"
    return InstanceError("backend", package, f"must be installed: there is no {package}", remedy)


def _unreachable(backend: str, error: Exception) -> BackendError:
    said = " ".join(f"{type(error).__name__}: {error}".split())
    return BackendError(backend, said, "is the cluster up, and can it be reached from here?")
