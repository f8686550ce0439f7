"""The library of all wings: every file loads, generated ones are remade, tiny ones are solved."""

import importlib

import pytest

import moeopt
from moeopt import library
from moeopt.core.registry import wing_named, wing_names
from moeopt.core.result import Status
from moeopt.io import load_problem
from moeopt.testing.conformance import kit_for

#: What the size of each wing's instances tells.
COUNTED = {
    "buffering": ("references", "steps"),
    "colocation": ("models", "devices"),
    "committee": ("layers", "experts"),
    "placement": ("layers", "slots"),
    "serverless": ("layers", "experts"),
    "transfers": ("ports", "messages"),
}

#: Instances made by hand beside the tiny ones: worked examples of papers.
WORKED = {"buffering": ("paper-",), "colocation": ("aurora-",), "transfers": ("aurora-",)}

#: Whole messages that ports pass on, smallest chunks, tokens that go to the nearest copy: no method
#: proves these.
BEYOND_AUTO = {"tiny-chunk", "tiny-rails", "tiny-relay", "tiny-nearest-split"}

ENTRIES = library.entries()
GENERATED = [entry for entry in ENTRIES if entry.generator is not None]


def small(entry: library.Entry) -> bool:
    """Tell whether brute force solves it."""
    name = entry.name.partition("/")[2]
    worked = name.startswith(WORKED.get(entry.wing, ())) and entry.generator is None
    return name.startswith("tiny-") or worked


SMALL = [entry for entry in ENTRIES if small(entry)]


def each(entries: list[library.Entry]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("entry", entries, ids=[entry.name for entry in entries])


def test_no_wing_is_left_out():
    assert set(COUNTED) == set(wing_names()) == {entry.wing for entry in ENTRIES}


@pytest.mark.parametrize("wing", COUNTED)
def test_the_index_and_the_folder_are_the_same_set(wing):
    folder = library.folder() / wing
    listed = {library.folder() / entry.path for entry in ENTRIES if entry.wing == wing}
    assert listed == set(folder.glob("*.json"))
    arrays = set(folder.glob("*.npz"))
    assert {path.with_suffix(".json") for path in arrays} <= listed
    assert {path.suffix for path in folder.iterdir()} <= {".json", ".npz"}


@each(ENTRIES)
def test_every_instance_loads_as_the_index_says(entry):
    problem = load_problem("@" + entry.name)
    assert type(problem) is wing_named(entry.wing).problem_type
    assert entry.path == f"{entry.wing}/{problem.name}.json"
    assert entry.name == f"{entry.wing}/{problem.name}"
    assert (problem.source, problem.generator) == (entry.source, entry.generator)
    for what in COUNTED[entry.wing]:
        assert f"{problem.sizes()[what]} {what}" in entry.size
    if entry.best_objective is not None and entry.best_bound is not None:
        assert entry.best_bound <= entry.best_objective * (1 + 1e-9)


@each(GENERATED)
def test_generated_instances_are_remade(entry):
    generate = importlib.import_module(f"moeopt.{entry.wing}.generate")
    assert generate.remake(entry.generator) == load_problem("@" + entry.name)


@each(SMALL)
def test_brute_force_finds_the_optimum_of_the_index(entry):
    problem = load_problem("@" + entry.name)
    best = kit_for(entry.wing).optimum(problem)
    assert best.plan is not None
    assert wing_named(entry.wing).violations(problem, best.plan) == []
    assert entry.best_objective == pytest.approx(best.objective, rel=1e-9)
    assert entry.best_bound == pytest.approx(best.objective, rel=1e-9)
    if entry.generator is None:
        assert entry.proven_by == "enumeration"
        assert entry.best_objective == entry.best_bound


@each(SMALL)
def test_auto_finds_it_too(entry):
    problem = load_problem("@" + entry.name)
    result = moeopt.solve(problem)
    if problem.name in BEYOND_AUTO:
        assert result.objective is None or result.objective >= entry.best_objective
        assert result.bound is None or result.bound <= entry.best_objective * (1 + 1e-9)
        return
    assert result.objective == pytest.approx(entry.best_objective, rel=1e-9)
    assert result.status is Status.OPTIMAL
