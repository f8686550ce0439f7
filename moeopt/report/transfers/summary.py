"""An order of transfers in a few facts: what was asked, what it gains, how far, and what binds."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np

from moeopt.core.units import bytes_text, time_text
from moeopt.report.transfers.use import busiest, port_uses
from moeopt.report.wings import Fact, Summary, distance, values
from moeopt.transfers.bounds import bound
from moeopt.transfers.contention import refuses_unscheduled, speedups
from moeopt.transfers.lines import families
from moeopt.transfers.plan import Evaluation, TransferPlan, evaluate
from moeopt.transfers.problem import TransferProblem
from moeopt.transfers.replay import replay

#: How the baselines send that a plan is compared with.
_UNORDERED = {
    "shifted": "each sender to the next port first, as NCCL does",
    "random": "each sender in an order of chance",
    "sjf": "each sender its smallest message first",
    "all_at_once": "everything at once, ports shared fairly",
}


def summary(problem: TransferProblem, plan: TransferPlan, result: Any) -> Summary:
    """Return what was asked, what the plan gains, how far it is from the best, and what binds."""
    value = evaluate(problem, plan)
    return Summary(
        asked=_asked(problem),
        gained=_gained(problem, value, result),
        distance=_distance(problem, value, result),
        binds=_binds(problem, plan, value),
    )


def _asked(problem: TransferProblem) -> list[Fact]:
    size = float(problem.messages().sum())
    ports = int(problem.present().sum())
    facts = [
        Fact(label="ports", text=f"{ports}", number=ports),
        Fact(label="messages", text=f"{problem.num_messages:,}", number=problem.num_messages),
        Fact(label="bytes", text=bytes_text(size), number=size),
        Fact(label="sending", text=_rates(problem.send_rate())),
    ]
    if problem.receive_bytes_per_s is not None:
        facts.append(Fact(label="receiving", text=_rates(problem.receive_rate())))
    if problem.fabric is not None:
        fast, each = bytes_text(problem.fabric.bandwidth_bytes_per_s), problem.fabric.ports_per_node
        rails = ", rails only between nodes" if problem.fabric.rails else ""
        facts.append(Fact(label="nodes", text=f"of {each} ports, {fast}/s inside{rails}"))
    return [*facts, *_rules(problem)]


def _rates(rates: Any) -> str:
    least, most = float(rates.min()), float(rates.max())
    if least == most:
        return f"{bytes_text(least)}/s at each port"
    return f"{bytes_text(least)}/s to {bytes_text(most)}/s, by port"


def _rules(problem: TransferProblem) -> list[Fact]:
    """Return the rules that were stated, beside the bytes and the rates."""
    shared = "several at once share its rate" if problem.peers == "many" else "one at a time"
    told = [("peers of a port", shared)]
    if problem.half_duplex:
        told.append(("half duplex", "sending and receiving share a port's time"))
    if problem.startup_s > 0:
        told.append(("start-up", f"{time_text(problem.startup_s)} for each {problem.startup_per}"))
    if not problem.preemptive:
        told.append(("messages", "are not cut"))
    if problem.chunk_bytes > 0:
        told.append(("smallest part", bytes_text(problem.chunk_bytes)))
    if problem.num_waves > 1:
        told.append(("waves", str(problem.num_waves)))
    if problem.incast_penalty > 0:
        loss = f"{100 * problem.incast_penalty:.3g} % longer for each further sender"
        told.append(("unordered, a receiver takes", loss))
    goal = {"makespan": "the time of the last arrival", "rounds": "the fewest rounds"}
    return [Fact(label=label, text=text) for label, text in told] + [
        Fact(label="minimised", text=goal[problem.objective])
    ]


def _gained(problem: TransferProblem, value: Evaluation, result: Any) -> list[Fact]:
    """Return the plan's time, and how much longer it takes if nobody orders anything."""
    seed = 0 if result is None else result.seed
    facts = [Fact(label="makespan", text=time_text(value.makespan_s), number=value.makespan_s)]
    ratios: dict[str, float] = speedups(problem, value.makespan_s, seed)
    for name in sorted(ratios, key=list(_UNORDERED).index):
        longer = ratios[name] * value.makespan_s
        text = f"{time_text(longer)}: {ratios[name]:.3f} times as long, {_UNORDERED[name]}"
        label = f"unordered, {name.replace('_', ' ')}"
        facts.append(Fact(label=label, text=text, number=longer))
    # Peers are no reason: who does not order shares its ports anyway.
    refused = refuses_unscheduled(msgspec.structs.replace(problem, peers="many"))
    if refused is not None:
        facts.append(Fact(label="unordered", text=f"not compared: {refused}"))
    counts = {"rounds": value.num_rounds, "transmissions": value.num_transmissions}
    return facts + [Fact(label=k, text=f"{n:,}", number=n) for k, n in counts.items()]


