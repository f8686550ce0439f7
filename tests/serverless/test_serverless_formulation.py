"""The formulation page, the compiled models and the golden files say the same."""

from __future__ import annotations

import inspect
import json
import re
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from serverless_oracle import brute_force

from moeopt.core.result import Status
from moeopt.io import load_problem
from moeopt.mip import available_backends, backend_named, read_mps, solve_model, write_mps
from moeopt.serverless import exact_rules, plan
from moeopt.serverless.exact_model import build
from moeopt.serverless.ods import ods_select
from moeopt.serverless.plan import evaluate
from moeopt.serverless.problem import (
    Billing,
    ExpertFunction,
    Network,
    ServerlessLayer,
    ServerlessProblem,
    paper_costs,
)

FORMULATIONS = Path(__file__).resolve().parents[2] / "formulations"
PAGE = (FORMULATIONS / "serverless.md").read_text(encoding="utf-8")
GOLDEN = FORMULATIONS / "golden" / "serverless"
INDEX: dict[str, Any] = json.loads((GOLDEN / "index.json").read_text(encoding="utf-8"))

#: Where the page writes the fields of each record.
RECORDS = {
    ServerlessProblem: "",
    ServerlessLayer: "layers[].",
    ExpertFunction: "expert.",
    Network: "network.",
    Billing: "billing.",
}


def _problem(name: str, folder: Path) -> ServerlessProblem:
    path = folder / "problem.json"
    path.write_text(json.dumps(INDEX[name]["problem"]), encoding="utf-8")
    problem = load_problem(path)
    assert isinstance(problem, ServerlessProblem)
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
    for record, prefix in RECORDS.items():
        for field in msgspec.structs.fields(record):
            known = prefix == "" and field.name in about
            stated = f"`{prefix}{field.name}" in PAGE or f"`{field.name}`" in PAGE
            assert known or stated, f"{prefix}{field.name}"
    for field in msgspec.structs.fields(plan.ServerlessPlan):
        assert field.name == "version" or f"`{field.name}`" in PAGE


def test_every_erratum_is_on_the_page() -> None:
    section = PAGE.split("## Sources, and what we correct")[1]
    found = re.findall(r"^\| (E\d+) \| .+ \| .+ \|$", section, re.MULTILINE)
    assert found == [f"E{k}" for k in range(1, 11)]


def test_flags_of_the_bill_are_those_that_the_paper_leaves_out() -> None:
    section = PAGE.split("## The bill")[1].split("\n## ")[0]
    flags = {
        field.name for field in msgspec.structs.fields(Billing) if isinstance(field.default, bool)
    }
    assert flags <= set(re.findall(r"`billing\.(\w+)`", section))
    assert not any(getattr(paper_costs(), flag) for flag in flags)
    assert all(getattr(Billing(), flag) for flag in flags)


def test_examples_of_algorithm_1_are_what_it_returns() -> None:
    section = PAGE.split("## Algorithm 1")[1].split("\n## ")[0]
    rows = [line.split("|")[1:-1] for line in section.splitlines() if line.startswith("| (")]
    assert len(rows) == 2
    for first, second, limit, said, optimum in rows:
        pairs = np.array(
            [re.findall(r"\((\d+),(\d+)\)", layer) for layer in (first, second)], dtype=float
        )
        cost, latency = pairs[..., 0], pairs[..., 1]
        best = min(
            (cost[0, a] + cost[1, b], latency[0, a] + latency[1, b], a + 1, b + 1)
            for a in range(3)
            for b in range(3)
            if latency[0, a] + latency[1, b] <= float(limit)
        )
        assert [best[2], best[3], best[0], best[1]] == _numbers(optimum)
        chosen = ods_select(cost, latency, float(limit))
        if chosen.design is None:
            assert "nothing" in said
            assert latency.sum(axis=0).tolist() == [5.0] * 3
        else:
            picked = (np.arange(2), chosen.design)
            figures = [*(chosen.design + 1), cost[picked].sum(), latency[picked].sum()]
            assert figures == _numbers(said)


def _numbers(text: str) -> list[float]:
    return [float(number) for number in re.findall(r"\d+", text)]


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
    assert evaluate(problem, best.plan).objective == pytest.approx(INDEX[name]["optimum"])


# Latencies are continuous columns, which CP-SAT does not take.
@pytest.mark.parametrize(
    "backend",
    [name for name in available_backends() if backend_named(name).capabilities.continuous],
)
@pytest.mark.parametrize("name", INDEX)
def test_every_backend_finds_the_golden_optima(name: str, backend: str) -> None:
    answers = [solve_model(read_mps(GOLDEN / file), backend) for file in INDEX[name]["models"]]
    assert sum(answer.objective or 0.0 for answer in answers) == pytest.approx(
        INDEX[name]["optimum"], rel=1e-6
    )
    if backend_named(backend).capabilities.bound:
        assert {answer.status for answer in answers} == {Status.OPTIMAL}
