"""The stand's processes: how they start, how they end, and what they leave behind: nothing."""

from __future__ import annotations

import http.client
import importlib.util
import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from lambda_small import CODE, Small, make, role_of, runs, small, soon

from moeopt.adapters.aws_lambda.stand.local import Stand
from moeopt.core.errors import AdapterError

#: A process that starts a stand, calls a function, says what there is, and is killed.
_PARENT = """
import json, os, signal, sys
from lambda_small import small
from moeopt.adapters.aws_lambda.stand.local import Stand

with Stand() as stand, small(stand.clients()) as function:
    said = function.call({}).said
    print(json.dumps([stand.pid, said["pid"], said["environment"]["TMPDIR"]]), flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def family(pid: int) -> list[int]:
    """Return a process and all that it has started, and these."""
    found = [pid]
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in task.read_text().split():
            found += family(int(child))
    return found


def folder_of(temporary: str) -> Path:
    """Return a stand's folder: that of the worker's temporary files is within."""
    return Path(temporary).parent.parent


def require_gone(pids: list[int], folder: Path) -> None:
    assert folder.parent == Path(tempfile.gettempdir())
    assert soon(lambda: not any(map(runs, pids)))
    assert soon(lambda: not folder.exists())


def test_lambda_stand_process_closed_leaves_nothing() -> None:
    with Stand() as stand, small(stand.clients()) as function:
        folder = folder_of(function.call({}).said["environment"]["TMPDIR"])
        pids = family(stand.pid)
        # The stand, its governor, who removes its folder with what it waits by, the worker.
        assert len(pids) >= 4
        assert folder.exists()
    assert not folder.exists()
    assert not any(map(runs, pids))
    stand.close()


def test_lambda_stand_process_with_images_told_to_end_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "small.py").write_text(CODE)
    (tmp_path / "Dockerfile").write_text('FROM python\nCMD ["small.handle"]\n')
    with Stand(images={"registry/image:1": tmp_path}) as stand:
        clients = stand.clients()
        for command in ({}, {"ImageConfig": {"Command": ["small.handle"]}}):
            clients.functions.create_function(
                FunctionName="small", Role=role_of(clients), PackageType="Image",
                Code={"ImageUri": "registry/image:1"}, **command,
            )  # fmt: skip
            said = Small(clients, "small").call({}).said
            assert said["memory"] == "128"
            clients.functions.delete_function(FunctionName="small")
        pids = family(stand.pid)
        os.kill(stand.pid, signal.SIGTERM)
        require_gone(pids, folder_of(said["environment"]["TMPDIR"]))
    assert (tmp_path / "small.py").exists()


def test_lambda_stand_process_killed_leaves_nothing() -> None:
    with Stand() as stand:
        said = make(stand.clients()).call({}).said
        pids = family(stand.pid)
        os.kill(stand.pid, signal.SIGKILL)
        require_gone(pids, folder_of(said["environment"]["TMPDIR"]))
        with pytest.raises(AdapterError, match="the stand does not answer"):
            stand.statistics()


def test_lambda_stand_process_whose_parent_is_killed_leaves_nothing() -> None:
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])
    }
    done = subprocess.run(
        [sys.executable, "-c", _PARENT], env=environment, stdout=subprocess.PIPE, check=False
    )
    assert done.returncode == -signal.SIGKILL
    stand, worker, temporary = json.loads(done.stdout)
    require_gone([stand, worker], folder_of(temporary))


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
