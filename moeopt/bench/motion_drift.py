"""Total seconds of policies for placement over streams of windows whose routing changes.

DeepSeek-V2-Lite on 8 H200s: never replanning, EPLB as vLLM repeats it at its best period, FlashLB's
hysteresis at its best memory, `moeopt.placement.online.Online`, and the clairvoyant; then a bound.
Periods and memories are chosen in hindsight, for each cell anew: no one who runs them can do that.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

import numpy as np

from moeopt.bench.motion_streams import MADE_PART, MODEL, Stream, made_up, recorded
from moeopt.bench.peers import find, table_of
from moeopt.bench.registry import Figure, Report, Setting
from moeopt.core.arrays import FloatArray, IntArray
from moeopt.core.table import Cell, Column, Table
from moeopt.describe.presets import preset
from moeopt.placement.generate import Layout
from moeopt.placement.motion.baselines import Hysteresis, Never, Periodic, Planner, eplb
from moeopt.placement.motion.clairvoyant import clairvoyant, hindsight, lower_bound_s
from moeopt.placement.motion.costs import Costs
from moeopt.placement.motion.simulate import Meter, Policy, Run, World, replay, simulate
from moeopt.placement.online import Online

DEVICE, DEVICES = "h200", 8
SLOTS = (64, 72)

#: Bytes per second of a port, each direction: NVLink within a node, a network card each.
PORTS = (450e9, 50e9)

#: Tokens of each device in a batch: as many as the constant of computation was measured with.
BATCH_TOKENS = 4096

#: Seconds that a window's routing lasts, about: in whole batches of perfect balance.
WINDOW_S = (0.1, 1.0, 10.0)

#: Windows from plan to plan, and windows that are summed or remembered: the best are taken.
PERIODS = (1, 2, 4, 8, 16, 32)
MEMORIES = (1, 2, 4, 8, 16, 32, 64)

#: The system whose repeated plans are compared with.
PEER = "vllm"

RIVALS = ("never", "periodic", "hysteresis")
OURS, KNOWING = "ours", "clairvoyant"


@dataclass(frozen=True, eq=False)
class Case:
    """One line of the table.

    Attributes
    ----------
    stream
        What is served.
    slots
        Of each layer.
    port_bytes_per_s
        Of each device, each direction.
    window_s
        Seconds that a window lasts, about.
    overlapped
        Whether migrations run beside serving.
    """

    stream: Stream
    slots: int
    port_bytes_per_s: float
    window_s: float
    overlapped: bool

    def world(self) -> World:
        """Return what policies live in."""
        costs = Costs.of_model(MODEL, DEVICE, DEVICES, self.port_bytes_per_s)
        top_k = preset("model", MODEL).top_k
        one = World(
            costs, self.slots // DEVICES, 1, self.overlapped, BATCH_TOKENS * DEVICES * top_k
        )
        batch_s = lower_bound_s(self.stream.windows[:1], one)
        batches = max(1, round(self.window_s / batch_s))
        return World(costs, one.slots_per_device, batches, self.overlapped, one.batch_tokens)

    def label(self) -> list[Cell]:
        """Return the line's first cells."""
        way = "overlapped" if self.overlapped else "blocking"
        gigabytes = self.port_bytes_per_s / 1e9
        tokens = self.stream.window_tokens
        return [self.stream.name, tokens, self.slots, gigabytes, self.window_s, way]


@dataclass(frozen=True, eq=False)
class Found:
    """What all made of one case.

    Attributes
    ----------
    case
        Which.
    runs
        By column.
    bound_s
        Seconds that nobody can beat.
    planning_s
        Of our policy, the longest that it took for a window.
    """

    case: Case
    runs: dict[str, Run]
    bound_s: float
    planning_s: float

    @property
    def share(self) -> float | None:
        """Our part of the way from never to the clairvoyant; ``None`` if there is none."""
        never, best = self.runs["never"].total_s, self.runs[KNOWING].total_s
        return (never - self.runs[OURS].total_s) / (never - best) if never > best else None

    @property
    def over_rivals(self) -> float:
        """Our seconds over the least of the others'."""
        return self.runs[OURS].total_s / min(self.runs[name].total_s for name in RIVALS)


