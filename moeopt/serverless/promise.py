"""What the promise leaves to the MoE layers, for all who choose: one answer, one tolerance."""

from __future__ import annotations

import math
from decimal import ROUND_CEILING, Context

from moeopt.core.wing import Violation
from moeopt.serverless.plan import TOLERANCE
from moeopt.serverless.problem import ServerlessProblem

#: A promise may be missed by this much: a little less than the checker lets pass, which adds up
#: the seconds in another order.
_SLACK = 0.999 * TOLERANCE

#: Digits of a latency that is meant to be copied.
_DIGITS = 9


def limit_of(problem: ServerlessProblem) -> float:
    """Return the seconds that the promise leaves to all MoE layers, ``inf`` without a promise.

    With the checker's tolerance in it, so that whatever plan it lets pass is within.
    """
    if problem.slo_s is None:
        return math.inf
    return problem.slo_s * (1 + _SLACK) - fixed_s(problem)


def fixed_s(problem: ServerlessProblem) -> float:
    """Return the seconds that no decision changes."""
    between = math.fsum(layer.non_moe_s for layer in problem.layers)
    return problem.head_s + problem.tail_s + between


def fixed_usd(problem: ServerlessProblem) -> float:
    """Return the bill of the functions before the first and after the last MoE layer."""
    return problem.waiting_usd_per_s() * (problem.head_s + problem.tail_s)


def too_slow(problem: ServerlessProblem, moe_s: float, moe_usd: float) -> Violation:
    """Return by how much the promise cannot be kept, and what coming closest would cost.

    Parameters
    ----------
    problem
        With a promise.
    moe_s, moe_usd
        Shortest latency of all MoE layers together, and the least bill of them that has it.
    """
    assert problem.slo_s is not None
    shortest_s = moe_s + fixed_s(problem)
    cost_usd = moe_usd + fixed_usd(problem)
    return Violation(
        constraint="C6",
        path="$.slo_s",
        message=(
            f"the promise is {problem.slo_s:.{_DIGITS}g} s, the shortest latency there is"
            f" {rounded_up(shortest_s)} s, for {cost_usd:.6g} USD; raise slo_s to that, or allow"
            " more memory or replicas"
        ),
        amount=shortest_s - problem.slo_s,
    )


def rounded_up(seconds: float) -> str:
    """Return a number of few digits that is not below `seconds`."""
    return f"{Context(prec=_DIGITS, rounding=ROUND_CEILING).create_decimal_from_float(seconds):f}"
