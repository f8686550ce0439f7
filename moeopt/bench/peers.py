"""Other systems' placement code, run from the files of their unpacked wheels.

Importing vllm or sglang would pull in everything they need to serve a model. The policies need
NumPy and torch only, so each is loaded by its path, under an empty package of our own.
"""

from __future__ import annotations

import contextlib
import importlib
import re
import sys
import tempfile
import types
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from moeopt.core.arrays import FloatArray, IntArray
from moeopt.core.errors import InstanceError
from moeopt.placement.generate import Layout

#: Gets the loads and the layout, returns the call to be timed; its answer goes to `table_of`.
Bind = Callable[[FloatArray, Layout], Callable[[], Any]]


@dataclass(frozen=True)
class Contender:
    """A way to place experts.

    Attributes
    ----------
    name
        For tables.
    bind
        Prepares the inputs, which is not timed, and returns the call that is.
    version
        Of the system it comes from.
    """

    name: str
    bind: Bind
    version: str = ""


@dataclass(frozen=True)
class Peers:
    """What was found.

    Attributes
    ----------
    contenders
        In the order of the tables.
    absent
        One line for each that could not be had, with the reason.
    """

    contenders: tuple[Contender, ...]
    absent: tuple[str, ...]


@dataclass(frozen=True)
class _Source:
    name: str
    package: str
    folder: str
    module: str
    bind: Callable[[types.ModuleType], Bind]


def _vllm(module: types.ModuleType) -> Bind:
    policy = module.DefaultEplbPolicy

    def bind(loads: FloatArray, layout: Layout) -> Callable[[], Any]:
        weight = _tensor(loads)
        sizes = (layout.slots, layout.groups, layout.nodes, layout.devices)
        return lambda: policy.rebalance_experts(weight, *sizes)

    return bind


def _sglang(module: types.ModuleType) -> Bind:
    def bind(loads: FloatArray, layout: Layout) -> Callable[[], Any]:
        weight = _tensor(loads)
        # Its dispatcher asks for hierarchy by this rule.
        grouped = layout.groups % layout.nodes == 0
        sizes = (layout.slots, layout.groups, layout.nodes, layout.devices)
        return lambda: module.rebalance_experts(weight, *sizes, grouped)[0]

    return bind


def _sglang_vec(module: types.ModuleType) -> Bind:
    def bind(loads: FloatArray, layout: Layout) -> Callable[[], Any]:
        weight = _tensor(loads)[None]
        sizes = (layout.slots, layout.slots_per_device, layout.groups, layout.nodes)
        return lambda: module.rebalance_experts(weight, *sizes, layout.hierarchical)[0]

    return bind


_SOURCES = (
    _Source("vllm", "vllm", "vllm/distributed/eplb/policy", "default", _vllm),
    _Source("sglang", "sglang", "sglang/srt/eplb/eplb_algorithms", "deepseek", _sglang),
    _Source("sglang-vec", "sglang", "sglang/srt/eplb/eplb_algorithms", "deepseek_vec", _sglang_vec),
)

#: vLLM's order of a migration's transfers, for comparisons in the transfers wing.
_SCHEDULER = ("vllm", "vllm/distributed/eplb", "migration_scheduler")

#: Of a wheel's files: the policies, what they are called by, and a folder whose name tells the
#: version.
_WANTED = re.compile(
    r"(sglang/srt/eplb|vllm/(distributed|logging_utils|plugins|utils))/.*\.py"
    r"|vllm/[^/]*\.py|[^/]*\.dist-info/METADATA"
)


@contextlib.contextmanager
def find(paths: Sequence[Path]) -> Iterator[Peers]:
    """Find the peers under `paths`: folders that hold a package's folder, or ``.whl`` files.

    Wheels are unpacked to a temporary folder, which lasts as long as the context.

    Raises
    ------
    InstanceError
        If a wheel cannot be unpacked.
    """
    with _unpacked(paths) as roots:
        contenders, absent = [], []
        for source in _SOURCES:
            try:
                _limit_threads()
                module = _load(roots, source.package, source.folder, source.module)
                bind = source.bind(module)
            except (ImportError, AttributeError) as error:
                absent.append(f"{source.name}: {error}")
                continue
            version = _version(roots, source.package)
            contenders.append(Contender(source.name, bind, version))
        yield Peers(tuple(contenders), tuple(absent))


@contextlib.contextmanager
def migration_scheduler(paths: Sequence[Path]) -> Iterator[types.ModuleType]:
    """Load vLLM's migration scheduler from under `paths`.

    Raises
    ------
    ImportError
        If it is not there.
    """
    with _unpacked(paths) as roots:
        yield _load(roots, *_SCHEDULER)


@contextlib.contextmanager
def package_root(paths: Sequence[Path], module: str) -> Iterator[Path]:
    """Give the folder that holds a package under `paths`, such as ``vllm``.

    Parameters
    ----------
    paths
        Folders and wheels.
    module
        A file of the package, from that folder on.

    Raises
    ------
    ImportError
        If it is not there.
    """
    with _unpacked(paths) as roots:
        for root in roots:
            if (root / module).is_file():
                yield root
                return
        raise ImportError(f"no {module} under the paths of --peers")


def table_of(answer: Any) -> IntArray:
    """Return a contender's answer as physical to logical experts, shape ``(layers, slots)``."""
    return np.asarray(answer).astype(np.int64)


@contextlib.contextmanager
def _unpacked(paths: Sequence[Path]) -> Iterator[list[Path]]:
    with tempfile.TemporaryDirectory(prefix="moeopt-peers-") as scratch:
        roots = []
        for i, path in enumerate(paths):
            if path.suffix == ".whl":
                roots.append(_unzip(path, Path(scratch) / str(i)))
            else:
                # A package's own folder will do as well as the folder that holds it.
                roots += [path, path.parent]
        yield roots


def _unzip(wheel: Path, to: Path) -> Path:
    """Unpack the policies and the wheel's name; a wheel of several 100 MB has few of them."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(to, [n for n in archive.namelist() if _WANTED.fullmatch(n)])
    except (OSError, zipfile.BadZipFile) as error:
        raise InstanceError(
            "--peers", str(wheel), f"must be a wheel ({error})", "fetch it again"
        ) from None
    return to


def _load(roots: Sequence[Path], package: str, folder: str, name: str) -> types.ModuleType:
    """Import one file of a package whose own ``__init__`` is never run."""
    homes = [root / folder for root in roots if (root / folder / f"{name}.py").is_file()]
    if not homes:
        raise ImportError(f"no {folder}/{name}.py under the paths of --peers")
    stub = f"_moeopt_peer_{package}_{name}"
    for loaded in [m for m in sys.modules if m == stub or m.startswith(stub + ".")]:
        del sys.modules[loaded]
    module = types.ModuleType(stub)
    module.__path__ = [str(homes[0])]
    sys.modules[stub] = module
    importlib.invalidate_caches()
    return importlib.import_module(f"{stub}.{name}")


def _version(roots: Sequence[Path], package: str) -> str:
    for root in roots:
        for found in root.glob(f"{package}-*.dist-info"):
            return found.name.removeprefix(f"{package}-").removesuffix(".dist-info")
    return "of unknown version"


def _tensor(loads: FloatArray) -> Any:
    # float32, as the engines pass it.
    return importlib.import_module("torch").tensor(loads.astype(np.float32))


def _limit_threads() -> None:
    importlib.import_module("torch").set_num_threads(1)
