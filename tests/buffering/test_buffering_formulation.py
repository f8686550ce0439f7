"""The formulation page, the compiled models and the golden files say the same."""

from __future__ import annotations

import inspect
import json
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest
from buffering_oracle import brute_force

from moeopt.buffering import exact_rules, plan
from moeopt.buffering.exact import build
from moeopt.buffering.plan import evaluate
from moeopt.buffering.problem import BufferingProblem, Timing
from moeopt.core.result import Status
from moeopt.io import load_problem
from moeopt.mip import available_backends, backend_named, read_mps, solve_model, write_mps

FORMULATIONS = Path(__file__).resolve().parents[2] / "formulations"
PAGE = (FORMULATIONS / "buffering.md").read_text(encoding="utf-8")
GOLDEN = FORMULATIONS / "golden" / "buffering"
INDEX: dict[str, Any] = json.loads((GOLDEN / "index.json").read_text(encoding="utf-8"))


def _problem(name: str, folder: Path) -> BufferingProblem:
    path = folder / "problem.json"
    path.write_text(json.dumps(INDEX[name]["problem"]), encoding="utf-8")
    problem = load_problem(path)
    assert isinstance(problem, BufferingProblem)
    return problem


def _code_table() -> dict[str, tuple[str, str]]:
    section = PAGE.split("## From constraint to code")[1].split("\n## ")[0]
    rows = re.findall(r"^\| ([CDVS]\d+) \| `(\w+)` \| (?:`(\w+)`)? ?\|$", section, re.MULTILINE)
    return {label: (builder, validator) for label, builder, validator in rows}


def test_labels_on_the_page_are_those_of_the_models(tmp_path: Path) -> None:
    compiled: set[str] = set()
    for name in INDEX:
        for tighten in (True, False):
            for model in build(_problem(name, tmp_path), tighten=tighten):
                compiled |= set(model.groups())
    defined = set(re.findall(r"^\| ([CDVS]\d+) \|", PAGE.split("## From")[0], re.MULTILINE))
    assert compiled == defined
    assert set(_code_table()) == defined


def test_every_rule_has_a_golden_model() -> None:
    written = {
        label
        for name in INDEX
        for file in INDEX[name]["models"]
        for label in read_mps(GOLDEN / file).groups()
    }
    assert set(_code_table()) == written


@pytest.mark.parametrize("label", _code_table())
def test_builder_and_validator_of_a_label_are_where_the_page_says(label: str) -> None:
    builder, validator = _code_table()[label]
    assert f'"{label}"' in inspect.getsource(getattr(exact_rules, builder))
    assert re.match(rf"{label}: ", inspect.getdoc(getattr(exact_rules, builder)) or "")
    if label.startswith("C"):
        assert f'"{label}"' in inspect.getsource(getattr(plan, validator))
    elif validator:
        assert hasattr(plan, validator)


def test_every_field_of_the_problem_is_on_the_page() -> None:
    about = {"version", "name", "source", "generator"}
    for field in msgspec.structs.fields(BufferingProblem):
        assert field.name in about or f"`{field.name}`" in PAGE, field.name
    for field in msgspec.structs.fields(Timing):
        assert f"`timing.{field.name}`" in PAGE or f"`{field.name}`" in PAGE, field.name
    for field in msgspec.structs.fields(plan.BufferingPlan):
        assert field.name == "version" or f"`{field.name}`" in PAGE, field.name


@pytest.mark.parametrize("name", INDEX)
def test_golden_models_are_what_we_compile(name: str, tmp_path: Path) -> None:
    models = build(_problem(name, tmp_path), tighten=INDEX[name]["tighten"])
    assert len(models) == len(INDEX[name]["models"])
    for model, file in zip(models, INDEX[name]["models"], strict=True):
        write_mps(model, tmp_path / file)
        golden = (GOLDEN / file).read_bytes()
        assert (tmp_path / file).read_bytes() == golden, "run regenerate.py and read the diff"
        assert len(golden) < 50_000


@pytest.mark.parametrize("name", INDEX)
def test_golden_optima_are_those_of_brute_force(name: str, tmp_path: Path) -> None:
    problem = _problem(name, tmp_path)
    best = brute_force(problem)
    assert best is not None
    assert best.plan is not None
    assert evaluate(problem, best.plan).objective == pytest.approx(INDEX[name]["optimum"])


# All entries are whole, so CP-SAT takes the models too.
@pytest.mark.parametrize("backend", available_backends())
@pytest.mark.parametrize("name", INDEX)
def test_every_backend_finds_the_golden_optima(name: str, backend: str) -> None:
    answers = [solve_model(read_mps(GOLDEN / file), backend) for file in INDEX[name]["models"]]
    assert sum(answer.objective or 0.0 for answer in answers) == pytest.approx(
        INDEX[name]["optimum"], rel=1e-6
    )
    if backend_named(backend).capabilities.bound:
        assert {answer.status for answer in answers} == {Status.OPTIMAL}
