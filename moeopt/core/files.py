"""Files that appear whole or not at all, and lines that are appended whole."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
from pathlib import Path

try:
    import fcntl
except ImportError:  # pragma: no cover - Windows
    fcntl = None  # type: ignore[assignment]

#: How much is read at a time to find where a file's last whole line ends.
_CHUNK_BYTES = 1 << 16


def write_atomically(path: str | os.PathLike[str], data: bytes) -> None:
    """Write `data` to `path` so that no reader ever sees a part of it.

    The bytes go to a temporary file in the same folder, reach the disk, and only then take the
    name. Whatever stood there stays if anything fails. Where the system has files without names,
    the temporary one has none until it is whole: who is killed while it is written leaves nothing
    behind, and who is killed in the instant between both names a whole file too many.
    A device or a pipe is written directly.

    Raises
    ------
    OSError
        If the folder does not exist, cannot be written or is full.
    """
    if os.path.exists(path) and not os.path.isfile(path):
        # By the name as it is: what /dev/stdout leads to may have none of its own.
        Path(path).write_bytes(data)
        return
    # A link keeps pointing where it points: its target is replaced.
    target = Path(os.path.realpath(path))
    # Not made of the target's name, which may be as long as names can be.
    temporary = target.with_name(f".moeopt-{secrets.token_hex(6)}.tmp")
    mode = target.stat().st_mode & 0o7777 if target.exists() else None
    try:
        if not _written_unnamed(temporary, data, mode):
            _write_named(temporary, data, mode)
        os.replace(temporary, target)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
    _sync_folder(target.parent)


def append_line(path: str | os.PathLike[str], line: bytes, *, durable: bool = False) -> None:
    """Append a line to a file, which is made if it is not there; several processes may share it.

    What a killed process left of a line is cut off first, and what a full disk took of this one is
    taken back: the line is there whole or not at all.

    Parameters
    ----------
    path
        The file.
    line
        The line with its end; nothing, to make the file and cut off what was left unfinished.
    durable
        Whether it is on the disk when this returns.

    Raises
    ------
    OSError
        If the file cannot be written, or there is no room for the line.
    """
    binary = getattr(os, "O_BINARY", 0)  # Windows: line ends stay as they are
    file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | binary, 0o666)
    try:
        _lock(file)
        _cut_unfinished(file)
        if os.write(file, line) < len(line):
            _cut_unfinished(file)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), os.fspath(path))
        if durable:
            os.fsync(file)
    finally:
        os.close(file)


def plain_size(name: str | os.PathLike[str]) -> int:
    """Return the bytes of a file.

    Raises
    ------
    OSError
        If there is none, or no plain one: reading a pipe or a device may never end.
    """
    found = os.stat(name)
    if not stat.S_ISREG(found.st_mode):
        raise OSError(errno.EINVAL, "not a plain file", os.fspath(name))
    return found.st_size


def _written_unnamed(path: Path, data: bytes, mode: int | None) -> bool:
    """Write a file without a name, then name it; ``False`` where there are no such files."""
    try:
        number = os.open(path.parent, os.O_TMPFILE | os.O_WRONLY, 0o666)
    except (AttributeError, OSError):
        return False
    try:
        if mode is not None:
            os.fchmod(number, mode)
        _fill(number, data)
        try:
            # With a folder's number the link is followed, else not; it is an absolute one.
            os.link(f"/proc/self/fd/{number}", path, src_dir_fd=number, follow_symlinks=True)
        except OSError:
            return False
    finally:
        os.close(number)
    return True


def _write_named(path: Path, data: bytes, mode: int | None) -> None:
    with path.open("xb") as file:
        if mode is not None:
            path.chmod(mode)
        _fill(file.fileno(), data)


def _fill(file: int, data: bytes) -> None:
    """Write `data` and wait until it is on the disk."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(file, rest) :]
    os.fsync(file)


def _sync_folder(folder: Path) -> None:
    """Let a new name survive a loss of power, where folders can be asked to."""
    with contextlib.suppress(OSError):
        number = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(number)
        finally:
            os.close(number)


def _lock(file: int) -> None:
    """Wait until no other process writes to a file; closing it lets go."""
    if fcntl is not None:
        with contextlib.suppress(OSError):  # some network file systems know no locks
            fcntl.flock(file, fcntl.LOCK_EX)


def _cut_unfinished(file: int) -> None:
    """Cut off what stands behind the last whole line."""
    end = os.fstat(file).st_size
    begin = end
    while begin > 0:
        at = max(0, begin - _CHUNK_BYTES)
        os.lseek(file, at, os.SEEK_SET)
        found = os.read(file, begin - at).rfind(b"\n")
        if found >= 0:
            begin = at + found + 1
            break
        begin = at
    if begin < end:
        os.ftruncate(file, begin)