def _distance(problem: TransferProblem, value: Evaluation, result: Any) -> list[Fact]:
    """Return how far from the best: in the objective's unit, by a cheap bound if need be."""
    amount = _rounds_text if problem.objective == "rounds" else time_text
    if result is None:
        return values(value.objective, bound(problem), amount)
    return distance(result, amount)


def _rounds_text(value: float) -> str:
    return f"{value:g} round{'' if value == 1 else 's'}"


def _binds(problem: TransferProblem, plan: TransferPlan, value: Evaluation) -> list[Fact]:
    """Return the places and the rules that stand in the way of an earlier end."""
    kinds = port_uses(problem, plan)
    worst = busiest(kinds)
    if worst is None:
        return []
    share = 100 * worst.seconds / value.makespan_s
    rule = "C4" if problem.half_duplex else "C3" if problem.peers == "one" else "C2"
    facts = [
        Fact(
            label="busiest port",
            text=f"port {worst.port}, {worst.does}: {time_text(worst.seconds)}, {share:.1f} % of"
            f" the time ({rule})",
            number=worst.seconds,
        ),
        *_longest_line(problem),
    ]
    if problem.fabric is not None:
        inside = problem.inside()
        across = float(problem.pair_bytes()[~inside].sum())
        passed = float(plan.size_bytes.sum()) - float(problem.messages().sum())
        facts += [
            Fact(label="between nodes", text=f"{bytes_text(across)} must cross", number=across),
            Fact(
                label="passed on inside nodes (C11)", text=bytes_text(max(passed, 0.0)),
                number=max(passed, 0.0),
            ),
        ]  # fmt: skip
    return [*facts, *_startups(problem, plan, value), *_times(problem, plan)]


def _longest_line(problem: TransferProblem) -> list[Fact]:
    """Return the place through which most must pass: what the cheap bounds count."""
    longest = []
    for lines in families(problem):
        work = np.bincount(lines.line, lines.work_s, 1)
        longest.append((float(work.max()), lines.name.format(int(work.argmax()))))
    if not longest:
        return []
    seconds, name = max(longest)
    text = f"{name} for {time_text(seconds)} at least, whatever the order"
    return [Fact(label="longest line", text=text, number=seconds)]


def _startups(problem: TransferProblem, plan: TransferPlan, value: Evaluation) -> list[Fact]:
    if problem.startup_s == 0:
        return []
    each = time_text(problem.startup_s)
    if problem.startup_per == "round":
        lost = value.startups * problem.startup_s
        text = f"{value.startups} of {each}, one for each round (C10)"
    else:
        seen = replay(problem, plan)
        ends = (seen.source, seen.destination)
        most = max(int(np.bincount(end[seen.begins]).max(initial=0)) for end in ends)
        lost = most * problem.startup_s
        text = f"{value.startups:,} of {each}; a port pays {most} at most"
    share = 100 * lost / value.makespan_s
    return [Fact(label="start-ups", text=f"{text}, {share:.1f} % of the time", number=lost)]


def _times(problem: TransferProblem, plan: TransferPlan) -> list[Fact]:
    """Return what the clock rules out: releases, deadlines, busy and absent ports."""
    there = problem.messages() > 0
    facts = []
    release = problem.release()[there]
    if release.any():
        late, last = int((release > 0).sum()), float(release.max())
        text = f"{late} of {int(there.sum())} messages, the last at {time_text(last)}"
        facts.append(Fact(label="releases (C5)", text=text, number=last))
    due = problem.deadline()[there]
    if np.isfinite(due).any():
        slack = float((due - _arrival(problem, plan)[there]).min())
        count = int(np.isfinite(due).sum())
        closest = f"met {time_text(slack)} before" if slack > 0 else "met just in time"
        text = f"of {count} of {int(there.sum())} messages; the closest is {closest}"
        facts.append(Fact(label="deadlines (C6)", text=text, number=slack))
    if problem.busy:
        ports = len({busy.port for busy in problem.busy})
        text = f"{ports} of {problem.num_ports} ports do something else for a time"
        facts.append(Fact(label="busy ports (C9)", text=text, number=ports))
    return facts


def _arrival(problem: TransferProblem, plan: TransferPlan) -> Any:
    """Return when each message is whole at its target, ``(waves, ports, ports)`` seconds."""
    seen = replay(problem, plan)
    arrival = np.zeros(problem.traffic_bytes.size)
    last = seen.row_destination == seen.message % problem.num_ports
    np.maximum.at(arrival, seen.message[last], seen.row_end_s[last])
    return arrival.reshape(problem.traffic_bytes.shape)
