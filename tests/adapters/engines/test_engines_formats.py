"""What all formats of engines share: round trips, names, refusals, hostile files."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from engines_draws import known, placements
from hypothesis import HealthCheck, given, settings

from moeopt.adapters.engines import files
from moeopt.adapters.engines.files import Known
from moeopt.adapters.engines.formats import FORMATS, format_of
from moeopt.adapters.engines.placements import EnginePlacement, ModelLayers, placement_of
from moeopt.cli.export import ENGINES
from moeopt.core.errors import InstanceError
from moeopt.describe.cluster import Cluster
from moeopt.placement import PlacementPlan, PlacementProblem

PLACEMENT = EnginePlacement(
    np.array([[0, 1, 2, 0], [2, 1, 0, 1]]), 2, 3, ModelLayers((1, 3), total=5)
)

EVERY = pytest.mark.parametrize("name", FORMATS)
#: Whose files name their ranks and slots.
TEXTS = pytest.mark.parametrize("name", [name for name in FORMATS if name != "omni"])


def _file(folder: Path, name: str) -> Path:
    return folder / f"placement{FORMATS[name].suffixes[0]}"


def test_the_command_line_names_every_format() -> None:
    assert tuple(FORMATS) == ENGINES


@EVERY
@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(placement=placements())
def test_what_is_written_is_read(tmp_path: Path, name: str, placement: EnginePlacement) -> None:
    path = _file(tmp_path, name)
    FORMATS[name].write(placement, path)
    found = FORMATS[name].read(path, known(placement))
    held, wanted = found.by_device(), placement.by_device()
    if name == "omni":  # a rank has a set of experts
        wanted = np.sort(wanted, axis=2)
    assert held.tolist() == wanted.tolist()
    assert (found.devices, found.experts, found.layers) == (
        placement.devices,
        placement.experts,
        placement.layers,
    )
    assert format_of(path).name == name
    again = path.read_bytes()
    FORMATS[name].write(found, path)
    assert path.read_bytes() == again


@EVERY
def test_a_refused_placement_leaves_the_file_as_it_was(tmp_path: Path, name: str) -> None:
    path = _file(tmp_path, name)
    path.write_text("kept")
    empty = replace(PLACEMENT, table=np.array([[0, 1, 2, 0], [2, 1, 0, -1]]))
    with pytest.raises(InstanceError, match=r"^table\[1\]\[3\]: must hold an expert: .* by --pad$"):
        FORMATS[name].write(empty, path)
    missing = replace(PLACEMENT, experts=4)
    with pytest.raises(InstanceError, match=r"^table\[0\]: must hold each of the 4 .*no expert 3"):
        FORMATS[name].write(missing, path)
    assert path.read_text() == "kept"
    assert os.listdir(tmp_path) == [path.name]


@EVERY
def test_a_name_that_the_engine_would_not_read(tmp_path: Path, name: str) -> None:
    with pytest.raises(InstanceError, match=r"-o: must end in \.\w+: "):
        FORMATS[name].write(PLACEMENT, tmp_path / "placement.txt")


@pytest.mark.parametrize("name", ["sglang", "tensorrt-llm"])
def test_engines_that_number_all_layers_must_know_them(tmp_path: Path, name: str) -> None:
    with pytest.raises(InstanceError, match=r"^layer_ids: must be known: .* --layer-ids 3-60"):
        FORMATS[name].write(replace(PLACEMENT, layers=None), _file(tmp_path, name))


@pytest.mark.parametrize("name", ["vllm-ascend", "omni"])
def test_engines_that_keep_one_copy_refuse_two(tmp_path: Path, name: str) -> None:
    twice = replace(PLACEMENT, table=np.array([[0, 1, 2, 0], [2, 2, 0, 1]]))
    with pytest.raises(InstanceError, match=r"expert 2 twice on device 0.*max_copies_per_device"):
        FORMATS[name].write(twice, _file(tmp_path, name))
    for other in ("sglang", "tensorrt-llm", "vllm"):
        FORMATS[other].write(twice, _file(tmp_path, other))


@pytest.mark.parametrize("name", ["sglang", "tensorrt-llm", "vllm"])
def test_ranks_that_no_file_states_must_be_given(tmp_path: Path, name: str) -> None:
    path = _file(tmp_path, name)
    FORMATS[name].write(PLACEMENT, path)
    with pytest.raises(InstanceError, match="devices: must be given"):
        FORMATS[name].read(path)
    with pytest.raises(InstanceError, match="devices: must divide the 4 slots, got 3"):
        FORMATS[name].read(path, Known(devices=3, layers=PLACEMENT.layers))


@pytest.mark.parametrize("name", ["vllm-ascend", "omni"])
def test_ranks_that_a_file_states_are_compared(tmp_path: Path, name: str) -> None:
    path = _file(tmp_path, name)
    FORMATS[name].write(PLACEMENT, path)
    assert FORMATS[name].read(path).devices == 2
    with pytest.raises(InstanceError, match="must have 4, got <2 devices>"):
        FORMATS[name].read(path, Known(devices=4))


@EVERY
def test_a_file_with_fewer_experts_than_the_model(tmp_path: Path, name: str) -> None:
    path = _file(tmp_path, name)
    FORMATS[name].write(PLACEMENT, path)
    with pytest.raises(InstanceError, match=r"must hold each of the 4|must have 4"):
        FORMATS[name].read(path, replace(known(PLACEMENT), experts=4))


@EVERY
def test_files_of_other_engines_are_sentences(tmp_path: Path, name: str) -> None:
    for other, form in FORMATS.items():
        if other == name:
            continue
        path = _file(tmp_path, other)
        form.write(PLACEMENT, path)
        with pytest.raises(InstanceError, match=path.name):
            FORMATS[name].read(path, known(PLACEMENT))


@TEXTS
def test_hostile_files_are_sentences(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    path = _file(tmp_path, name)
    FORMATS[name].write(PLACEMENT, path)
    text = path.read_text()
    for bad in (text.replace("[2,", "[-1,"), text.replace("[2,", "[1e300,")):
        path.write_text(bad)
        with pytest.raises(InstanceError, match=path.name):
            FORMATS[name].read(path, known(PLACEMENT))
    for bad in ("", "[" * 100_000, text[: len(text) // 2], "\0", "{}", "null"):
        path.write_text(bad)
        with pytest.raises(InstanceError, match=path.name):
            FORMATS[name].read(path, known(PLACEMENT))
    huge = text.replace("[2,", "[999999999999999999999,")
    path.write_text(huge)
    with pytest.raises(InstanceError):
        FORMATS[name].read(path, known(PLACEMENT))
    path.write_text(text.replace("[2,", "[999999999,"))
    with pytest.raises(InstanceError, match="must be 1 to 1000000"):
        FORMATS[name].read(path, Known(2, layers=PLACEMENT.layers))
    monkeypatch.setattr(files, "MAX_BYTES", 10)
    with pytest.raises(InstanceError, match="must have at most"):
        FORMATS[name].read(path, known(PLACEMENT))


@EVERY
def test_what_is_no_plain_file_is_not_read(tmp_path: Path, name: str) -> None:
    path = _file(tmp_path, name)
    with pytest.raises(InstanceError, match=path.name):
        FORMATS[name].read(path, known(PLACEMENT))
    os.mkfifo(path)
    with pytest.raises(InstanceError, match=r"not a plain file|invalid argument"):
        FORMATS[name].read(path, known(PLACEMENT))


def test_detection_asks_where_it_cannot_tell(tmp_path: Path) -> None:
    for name, text in (("a.json", '{"logical_count": [[1]]}'), ("a.toml", "")):
        (tmp_path / name).write_text(text)
        with pytest.raises(InstanceError, match="say which by --format"):
            format_of(tmp_path / name)


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"table": [[0, 1, 2]]}, "devices"),
        ({"table": [0, 1, 2, 0]}, "table"),
        ({"table": [[], []]}, "table"),
        ({"table": [[0, 1, 2, 0.5]] * 2}, "table"),
        ({"table": [[0, 1, 2, 3]] * 2}, r"table\[0\]\[3\]"),
        ({"table": [[0, 1, 2, -2]] * 2}, r"table\[0\]\[3\]"),
        ({"devices": 0}, "devices"),
        ({"experts": 0}, "experts"),
        ({"layers": ModelLayers((0,), 3)}, "layer_ids"),
    ],
)
def test_what_is_no_placement(changes: dict[str, object], path: str) -> None:
    with pytest.raises(InstanceError, match=f"^{path}: "):
        replace(PLACEMENT, **changes)


@pytest.mark.parametrize(
    ("ids", "total", "path"),
    [
        ((), 3, "layer_ids"),
        ((1, 1), 3, "layer_ids"),
        ((2, 1), 3, "layer_ids"),
        ((-1, 1), 3, "layer_ids"),
        ((1, 3), 3, "model_layers"),
        ((1, 3), 10**9, "model_layers"),
    ],
)
def test_what_are_no_layers(ids: tuple[int, ...], total: int, path: str) -> None:
    with pytest.raises(InstanceError, match=f"^{path}"):
        ModelLayers(ids, total)


@pytest.mark.parametrize(
    ("model", "first", "total"),
    [
        ("deepseek-v3", 3, 61),
        ("deepseek-v2-lite", 1, 27),
        ("kimi-k2", 1, 61),
        ("qwen3-235b-a22b", 0, 94),
    ],
)
def test_layers_of_models(model: str, first: int, total: int) -> None:
    assert ModelLayers.of_model(model) == ModelLayers(tuple(range(first, total)), total)


def _problem(**fields: object) -> PlacementProblem:
    plain = {"loads_tokens": np.ones((2, 3)), "slots_per_device": 2}
    return PlacementProblem(**{**plain, "cluster": Cluster.uniform(2), **fields})  # type: ignore[arg-type]


def test_a_plan_becomes_a_placement() -> None:
    plan = PlacementPlan(physical_to_logical=PLACEMENT.table)
    placement = placement_of(_problem(), plan, PLACEMENT.layers)
    assert placement.table.tolist() == PLACEMENT.table.tolist()
    assert (placement.devices, placement.experts, placement.redundant) == (2, 3, 1)
    assert placement.plan() == plan


def test_plans_that_no_engine_holds() -> None:
    plan = PlacementPlan(physical_to_logical=PLACEMENT.table)
    with pytest.raises(InstanceError, match=r"dead_devices.*live devices alone"):
        placement_of(_problem(dead_devices=(1,), allow_empty_slots=True), plan)
    with pytest.raises(InstanceError, match=r"slots_per_device.*\[3, 1\].*--pad"):
        placement_of(_problem(slots_per_device=(3, 1)), plan)
    with pytest.raises(InstanceError, match=r"table: must have shape \(2, 6\)"):
        placement_of(_problem(slots_per_device=3), plan)


@TEXTS
def test_rows_of_different_length(tmp_path: Path, name: str) -> None:
    path = _file(tmp_path, name)
    FORMATS[name].write(PLACEMENT, path)
    path.write_text(path.read_text().replace("[2, 1, 0, 1]", "[2, 1, 0]").replace("[2, 1]", "[2]"))
    with pytest.raises(InstanceError, match=path.name):
        FORMATS[name].read(path, known(PLACEMENT))
