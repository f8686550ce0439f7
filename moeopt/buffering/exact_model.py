"""A buffering problem as linear models, and the way between their points and schedules.

Columns, rows and labels are those of ``formulations/buffering.md``. Caches of stated room are a
model each; a budget makes one of all.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from moeopt.buffering.exact_frame import Frame, start_plain, start_tight
from moeopt.buffering.exact_rules import add_rules
from moeopt.buffering.nodes import Choice, choice_of, schedule_of
from moeopt.buffering.plan import BufferingPlan
from moeopt.buffering.problem import BufferingProblem
from moeopt.buffering.stream import Schedule, Stream
from moeopt.core.arrays import FloatArray, IntArray


def compile_model(
    problem: BufferingProblem, parts: Sequence[Stream], *, tighten: bool = True
) -> Frame:
    """Return the model of some caches with all its rows.

    Parameters
    ----------
    problem
        The problem.
    parts
        Streams of the caches; all of the problem's under a budget.
    tighten
        Whether to keep or cut links between references, in which most rules hold by themselves,
        instead of writing every rule into rows of its own label.
    """
    frame = (start_tight if tighten else start_plain)(problem, parts)
    add_rules(frame)
    return frame


def schedules_of(frame: Frame, x: FloatArray) -> list[Schedule]:
    """Return the schedules of a point of the tight form, one for each cache."""
    found = []
    for part in frame.tight:
        nodes, links = part.nodes, part.nodes.links()
        there, kept = np.ones(nodes.count, dtype=np.bool_), np.zeros(nodes.count, dtype=np.bool_)
        kept[links] = x[part.keep[links]] > 0.5
        if part.stream.serve == "bypass":
            there = x[part.stay] > 0.5
        found.append(schedule_of(part.stream, nodes, Choice(there, kept)))
    return found


def point_of(frame: Frame, schedules: Sequence[Schedule], capacities: IntArray) -> FloatArray:
    """Return the point of the tight form for valid schedules and the room of their caches."""
    x = np.zeros(frame.builder.num_columns)
    if frame.capacity.size:
        x[frame.capacity] = np.minimum(capacities, [part.stream.num_items for part in frame.tight])
    for part, schedule in zip(frame.tight, schedules, strict=True):
        nodes, links = part.nodes, part.nodes.links()
        choice = choice_of(part.stream, nodes, schedule)
        x[part.keep[links]] = choice.kept[links]
        if part.stream.serve == "bypass":
            x[part.stay] = choice.there
        inner = np.flatnonzero(part.both >= 0)
        x[part.both[inner]] = choice.kept[inner] & choice.kept[nodes.before[inner]]
        if part.through.size:
            time, link = nodes.over(1, 0)
            np.add.at(x, part.through[time], part.size[link] * x[part.keep[link]])
            there = part.size[inner] * x[part.both[inner]]
            np.add.at(x, part.through[nodes.time[inner]], there)
    return x


def schedule_in(plan: BufferingPlan, stream: Stream) -> Schedule:
    """Return what a plan does in one cache, in the counting of its stream."""
    when = stream.references if stream.serve == "load" else stream.groups
    tables = []
    for at, item in ((plan.load_at, plan.load_item), (plan.drop_at, plan.drop_item)):
        own = item - stream.first_item
        mine = (own >= 0) & (own < stream.num_items)
        tables += [np.searchsorted(when, at[mine]), own[mine]]
    order = None
    if plan.order is not None:
        order = np.searchsorted(stream.references, plan.order[stream.references])
    load_at, load_item, drop_at, drop_item = tables
    return Schedule(load_at, load_item, drop_at, drop_item, order)
