"""Files of the command line: errors that name the file, outputs checked before the work."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from moeopt.core.errors import InstanceError

_T = TypeVar("_T")

STDOUT = "-"


def read(load: Callable[[str], _T], name: str) -> _T:
    """Return ``load(name)``; an error about the content says which file it is in."""
    try:
        return load(name)
    except InstanceError as error:
        if error.path.startswith("$"):
            raise error.under(f"{'<stdin>' if name == '-' else name}: $") from None
        raise


def read_problem(name: str) -> Any:
    """Return the problem that a file, ``-`` or ``@wing/name`` states."""
    from moeopt.io import load_problem

    if name != "-" and not name.startswith("@") and not Path(name).exists():
        _require_no_instance(name)
    return read(load_problem, name)


def _require_no_instance(name: str) -> None:
    """Raise `InstanceError` if what is no file is the name of an instance, without its ``@``."""
    from moeopt.library import entries

    known = [entry.name for entry in entries(name) if name in (entry.name, Path(entry.name).name)]
    if known:
        rule = "must be a readable file"
        raise InstanceError(name, "<no such file>", rule, f"for the library's write @{known[0]}")


def require_writable(name: str | None, option: str = "-o") -> None:
    """Raise `InstanceError` now if the answer could not be written later."""
    if name is None or name == STDOUT:
        return
    target = Path(name)
    folder = target.parent
    rule = "must be a file that can be written"
    if target.is_dir():
        raise InstanceError(option, name, rule, "it is a folder: name a file in it")
    if not folder.is_dir():
        raise InstanceError(option, name, rule, f"make the folder {folder} first")
    if not os.access(target if target.exists() else folder, os.W_OK):
        raise InstanceError(option, name, rule, "it is protected: choose another place")


def write(name: str, data: bytes) -> None:
    """Write `data` to a file, whole or not at all, or to standard output for ``-``."""
    if name == STDOUT:
        write_stdout(data)
        return
    from moeopt.core.files import write_atomically

    try:
        write_atomically(name, data)
    except OSError as error:
        raise unwritable(name, error) from None


def unwritable(name: str, error: OSError) -> InstanceError:
    """Return what to say of an output that could not be written."""
    reason = (error.strerror or type(error).__name__).lower()
    return InstanceError("-o", name, f"must be writable ({reason})", "choose another place")


def write_stdout(data: bytes) -> None:
    """Write JSON to standard output as UTF-8, whatever the terminal's encoding."""
    sys.stdout.flush()
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


@contextmanager
def nothing_on_stdout() -> Iterator[None]:
    """Send to standard error what solvers print behind Python's back: HiGHS does, now and then.

    Standard output is for answers alone.
    """
    sys.stdout.flush()
    try:
        kept = os.dup(1)
    except OSError:  # it is closed: nothing can be printed there
        yield
        return
    try:
        os.dup2(2, 1)
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)
