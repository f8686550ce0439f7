"""The library of instances: names are found or nearly found, and a copy without it says so."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

import moeopt
from moeopt import library


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a library of two entries in the place of the real one."""
    names = ["placement/tiny-one", "placement/tiny-two"]
    instances = [{"name": name, "path": f"{name}.json", "size": "1 x 2"} for name in names]
    index = {"version": 1, "instances": instances}
    (tmp_path / "index.json").write_bytes(msgspec.json.encode(index))
    monkeypatch.setattr(library, "_PLACES", (tmp_path / "absent", tmp_path))
    library._index.cache_clear()
    yield tmp_path
    library._index.cache_clear()


def test_names_and_patterns(small: Path) -> None:
    assert [e.name for e in library.entries()] == ["placement/tiny-one", "placement/tiny-two"]
    assert [e.name for e in library.entries("*two")] == ["placement/tiny-two"]
    assert [e.wing for e in library.entries("tiny-one")] == ["placement"]
    assert library.find("@placement/tiny-one") == small / "placement/tiny-one.json"


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("@placement/tiny-tow", "did you mean '@placement/tiny-two'?"),
        ("@tiny-one", "did you mean '@placement/tiny-one'?"),
        ("@zzz", "see `moeopt instances`"),
    ],
)
def test_nearly_a_name(small: Path, name: str, says: str) -> None:
    with pytest.raises(moeopt.InstanceError) as caught:
        moeopt.load_problem(name)
    assert says in str(caught.value)


def test_a_copy_without_the_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(library, "_PLACES", (tmp_path,))
    library._index.cache_clear()
    with pytest.raises(moeopt.InstanceError, match="reinstall moeopt"):
        library.entries()
