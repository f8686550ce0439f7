"""The code package: what is in it, that it is the same again, and which NumPy it may hold."""

from __future__ import annotations

import hashlib
import io
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from moeopt.adapters.aws_lambda.deployer.package import (
    PACKAGE_BYTES,
    Package,
    code_package,
    require_glibc,
    write_image_context,
)
from moeopt.core.errors import InstanceError

#: Prints the hash of a package, in a process of its own.
_HASH = """
from pathlib import Path
import sys
from moeopt.adapters.aws_lambda.deployer.package import code_package
print(code_package("x86", "python3.12", Path(sys.argv[1])).sha256)
"""


def names(package: Package) -> list[str]:
    with zipfile.ZipFile(io.BytesIO(package.data)) as archive:
        return archive.namelist()


def numpy_folder(folder: Path, tag: str = "cp312-cp312-manylinux_2_28_x86_64") -> Path:
    """Make what pip would leave of a NumPy without content."""
    described = folder / "numpy-2.3.0.dist-info"
    for path in (described, folder / "numpy/__pycache__", folder / "numpy/tests", folder / "bin"):
        path.mkdir(parents=True)
    (described / "WHEEL").write_text(f"Wheel-Version: 1.0\nTag: {tag}\n")
    (described / "METADATA").write_text("Name: numpy\nVersion: 2.3.0\n")
    for name in ("__init__.py", "__init__.pyi", "tests/test_a.py", "__pycache__/a.pyc"):
        (folder / "numpy" / name).write_text("")
    (folder / "bin/f2py").write_text("")
    (folder / "more.py").write_text("")
    return folder


def test_the_package_holds_the_worker_and_numpy() -> None:
    package = code_package("x86")
    assert package.sha256 == hashlib.sha256(package.data).hexdigest()
    with zipfile.ZipFile(io.BytesIO(package.data)) as archive:
        members = archive.infolist()
        assert archive.testzip() is None
    held = [member.filename for member in members]
    assert held == sorted(held)
    assert package.unpacked_bytes == sum(member.file_size for member in members) < PACKAGE_BYTES
    assert {"moeopt_worker/handler.py", "numpy/__init__.py"} < set(held)
    assert any(name.startswith("numpy.libs/") for name in held)
    assert {name.split("/")[0] for name in held} == {"moeopt_worker", "numpy", "numpy.libs"}
    assert not [name for name in held if "/tests/" in name or name.endswith((".pyc", ".pyi"))]
    assert {member.date_time for member in members} == {(1980, 1, 1, 0, 0, 0)}
    assert {member.external_attr >> 16 for member in members} == {0o100644}


def test_the_same_files_make_the_same_bytes(tmp_path: Path) -> None:
    folders = [numpy_folder(tmp_path / name) for name in ("a", "b")]
    command = [sys.executable, "-c", _HASH, str(folders[0])]
    other = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert other.stdout.strip() == code_package("x86", "python3.12", folders[1]).sha256
    (folders[1] / "more.py").write_text("changed")
    assert other.stdout.strip() != code_package("x86", "python3.12", folders[1]).sha256


def test_a_bare_package_holds_the_worker_alone(tmp_path: Path) -> None:
    package = code_package("arm64", "python3.13", bare=True)
    assert {name.split("/")[0] for name in names(package)} == {"moeopt_worker"}
    assert package.glibc is None
    require_glibc(package, "python3.11", "arm64")
    with pytest.raises(InstanceError, match="dependencies: must be left out where layers"):
        code_package("x86", dependencies=numpy_folder(tmp_path), bare=True)


def test_dependencies_come_from_a_folder(tmp_path: Path) -> None:
    package = code_package("x86", "python3.12", numpy_folder(tmp_path))
    held = [name for name in names(package) if not name.startswith("moeopt_worker/")]
    described = [f"numpy-2.3.0.dist-info/{name}" for name in ("METADATA", "WHEEL")]
    assert held == ["more.py", *described, "numpy/__init__.py"]
    assert package.glibc == (2, 28)


