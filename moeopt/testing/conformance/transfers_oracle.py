"""The optimum of tiny transfer problems, written from the formulation and from no solver of it.

It shares no arithmetic with ``moeopt.transfers``: orders and sets of pairs are enumerated, lengths
come from linear programs, and where ports share their rate and nothing is timed, sending everything
at constant rates until the end is optimal.
"""

from __future__ import annotations

from moeopt.testing.conformance.kit import Optimum
from moeopt.testing.conformance.transfers_intervals import by_intervals, by_rounds
from moeopt.testing.conformance.transfers_orders import in_some_order
from moeopt.testing.conformance.transfers_plans import (
    CLOSE,
    Row,
    fluid_bound,
    in_bytes,
    in_units,
    messages_of,
    plan_of,
)
from moeopt.transfers.problem import TransferProblem


def brute_force(problem: TransferProblem) -> Optimum | None:
    """Return the optimum, or ``None`` if the problem is too large or of a kind not covered.

    Not covered: fabrics unless messages are whole and a port has one peer at a time, whole messages
    that share rates at given times, and cuts that cost something unless whole messages are as good
    as cuts could be.
    """
    messages = messages_of(problem)
    if not problem.present()[[end for m in messages for end in (m.source, m.destination)]].all():
        return Optimum(None, None)
    if not messages:
        return Optimum(0.0, plan_of(problem, []))
    # The solver's tolerances are absolute: a unit of time and of bytes that is of the size of 1.
    unit_bytes, unit_s = max(m.size for m in messages), fluid_bound(problem)
    found = _solved(in_units(problem, unit_bytes, unit_s))
    if found is None or found.plan is None or found.objective is None:
        return found
    value = found.objective * (1.0 if problem.objective == "rounds" else unit_s)
    return Optimum(value, in_bytes(found.plan, unit_bytes, unit_s))


def _solved(problem: TransferProblem) -> Optimum | None:
    """Choose by what the problem's rules leave open."""
    chunk = problem.chunk_bytes
    may_cut = problem.preemptive and any(m.size >= 2 * chunk for m in messages_of(problem))
    in_rounds = problem.startup_per == "round"
    if problem.fabric is not None:
        return None if may_cut or in_rounds else in_some_order(problem)
    if problem.objective == "rounds":
        return by_rounds(problem)
    if problem.peers == "many" and not problem.is_timed:
        return _at_constant_rates(problem)
    if in_rounds and (problem.startup_s > 0 or chunk > 0 or not may_cut):
        return by_rounds(problem)
    if not may_cut:
        return in_some_order(problem)
    if problem.startup_s > 0 or chunk > 0:
        return _whole_if_as_good(problem)
    return by_intervals(problem)


def _at_constant_rates(problem: TransferProblem) -> Optimum:
    """Send everything from the start to the end: no port is needed longer than its work takes."""
    begin = problem.startup_s if problem.startup_per == "round" else 0.0
    length = fluid_bound(problem)
    rows = [Row(m, m.size, begin, length, 0) for m in messages_of(problem)]
    return Optimum(begin + length, plan_of(problem, rows))


def _whole_if_as_good(problem: TransferProblem) -> Optimum | None:
    """Return the best plan of whole messages if no plan with cuts can be better."""
    found = in_some_order(problem)
    # The busiest port has all its work after the first release.
    first = float(problem.release()[problem.messages() > 0].min())
    least = first + fluid_bound(problem)
    if found is None or found.objective is None or found.objective > least * (1 + CLOSE):
        return None
    return found
