"""The package by itself: a process that can reach nothing else but what Lambda's runtimes have."""

from __future__ import annotations

import importlib.metadata
import io
import json
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from lambda_cases import direct_event, expert_of, some_tokens

from moeopt.adapters.aws_lambda.clients import Clients
from moeopt.adapters.aws_lambda.deployer.package import HANDLER, code_package
from moeopt.adapters.aws_lambda.stand.local import Stand
from moeopt.adapters.aws_lambda.worker.protocol import from_text

#: Calls the handler as the runtime does, and tells what was imported.
_SCRIPT = """
import importlib, json, sys, time
sys.path[1:1] = [{package!r}, {runtime!r}]
from awslambdaric.lambda_context import LambdaContext
module, name = {handler!r}.rsplit(".", 1)
handle = getattr(importlib.import_module(module), name)
before = sorted(sys.modules)
deadline = int(time.time() * 1000) + 30_000
answer = handle(json.loads(sys.stdin.read()), LambdaContext("request", None, None, deadline))
import boto3, numpy
print(json.dumps([answer, before, sorted(sys.modules), numpy.__file__]))
"""


def needed(name: str, found: set[str]) -> set[str]:
    """Return a package with all that it needs, from what is installed here, beside `found`."""
    found.add(name)
    for line in importlib.metadata.requires(name) or ():
        other = re.split(r"[^\w.-]", line)[0]
        if "extra ==" not in line and other not in found:
            needed(other, found)
    return found


def runtime_folder(folder: Path) -> Path:
    """Return a folder with links to what Lambda's runtime brings, and to nothing else."""
    folder.mkdir()
    for name in needed("boto3", needed("awslambdaric", set())):
        distribution = importlib.metadata.distribution(name)
        tops = {file.parts[0] for file in distribution.files or ()} - {"..", "__pycache__"}
        for top in tops:
            (folder / top).symlink_to(Path(str(distribution.locate_file(top))))
    return folder


def test_the_package_needs_nothing_of_moeopt(
    tmp_path: Path, stand: Stand, clients: Clients, monkeypatch: pytest.MonkeyPatch
) -> None:
    with zipfile.ZipFile(io.BytesIO(code_package("x86").data)) as archive:
        archive.extractall(tmp_path / "package")
    runtime = runtime_folder(tmp_path / "runtime")
    assert not (runtime / "numpy").exists()
    environment = {**stand.environment(), "MOEOPT_BUCKET": "alone", "MOEOPT_WEIGHTS": "w.npz"}
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    clients.storage.create_bucket(Bucket="alone")
    clients.storage.put_object(Bucket="alone", Key="w.npz", Body=expert_of().to_npz())
    script = _SCRIPT.format(
        package=str(tmp_path / "package"), runtime=str(runtime), handler=HANDLER
    )
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", script],
        input=json.dumps(direct_event(some_tokens(3))),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    clients.storage.delete_object(Bucket="alone", Key="w.npz")
    clients.storage.delete_bucket(Bucket="alone")
    assert done.returncode == 0, done.stderr
    answer, before, after, numpy_file = json.loads(done.stdout)
    outputs = from_text(answer["payload"], answer["width"])
    np.testing.assert_allclose(outputs, expert_of().compute(some_tokens(3)), rtol=1e-5)
    assert Path(numpy_file).is_relative_to(tmp_path / "package")
    brought = {path.name.split(".")[0] for path in runtime.iterdir()}
    known = brought | sys.stdlib_module_names | {"numpy", "moeopt_worker"}
    known |= {"__main__", "__mp_main__"}
    assert {name.split(".")[0] for name in after} <= known
    assert "moeopt" not in known
    # All is imported before the first call, while a function has a whole processor.
    ours = ("numpy", "moeopt_worker", "boto3")
    assert [name for name in set(after) - set(before) if name.startswith(ours)] == []
