"""A small function that does what it is told, for tests of the stand."""

from __future__ import annotations

import base64
import contextlib
import io
import json
import re
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from moeopt.adapters.aws_lambda.clients import Clients

CODE = """
import os, pathlib, subprocess, time, urllib.request

def handle(event, context):
    print("told", sorted(event))
    if "began" in event:
        pathlib.Path(event["began"]).touch()
    while "until" in event and not pathlib.Path(event["until"]).exists():
        time.sleep(0.005)
    if "line" in event:
        with open(event["line"], "a") as file:
            file.write(context.aws_request_id + "\\n")
    if "child" in event:
        child = subprocess.Popen(["sleep", "60"])
        pathlib.Path(event["child"]).write_text(f"{child.pid} {os.getpid()}")
    if "forever" in event:
        pathlib.Path(event["forever"]).write_text(str(os.getpid()))
        while True:
            print("y" * 4096)
    time.sleep(event.get("seconds", 0))
    if "print" in event:
        print(event["print"])
    if "raise" in event:
        raise ValueError(event["raise"])
    if "exit" in event:
        os._exit(event["exit"])
    if "megabytes" in event:
        taken = bytearray(event["megabytes"] << 20)
        time.sleep(5)
    if "characters" in event:
        return "x" * event["characters"]
    if "key" in event:
        # Signed as far as the stand looks; boto3 would take longer to be there.
        key = os.environ["AWS_ACCESS_KEY_ID"]
        who = f"AWS4-HMAC-SHA256 Credential={key}/20260101/us-east-1/s3/aws4_request"
        address = os.environ["AWS_ENDPOINT_URL"] + event["key"]
        asked = urllib.request.Request(address, headers={"Authorization": who})
        return urllib.request.urlopen(asked).read().decode()
    return {
        "event": event, "pid": os.getpid(), "memory": context.memory_limit_in_mb,
        "name": context.function_name, "arn": context.invoked_function_arn,
        "id": context.aws_request_id, "left_ms": context.get_remaining_time_in_millis(),
        "environment": dict(os.environ),
    }
"""


@dataclass(frozen=True)
class Called:
    """An answer: what `Invoke` returned, and its log."""

    said: Any
    error: str | None
    log: str
    request_id: str
    response: Mapping[str, Any]

    @property
    def report(self) -> dict[str, str]:
        """The fields of the REPORT line."""
        line = self.log.splitlines()[-1]
        assert line.startswith("REPORT RequestId: ")
        return dict(re.findall(r"([A-Z][A-Za-z ]+): ([^\t]+)\t", line))

    def ms(self, field: str) -> float:
        """Return a field of the REPORT line that is a time."""
        number, unit = self.report[field].split()
        assert unit == "ms"
        return float(number)

    @property
    def cold(self) -> bool:
        return "Init Duration" in self.report


@dataclass(frozen=True)
class Small:
    """The function, under a name."""

    clients: Clients
    name: str

    def call(self, event: Any = None, **more: Any) -> Called:
        """Call it."""
        given = {"FunctionName": self.name, "LogType": "Tail", **more}
        if event is not None:
            given["Payload"] = json.dumps(event).encode()
        response = self.clients.calls.invoke(**given)
        text = response["Payload"].read().decode()
        return Called(
            said=json.loads(text) if text else None,
            error=response.get("FunctionError"),
            log=base64.b64decode(response.get("LogResult", "")).decode(),
            request_id=response["ResponseMetadata"].get("RequestId", ""),
            response=response,
        )

    def update(self, **settings: Any) -> None:
        """Change its configuration."""
        self.clients.functions.update_function_configuration(FunctionName=self.name, **settings)


def zipped(files: Mapping[str, str]) -> bytes:
    """Return a package of these files."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return data.getvalue()


def role_of(clients: Clients) -> str:
    """Return a role's ARN, made if it is not there."""
    with contextlib.suppress(clients.roles.exceptions.EntityAlreadyExistsException):
        clients.roles.create_role(RoleName="small", AssumeRolePolicyDocument="{}")
    return str(clients.roles.get_role(RoleName="small")["Role"]["Arn"])


def make(clients: Clients, name: str = "small", **settings: Any) -> Small:
    """Make the function, and its role."""
    given = {
        "Runtime": "python3.11",
        "Handler": "small.handle",
        "Code": {"ZipFile": zipped({"small.py": CODE})},
        "MemorySize": 1769,
        "Timeout": 30,
    }
    role = role_of(clients)
    clients.functions.create_function(FunctionName=name, Role=role, **{**given, **settings})
    return Small(clients, name)


@contextlib.contextmanager
def small(clients: Clients, name: str = "small", **settings: Any) -> Iterator[Small]:
    """Make the function, and delete it and its role in the end."""
    try:
        yield make(clients, name, **settings)
    finally:
        with contextlib.suppress(clients.functions.exceptions.ResourceNotFoundException):
            clients.functions.delete_function(FunctionName=name)
        with contextlib.suppress(clients.roles.exceptions.NoSuchEntityException):
            clients.roles.delete_role(RoleName="small")


def soon(true: Callable[[], bool], within_s: float = 20.0) -> bool:
    """Tell whether something becomes true."""
    until = time.monotonic() + within_s
    while not true():
        if time.monotonic() > until:
            return False
        time.sleep(0.01)
    return True


def runs(pid: int) -> bool:
    """Tell whether there is such a process, and it has not ended."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] not in ("Z", "X")
    except OSError:
        return False


def family(pid: int) -> list[int]:
    """Return a process and all that it has started, and these."""
    found = [pid]
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in task.read_text().split():
            found += family(int(child))
    return found


def require_gone(pids: list[int], folder: Path) -> None:
    """See that a stand has left nothing."""
    assert folder.parent == Path(tempfile.gettempdir())
    assert soon(lambda: not any(map(runs, pids)))
    assert soon(lambda: not folder.exists())