class Timed:
    """A policy, and how long it takes.

    Parameters
    ----------
    policy
        The policy.
    """

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self.name = policy.name
        self.longest_s = 0.0

    def start(self, world: World, table: IntArray) -> None:
        """Begin a stream."""
        self._policy.start(world, table)

    def observe(self, loads: FloatArray, table: IntArray) -> IntArray | None:
        """Take in one window."""
        begun = time.perf_counter()
        answer = self._policy.observe(loads, table)
        self.longest_s = max(self.longest_s, time.perf_counter() - begun)
        return answer


class Course:
    """A stream on so many slots: what its cases have in common, whatever the ports and windows.

    The rivals look at no costs and are shown what they asked for as if it were done, so that they
    give the same plans in every world.

    Parameters
    ----------
    case
        One of the cases.
    planner
        Makes the periodic plans.
    """

    def __init__(self, case: Case, planner: Planner) -> None:
        self.windows = windows = case.stream.windows
        self.start = case.stream.start(case.slots, DEVICES)
        self._meters: dict[float, Meter] = {}
        world = replace(case.world(), overlapped=False)
        periodic = [
            Periodic(period, over, planner)
            for period in PERIODS
            for over in MEMORIES
            if max(period, over) <= len(windows)
        ]
        rivals: dict[str, Sequence[Policy]] = {
            "never": [Never()],
            "periodic": periodic,
            "hysteresis": [Hysteresis(over) for over in MEMORIES if over <= len(windows)],
        }
        self._plans = {
            name: [(one.name, self._wanted(one, world, case)) for one in policies]
            for name, policies in rivals.items()
        }
        self.hindsight = hindsight(windows, self.start, world)

    def meter(self, case: Case) -> Meter:
        """Return what batches and migrations take behind the ports of a case."""
        port = case.port_bytes_per_s
        if port not in self._meters:
            self._meters[port] = Meter(self.windows, case.world())
        return self._meters[port]

    def rivals(self, case: Case) -> dict[str, Run]:
        """Return the best run of each rival in a case."""
        world, meter = case.world(), self.meter(case)
        runs = {
            column: [
                replay(self.windows, self.start, plans, world, name, meter)
                for name, plans in policies
            ]
            for column, policies in self._plans.items()
        }
        return {column: min(of, key=lambda one: one.total_s) for column, of in runs.items()}

    def _wanted(self, policy: Policy, world: World, case: Case) -> list[IntArray]:
        """Return the plan that a policy wants in each window."""
        run = simulate(self.windows, self.start, policy, world, self.meter(case))
        return [run.tables[number] for number in run.used]


def run(setting: Setting) -> Report:
    """Run all policies on every case."""
    with _planner(setting) as (planner, name):
        found: list[Found] = []
        for (stream, _), alike in groupby(cases(quick=setting.quick), _course_of):
            setting.say(f"bench motion: {stream.name}, windows of {stream.window_tokens} ...")
            lines = list(alike)
            course = Course(lines[0], planner)
            if not found:
                # What is loaded and compiled first is no planning.
                simulate(course.windows[:3], course.start, Online(), lines[0].world())
            found += [judged(case, course) for case in lines]
    return told(found, name)


def told(found: Sequence[Found], planner: str) -> Report:
    """Return a report of what all made of some cases.

    Parameters
    ----------
    found
        Of each case.
    planner
        What the periodic plans are by.
    """
    data = {"planner": planner, "cases": [_plain(one) for one in found]}
    return Report([_table(found, planner)], _figures(found), {"drift": data})


def cases(*, quick: bool) -> list[Case]:
    """Return the lines of the table, in order."""
    if quick:
        return [
            *_cases([recorded(1024)], PORTS[1:], WINDOW_S[1:2]),
            Case(made_up(2 * MADE_PART), SLOTS[0], PORTS[1], WINDOW_S[0], overlapped=False),
        ]
    streams = [recorded(256), recorded(1024), recorded(256, planned=True), made_up()]
    return _cases(streams, PORTS, WINDOW_S)


def _cases(
    streams: Sequence[Stream], ports: Sequence[float], window_s: Sequence[float]
) -> list[Case]:
    return [
        Case(stream, slots, port, seconds, overlapped)
        for stream in streams
        for slots in SLOTS
        for port in ports
        for seconds in window_s
        for overlapped in (False, True)
    ]


