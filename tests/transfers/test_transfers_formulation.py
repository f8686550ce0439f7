"""The formulation page, the compiled models and the golden files say the same."""

from __future__ import annotations

import inspect
import json
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

from moeopt.core.result import Status
from moeopt.io import load_problem
from moeopt.mip import available_backends, backend_named, read_mps, solve_model, write_mps
from moeopt.testing.conformance.transfers_oracle import brute_force
from moeopt.transfers import checks, exact_flow, exact_rounds, exact_shop
from moeopt.transfers.exact import build
from moeopt.transfers.plan import evaluate
from moeopt.transfers.problem import TransferProblem

FORMULATIONS = Path(__file__).resolve().parents[2] / "formulations"
PAGE = (FORMULATIONS / "transfers.md").read_text(encoding="utf-8")
GOLDEN = FORMULATIONS / "golden" / "transfers"
INDEX: dict[str, Any] = json.loads((GOLDEN / "index.json").read_text(encoding="utf-8"))
MODELS = (exact_flow, exact_shop, exact_rounds)

#: Rules that no model states: problems with them are refused, or have no choice left.
NOT_MODELLED = {"C7", "C8", "C11"}


def _problem(name: str, folder: Path) -> TransferProblem:
    path = folder / "problem.json"
    path.write_text(json.dumps(INDEX[name]["problem"]), encoding="utf-8")
    problem = load_problem(path)
    assert isinstance(problem, TransferProblem)
    return problem


def _code_table() -> dict[str, tuple[list[str], str]]:
    section = PAGE.split("## From constraint to code")[1].split("\n## ")[0]
    rows = re.findall(r"^\| ([CDV]\d+) \|([^|]*)\| (?:`(\w+)`)? ?\|$", section, re.MULTILINE)
    return {label: (re.findall(r"`(\w+)`", names), check) for label, names, check in rows}


def test_labels_on_the_page_are_those_of_the_models(tmp_path: Path) -> None:
    compiled: set[str] = set()
    for name in INDEX:
        for tighten in (True, False):
            for model in build(_problem(name, tmp_path), tighten=tighten):
                compiled |= set(model.groups())
    defined = set(re.findall(r"^\| ([CDV]\d+) \|", PAGE.split("## From")[0], re.MULTILINE))
    assert compiled | NOT_MODELLED == defined
    assert not compiled & NOT_MODELLED
    assert set(_code_table()) == defined


@pytest.mark.parametrize("label", _code_table())
def test_builders_and_validator_of_a_label_are_where_the_page_says(label: str) -> None:
    builders, validator = _code_table()[label]
    assert bool(builders) == (label not in NOT_MODELLED)
    for builder in builders:
        found = [getattr(module, builder) for module in MODELS if hasattr(module, builder)]
        assert found
        for function in found:
            assert f'"{label}"' in inspect.getsource(function)
            head = (inspect.getdoc(function) or "").split(":")[0]
            assert label in head.split(", ")
    if label.startswith("C"):
        assert f'"{label}"' in inspect.getsource(getattr(checks, validator))


def test_every_field_of_the_problem_is_on_the_page() -> None:
    about = {"version", "name", "source", "generator"}
    for field in msgspec.structs.fields(TransferProblem):
        assert field.name in about or f"`{field.name}" in PAGE, field.name


@pytest.mark.parametrize("name", INDEX)
def test_golden_models_are_what_we_compile(name: str, tmp_path: Path) -> None:
    (model,) = build(_problem(name, tmp_path), tighten=INDEX[name]["tighten"])
    write_mps(model, tmp_path / "model.mps")
    golden = (GOLDEN / INDEX[name]["model"]).read_bytes()
    assert (tmp_path / "model.mps").read_bytes() == golden, "run regenerate.py and read the diff"
    assert len(golden) < 50_000


@pytest.mark.parametrize("name", INDEX)
def test_golden_optima_are_those_of_brute_force(name: str, tmp_path: Path) -> None:
    problem = _problem(name, tmp_path)
    best = brute_force(problem)
    assert best is not None
    assert best.plan is not None
    assert best.objective == pytest.approx(INDEX[name]["optimum"])
    assert evaluate(problem, best.plan).objective == pytest.approx(INDEX[name]["optimum"])


# Lengths and times are continuous columns, which CP-SAT does not take.
@pytest.mark.parametrize(
    "backend",
    [name for name in available_backends() if backend_named(name).capabilities.continuous],
)
@pytest.mark.parametrize("name", INDEX)
def test_every_backend_finds_the_golden_optima(name: str, backend: str) -> None:
    answer = solve_model(read_mps(GOLDEN / INDEX[name]["model"]), backend)
    assert answer.objective == pytest.approx(INDEX[name]["optimum"], rel=1e-6)
    if backend_named(backend).capabilities.bound:
        assert answer.status is Status.OPTIMAL
