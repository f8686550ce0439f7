"""The stand from the side of who uses it: starts its process, talks to it, ends it."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import IO, Any

import msgspec

from moeopt.adapters.aws_lambda.clients import Clients, connect, require_boto3
from moeopt.adapters.aws_lambda.stand.faults import Fault
from moeopt.adapters.aws_lambda.stand.server import Address, Settings
from moeopt.adapters.aws_lambda.stand.shape import Shape
from moeopt.adapters.aws_lambda.stand.statistics import Statistics
from moeopt.core.errors import AdapterError

__all__ = ["REGION", "Stand", "Statistics"]

#: Where functions, bucket and role are said to be.
REGION = "us-east-1"

#: Seconds that a stand has to start, to answer, and to end by itself.
_START_S, _ANSWER_S, _CLOSE_S = 60.0, 60.0, 10.0

#: A module found here is found there.
_BOOT = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from moeopt.adapters.aws_lambda.stand.server import main; main()"
)

_NONE: Mapping[str, Path] = MappingProxyType({})


class Stand:
    """A stand-in for Lambda, S3, IAM and STS on this machine; a context manager that ends it.

    Parameters
    ----------
    shape
        Delays and rates; none if left out, but functions get their share of a processor.
    images
        Folders that stand for container images, by their URIs: what the image holds in its working
        directory. The handler is the function's ``ImageConfig`` or else the folder's Dockerfile's.
    python
        The interpreter that runs functions, whatever their runtime; it needs awslambdaric.

    Attributes
    ----------
    endpoint
        Its address.
    pid
        Its process.
    folder
        Code and temporary files of functions, until it ends.
    region
        Where functions, bucket and role are said to be.

    Raises
    ------
    AdapterError
        If this is not Linux, moto or awslambdaric is missing, or the process does not start.
    """

    region = REGION

    def __init__(
        self,
        shape: Shape | None = None,
        *,
        images: Mapping[str, Path] = _NONE,
        python: str = sys.executable,
    ) -> None:
        _require(python)
        # Removed also where nobody closes the stand, which ends with this process.
        self._temporary = tempfile.TemporaryDirectory(
            prefix="moeopt-stand-", ignore_cleanup_errors=True
        )
        self.folder = Path(self._temporary.name)
        # Open, but in no folder: gone when nobody reads it any more.
        self._log = tempfile.TemporaryFile()  # noqa: SIM115  # closed with the stand
        settings = Settings(
            shape=Shape() if shape is None else shape,
            region=REGION,
            folder=self._temporary.name,
            images={uri: str(Path(folder).resolve()) for uri, folder in images.items()},
            python=python,
        )
        self._process = _started(settings, self._log)
        self.pid = self._process.pid
        assert self._process.stdout is not None
        heard = select.select([self._process.stdout], [], [], _START_S)[0]
        line = self._process.stdout.readline() if heard else b""
        if not line:
            said = self._said()
            self.close()
            raise AdapterError(f"the stand did not start: {said or 'it said nothing'}")
        self.endpoint = msgspec.json.decode(line, type=Address).endpoint

    def clients(self) -> Clients:
        """Return clients of the stand, whatever credentials the environment holds."""
        import boto3
        import botocore.session
        from botocore.config import Config

        # No profile that may not be there, and no proxy between a process and its own machine.
        core = botocore.session.Session({"profile": (None, None, None, None)})
        core.set_default_client_config(Config(proxies={}))
        session = boto3.Session(
            aws_access_key_id="stand",
            aws_secret_access_key="stand",
            region_name=REGION,
            botocore_session=core,
        )
        return connect(session, endpoint=self.endpoint)

    def environment(self) -> dict[str, str]:
        """Return variables that lead a child process, such as the command line, to the stand."""
        return {
            "AWS_ACCESS_KEY_ID": "stand",
            "AWS_SECRET_ACCESS_KEY": "stand",
            "AWS_DEFAULT_REGION": REGION,
            "AWS_REGION": REGION,
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def inject(self, *faults: Fault) -> None:
        """Let the next requests that fit meet these faults."""
        self._ask("faults", faults)

    def clear(self) -> None:
        """Drop the faults that are still to come."""
        self._ask("clear")

    def reshape(self, shape: Shape) -> None:
        """Take other delays, rates and limits from now on."""
        self._ask("shape", shape)

    def statistics(self) -> Statistics:
        """Return what the stand has seen."""
        return msgspec.json.decode(self._ask("statistics"), type=Statistics)

    def chill(self) -> None:
        """End idle workers: the next calls are cold."""
        self._ask("chill")

    def close(self) -> None:
        """End the stand and all that it started; it may be closed already."""
        self._end()
        self._log.close()
        self._temporary.cleanup()

    def __enter__(self) -> Stand:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _ask(self, what: str, body: Any = None) -> bytes:
        request = urllib.request.Request(
            f"{self.endpoint}/_stand/{what}", data=msgspec.json.encode(body), method="POST"
        )
        # No proxy stands between a process and its own machine.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=_ANSWER_S) as response:
                data: bytes = response.read()
        except (OSError, urllib.error.URLError) as error:
            raise AdapterError(f"the stand does not answer ({error}); start another") from None
        return data

    def _said(self) -> str:
        """Return the last line that the process wrote of its troubles."""
        self._log.seek(0)
        lines = self._log.read().decode(errors="replace").split("\n")
        return next((line.strip() for line in reversed(lines) if line.strip()), "")

    def _end(self) -> None:
        """Let the process end, kill it if it does not, and wait for it."""
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()
        try:
            process.wait(_CLOSE_S)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        process.stdout.close()


def _started(settings: Settings, log: IO[bytes]) -> subprocess.Popen[bytes]:
    """Start a stand's process and tell it how it is to be."""
    process = subprocess.Popen(
        [sys.executable, "-c", _BOOT, json.dumps(sys.path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=log,
        # Not ended by a key pressed for this process, which ends it by and by.
        start_new_session=True,
    )
    assert process.stdin is not None
    with contextlib.suppress(BrokenPipeError):
        process.stdin.write(msgspec.json.encode(settings) + b"\n")
        process.stdin.flush()
    return process


def _require(python: str) -> None:
    """Raise `AdapterError` unless a stand can run here, and functions by this interpreter."""
    if not sys.platform.startswith("linux"):
        raise AdapterError(f"the local stand needs Linux; this is {sys.platform}")
    require_boto3()
    for module in ("moto", "flask", "awslambdaric"):
        if importlib.util.find_spec(module) is None:
            raise AdapterError(f"the local stand needs {module}: pip install 'moeopt[stand]'")
    if shutil.which(python) is None:
        raise AdapterError(f"there is no interpreter {python} to run functions with")