@contextlib.contextmanager
def _planner(setting: Setting) -> Iterator[tuple[Planner, str]]:
    """Return what plans periodically, vLLM's policy if it is there, and its name."""
    known: dict[tuple[bytes, int, int], IntArray] = {}
    with find(setting.peers) as peers:
        peer = next((one for one in peers.contenders if one.name == PEER), None)

        def plan(loads: FloatArray, slots: int, devices: int) -> IntArray:
            key = (loads.tobytes(), slots, devices)
            if key not in known and peer is None:
                known[key] = eplb(loads, slots, devices)
            elif key not in known and peer is not None:
                known[key] = table_of(peer.bind(loads, Layout(slots, devices))())
            return known[key]

        yield plan, "moeopt's EPLB" if peer is None else f"{PEER} {peer.version}"


def judged(case: Case, course: Course) -> Found:
    """Run all policies and the clairvoyant on a case.

    Parameters
    ----------
    case
        What is served, and where.
    course
        Of its stream and slots.
    """
    world, windows, table = case.world(), course.windows, course.start
    ours = Timed(Online())
    runs = course.rivals(case)
    runs[OURS] = simulate(windows, table, ours, world, course.meter(case))
    candidates = [plan for one in runs.values() for plan in one.tables]
    runs[KNOWING] = clairvoyant(windows, table, world, [*candidates, *course.hindsight])
    return Found(case, runs, lower_bound_s(windows, world), ours.longest_s)


def _course_of(case: Case) -> tuple[Stream, int]:
    return case.stream, case.slots


def _table(found: Sequence[Found], planner: str) -> Table:
    columns = [
        Column("stream"),
        Column("window"),
        Column("slots"),
        Column("GB/s", ".0f"),
        Column("s", ".1f"),
        Column("migration"),
        *(Column(name, ".3f") for name in (*RIVALS, OURS, KNOWING, "bound")),
        Column("share", ".1%"),
        Column("best period"),
    ]
    rows = [
        [
            *one.case.label(),
            *(one.runs[name].total_s for name in (*RIVALS, OURS, KNOWING)),
            one.bound_s,
            one.share,
            one.runs["periodic"].name.removeprefix("every "),
        ]
        for one in found
    ]
    title = f"Total seconds over streams whose routing changes, {MODEL} on {DEVICES} {DEVICE}"
    note = (
        f"periodic plans by {planner}. window: tokens that are observed; s: seconds that their"
        f" routing lasts, in batches of {BATCH_TOKENS:,} tokens a device. share: ours, of the way"
        " from never to the clairvoyant. best period: windows from plan to plan, over windows"
        " summed; it and hysteresis's memory are chosen in hindsight in each line."
    )
    return Table(title, columns, rows, note)


def _figures(found: Sequence[Found]) -> list[Figure]:
    # As printed: a tie is none to lose.
    lost = [one for one in found if one.over_rivals > 1.0 + 1e-9]
    shares = [one.share for one in found if one.share is not None]
    note = f"of {len(found)}; most over the best of them {max(o.over_rivals for o in found):.4f}"
    beaten = [one for one in found if one.runs[KNOWING].total_s < one.bound_s * (1.0 - 1e-9)]
    planning_ms = 1e3 * max(one.planning_s for one in found)
    return [
        Figure("drift: cases where ours is not the lowest", len(lost), 0.0, ".0f", note),
        Figure("drift: ours over the best of the others, mean",
               float(np.mean([one.over_rivals for one in found])), 1.0),
        Figure("drift: share of the way to the clairvoyant, mean", float(np.mean(shares)), None,
               ".1%"),
        Figure("drift: the same, least", min(shares), None, ".1%"),
        Figure("drift: cases below the bound", len(beaten), 0.0, ".0f"),
        Figure("drift: ours, longest planning of a window, ms", planning_ms, None, ".1f"),
    ]  # fmt: skip


def _plain(one: Found) -> dict[str, object]:
    """Return a case as plain JSON types."""
    names = ("stream", "window_tokens", "slots", "port_gb_per_s", "window_s", "migration")
    runs = {
        column: {
            "name": run.name,
            "serving_s": run.serving_s,
            "migration_s": run.migration_s,
            "replans": run.replans,
            "moved_bytes": run.moved_bytes,
            "imbalance": float(run.imbalance.mean()),
        }
        for column, run in one.runs.items()
    }
    label = dict(zip(names, one.case.label(), strict=True))
    return {**label, "bound_s": one.bound_s, "share": one.share, "runs": runs}
