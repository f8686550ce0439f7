"""Writers that are killed, fail or share a file leave the old one or the new one."""

from __future__ import annotations

import os
import resource
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from moeopt.bench import command
from moeopt.bench.reliability import atomicity
from moeopt.bench.reliability.atomicity_kinds import Kind
from moeopt.core import files
from moeopt.core.errors import InstanceError
from moeopt.core.files import append_line, write_atomically

OLD, NEW = b"old" * 100_000, b"new" * 100_000


def _read(path: Path) -> int:
    return [OLD, NEW].index(path.read_bytes())


KIND = Kind("bytes", "file", lambda path, which: write_atomically(path, (OLD, NEW)[which]), _read)


@pytest.fixture(params=["unnamed", "named"])
def _ways(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Write by files without names, and where a system has none."""
    if request.param == "named":
        monkeypatch.delattr(os, "O_TMPFILE", raising=False)


def test_killed_writers_leave_a_whole_file_and_nothing_else(tmp_path: Path) -> None:
    trial = atomicity._killed(KIND, tmp_path, 20)
    assert (trial.times, trial.failures) == (20, ())
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.usefixtures("_ways")
def test_a_full_disk_leaves_the_old_file(tmp_path: Path) -> None:
    assert atomicity._full_disk(KIND, tmp_path, (0.0, 0.5)).failures == ()
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.usefixtures("_ways")
def test_two_writers_leave_a_whole_file(tmp_path: Path) -> None:
    assert atomicity._together(KIND, tmp_path, 10).failures == ()
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.usefixtures("_ways")
def test_a_name_may_be_as_long_as_names_can_be(tmp_path: Path) -> None:
    path = tmp_path / ("n" * 255)
    write_atomically(path, OLD)
    path.chmod(0o600)
    write_atomically(path, NEW)
    assert (path.read_bytes(), path.stat().st_mode & 0o777) == (NEW, 0o600)


def test_the_part_reports_files_that_are_not_whole(tmp_path: Path) -> None:
    """A writer that is not atomic is found out by each of the three wears."""

    def careless(path: Path, which: int) -> None:
        with path.open("wb", buffering=0) as file:
            for number in range(200):
                file.write((OLD, NEW)[which][number * 1500 : (number + 1) * 1500])

    kind = replace(KIND, write=careless)
    assert atomicity._full_disk(kind, tmp_path, (0.5,)).failures
    assert atomicity._killed(kind, tmp_path, 20).failures


def test_the_folder_is_asked_to_keep_the_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name that was given, too, survives a loss of power."""
    synced = []
    fsync = os.fsync
    monkeypatch.setattr(
        os, "fsync", lambda n: (synced.append(os.readlink(f"/proc/self/fd/{n}")), fsync(n))
    )
    write_atomically(tmp_path / "file", OLD)
    assert synced[-1] == str(tmp_path)
    assert len(synced) == 2


def test_a_line_is_appended_behind_what_was_left_unfinished(tmp_path: Path) -> None:
    path = tmp_path / "log"
    append_line(path, b"one\n")
    with path.open("ab") as file:
        file.write(b"two, but not qu")
    append_line(path, b"three\n")
    assert path.read_bytes() == b"one\nthree\n"
    path.write_bytes(b"nothing whole")
    append_line(path, b"")
    assert path.read_bytes() == b""


def test_a_full_disk_takes_a_line_back(tmp_path: Path) -> None:
    """Writing goes on behind whole lines once there is room again."""
    path = tmp_path / "log"
    append_line(path, b"one\n")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, hard))
    try:
        for _ in range(2):
            with pytest.raises(OSError, match="space left"):
                append_line(path, b"two is too long\n")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    append_line(path, b"three\n", durable=True)
    assert path.read_bytes() == b"one\nthree\n"


def test_one_writer_does_not_cut_off_what_another_is_writing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A line that is half there is another's, as long as that one holds the file."""
    path = tmp_path / "log"
    begun, go_on = threading.Event(), threading.Event()
    write = os.write

    def slowly(file: int, data: bytes) -> int:
        if data != b"slow line\n":
            return write(file, data)
        done = write(file, data[:4])
        begun.set()
        assert go_on.wait(10)
        return done + write(file, data[4:])

    monkeypatch.setattr(files.os, "write", slowly)
    slow = threading.Thread(target=append_line, args=(path, b"slow line\n"))
    slow.start()
    assert begun.wait(10)
    other = threading.Thread(target=append_line, args=(path, b"other\n"))
    other.start()
    other.join(0.1)
    go_on.set()
    slow.join(10)
    other.join(10)
    assert path.read_bytes() == b"slow line\nother\n"


def test_a_folder_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    """As a user whom the folder does not belong to: root may write everywhere."""
    tmp_path.chmod(0o755)
    (tmp_path / "file").write_bytes(OLD)
    folder = tmp_path / "mine"
    folder.mkdir(mode=0o555)

    def work() -> None:
        if os.getuid() == 0:
            os.setuid(65534)
        with pytest.raises(PermissionError):
            write_atomically(folder / "file", NEW)

    _, status = os.waitpid(atomicity._forked(work), 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert os.listdir(folder) == []


def test_a_pipe_is_written_and_stays_one(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    child = atomicity._forked(lambda: write_atomically(path, b"through"))
    assert path.read_bytes() == b"through"
    os.waitpid(child, 0)
    assert path.is_fifo()


def test_a_pipe_without_a_name_is_written() -> None:
    """As ``/dev/stdout`` is, where another program reads."""
    reads, writes = os.pipe()
    write_atomically(f"/dev/fd/{writes}", b"through")
    assert os.read(reads, 100) == b"through"
    os.close(reads)
    os.close(writes)


@pytest.mark.usefixtures("_ways")
def test_new_files_have_the_mode_that_the_user_wants(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_atomically(tmp_path / "file", OLD)
    finally:
        os.umask(before)
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o640


@pytest.mark.usefixtures("_ways")
def test_a_link_keeps_pointing_where_it_points(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("file")
    for data in (OLD, NEW):
        write_atomically(tmp_path / "link", data)
        assert os.readlink(tmp_path / "link") == "file"
        assert (tmp_path / "file").read_bytes() == data


def test_json_of_a_benchmark_that_cannot_be_written_is_bad_input(tmp_path: Path) -> None:
    with pytest.raises(InstanceError, match=r"--json: must be writable \(no such file"):
        command._write(str(tmp_path / "none" / "figures.json"), b"{}")
