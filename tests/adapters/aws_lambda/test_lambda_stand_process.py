"""The stand's processes: how they start, how they end, and what they leave behind: nothing."""

from __future__ import annotations

import http.client
import importlib.util
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from lambda_small import CODE, Small, family, require_gone, role_of, soon

from moeopt.adapters.aws_lambda.stand.local import Stand
from moeopt.core.errors import AdapterError

#: A process that starts a stand, says what there is, and is killed.
_PARENT = """
import json, os, signal
from moeopt.adapters.aws_lambda.stand.local import Stand

with Stand() as stand:
    print(json.dumps([stand.pid, str(stand.folder)]), flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def governor_of(stand: Stand) -> int:
    """Return a stand's governor's process."""
    governors = [
        pid
        for pid in family(stand.pid)
        if "governor_process" in Path(f"/proc/{pid}/cmdline").read_text()
    ]
    assert len(governors) == 1
    return governors[0]


@pytest.fixture
def few_files() -> Iterator[None]:
    """Allow few open files, as some shells do."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 256), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.usefixtures("few_files")
def test_lambda_stand_process_with_images_whose_governor_is_killed_leaves_nothing(
    tmp_path: Path,
) -> None:
    """Nor workers that stand still as their share is used up."""
    pid = tmp_path / "pid"
    (tmp_path / "small.py").write_text(CODE)
    (tmp_path / "Dockerfile").write_text('FROM python\nCMD ["small.handle"]\n')
    with Stand(images={"registry/image:1": tmp_path}) as stand, ThreadPoolExecutor() as threads:
        # Calls at once take more files than a shell may allow.
        most = resource.prlimit(stand.pid, resource.RLIMIT_NOFILE)
        assert most[0] == min(most[1], 1 << 16)
        clients = stand.clients()
        for command in ({"ImageConfig": {"Command": ["absent.handle"]}}, {}):
            clients.functions.create_function(
                FunctionName="small", Role=role_of(clients), PackageType="Image",
                Code={"ImageUri": "registry/image:1"}, Timeout=60, **command,
            )  # fmt: skip
            if command:
                assert "ImportModuleError" in str(Small(clients, "small").call({}).said)
                clients.functions.delete_function(FunctionName="small")
        call = threads.submit(Small(clients, "small").call, {"forever": str(pid)})
        assert soon(lambda: pid.exists() and pid.read_text() != "")
        stat = Path(f"/proc/{pid.read_text()}/stat")
        assert soon(lambda: stat.read_text().rpartition(")")[2].split()[0] == "T")
        pids = family(stand.pid)
        # The stand, its governor, who removes its folder with what it waits by, the worker.
        assert len(pids) >= 5
        os.kill(governor_of(stand), signal.SIGKILL)
        require_gone(pids, stand.folder)
        assert call.exception() is not None or call.result().error is not None
        with pytest.raises(AdapterError, match="the stand does not answer"):
            stand.statistics()
    assert (tmp_path / "small.py").exists()


def test_lambda_stand_process_whose_parent_is_killed_leaves_nothing() -> None:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", _PARENT], env=environment, stdout=subprocess.PIPE, check=False
    )
    assert done.returncode == -signal.SIGKILL
    pid, folder = json.loads(done.stdout)
    require_gone([pid], Path(folder))


def test_lambda_stand_process_needs_nothing_of_the_environment(
    stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_PROFILE", "not-there")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    assert stand.clients().account == "123456789012"
    assert stand.statistics().workers >= 0


def test_lambda_stand_process_keeps_connections_open(stand: Stand) -> None:
    connection = http.client.HTTPConnection(stand.endpoint.removeprefix("http://"))
    connection.connect()
    first = connection.sock
    for path, status in (("/_stand/statistics", 200), ("/_stand/nothing", 404)):
        connection.request("POST", path, body=b"null")
        response = connection.getresponse()
        assert response.status == status
        json.loads(response.read())
    # Bodies in pieces, as boto3 sends what it cannot measure.
    connection.request("POST", "/_stand/faults", body=iter([b"[", b"]"]), encode_chunked=True)
    assert connection.getresponse().read() == b"null"
    assert connection.sock is first
    connection.close()


def test_lambda_stand_process_needs_linux(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(AdapterError, match="needs Linux"):
        Stand()


@pytest.mark.parametrize("module", ["moto", "awslambdaric"])
def test_lambda_stand_process_says_what_is_missing(
    monkeypatch: pytest.MonkeyPatch, module: str
) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == module else found(name)
    )
    with pytest.raises(AdapterError, match=r"pip install 'moeopt\[stand\]'"):
        Stand()


def test_lambda_stand_process_needs_an_interpreter(tmp_path: Path) -> None:
    with pytest.raises(AdapterError, match="no interpreter"):
        Stand(python=str(tmp_path / "python"))


def test_lambda_stand_process_that_does_not_start_says_why(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "moto").mkdir()
    (tmp_path / "moto" / "__init__.py").write_text("raise RuntimeError('broken on purpose')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    before = set(Path(tempfile.gettempdir()).glob("moeopt-stand-*"))
    with pytest.raises(AdapterError, match=r"did not start: .*broken on purpose"):
        Stand()
    assert set(Path(tempfile.gettempdir()).glob("moeopt-stand-*")) <= before
