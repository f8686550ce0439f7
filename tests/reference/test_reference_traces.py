"""The traces of the reference model: what the index says of them, and what they hold."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from reference_parts import ROOT, SHIPPED, TRACES, reference, trace

from moeopt import InstanceError, library

FOLDER = ROOT / "instances" / "traces"
INDEX = json.loads((FOLDER / "index.json").read_text(encoding="utf-8"))
ENTRIES = {entry["name"]: entry for entry in INDEX["traces"]}


def test_the_index_and_the_folder_are_the_same_set() -> None:
    paths = {ROOT / "instances" / entry["path"] for entry in ENTRIES.values()}
    assert paths == set(FOLDER.glob("*.npz"))
    assert set(ENTRIES) == {*TRACES, "reference-norms"}


def test_the_files_are_small() -> None:
    assert sum(path.stat().st_size for path in FOLDER.glob("*.npz")) <= 4_000_000
    assert (SHIPPED / "weights.safetensors").stat().st_size <= 8_000_000


@pytest.mark.parametrize("name", ENTRIES)
def test_the_index_fits_the_file(name: str) -> None:
    entry, path = ENTRIES[name], library.trace_path(name)
    assert path.name == Path(entry["path"]).name
    assert path.stat().st_size == entry["bytes"]
    assert hashlib.sha256(path.read_bytes()).hexdigest() == entry["sha256"]
    with np.load(path, allow_pickle=False) as file:
        assert {key: list(file[key].shape) for key in file.files} == entry["arrays"]


@pytest.mark.parametrize("name", TRACES)
def test_the_index_fits_the_trace(name: str) -> None:
    entry, found = ENTRIES[name], trace(name)
    assert found.sequence_lengths is not None
    assert found.num_tokens == entry["tokens"] == found.sequence_lengths.sum()
    assert len(found.sequence_lengths) == entry["sequences"]
    shape = (found.num_layers, found.num_experts, found.top_k)
    assert shape == (entry["layers"], entry["experts"], entry["top_k"]) == (8, 64, 4)


@pytest.mark.parametrize("name", ENTRIES)
def test_the_index_says_how_it_was_made(name: str) -> None:
    entry, known = ENTRIES[name], reference()
    train, export = entry["commands"]
    run = "unbalanced" if name == "reference-unbalanced" else known["shipped"]
    assert run in entry["model"]
    assert train.endswith(run)
    assert export.split()[-1] == "examples/reference_moe/export.py"
    assert (entry["python"], entry["torch"]) == (known["python"], known["exported_with"]["torch"])
    if name in TRACES:
        part = "train" if name == "reference-train" else "held_out"
        assert entry["text_sha256"] == known["digests"][part]
        assert f"Python {known['python']}" in entry["text"]


@pytest.mark.parametrize("name", TRACES)
def test_gate_weights_sum_to_one_and_the_best_comes_first(name: str) -> None:
    weights = trace(name).gate_weights
    assert weights is not None
    shares = weights.astype(np.float64)
    # Four of them, each rounded to a step of 1/512.
    assert np.abs(shares.sum(axis=2) - 1).max() <= 4 / 2 / 512
    assert (np.diff(shares, axis=2) <= 0).all()


@pytest.mark.parametrize("name", TRACES)
def test_figures_of_a_trace_are_those_recorded(name: str) -> None:
    found, recorded = trace(name), reference()["traces"][name]
    counts = found.counts()
    assert (counts.max(axis=1) / counts.mean(axis=1)).round(3).tolist() == recorded["imbalance"]
    assert np.mean(recorded["losses"]) == pytest.approx(recorded["loss"], abs=1e-5)
    assert len(recorded["losses"]) == ENTRIES[name]["sequences"]


def test_tokens_are_bytes_of_source_and_attention_goes_back() -> None:
    held_out = trace("reference-held-out")
    tokens, attention = held_out.token_ids, held_out.attention_ids
    assert tokens is not None
    assert attention is not None
    assert b"def " in tokens.astype(np.uint8).tobytes()
    for start in held_out.sequence_starts():
        assert (attention[start] == tokens[start]).all()
        for token in (1, 200, 511):
            before = set(tokens[start : start + token + 1].tolist())
            assert set(attention[start + token].tolist()) <= before


def test_norms_bound_each_other() -> None:
    with np.load(library.trace_path("reference-norms"), allow_pickle=False) as file:
        norms: dict[str, Any] = {key: file[key].astype(np.float64) for key in file.files}
    largest = np.hypot(norms["spectral_in"], norms["spectral_out"])
    assert (largest > 0).all()
    assert (largest <= norms["frobenius"] * (1 + 1e-6)).all()


def test_the_notice_stands_beside_the_text() -> None:
    assert "Copyright (c) 2001-2023 Python Software Foundation" in INDEX["notice"]
    licence = (FOLDER / "LICENSE.python.txt").read_text(encoding="utf-8")
    assert "PYTHON SOFTWARE FOUNDATION LICENSE VERSION 2" in licence
    assert "LICENSE.python.txt" in INDEX["notice"]


def test_a_trace_that_is_not_there() -> None:
    with pytest.raises(InstanceError, match="it has reference-held-out, reference-norms"):
        library.trace_path("../index")
