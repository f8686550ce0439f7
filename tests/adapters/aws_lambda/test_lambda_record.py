"""Recordings: written line by line by several, read back as they were, or refused."""

from __future__ import annotations

import resource
import threading
from pathlib import Path

import pytest
from lambda_recordings import Drawn, Truth

from moeopt.adapters.aws_lambda.calls import LayerRecord
from moeopt.adapters.aws_lambda.record import Recorder, read_recording, read_recordings
from moeopt.core.errors import InstanceError


def drawn(seed: int, number: int) -> list[LayerRecord]:
    """Return some records."""
    from_truth = Drawn(Truth(), seed)
    return [from_truth.record([from_truth.call(1, (3, 4), cold=True)]) for _ in range(number)]


def test_records_come_back_as_they_were(tmp_path: Path) -> None:
    first, second = tmp_path / "one.jsonl", tmp_path / "two.jsonl"
    records = drawn(0, 5)
    for file, some in ((first, records[:3]), (second, records[3:])):
        recorder = Recorder(file)
        for record in some:
            recorder(record)
    assert read_recording(first) == tuple(records[:3])
    assert read_recordings([first, second]) == tuple(records)


def test_lines_of_several_writers_are_whole(tmp_path: Path) -> None:
    path = tmp_path / "shared.jsonl"
    sets = [drawn(seed, 50) for seed in range(4)]

    def write(records: list[LayerRecord]) -> None:
        recorder = Recorder(path)
        for record in records:
            recorder(record)

    threads = [threading.Thread(target=write, args=(records,)) for records in sets]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = read_recording(path)
    assert len(found) == 200
    for records in sets:
        assert [r for r in found if r in records] == records


def test_what_a_killed_writer_left_is_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "killed.jsonl"
    records = drawn(0, 2)
    Recorder(path)(records[0])
    with path.open("ab") as file:
        file.write(b'{"recording":"aws-lam' + b" " * 200_000)
    assert read_recording(path) == (records[0],)
    Recorder(path)(records[1])
    assert read_recording(path) == tuple(records)
    # So it is where the first line was not finished.
    path.write_bytes(b'{"recording":')
    Recorder(path)(records[1])
    assert read_recording(path) == (records[1],)


def test_what_a_full_disk_took_of_a_record_is_taken_back(tmp_path: Path) -> None:
    """The same recorder goes on once there is room, and no line is torn."""
    path = tmp_path / "full.jsonl"
    records = drawn(0, 3)
    recorder = Recorder(path)
    recorder(records[0])
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 20, hard))
    try:
        with pytest.raises(InstanceError, match="must be a file that can be written"):
            recorder(records[1])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    recorder(records[2])
    assert read_recording(path) == (records[0], records[2])


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"[1]\n", "line 2: must be a record as this library writes it"),
        (b"\xff\n", "line 2: must be a record"),
        (b"{}\n", "line 2: must be a record"),
        (b'{"recording":"aws-lambda","version":2,"layer":{}}\n', "line 2: must be a record"),
        (b'{"recording":"other","version":1,"layer":{}}\n', "line 2: must be a record"),
        (b"\n", "line 2: must be a record"),
    ],
)
def test_a_line_that_is_no_record_is_named(tmp_path: Path, line: bytes, message: str) -> None:
    path = tmp_path / "bad.jsonl"
    Recorder(path)(drawn(0, 1)[0])
    with path.open("ab") as file:
        file.write(line)
    with pytest.raises(InstanceError, match=message):
        read_recording(path)


def test_files_that_cannot_be_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InstanceError, match="must be a file that can be written"):
        Recorder(tmp_path / "none" / "file")
    with pytest.raises(InstanceError, match="must be a file that can be written"):
        Recorder(tmp_path)
    with pytest.raises(InstanceError, match="must be a readable file"):
        read_recording(tmp_path / "none")
    empty = tmp_path / "empty"
    Recorder(empty)
    with pytest.raises(InstanceError, match="must hold a record"):
        read_recording(empty)
