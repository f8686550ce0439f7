"""Put a method of your own through the suite that moeopt's methods must pass.

The suite needs hypothesis: pip install 'moeopt[test]'

The suite also solves in a fresh process, which must be able to import the method: keep it in a
module, as here, and not in a notebook or a script's main part.

Run: python examples/testing_your_method.py
"""

import numpy as np

from moeopt.core.wing import Capabilities, Method, Outcome
from moeopt.placement import PlacementPlan, violations
from moeopt.testing.conformance import ConformanceError, check_method


def run(problem, context, warm_start):
    """Deal experts from the busiest to the idlest, and say nothing where a rule forbids that."""
    order = np.argsort(-problem.mean_loads(), axis=1, kind="stable")
    table = order[:, np.arange(problem.num_slots) % problem.num_experts]
    plan = PlacementPlan(physical_to_logical=table)
    return Outcome() if violations(problem, plan) else Outcome(plan=plan)


def boastful(problem, context, warm_start):
    """Do the same, and claim that nothing can be better than a load of 1 on each device."""
    plan = run(problem, context, warm_start).plan
    return Outcome(plan=plan, bound=problem.num_layers * 1.0)


MINE = Method(name="busiest_first", summary="experts dealt by load", run=run)
WRONG = Method(
    name="boastful",
    summary="the same, with a bound that does not hold",
    run=boastful,
    capabilities=Capabilities(bounds=True),
)


def main() -> None:
    """Check the honest method, then one that claims too much."""
    report = check_method("placement", MINE, examples=10)
    print(f"{report.method} passed {len(report.checked)} properties:")
    print(", ".join(report.checked))
    try:
        check_method("placement", WRONG, examples=20)
    except ConformanceError as error:
        print(f"{error.method} breaks {error.property_name!r}")
    else:
        print("nothing was found against boastful")


if __name__ == "__main__":
    # Imported under its own name, so that a fresh process finds the method there.
    import testing_your_method

    testing_your_method.main()
