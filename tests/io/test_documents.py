"""Problems and plans out and in again, unchanged; the hash; the arrays beside a file."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import moeopt
from moeopt.core import registry
from moeopt.core.result import Limit, Result, Status
from moeopt.core.wing import Plan, Problem, Violation
from moeopt.describe.cluster import Cluster, Device, Node, NodeGroup
from moeopt.io import (
    load_any,
    load_plan_document,
    plan_to_json,
    problem_sha256,
    problem_to_json,
    result_to_json,
)
from moeopt.placement.plan import PlacementPlan
from moeopt.placement.problem import Pair, PlacementProblem

_LOADS = st.one_of(
    st.integers(0, 2**53).map(float),
    st.floats(0, 1e15, allow_subnormal=True),
    st.floats(0, 1, allow_subnormal=True),
)


@st.composite
def problems(draw: st.DrawFn) -> PlacementProblem:
    """Small problems that use most kinds of fields."""
    scenarios, layers, experts = (draw(st.integers(1, 3)) for _ in range(3))
    devices = draw(st.integers(1, 3))
    count = scenarios * layers * experts
    loads = draw(st.lists(_LOADS, min_size=count, max_size=count))
    node = st.one_of(
        st.just("hgx-h100"),
        st.builds(
            Node, device=st.builds(Device, relative_speed=st.floats(0.1, 10)), source=st.text()
        ),
    )
    cluster = Cluster(nodes=(NodeGroup(node=draw(node)), NodeGroup(node=Node(devices=devices))))
    total = cluster.num_devices
    return PlacementProblem(
        name=draw(st.text()),
        generator=draw(st.none() | st.dictionaries(st.text(), st.integers(0, 9) | st.text())),
        loads_tokens=np.array(loads).reshape(scenarios, layers, experts),
        cluster=cluster,
        slots_per_device=draw(
            st.integers(0, 9)
            | st.lists(st.integers(0, 9), min_size=total, max_size=total).map(tuple)
        ),
        expert_bytes=draw(
            st.none()
            | st.integers(0, 2**50)
            | st.floats(0, 1e12)
            | st.lists(st.integers(0, 2**40), min_size=experts, max_size=experts).map(np.array)
        ),
        forbidden=draw(
            st.lists(
                st.builds(
                    Pair,
                    expert=st.integers(0, experts - 1),
                    device=st.integers(0, total - 1),
                    layer=st.none() | st.integers(0, layers - 1),
                ),
                max_size=3,
            ).map(tuple)
        ),
        allow_empty_slots=draw(st.booleans()),
        objective=draw(st.sampled_from(["max_load", "mean_max", "worst_max", "activated"])),
        max_copies_per_device=draw(st.none() | st.integers(1, 3)),
    )


def _problem(**fields: Any) -> PlacementProblem:
    given_fields: dict[str, Any] = {
        "loads_tokens": np.array([[[3.0, 1.0], [0.5, 2.0]]]),
        "cluster": Cluster.uniform(2),
        "slots_per_device": 1,
        **fields,
    }
    return PlacementProblem(**given_fields)


def _result(**fields: Any) -> Result[Any]:
    plan = PlacementPlan(physical_to_logical=np.array([[0, 1], [1, 0]]))
    given_fields: dict[str, Any] = {
        "status": Status.OPTIMAL,
        "plan": plan,
        "objective": 5.0,
        "bound": 5.0,
        "method": "auto",
        "runtime_s": 0.25,
        "statistics": {"layer_bound": [3.0, 2.0], "odd": float("inf"), "np": np.float64(1.5)},
        **fields,
    }
    return Result(**given_fields)


@given(problem=problems())
def test_a_problem_comes_back_equal(problem: PlacementProblem, tmp_path_factory: Any) -> None:
    path = tmp_path_factory.mktemp("round") / "problem.json"
    moeopt.save_problem(path, problem)
    again = moeopt.load_problem(path)
    assert again == problem
    assert problem_to_json(again) == path.read_bytes()
    assert problem_sha256(again) == problem_sha256(problem)


@given(problems())
def test_the_document_is_plain_json_one_row_a_line(problem: PlacementProblem) -> None:
    text = problem_to_json(problem).decode()
    document = json.loads(text)
    assert list(document)[:2] == ["problem", "version"]
    assert document["version"] == 1
    assert np.array_equal(document["loads_tokens"], problem.loads_tokens)
    for row in problem.loads_tokens.reshape(-1, problem.num_experts):
        assert len(row) == len(json.loads(_line_with(text, row)))


def _line_with(text: str, row: np.ndarray[Any, Any]) -> str:
    lines = (line.strip().rstrip(",") for line in text.splitlines())
    rows = [line for line in lines if line.startswith("[") and line.endswith("]")]
    return next(line for line in rows if np.array_equal(json.loads(line), row))


def test_integral_floats_are_written_as_integers() -> None:
    text = problem_to_json(_problem(move_price_per_byte=0.0, cross_node_price=2.0)).decode()
    assert "[3, 1]" in text
    assert "[0.5, 2]" in text
    assert '"cross_node_price": 2,' in text
    assert "move_price_per_byte" not in text


def test_the_hash_is_of_the_content() -> None:
    problem = _problem()
    same = [
        _problem(name="other", source="elsewhere", generator={"seed": 1}),
        _problem(loads_tokens=np.array([[3, 1], [0.5, 2]])),
        _problem(groups=1, objective="max_load"),
    ]
    others = [
        _problem(loads_tokens=np.array([[3, 1], [0.5, 2.0000001]])),
        _problem(slots_per_device=2),
        _problem(objective="mean_max"),
    ]
    assert {problem_sha256(p) for p in same} == {problem_sha256(problem)}
    assert problem_sha256(problem) not in {problem_sha256(p) for p in others}
    # Pinned: a change of the canonical form would orphan every plan that exists.
    assert problem_sha256(problem) == (
        "375c5a01979ed81ffae1f97158af53d2c83d522653e0aec229109e087288e77d"
    )


@pytest.mark.parametrize("dtype", ["<f8", "<f4", ">f8", "<i8", "<u2", "<i1"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_arrays_beside_the_file_are_the_same_problem(
    tmp_path: Path, dtype: str, order: Any
) -> None:
    loads = np.array([[3, 1, 7], [2, 2, 4]])
    (tmp_path / "sub").mkdir()
    np.savez_compressed(
        tmp_path / "sub" / "x.npz", a=np.ones(1), loads=loads.astype(dtype, order=order)
    )
    document = {
        "problem": "placement",
        "version": 1,
        "cluster": {"nodes": [{"node": {"devices": 3}}]},
        "slots_per_device": 1,
    }
    beside, inline = tmp_path / "beside.json", tmp_path / "inline.json"
    reference = {"npz": "sub/x.npz", "key": "loads"}
    beside.write_text(json.dumps({**document, "loads_tokens": reference}))
    inline.write_text(json.dumps({**document, "loads_tokens": loads.tolist()}))
    assert moeopt.load_problem(beside) == moeopt.load_problem(inline)
    assert problem_sha256(moeopt.load_problem(beside)) == problem_sha256(
        moeopt.load_problem(inline)
    )


def test_a_link_inside_the_folder_is_followed(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", loads=np.ones((1, 2)))
    (tmp_path / "link.npz").symlink_to("x.npz")
    path = tmp_path / "a.json"
    document = json.loads(problem_to_json(_problem()))
    document["loads_tokens"] = {"npz": "link.npz", "key": "loads"}
    path.write_text(json.dumps(document))
    assert moeopt.load_problem(path).num_layers == 1


def test_a_byte_order_mark_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(b"\xef\xbb\xbf" + problem_to_json(_problem()))
    assert moeopt.load_problem(path) == _problem()


def test_a_plan_and_its_result_come_back(tmp_path: Path) -> None:
    problem, result, path = _problem(), _result(), tmp_path / "plan.json"
    moeopt.save_plan(path, problem, result)
    document = load_plan_document(path)
    assert document.plan == result.plan
    assert document.problem_sha256 == problem_sha256(problem)
    record = document.result
    assert record is not None
    assert (record.status, record.limit, record.objective) == (Status.OPTIMAL, Limit.NONE, 5.0)
    # JSON has no infinity: what is not finite is unknown.
    assert record.statistics == {"layer_bound": [3, 2], "odd": None, "np": 1.5}
    assert moeopt.load_plan(path, problem) == result.plan
    assert isinstance(load_any(path), type(document))
    assert plan_to_json(document.plan, document.problem_sha256, record) == path.read_bytes()


def test_a_plan_made_by_hand_needs_no_result(tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    path.write_text('{"plan": "placement", "version": 1, "physical_to_logical": [[0, 1], [1, 0]]}')
    document = load_plan_document(path)
    assert (document.problem_sha256, document.result) == (None, None)
    assert moeopt.load_plan(path, _problem()) == _result().plan


def test_a_plan_of_another_problem_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    moeopt.save_plan(path, _problem(), _result())
    with pytest.raises(moeopt.InstanceError, match=r"\$\.problem_sha256: must be .* the hash"):
        moeopt.load_plan(path, _problem(slots_per_device=2))


def test_no_plan_no_file(tmp_path: Path) -> None:
    violation = Violation(constraint="C2", path="$.slots", message="too few", amount=1.0)
    result = _result(status=Status.INFEASIBLE, plan=None, objective=None, violations=(violation,))
    with pytest.raises(moeopt.InstanceError, match="status is infeasible"):
        moeopt.save_plan(tmp_path / "plan.json", _problem(), result)
    assert list(tmp_path.iterdir()) == []
    record = json.loads(result_to_json(_problem(), result))
    assert "plan" not in record
    assert record["result"]["violations"][0]["constraint"] == "C2"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"physical_to_logical": [[0, 1], [1]]}, r"\$\.physical_to_logical\[1\]: .* rectangular"),
        ({"physical_to_logical": [["0"]]}, r"\$\.physical_to_logical\[0\]\[0\]: must be a number"),
        ({"result": {"status": "great"}}, r"\$\.result\.status: must be one of"),
        ({"result": {"status": "optimal", "objektive": 1}}, "did you mean 'objective'"),
        ({"problem_sha": "x"}, "did you mean 'problem_sha256'"),
        ({"version": 3}, "install a newer moeopt"),
        ({"plan": "placements"}, r"\$\.plan: .* did you mean 'placement'"),
    ],
)
def test_bad_plans(tmp_path: Path, change: dict[str, Any], says: str) -> None:
    path = tmp_path / "plan.json"
    document = {"plan": "placement", "version": 1, "physical_to_logical": [[0, 1], [1, 0]]}
    path.write_text(json.dumps({**document, **change}))
    with pytest.raises(moeopt.InstanceError, match=says):
        moeopt.load_plan(path)


def test_errors_pickle_and_name_json_paths(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(problem_to_json(_problem()).replace(b'"slots_per_device": 1', b'"groups": 7'))
    with pytest.raises(moeopt.InstanceError) as caught:
        moeopt.load_problem(path)
    assert caught.value.path == "$.slots_per_device"


@given(noise=st.binary(max_size=200) | st.text(max_size=100).map(str.encode))
def test_noise_gives_an_instance_error_and_nothing_else(
    noise: bytes, tmp_path_factory: Any
) -> None:
    path = tmp_path_factory.mktemp("noise") / "a.json"
    path.write_bytes(noise)
    with pytest.raises(moeopt.InstanceError):
        moeopt.load_problem(path)


_JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(field=st.sampled_from(PlacementProblem.__struct_fields__), value=_JSON)
def test_any_field_may_hold_anything(field: str, value: Any, tmp_path_factory: Any) -> None:
    document = json.loads(problem_to_json(_problem()))
    path = tmp_path_factory.mktemp("any") / "a.json"
    path.write_text(json.dumps({**document, field: value}))
    try:
        problem = moeopt.load_problem(path)
    except moeopt.InstanceError:
        return
    assert msgspec.json.decode(problem_to_json(problem))["problem"] == "placement"


class _NextPlan(Plan, frozen=True, kw_only=True, tag="next"):
    version: Literal[2] = 2
    number: float = 0.0


class _NextProblem(Problem, frozen=True, kw_only=True, tag="next"):
    version: Literal[2] = 2
    hidden: float = 0.0


def test_each_wing_has_a_version_of_its_own(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    placement = registry.wing_named("placement")
    newer = dataclasses.replace(
        placement, name="next", problem_type=_NextProblem, plan_type=_NextPlan, version=2
    )
    monkeypatch.setitem(registry._WINGS, "next", newer)
    path = tmp_path / "next.json"
    moeopt.save_problem(path, _NextProblem(hidden=3.0))
    assert json.loads(path.read_text()) == {"problem": "next", "version": 2, "hidden": 3}
    assert moeopt.load_problem(path) == _NextProblem(hidden=3.0)
    path.write_bytes(plan_to_json(_NextPlan(number=1.0)))
    assert moeopt.load_plan(path) == _NextPlan(number=1.0)
    path.write_text('{"problem": "next", "version": 1}')
    with pytest.raises(moeopt.InstanceError, match="must be 2") as caught:
        moeopt.load_problem(path)
    assert caught.value.path == "$.version"
