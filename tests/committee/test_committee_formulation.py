"""The formulation page, the compiled models and the golden files say the same."""

from __future__ import annotations

import inspect
import json
import re
from pathlib import Path
from typing import Any, get_args, get_type_hints

import msgspec
import pytest
from committee_oracle import brute_force

from moeopt.committee import exact_rules, plan
from moeopt.committee.exact import build
from moeopt.committee.plan import evaluate
from moeopt.committee.problem import CommitteeProblem
from moeopt.core.result import Status
from moeopt.io import load_problem
from moeopt.mip import available_backends, backend_named, read_mps, solve_model, write_mps

FORMULATIONS = Path(__file__).resolve().parents[2] / "formulations"
PAGE = (FORMULATIONS / "committee.md").read_text(encoding="utf-8")
GOLDEN = FORMULATIONS / "golden" / "committee"
INDEX: dict[str, Any] = json.loads((GOLDEN / "index.json").read_text(encoding="utf-8"))


def _problem(name: str, folder: Path) -> CommitteeProblem:
    path = folder / "problem.json"
    path.write_text(json.dumps(INDEX[name]["problem"]), encoding="utf-8")
    problem = load_problem(path)
    assert isinstance(problem, CommitteeProblem)
    return problem


def _code_table() -> dict[str, tuple[str, list[str]]]:
    section = PAGE.split("## From constraint to code")[1].split("\n## ")[0]
    rows = re.findall(r"^\| ([CDVS]\d+) \| `(\w+)` \| ?(.*?) ?\|$", section, re.MULTILINE)
    return {label: (builder, re.findall(r"`(\w+)`", named)) for label, builder, named in rows}


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
def test_builder_and_validators_of_a_label_are_where_the_page_says(label: str) -> None:
    builder, validators = _code_table()[label]
    assert f'"{label}"' in inspect.getsource(getattr(exact_rules, builder))
    assert re.match(rf"{label}: ", inspect.getdoc(getattr(exact_rules, builder)) or "")
    assert bool(validators) == label.startswith("C")
    for validator in validators:
        assert f'"{label}"' in inspect.getsource(getattr(plan, validator))


def test_every_validator_is_on_the_page() -> None:
    named = {validator for _, validators in _code_table().values() for validator in validators}
    written = set(re.findall(r"^def (_\w+_violations)", inspect.getsource(plan), re.MULTILINE))
    # These two report what cannot be read at all.
    assert written - named == {"_shape_violations", "_table_violations"}


def test_every_field_of_the_problem_is_on_the_page() -> None:
    about = {"version", "name", "source", "generator"}
    for field in msgspec.structs.fields(CommitteeProblem):
        assert field.name in about or f"`{field.name}`" in PAGE, field.name
    for field in msgspec.structs.fields(plan.CommitteePlan):
        assert field.name == "version" or f"`{field.name}`" in PAGE, field.name


def test_every_loss_is_on_the_page() -> None:
    section = PAGE.split("## Four losses")[1].split("\n## ")[0]
    named = re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)
    assert named[0] == "loss"
    assert sorted(named[1:]) == sorted(get_args(get_type_hints(CommitteeProblem)["loss"]))


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


# The models are of one period each, and the plan has the best of them.
@pytest.mark.parametrize("backend", available_backends())
@pytest.mark.parametrize("name", INDEX)
def test_every_backend_finds_the_golden_optima(name: str, backend: str) -> None:
    answers = [solve_model(read_mps(GOLDEN / file), backend) for file in INDEX[name]["models"]]
    found = [answer.objective for answer in answers if answer.objective is not None]
    assert min(found) == pytest.approx(INDEX[name]["optimum"], rel=1e-6)
    if backend_named(backend).capabilities.bound:
        assert {answer.status for answer in answers} == {Status.OPTIMAL}