@pytest.mark.parametrize(
    ("tag", "architecture", "runtime"),
    [
        ("cp312-cp312-manylinux_2_28_x86_64", "arm64", "python3.12"),
        ("cp312-cp312-manylinux_2_28_x86_64", "x86", "python3.13"),
        ("cp312-cp312-macosx_14_0_arm64", "arm64", "python3.12"),
        ("cp312-cp312-linux_x86_64", "x86", "python3.12"),
    ],
)
def test_a_numpy_for_others_is_refused(
    tmp_path: Path, tag: str, architecture: str, runtime: str
) -> None:
    said = r"must be a wheel of NumPy for Python 3\.\d+ on Linux.* --python-version 3\.\d+ "
    with pytest.raises(InstanceError, match=said):
        code_package(architecture, runtime, numpy_folder(tmp_path, tag))


def test_the_numpy_here_fits_this_python_alone() -> None:
    other = f"python3.{sys.version_info.minor + 1}"
    with pytest.raises(InstanceError, match="got <the NumPy here>; give a folder made by: pip"):
        code_package("x86", other)


def test_a_folder_without_numpy_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InstanceError, match="dependencies: must hold NumPy as pip installs it"):
        code_package("x86", "python3.12", tmp_path)
    with pytest.raises(InstanceError, match="dependencies: must hold NumPy as pip installs it"):
        code_package("x86", "python3.12", tmp_path / "none")


@pytest.mark.parametrize(
    ("tags", "glibc", "old"),
    [
        ("cp311-cp311-manylinux_2_27_x86_64\nTag: cp311-cp311-manylinux_2_28_x86_64", 27, False),
        ("cp311-cp311-manylinux_2_17_x86_64\nTag: cp311-cp311-manylinux2014_x86_64", 17, True),
        ("cp311-cp311-manylinux2014_x86_64", 17, True),
    ],
)
def test_a_numpy_may_be_too_new_for_a_runtime(
    tmp_path: Path, tags: str, glibc: int, old: bool
) -> None:
    package = code_package("x86", "python3.11", numpy_folder(tmp_path, tags))
    assert package.glibc == (2, glibc)
    require_glibc(package, "python3.12", "x86")
    if old:
        require_glibc(package, "python3.11", "x86")
    else:
        with pytest.raises(InstanceError, match=r"must have glibc 2\.27 for this NumPy, has 2\.26"):
            require_glibc(package, "python3.11", "x86")


def test_a_package_that_lambda_would_refuse_is_refused(tmp_path: Path) -> None:
    with (numpy_folder(tmp_path) / "large.bin").open("wb") as file:
        # More than could be read.
        file.truncate(1 << 43)
    with pytest.raises(InstanceError, match=f"package: must be at most {PACKAGE_BYTES} bytes"):
        code_package("x86", "python3.12", tmp_path)


def test_strange_names_are_refused() -> None:
    with pytest.raises(InstanceError, match="architecture: must be one of x86, x86_64, arm64"):
        code_package("mips")
    with pytest.raises(InstanceError, match=r"runtime: must be a Python.* write it as python3\."):
        code_package("x86", "nodejs20.x")


def test_an_image_is_described_with_commands_that_build_it(tmp_path: Path) -> None:
    folder = tmp_path / "the image"
    commands = write_image_context(folder, "python3.13", "arm64")
    assert (folder / "moeopt_worker/handler.py").exists()
    dockerfile = (folder / "Dockerfile").read_text()
    assert dockerfile.startswith("FROM public.ecr.aws/lambda/python:3.13\n")
    assert dockerfile.endswith('CMD ["moeopt_worker.handler.handle"]\n')
    build = next(command for command in commands if command.startswith("docker build"))
    assert "--platform linux/arm64 " in build
    assert build.endswith(f" '{folder}'")
    assert write_image_context(folder) == write_image_context(folder, "python3.12", "x86")
    with pytest.raises(InstanceError, match="runtime: must have a C library that PyTorch"):
        write_image_context(folder, "python3.11")
