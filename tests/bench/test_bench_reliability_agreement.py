"""What lies about a problem is reported; what does not is not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from moeopt.bench.registry import Setting
from moeopt.bench.reliability import agreement
from moeopt.bench.reliability.agreement_cases import Instance, instances
from moeopt.bench.reliability.agreement_checks import compare
from moeopt.bench.reliability.agreement_solvers import judged
from moeopt.bench.reliability.agreement_truth import Truth
from moeopt.core.registry import register, wing_named
from moeopt.core.wing import Capabilities, Method, Outcome, Violation
from moeopt.describe.cluster import Cluster
from moeopt.mip import read_mps, using_backend
from moeopt.placement.plan import PlacementPlan
from moeopt.placement.problem import PlacementProblem

MODELS = Path(__file__).parents[1] / "mip" / "models"

#: The optimum is 5: 4 + 1 and 3 + 2.
TOY = PlacementProblem(
    loads_tokens=np.array([[4.0, 3.0, 2.0, 1.0]]), cluster=Cluster.uniform(2), slots_per_device=2
)
BEST = PlacementPlan(physical_to_logical=np.array([[0, 3, 1, 2]]))
WORSE = PlacementPlan(physical_to_logical=np.array([[0, 1, 2, 3]]))
WORST = 7.0

Plant = Callable[..., None]


@pytest.fixture
def plant() -> Iterator[Plant]:
    """Give the placement wing one method alone, which always says the same."""
    wing = wing_named("placement")

    def planted(outcome: Outcome, **promised: bool) -> None:
        def run(problem: Any, context: Any, warm_start: Any) -> Outcome:
            return outcome

        one = Method(name="own", summary="", run=run, capabilities=Capabilities(**promised))
        register(replace(wing, methods={one.name: one}))

    yield planted
    register(wing)


def test_an_honest_method_agrees(plant: Plant) -> None:
    plant(Outcome(plan=BEST, bound=5.0), exact=True, complete=True, bounds=True)
    compared = compare("placement", Instance(TOY, "feasible"))
    assert compared.failures == []
    assert compared.brute
    assert compared.bounds == 2
    assert compared.asked.wrong == ""
    assert set(compared.asked.solvers.values()) == {"agrees"}
    assert set(compared.asked.solvers) >= {"highs", "scip", "scipy"}


@pytest.mark.parametrize(
    ("outcome", "promised", "said"),
    [
        (Outcome(plan=WORSE, bound=WORST), {}, "calls 7.0 optimal, the best is 5.0"),
        (Outcome(plan=WORSE, bound=6.0), {}, "the bound 6.0 is above the objective 5.0"),
        (Outcome(plan=WORSE, bound=8.0), {}, "claims the bound 8.0 above its own plan's 7.0"),
        (Outcome(plan=WORSE, bound=1.0), {"exact": True}, "ended feasible"),
        (Outcome(), {"complete": True}, "promises a plan wherever one exists"),
        (
            Outcome(infeasible=(Violation(constraint="C1", path="$", message="", amount=1.0),)),
            {},
            "calls a problem infeasible that has a plan of 5.0",
        ),
    ],
)
def test_a_lie_is_reported_with_the_problem(
    plant: Plant, outcome: Outcome, promised: dict[str, bool], said: str
) -> None:
    plant(outcome, **promised)
    compared = compare("placement", Instance(TOY, "feasible"), solvers=False)
    assert any(said in failure for failure in compared.failures)
    for failure in compared.failures:
        assert failure.startswith("method 'own' breaks ")
        assert '{"problem":"placement","version":1,"loads_tokens":[[[4.0,3.0,2.0,1.0]]]' in failure


def test_a_plan_better_than_the_best_accuses_the_checker(
    plant: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where plans beat brute force, one of the two is wrong: here the objective, by our doing."""
    plant(Outcome(plan=BEST))
    wing = wing_named("placement")

    class Cheap:
        objective = 4.0

    register(replace(wing, evaluate=lambda problem, plan: Cheap()))
    compared = compare("placement", Instance(TOY, "feasible"), solvers=False)
    (failure,) = compared.failures
    assert "'not_below_optimum': the objective 4.0 is below the optimum 5.0" in failure


