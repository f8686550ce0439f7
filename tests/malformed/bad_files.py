"""Arrays beside a document that cannot be read, or must not be."""

from __future__ import annotations

import functools
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from bad_instance import Case, edit, edited, file_with

_FINITE = "must be a finite number"
_STAYS = "must be a relative path that stays in the document's folder"


def beside(name: str, prepare: Callable[[Path], str], *says: str, key: str = "loads") -> Case:
    """Return a case whose loads lie in a file; `prepare` makes it and returns the reference."""

    def make(folder: Path) -> Path:
        reference = {"npz": prepare(folder), "key": key}
        return file_with(folder, json.dumps(edited(loads_tokens=reference)).encode())

    return Case(name, make, says)


def _npz(folder: Path, name: str = "loads.npz", **arrays: Any) -> str:
    np.savez(folder / name, **arrays)
    return name


def _pickled(folder: Path) -> str:
    return _npz(folder, loads=np.array([{"a": 1}], dtype=object))


def _truncated(folder: Path) -> str:
    name = _npz(folder, loads=np.ones((2, 4)))
    data = (folder / name).read_bytes()
    (folder / name).write_bytes(data[: len(data) // 2])
    return name


def _zip_of(folder: Path, member: str, data: bytes) -> str:
    with zipfile.ZipFile(folder / "loads.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(member, data)
    return "loads.npz"


def _npy(shape: tuple[int, ...], payload: bytes, descr: str = "<f8") -> bytes:
    stream = io.BytesIO()
    header = {"descr": descr, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(stream, header)
    return stream.getvalue() + payload


@functools.cache
def _bomb_bytes() -> bytes:
    # 300 MB of zeros in 1.3 MB.
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("loads.npy", _npy((37_500_000,), bytes(300_000_000)))
    return stream.getvalue()


def _bomb(folder: Path) -> str:
    (folder / "loads.npz").write_bytes(_bomb_bytes())
    return "loads.npz"


def _outside(folder: Path) -> str:
    outside = folder.parent / (folder.name + "-outside")
    outside.mkdir()
    _npz(outside, loads=np.ones((2, 4)))
    return str(outside / "loads.npz")


def _link_outside(folder: Path) -> str:
    (folder / "link.npz").symlink_to(_outside(folder))
    return "link.npz"


def _link_folder_outside(folder: Path) -> str:
    (folder / "sub").symlink_to(Path(_outside(folder)).parent, target_is_directory=True)
    return "sub/loads.npz"


def _file_named(folder: Path, name: str, data: bytes) -> str:
    (folder / name).write_bytes(data)
    return name


#: Arrays beside the document.
FILES = [
    beside(
        "npz-absent",
        lambda f: "loads.npz",
        "$.loads_tokens.npz",
        "got 'loads.npz'",
        "no such file",
        "check its name",
    ),
    beside(
        "npz-parent",
        lambda f: "../loads.npz",
        f"$.loads_tokens.npz: {_STAYS}",
        "got '../loads.npz'",
        "move the file",
    ),
    beside(
        "npz-hidden-parent",
        lambda f: "sub/../../x.npz",
        f"$.loads_tokens.npz: {_STAYS}",
        "got 'sub/../../x.npz'",
        "move the file",
    ),
    beside("npz-absolute", _outside, f"$.loads_tokens.npz: {_STAYS}", "got '/", "move the file"),
    beside("npz-link", _link_outside, f"$.loads_tokens.npz: {_STAYS}", "got 'link.npz'", "move"),
    beside(
        "npz-link-folder",
        _link_folder_outside,
        f"$.loads_tokens.npz: {_STAYS}",
        "got 'sub/loads.npz'",
        "move",
    ),
    beside(
        "npz-folder",
        lambda f: ".",
        "$.loads_tokens.npz: must be a regular file",
        "got '.'",
        "point",
    ),
    beside(
        "npz-text",
        lambda f: _file_named(f, "loads.npz", b"no zip"),
        "must be a whole .npz archive",
        "got 'loads.npz'",
        "write it again",
    ),
    beside(
        "npz-truncated",
        _truncated,
        "$.loads_tokens.npz: must be a whole .npz",
        "got 'loads.npz'",
        "write it again",
    ),
    beside(
        "npz-key",
        lambda f: _npz(f, loads=np.ones((2, 4))),
        "$.loads_tokens.key: must be an array of",
        "got 'laods'",
        "did you mean 'loads'?",
        key="laods",
    ),
    beside(
        "npz-pickle",
        _pickled,
        "$.loads_tokens.key: must hold integers or floats",
        "not object",
        "loading never unpickles",
        "got 'loads'",
        "save it by numpy.savez",
    ),
    beside(
        "npz-strings",
        lambda f: _npz(f, loads=np.array([["a"]])),
        "must hold integers or floats",
        "not <U1",
        "got 'loads'",
        "save it",
    ),
    beside(
        "npz-bools",
        lambda f: _npz(f, loads=np.ones((2, 4), dtype=bool)),
        "must hold integers or",
        "not bool",
        "got 'loads'",
        "save it",
    ),
    beside(
        "npz-complex",
        lambda f: _npz(f, loads=np.ones((2, 4), dtype=complex)),
        "must hold integers",
        "not complex128",
        "save it",
    ),
    beside(
        "npz-bomb",
        _bomb,
        "$.loads_tokens.key: must be an array of at most 256 MiB",
        "got 'loads'",
        "aggregate",
    ),
    beside(
        "npz-header-bomb",
        lambda f: _zip_of(f, "loads.npy", _npy((10**12,), b"")),
        "$.loads_tokens.key: must be an array of at most 256 MiB",
        "got 'loads'",
        "aggregate",
    ),
    beside(
        "npz-short",
        lambda f: _zip_of(f, "loads.npy", _npy((2, 4), bytes(8))),
        "must be a whole .npz archive",
        "size that its header declares",
        "write it again",
    ),
    beside(
        "npz-garbage",
        lambda f: _zip_of(f, "loads.npy", b"not an array"),
        "must be a whole .npz archive",
        "got 'loads.npz'",
        "write it again",
    ),
    beside(
        "npz-nan",
        lambda f: _npz(f, loads=np.array([[1, np.nan, 1, 1]])),
        f"$.loads_tokens[0][1]: {_FINITE}",
        "got nan",
        "correct the array",
    ),
    beside(
        "npz-negative",
        lambda f: _npz(f, loads=np.array([[1, -2, 1, 1]])),
        "$.loads_tokens[0][1]: must be a finite number >= 0",
        "got -2",
        "correct",
    ),
    edit(
        "npz-extra",
        "$.loads_tokens: must be a list of numbers, or an object",
        "got {'npz'",
        "write",
        loads_tokens={"npz": "a.npz", "key": "a", "dtype": "f8"},
    ),
    edit(
        "npz-number",
        "$.loads_tokens: must be a list of numbers, or an object",
        "got {'npz'",
        "write",
        loads_tokens={"npz": "a.npz", "key": 0},
    ),
]
