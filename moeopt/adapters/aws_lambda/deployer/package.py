"""The code of a function as a zip: the worker, and NumPy; or what a container image is built of.

The same files give the same bytes, so that their hash tells whether a function is up to date: with
the same zlib, whose versions pack differently. Deployed from a machine with another, the code is
replaced by its equal.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import io
import re
import shlex
import sys
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from moeopt.core.errors import InstanceError
from moeopt.core.files import write_atomically

#: What the worker is called in a package, and the function's handler in it.
WORKER = "moeopt_worker"
HANDLER = f"{WORKER}.handler.handle"

#: Most bytes of a package, unpacked, and of an image's layers: AWS's.
PACKAGE_BYTES = 262_144_000

#: Earliest Python whose image has a C library that PyTorch's wheels accept.
_IMAGE_RUNTIME = "python3.12"

#: Processors by the names that price books and that Lambda give them: as wheels call them, and
#: as images do.
_MACHINES = {"x86": "x86_64", "x86_64": "x86_64", "arm64": "aarch64"}
_IMAGES = {"x86_64": "linux/amd64", "aarch64": "linux/arm64"}

#: C libraries of Amazon Linux 2, which Python up to 3.11 runs on, and of Amazon Linux 2023.
_OLD_GLIBC, _NEW_GLIBC, _LAST_OLD = (2, 26), (2, 34), 11

#: C library that wheels of these old names need.
_LEGACY = {"manylinux1": (2, 5), "manylinux2010": (2, 12), "manylinux2014": (2, 17)}

_TAG = re.compile(r"Tag: (cp\d+)-\w+-(manylinux\d+|manylinux_(\d+)_(\d+))_(x86_64|aarch64)")
_RUNTIME = re.compile(r"python3\.(\d+)")

#: What of NumPy no function needs: its tests, and what others are compiled and checked against.
_FOLDERS, _ENDINGS = {"tests", "include"}, {".pyi", ".a"}

#: How hard packing tries: the usual level takes four times as long, to save an eighth.
_LEVEL = 1


@dataclass(frozen=True)
class Package:
    """A code package.

    Attributes
    ----------
    data
        The zip.
    sha256
        Of `data`, hexadecimal.
    unpacked_bytes
        What it takes unpacked.
    glibc
        C library that its NumPy needs, such as ``(2, 27)``; ``None`` if it holds none.
    """

    data: bytes
    sha256: str
    unpacked_bytes: int
    glibc: tuple[int, int] | None = None


def code_package(
    architecture: str,
    runtime: str | None = None,
    dependencies: Path | None = None,
    bare: bool = False,
) -> Package:
    """Return the worker as a package, with NumPy beside it.

    Whether the runtime's C library is new enough for it is `require_glibc`'s to say: in a stand
    it is this machine's. That packages with a NumPy made for it load on AWS was not tried.

    Parameters
    ----------
    architecture
        Of the functions: ``"x86"`` or ``"arm64"``.
    runtime
        Such as ``"python3.12"``; this Python's if left out.
    dependencies
        Folder with NumPy, and maybe more, as ``pip install --target`` makes it; if left out, the
        NumPy that runs here is copied, where it is made for such functions.
    bare
        Without NumPy, for functions that have it from a layer.

    Raises
    ------
    InstanceError
        If there is no NumPy for such functions, or the package is too large.
    """
    machine, python = _machine(architecture), _minor(runtime or own_runtime())
    if bare and dependencies is not None:
        rule = "must be left out where layers bring NumPy"
        raise InstanceError("dependencies", str(dependencies), rule, "leave out one of them")
    if bare:
        return _packed(_worker_files(), None)
    if dependencies is None:
        return _with_own_numpy(machine, python)
    found = [*importlib.metadata.distributions(name="numpy", path=[str(dependencies)])]
    wheel = found[0].read_text("WHEEL") if found else None
    if wheel is None:
        rule = "must hold NumPy as pip installs it"
        raise InstanceError("dependencies", str(dependencies), rule, _remedy(machine, python))
    glibc = _glibc_of(wheel, str(dependencies), machine, python)
    return _packed(_files_under(dependencies) | _worker_files(), glibc)


def require_glibc(package: Package, runtime: str, architecture: str) -> None:
    """Raise `InstanceError` if a package's NumPy needs a newer C library than a runtime has."""
    there = _OLD_GLIBC if _minor(runtime) <= _LAST_OLD else _NEW_GLIBC
    if package.glibc is not None and package.glibc > there:
        needed, has = (".".join(map(str, version)) for version in (package.glibc, there))
        rule = f"must have glibc {needed} for this NumPy, has {has}"
        remedy = _remedy(_machine(architecture), _minor(runtime))
        raise InstanceError("runtime", runtime, rule, f"{remedy}, or take a later Python")


def own_runtime() -> str:
    """Return the runtime of this Python."""
    return f"python{sys.version_info.major}.{sys.version_info.minor}"


