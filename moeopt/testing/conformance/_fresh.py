"""The other process of the ``fresh_process`` property: a pickled case in, the plan's JSON out."""

from __future__ import annotations

import pickle
import sys

from moeopt.testing.conformance.case import Case, problem_json


def main() -> None:
    """Solve the case on standard input; it comes from the suite, never from a stranger."""
    wing_name, method, problem, seed = pickle.load(sys.stdin.buffer)
    plan = Case.of(wing_name, method, seed=seed).solve(problem).plan
    sys.stdout.write("" if plan is None else problem_json(plan))


if __name__ == "__main__":
    main()