def test_what_has_no_plan_must_be_called_so(plant: Plant) -> None:
    plant(Outcome(), exact=True)
    compared = compare("placement", Instance(TOY, "infeasible"), solvers=False)
    assert any("no plan exists, but the status is" in failure for failure in compared.failures)


def test_draws_and_brute_force_check_each_other(plant: Plant) -> None:
    plant(Outcome())
    (failure,) = compare("placement", Instance(TOY, "infeasible"), solvers=False).failures
    assert "'brute force' breaks 'agreement'" in failure
    assert "has 5.0 for what was drawn infeasible" in failure


def test_a_bound_that_raises_is_reported(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(problem: PlacementProblem) -> float:
        raise IndexError("nothing there")

    plant(Outcome(plan=BEST))
    monkeypatch.setattr("moeopt.placement.bounds.total_bound", broken)
    (failure,) = compare("placement", Instance(TOY, "feasible"), solvers=False).failures
    assert failure.startswith("'bounds.total_bound' breaks 'agreement': raised IndexError: nothing")


def test_wrong_models_are_wrong_by_every_solver(plant: Plant) -> None:
    """A model without half of its rows has a better optimum than there is."""
    plant(Outcome(plan=BEST))
    wing = wing_named("placement")

    def loose(problem: PlacementProblem) -> list[Any]:
        return [replace(model, objective=model.objective / 2) for model in wing.build(problem)]

    register(replace(wing, build=loose))
    compared = compare("placement", Instance(TOY, "feasible"))
    assert set(compared.asked.solvers.values()) == {"wrong"}
    assert "it proves 2.5, the best is 5.0" in compared.asked.uncaught


def test_a_wrong_proof_of_one_solver_is_caught_by_the_other() -> None:
    """HiGHS proves 2457.6 on this model; the optimum is 2048."""
    models = [read_mps(MODELS / "highs-wrong-optimum.mps")]
    truth = Truth(2048.0, True, 1e-9)
    with using_backend("highs"):
        verdict, said = judged(models, truth, best_of=False)
    assert verdict == "wrong"
    assert "it proves 2457.6" in said
    assert judged(models, truth, best_of=False) == ("agrees", "")


def test_instances_are_the_same_each_time_and_distinct() -> None:
    counts = {"feasible": 4, "infeasible": 1, "generated": 2}
    first, second = instances("placement", counts), instances("placement", counts)
    assert [each.problem for each in first.instances] == [each.problem for each in second.instances]
    assert [each.kind for each in first.instances] == sorted(
        (kind for kind, count in counts.items() for _ in range(count)), key=list(counts).index
    )
    assert (
        sum(one.problem == other.problem for one in first.instances for other in first.instances)
        == 7
    )


def test_without_hypothesis_the_generators_are_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "hypothesis", None)
    drawn = instances("placement", {"feasible": 3, "infeasible": 1, "generated": 2})
    assert [each.kind for each in drawn.instances] == ["generated"] * 2
    assert "moeopt[test]" in drawn.note


def test_the_part_tells_failures_and_counts(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agreement, "_QUICK", {"feasible": 3, "infeasible": 1, "generated": 1})
    plant(Outcome(), complete=True)
    setting = Setting(quick=True, peers=(), say=lambda line: None)
    report = agreement.run(setting, "placement")
    rows = report.data["agreement-placement"]
    assert [row["times"] for row in rows][:3] == [3, 1, 1]
    assert len(rows[0]["failures"]) == 3
    assert "promises a plan" in rows[0]["failures"][0]
    (figure,) = report.figures
    assert figure.value == sum(len(row["failures"]) for row in rows)
    assert figure.met is False
