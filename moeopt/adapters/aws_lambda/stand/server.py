"""The stand's process, which `moeopt.adapters.aws_lambda.stand.local.Stand` starts.

Its first line of input is a `Settings`; its only line of output says where it listens. It ends,
with all that it started, when its input ends, or when the process that started it does, or when
its governor does.
"""

from __future__ import annotations

import contextlib
import os
import resource
import select
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

from moeopt.adapters.aws_lambda.stand.governor import Governor
from moeopt.adapters.aws_lambda.stand.shape import Shape

#: Seconds between looks at whether the governor is still there, and the process that started this
#: one: its end of the input may be held open by another that it started.
_LOOK_S = 0.25

#: Removes a folder when its input ends: again and again while dying workers still write there.
_REMOVE = """
cat > /dev/null
for _ in 1 2 3 4 5 6 7 8 9 10; do rm -rf -- "$1" && break; sleep 1; done
"""

#: Files that may be open: ten for each of the most calls at once, and many more. Shells often allow
#: a thousand.
_FILES = 1 << 16


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How a stand is to be.

    Attributes
    ----------
    shape
        Delays and rates.
    region
        Where functions are said to be.
    folder
        For code and temporary files; removed at the end.
    images
        Folders of container images, by URI.
    python
        The interpreter that runs functions.
    """

    shape: Shape
    region: str
    folder: str
    images: dict[str, str]
    python: str


@dataclass(frozen=True)
class Address:
    """Where a stand listens."""

    endpoint: str


def main() -> None:
    """Run a stand until its input ends."""
    settings = msgspec.json.decode(sys.stdin.buffer.readline(), type=Settings)
    parent = os.getppid()
    with (
        _folder(Path(settings.folder)),
        _governor() as governor,
        _running(settings, governor) as endpoint,
        contextlib.suppress(BrokenPipeError),
    ):
        sys.stdout.buffer.write(msgspec.json.encode(Address(endpoint)) + b"\n")
        sys.stdout.buffer.flush()
        _wait(lambda: os.getppid() == parent and governor.alive)
    # Threads that serve connections still stand are left behind.
    os._exit(0)


def _wait(goes_on: Callable[[], bool]) -> None:
    """Wait for the end of the input, or of what it takes to go on."""
    while goes_on():
        if select.select([0], [], [], _LOOK_S)[0] and not os.read(0, 4096):
            return


@contextlib.contextmanager
def _folder(folder: Path) -> Iterator[None]:
    """Have a folder, and let it be removed even if this process is killed."""
    with subprocess.Popen(
        ["/bin/sh", "-c", _REMOVE, "sh", str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as remover:
        for name in ("code", "workers"):
            (folder / name).mkdir()
        try:
            yield
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(remover.pid, signal.SIGKILL)


@contextlib.contextmanager
def _governor() -> Iterator[Governor]:
    """Have a governor, and limits that it and all workers inherit."""
    _set_limits()
    governor = Governor()
    try:
        yield governor
    finally:
        governor.close()


@contextlib.contextmanager
def _running(settings: Settings, governor: Governor) -> Iterator[str]:
    """Have a stand that listens; its address."""
    from moeopt.adapters.aws_lambda.stand.callers import Callers
    from moeopt.adapters.aws_lambda.stand.faults import Faults
    from moeopt.adapters.aws_lambda.stand.front import Front
    from moeopt.adapters.aws_lambda.stand.functions import Functions
    from moeopt.adapters.aws_lambda.stand.instance import Home
    from moeopt.adapters.aws_lambda.stand.link import Links
    from moeopt.adapters.aws_lambda.stand.listener import Listener
    from moeopt.adapters.aws_lambda.stand.pool import Pool
    from moeopt.adapters.aws_lambda.stand.state import State
    from moeopt.adapters.aws_lambda.stand.storage import Shaped
    from moeopt.adapters.aws_lambda.stand.traffic import Counts
    from moeopt.adapters.aws_lambda.stand.watch import Watcher

    moto = _moto()
    listener = Listener(None)
    folder = Path(settings.folder)
    home = Home(
        python=settings.python,
        endpoint=listener.endpoint,
        region=settings.region,
        folder=folder / "workers",
        watcher=Watcher(),
    )
    callers, links, faults, counts = Callers(), Links(settings.shape), Faults(), Counts()
    images = {uri: Path(path) for uri, path in settings.images.items()}
    pool = Pool(home, governor, callers, links)
    state = State(
        shape=settings.shape,
        functions=Functions(settings.region, folder / "code", images),
        pool=pool,
        faults=faults,
        links=links,
        counts=counts,
    )
    listener.app = Front(Shaped(moto, callers, links, faults, counts), state)
    threading.Thread(target=listener.serve_forever, daemon=True).start()
    try:
        yield listener.endpoint
    finally:
        pool.close()


def _moto() -> object:
    """Return moto's application, with what a stand is asked for first already loaded."""
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

    application = DomainDispatcherApplication(create_backend_app)
    for service in ("sts", "s3", "iam", "lambda"):
        application.app_instances[service] = create_backend_app(service)
    return application


def _set_limits() -> None:
    """Allow as many open files as the most calls at once take; leave no core dumps."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, _FILES)), hard))
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
