"""A process of its own that runs one batch, to be killed in the middle of it.

The environment leads to the stand.
"""

from __future__ import annotations

from lambda_cases import mini, plan_of
from lambda_deployed import Deployed, fleet_of_tests

from moeopt.adapters.aws_lambda.clients import Clients, connect
from moeopt.adapters.aws_lambda.weights import random_weights


def deployed_for_it(clients: Clients) -> Deployed:
    """Return the deployment that both sides mean: one expert, pipelined."""
    problem = mini([[4]])
    fleet = fleet_of_tests("killed", problem, plan_of(problem, 1, memory_mb=1769), clients)
    return Deployed(fleet, random_weights(problem), clients)


def main() -> None:
    here = deployed_for_it(connect())
    with here.gate() as gate:
        here.batch(gate, 0).run()


if __name__ == "__main__":
    main()