def write_image_context(
    folder: Path, runtime: str | None = None, architecture: str = "x86"
) -> list[str]:
    """Write what a container image with PyTorch is built of.

    Neither was the image built nor run for this: the worker's PyTorch is tested outside one.

    Parameters
    ----------
    folder
        Where to; made if it is not there.
    runtime
        Python of the image; the first that PyTorch's wheels fit if left out.
    architecture
        As for `code_package`.

    Returns
    -------
    list of str
        Commands that build the image and push it, with ``ACCOUNT`` and ``REGION`` to fill in.

    Raises
    ------
    InstanceError
        If PyTorch does not run on that runtime.
    """
    runtime, machine = runtime or _IMAGE_RUNTIME, _machine(architecture)
    if _minor(runtime) <= _LAST_OLD:
        rule = "must have a C library that PyTorch's wheels accept"
        raise InstanceError("runtime", runtime, rule, f"take {_IMAGE_RUNTIME} or later")
    for name, file in _worker_files().items():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(target, file.read_bytes())
    # Last: no image is made of a folder that is half written.
    dockerfile = (
        f"FROM public.ecr.aws/lambda/python:{runtime.removeprefix('python')}\n"
        # PyTorch's usual build brings CUDA along: the index of builds without it is an option.
        'ARG TORCH_OPTIONS=""\n'
        "RUN pip install --no-cache-dir numpy && \\\n"
        "    pip install --no-cache-dir ${TORCH_OPTIONS} torch\n"
        f"COPY {WORKER} ${{LAMBDA_TASK_ROOT}}/{WORKER}\n"
        f'CMD ["{HANDLER}"]\n'
    )
    write_atomically(folder / "Dockerfile", dockerfile.encode())
    registry = "ACCOUNT.dkr.ecr.REGION.amazonaws.com"
    image = f"{registry}/{WORKER}:latest"
    return [
        f"aws ecr create-repository --repository-name {WORKER}",
        f"aws ecr get-login-password | docker login --username AWS --password-stdin {registry}",
        # Lambda takes single images, and no index with a record of how they were made.
        f"docker build --platform {_IMAGES[machine]} --provenance=false -t {image}"
        f" {shlex.quote(str(folder))}",
        f"docker push {image}",
    ]


@functools.lru_cache(maxsize=2)
def _with_own_numpy(machine: str, python: int) -> Package:
    """Return a package with the NumPy that runs here, which does not change while it does."""
    numpy = importlib.metadata.distribution("numpy")
    glibc = _glibc_of(numpy.read_text("WHEEL") or "", "<the NumPy here>", machine, python)
    files = {
        file.as_posix(): Path(str(file.locate()))
        for file in numpy.files or ()
        if file.parts[0] in ("numpy", "numpy.libs") and _needed(file)
    }
    return _packed(files | _worker_files(), glibc)


def _glibc_of(wheel: str, where: str, machine: str, python: int) -> tuple[int, int]:
    """Return the C library that a NumPy needs, from what its wheel says of itself."""
    needs = [
        _LEGACY.get(tag[2]) or (int(tag[3]), int(tag[4]))
        for tag in _TAG.finditer(wheel)
        if tag[1] == f"cp3{python}" and tag[5] == machine
    ]
    if not needs:
        rule = f"must be a wheel of NumPy for Python 3.{python} on Linux, {machine}"
        raise InstanceError("dependencies", where, rule, _remedy(machine, python))
    return min(needs)


def _remedy(machine: str, python: int) -> str:
    """Return how to get a NumPy that such functions load."""
    platforms = ["manylinux2014"] if python <= _LAST_OLD else ["manylinux_2_28", "manylinux2014"]
    named = " ".join(f"--platform {name}_{machine}" for name in platforms)
    return (
        f"give a folder made by: pip install --target DIR {named}"
        f" --python-version 3.{python} --only-binary=:all: numpy"
    )


def _worker_files() -> dict[str, Path]:
    """Return the worker's modules by their names in a package."""
    folder = Path(__file__).parents[1] / "worker"
    return {f"{WORKER}/{file.name}": file for file in folder.glob("*.py")}


def _files_under(folder: Path) -> dict[str, Path]:
    """Return what is in a folder of dependencies, but not the commands that came with them."""
    files = {}
    for file in folder.rglob("*"):
        name = PurePosixPath(file.relative_to(folder).as_posix())
        if file.is_file() and name.parts[0] != "bin" and _needed(name):
            files[name.as_posix()] = file
    return files


def _needed(name: PurePosixPath) -> bool:
    """Tell whether a function needs a file: bytecode would be stale, by its date."""
    if "__pycache__" in name.parts:
        return False
    numpy = name.parts[0] == "numpy"
    return not numpy or (not _FOLDERS.intersection(name.parts) and name.suffix not in _ENDINGS)


def _packed(files: Mapping[str, Path], glibc: tuple[int, int] | None) -> Package:
    """Return files as a package; none is read if they are too large."""
    size = sum(file.stat().st_size for file in files.values())
    if size > PACKAGE_BYTES:
        rule = f"must be at most {PACKAGE_BYTES} bytes unpacked"
        remedy = "take out what functions do not need, or use a layer or an image"
        raise InstanceError("package", size, rule, remedy)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in sorted(files):
            # The earliest date that there is, a Unix file that everybody may read.
            member = zipfile.ZipInfo(name)
            member.create_system, member.external_attr = 3, 0o100644 << 16
            archive.writestr(member, files[name].read_bytes(), zipfile.ZIP_DEFLATED, _LEVEL)
    data = out.getvalue()
    return Package(data, hashlib.sha256(data).hexdigest(), size, glibc)


def _machine(architecture: str) -> str:
    if architecture not in _MACHINES:
        rule = f"must be one of {', '.join(_MACHINES)}"
        raise InstanceError("architecture", architecture, rule, "Lambda has these processors")
    return _MACHINES[architecture]


def _minor(runtime: str) -> int:
    found = _RUNTIME.fullmatch(runtime)
    if found is None:
        raise InstanceError("runtime", runtime, "must be a Python", "write it as python3.12")
    return int(found[1])
