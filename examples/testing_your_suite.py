"""Use moeopt's strategies and checkers in the tests of a project of your own.

The project here is an engine's dispatcher: it reads a plan and deals tokens to ranks. Its tests
draw problems and plans, and hold its answers against moeopt's checkers, which no solver wrote.

The strategies need hypothesis: pip install 'moeopt[test]'

Run: pytest examples/testing_your_suite.py, or python examples/testing_your_suite.py
"""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

import moeopt
from moeopt.placement import evaluate, violations
from moeopt.testing.strategies import placement_plans, placement_problems

PROBLEMS = placement_problems(
    objectives=("max_load",), splits=("even",), max_scenarios=1, plain=True
)


def can_serve(plan, experts):
    """Say whether every layer holds every expert: what the dispatcher asks of a plan's file."""
    return all(set(range(experts)) <= set(row) for row in plan.physical_to_logical.tolist())


def rank_loads(row, tokens, ranks):
    """Return what each rank of one layer serves: tokens in turn to the copies of their expert."""
    copies = np.bincount(row[row >= 0], minlength=len(tokens))
    share = np.where(row >= 0, tokens[row] / copies[row], 0.0)
    return share.reshape(ranks, -1).sum(axis=1)


def careless_rank_loads(row, tokens, ranks):
    """Do the same, and send every token to the first copy."""
    expert, first = np.unique(row, return_index=True)
    share = np.zeros(len(row))
    share[first[expert >= 0]] = tokens[expert[expert >= 0]]
    return share.reshape(ranks, -1).sum(axis=1)


@settings(deadline=None)
@given(PROBLEMS.flatmap(lambda problem: st.tuples(st.just(problem), placement_plans(problem))))
def test_what_it_cannot_serve_is_no_plan(drawn):
    """Two ways to see that an expert is missing agree, on plans right and wrong."""
    problem, plan = drawn
    assert can_serve(plan, problem.num_experts) or violations(problem, plan)


@settings(deadline=None)
@given(PROBLEMS)
def test_rank_loads_are_those_of_the_checker(problem):
    """What each rank serves is what the evaluation says."""
    agrees(rank_loads, problem)


def agrees(dispatcher, problem):
    """Hold a dispatcher's loads of the best plan against the checker's."""
    plan = moeopt.solve(problem).plan
    for layer, row in enumerate(plan.physical_to_logical):
        found = dispatcher(row, problem.loads_tokens[0, layer], problem.num_devices)
        np.testing.assert_allclose(found, evaluate(problem, plan).device_loads[0, layer])


def main():
    """Run the tests, then let the careless dispatcher be found out."""
    test_what_it_cannot_serve_is_no_plan()
    test_rank_loads_are_those_of_the_checker()
    print("the dispatcher passed 2 properties")

    smallest = []

    @settings(deadline=None, database=None, derandomize=True)
    @given(PROBLEMS)
    def careless(problem):
        smallest[:] = [problem]
        agrees(careless_rank_loads, problem)

    try:
        careless()
    except AssertionError:
        (problem,) = smallest
        print(f"first copies only: wrong with {problem.num_experts} expert", end=" ")
        print(f"in {problem.num_slots} slots on {problem.num_devices} devices")


if __name__ == "__main__":
    main()
