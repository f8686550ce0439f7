"""Pictures of an order of transfers: what ports do when, how long they rest, who sends to whom."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from moeopt.core.arrays import IntArray, largest
from moeopt.core.result import OPTIMALITY_TOLERANCE
from moeopt.core.units import bytes_text, bytes_unit, time_text, time_unit
from moeopt.report.drawing import draw
from moeopt.report.picture import Axis, Bars, Heat, Level, Line, Mark, Picture, Points, Role, Spans
from moeopt.report.transfers.bars import LANES, SEVERAL, PortBars, Side, port_bars
from moeopt.report.transfers.use import Busiest, PortUse, busiest, port_uses, tiers_of
from moeopt.transfers.bounds import makespan_bound
from moeopt.transfers.plan import TransferPlan
from moeopt.transfers.problem import TransferProblem
from moeopt.transfers.replay import busy_spans

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Lanes and bars of one picture where there are more, and lines of a map.
MOST_LANES, MOST_BARS, MOST_LINES = 64, 2000, 128

#: Of groups of bars; what overlaps has the one that is left out.
_ROLES: tuple[Role, ...] = ("first", "second", "third", "fifth")
_OVERLAP: Role = "fourth"


def gantt(
    problem: TransferProblem,
    plan: TransferPlan,
    *,
    side: Side = "sends",
    bound_s: float | None = None,
    ax: Any = None,
) -> Axes:
    """Draw what each port sends, or receives, when, as the plan's checker replays it.

    A bar is a transmission, or several that overlap. Ports of a node with a fast network have a
    lane for each network. Half-duplex ports share their time, so both sides are in one picture.

    Parameters
    ----------
    problem, plan
        A valid plan of this problem.
    side
        ``"sends"`` or ``"receives"``: which direction of each port.
    bound_s
        What no order can beat; ``None`` computes the best of the cheap bounds.
    ax
        Axes to draw on; ``None`` makes some.
    """
    return draw(gantt_picture(problem, plan, side=side, bound_s=bound_s), ax)


def port_idleness(
    problem: TransferProblem,
    plan: TransferPlan,
    *,
    bound_s: float | None = None,
    ax: Any = None,
) -> Axes:
    """Draw how long each port is busy until the makespan, and mark the one that is most.

    Parameters
    ----------
    problem, plan
        A valid plan of this problem.
    bound_s
        What no order can beat; ``None`` computes the best of the cheap bounds.
    ax
        Axes to draw on; ``None`` makes some.
    """
    return draw(port_idleness_picture(problem, plan, bound_s=bound_s), ax)


def traffic(problem: TransferProblem, *, ax: Any = None) -> Axes:
    """Draw the bytes from each port to each other, over all waves.

    Parameters
    ----------
    problem
        Any problem.
    ax
        Axes to draw on; ``None`` makes some.
    """
    return draw(traffic_picture(problem), ax)


def gantt_picture(
    problem: TransferProblem,
    plan: TransferPlan,
    *,
    side: Side = "sends",
    bound_s: float | None = None,
) -> Picture:
    """Return the picture of `gantt`."""
    makespan = plan.makespan_s
    least = makespan_bound(problem) if bound_s is None else bound_s
    ends = max(makespan, least)
    bars = port_bars(problem, plan, side)
    ports = _ports_shown(problem, bars)
    tiers = tiers_of(problem)
    does = "sends and receives" if problem.half_duplex else side
    names = tuple(f"{p}{where}" for p in ports.tolist() for where in ("", " inside")[: len(tiers)])
    lane = np.full(LANES * problem.num_ports, -1)
    for tier in range(len(tiers)):
        lane[LANES * ports + tier] = len(tiers) * np.arange(len(ports)) + tier
    return Picture(
        name=f"transfers-{'both' if problem.half_duplex else side}",
        title=f"What each port {does} when",
        x=Axis(label="time", unit=time_unit(ends)[1], from_zero=True),
        y=Axis(label="port", names=names),
        marks=[
            *_busy_marks(problem, lane, ends),
            *_bar_marks(bars, lane, ends),
            _upright("makespan", "plan", makespan, ends, len(names)),
            _upright("bound", "bound", least, ends, len(names)),
        ],
        says=_gantt_text(problem, plan, least, len(ports)),
    )


def port_idleness_picture(
    problem: TransferProblem, plan: TransferPlan, *, bound_s: float | None = None
) -> Picture:
    """Return the picture of `port_idleness`."""
    makespan = plan.makespan_s
    least = makespan_bound(problem) if bound_s is None else bound_s
    kinds = port_uses(problem, plan)
    size, unit = time_unit(max(makespan, least))
    most = np.max([kind.seconds for kind in kinds], axis=0)
    present = np.flatnonzero(problem.present())
    shown = present[largest(most[present], MOST_LANES)]
    worst = busiest(kinds)
    marks: list[Mark] = [
        Bars(name=kind.does, role=role, x=np.arange(len(shown)), height=kind.seconds[shown] / size)
        for kind, role in zip(kinds, _ROLES, strict=False)
    ]
    marks += [
        Level(name="makespan", role="plan", value=makespan / size),
        Level(name="bound", role="bound", value=least / size),
    ]
    if worst is not None:
        marks.append(
            Points(
                name="busiest port",
                role="best",
                x=np.flatnonzero(shown == worst.port),
                y=[worst.seconds / size],
                texts=(f"port {worst.port}",),
            )
        )
    return Picture(
        name="port-idleness",
        title="How long each port is busy",
        x=Axis(label="port", names=tuple(map(str, shown.tolist()))),
        y=Axis(label="busy", unit=unit, from_zero=True),
        marks=marks,
        says=_idle_text(problem, kinds, worst, makespan, len(shown)),
    )


def traffic_picture(problem: TransferProblem) -> Picture:
    """Return the picture of `traffic`; neighbouring ports are one line where there are too many."""
    pair = problem.pair_bytes()
    ports = problem.num_ports
    each = -(-ports // MOST_LINES)
    first = np.arange(0, ports, each)
    blocks = np.add.reduceat(np.add.reduceat(pair, first, axis=0), first, axis=1)
    size, unit = bytes_unit(float(blocks.max(initial=0.0)))
    names: tuple[str, ...] = ()
    if each > 1:
        names = tuple(f"{p} to {min(p + each, ports) - 1}" for p in first.tolist())
    source, destination = np.unravel_index(int(pair.argmax()), pair.shape)
    share = f", {100 * np.count_nonzero(pair) / max(ports * (ports - 1), 1):.0f} % of all pairs"
    return Picture(
        name="traffic",
        title="Bytes from port to port",
        x=Axis(label="to port", whole=True, names=names),
        y=Axis(label="from port", whole=True, names=names),
        marks=[Heat(name="bytes", unit=unit, values=blocks / size)],
        says=(
            f"{bytes_text(float(pair.sum()))} between {np.count_nonzero(pair)} pairs of ports"
            f"{share}; the most, {bytes_text(float(pair.max()))}, from {source} to {destination}."
        ),
    )


def _ports_shown(problem: TransferProblem, bars: PortBars) -> IntArray:
    """Return the ports with the most to do, as many as there is room for, by number."""
    present = np.flatnonzero(problem.present())
    port, ports = bars.lane // LANES, problem.num_ports
    held = np.bincount(port, bars.end_s - bars.start_s, ports)[present]
    order = present[np.argsort(-held, kind="stable")]
    so_far = np.cumsum(np.bincount(port, minlength=ports)[order])
    room = min(int((so_far <= MOST_BARS).sum()), MOST_LANES // len(tiers_of(problem)))
    return np.sort(order[: max(room, 1)])


def _bar_marks(bars: PortBars, lane: IntArray, ends_s: float) -> list[Spans]:
    size, _ = time_unit(ends_s)
    shown = lane[bars.lane] >= 0
    found = []
    for group, name in enumerate(bars.groups):
        mine = np.flatnonzero(shown & (bars.group == group))
        if mine.size:
            found.append(
                Spans(
                    name=name,
                    role=_OVERLAP if name == SEVERAL else _ROLES[group],
                    lane=lane[bars.lane[mine]],
                    start=bars.start_s[mine] / size,
                    end=bars.end_s[mine] / size,
                    texts=tuple(bars.texts[i] for i in mine.tolist()),
                )
            )
    return found


def _busy_marks(problem: TransferProblem, lane: IntArray, ends_s: float) -> list[Spans]:
    """Return when ports do something else, as far as it is in sight."""
    size, _ = time_unit(ends_s)
    rows = [
        (int(lane[LANES * port + tier]), start, min(end, ends_s))
        for port, spans in busy_spans(problem).items()
        for tier in range(len(tiers_of(problem)))
        for start, end in spans.tolist()
        if lane[LANES * port + tier] >= 0 and start < ends_s
    ]
    if not rows:
        return []
    where, start, end = np.array(rows).T
    found = Spans(
        name="busy with something else",
        role="quiet",
        lane=where,
        start=start / size,
        end=end / size,
    )
    return [found]


def _upright(name: str, role: Role, when_s: float, ends_s: float, lanes: int) -> Line:
    at = np.full(2, when_s / time_unit(ends_s)[0])
    return Line(name=name, role=role, x=at, y=[-0.5, lanes - 0.5])


def _gantt_text(problem: TransferProblem, plan: TransferPlan, least_s: float, shown: int) -> str:
    makespan, ports = plan.makespan_s, int(problem.present().sum())
    told = f"The last byte arrives after {time_text(makespan)}"
    over = makespan / least_s - 1 if least_s > 0 else 0.0
    proven = over <= OPTIMALITY_TOLERANCE
    told += "; no order is faster." if proven else f", {100 * over:.3g} % above the bound."
    return told + ("" if shown == ports else f" Shown are the {shown} busiest of {ports} ports.")


def _idle_text(
    problem: TransferProblem,
    kinds: list[PortUse],
    worst: Busiest | None,
    makespan_s: float,
    shown: int,
) -> str:
    if worst is None:
        return "Nothing is sent."
    there = problem.present()
    means = ", ".join(
        f"{kind.does} {100 * float(kind.seconds[there].mean()) / makespan_s:.0f} %"
        for kind in kinds
    )
    left_out = "" if shown == there.sum() else f" Shown are the {shown} busiest ports."
    return (
        f"Port {worst.port} is busy {worst.does} for {time_text(worst.seconds)} of"
        f" {time_text(makespan_s)} ({100 * worst.seconds / makespan_s:.0f} %);"
        f" on average ports are busy {means} of the time.{left_out}"
    )
