"""Hostile files, each read by its reader: it returns, or says in one line what is wrong."""

from __future__ import annotations

import json
import os
import pickle
import time
from pathlib import Path

import numpy as np
import pytest
from fuzz_corpus import corpus

from moeopt.adapters.engines.files import Known, rows_of
from moeopt.adapters.engines.formats import FORMATS
from moeopt.bench.reliability.fuzz_archives import RAN, Runs, archives
from moeopt.bench.reliability.fuzz_judge import emptied, judged, judged_bytes
from moeopt.bench.reliability.fuzz_targets import targets
from moeopt.core.errors import InstanceError
from moeopt.io import load_plan, load_problem
from moeopt.mip.names import unescape
from moeopt.traces import read_routed_experts

#: Without SGLang's dumps, which need PyTorch: see the tests of `moeopt.traces`.
READERS = {target.name: target for target in targets() if not target.file.endswith(".pt")}


def test_every_reader_reads_its_seeds(tmp_path: Path) -> None:
    for target in READERS.values():
        # All that is written by hand; of the library each instance is read by other tests.
        for seed in target.seeds()[:3]:
            target.load(target.put(emptied(tmp_path / "files"), seed))


def test_no_file_of_the_corpus_goes_wrong(tmp_path: Path) -> None:
    files = corpus()
    assert sum(len(data) for _, data in files) < 500_000
    wrong = [judged_bytes(READERS[name], emptied(tmp_path / "files"), data) for name, data in files]
    assert [said for said in wrong if said] == []


def test_a_pickle_asks_in_vain_for_a_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("traces (.npz)", "arrays beside a document"):
        target = READERS[name]
        data = next(data for what, data in archives(target) if "pickled command" in what)
        target.put(emptied(tmp_path / "files"), data)
        assert judged(target, tmp_path / "files").refused
        assert not Path(RAN).exists()
    # The same pickle runs where nobody looks at it first.
    pickle.loads(pickle.dumps(Runs()))
    assert Path(RAN).exists()


def test_numbers_that_do_not_fit_are_refused_not_wrapped(tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    path.write_bytes(b'{"plan": "placement", "version": 1, "physical_to_logical": [[1e300]]}')
    with pytest.raises(InstanceError, match=r"\[0\]\[0\]: must be a whole number within 64 bits"):
        load_plan(path)
    with pytest.raises(InstanceError, match=r"table\[0\]\[0\]: must be a whole number within 64"):
        rows_of("map.json", [[2**63, -1]])


def test_a_sentence_stays_one_short_line_whatever_the_keys(tmp_path: Path) -> None:
    path = tmp_path / "problem.json"
    path.write_text(json.dumps({"problem": "placement", "version": 1, "\x1b[2J" + "k" * 9999: 1}))
    with pytest.raises(InstanceError) as caught:
        load_problem(path)
    said = str(caught.value)
    assert said.isprintable()
    assert len(said) < 1000
    assert "\\x1b[2Jkkk" in said
    assert len(caught.value.path) > 9999


def test_a_link_in_a_circle_beside_a_document_is_named(tmp_path: Path) -> None:
    target = READERS["arrays beside a document"]
    (tmp_path / target.file).symlink_to(target.file)
    with pytest.raises(InstanceError, match=r"npz: must be a file beside the document"):
        target.load(str(tmp_path / target.file))


def test_what_is_no_plain_file_is_not_waited_for(tmp_path: Path) -> None:
    for name in ("recordings of Lambda", "logs of evaluations", "linear models (.mps)"):
        target = READERS[name]
        folder = emptied(tmp_path / "files")
        os.mkfifo(folder / target.file)
        assert judged(target, folder).refused
        (emptied(folder) / target.file).symlink_to("/dev/zero")
        assert judged(target, folder).refused


def test_escapes_of_names_that_are_no_characters_stay() -> None:
    assert unescape("a~5b;b~;") == "a[b"
    assert unescape("~110000;~fffffff;") == "~110000;~fffffff;"


def test_a_list_over_many_lines_is_read_in_a_time_that_grows_with_them(tmp_path: Path) -> None:
    path, rows = tmp_path / "eplb.yaml", 30_000
    path.write_text("initial_global_assignments:\n  0: [" + "0,\n" * rows + "0]\n")
    begun = time.process_time()
    placement = FORMATS["tensorrt-llm"].read(path, Known(devices=1, experts=1))
    assert placement.num_slots == rows + 1
    # The square of the lines took 5 s and more.
    assert time.process_time() - begun < 2.5


def test_experts_of_requests_keep_a_small_type(tmp_path: Path) -> None:
    for given, kept in ((np.uint8, np.int16), (np.int16, np.int16), (np.uint64, np.int64)):
        np.save(tmp_path / "a.npy", np.array([[[0, 200]], [[3, 1]]], dtype=given))
        trace = read_routed_experts(tmp_path / "a.npy")
        assert trace.expert_ids.dtype == kept
        assert trace.expert_ids.tolist() == [[[0, 200]], [[3, 1]]]
