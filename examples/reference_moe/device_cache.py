"""A cache of experts on a device, that does what a plan of the buffering wing says.

Policies that know no future decide from what has been asked for; what a model asks for on a given
text is always the same. So the plan of a policy for the recorded text is what the policy would do
there, step by step. The cache checks all the way that the model asks for what was recorded and that
it is there.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import torch
from cache_links import Link, Load
from model import Model, Routing
from torch import Tensor

from moeopt.buffering.plan import BufferingPlan
from moeopt.buffering.problem import BufferingProblem


@dataclass(frozen=True)
class Script:
    """A plan, with a place for everything.

    Attributes
    ----------
    items
        What each reference asks for, ``layer * experts + expert``.
    slots
        Where it is.
    loaded
        Whether it is transferred for this reference.
    asked
        By a group's first reference: the transfers that are asked for when it begins.
    filled
        What is there from the start.
    num_slots
        Slots that are used. A group that drops what it has run itself needs some beside the cache:
        all its transfers are asked for when it begins.
    """

    items: list[int]
    slots: list[int]
    loaded: list[bool]
    asked: dict[int, list[Load]]
    filled: list[Load]
    num_slots: int


def script_of(problem: BufferingProblem, plan: BufferingPlan) -> Script:
    """Return where a plan puts what.

    Parameters
    ----------
    problem
        Experts of one size, loaded on demand, run as stated.
    plan
        A plan that keeps its constraints.
    """
    if problem.serve != "load" or problem.cache_bytes is not None or plan.order is not None:
        raise ValueError("needs slots, loads on demand, and references that run as stated")
    items = problem.item_of().tolist()
    loaded = [False] * len(items)
    for place in plan.load_at.tolist():
        loaded[place] = True
    drops: dict[int, list[int]] = defaultdict(list)
    for place, item in zip(plan.drop_at.tolist(), plan.drop_item.tolist(), strict=True):
        drops[place].append(item)

    filled = list(enumerate(problem.pinned_mask().ravel().nonzero()[0].tolist()))
    slot_of = {item: slot for slot, item in filled}
    free: list[int] = []
    slots, asked, used = [], {}, len(filled)
    starts = problem.starts.tolist()
    for begin, end in pairwise(starts):
        loads, late = [], []
        for place in range(begin, end):
            for item in drops[place]:
                ran = item in items[begin:place]
                (late if ran else free).append(slot_of.pop(item))
            item = items[place]
            if loaded[place]:
                if not free:
                    free.append(used)
                    used += 1
                slot_of[item] = free.pop()
                loads.append((slot_of[item], item))
            slots.append(slot_of[item])
        if loads:
            asked[begin] = loads
        free += late
    return Script(items, slots, loaded, asked, filled, used)


class DeviceCache:
    """The cache of a model while it runs a script.

    Attributes
    ----------
    begun
        When each expert was asked for, seconds of `time.perf_counter`.
    waited_s
        Seconds spent waiting for transfers.
    """

    def __init__(self, script: Script, link: Link, experts: int) -> None:
        self.script, self.link, self.experts = script, link, experts
        self.held = [-1] * script.num_slots
        self.begun: list[float] = []
        self.waited_s = 0.0
        link.forget()
        self._request(script.filled)
        for slot, _ in script.filled:
            link.wait(slot)

    @contextmanager
    def serving(self, model: Model) -> Iterator[None]:
        """Let a model take its experts from here.

        Parameters
        ----------
        model
            The model that asked for the references of the script, on the same text.
        """
        layers = model.layers()
        for layer, block in enumerate(layers):
            block.experts.fetch = partial(self.fetch, layer)  # type: ignore[method-assign]
        try:
            yield
        finally:
            for block in layers:
                del block.experts.fetch

    def fetch(self, layer: int, expert: int) -> tuple[Tensor, Tensor]:
        """Return an expert's two matrices once they are there.

        Parameters
        ----------
        layer, expert
            Which one.

        Raises
        ------
        RuntimeError
            If it is not what the script says, or not there.
        """
        place, script, item = len(self.begun), self.script, layer * self.experts + expert
        self.begun.append(time.perf_counter())
        if place == len(script.items) or script.items[place] != item:
            raise RuntimeError(f"reference {place}, expert {expert} of layer {layer}: not recorded")
        if place in script.asked:
            self._request(script.asked[place])
        slot = script.slots[place]
        if self.held[slot] != item:
            raise RuntimeError(f"reference {place}, expert {expert} of layer {layer}: not there")
        if script.loaded[place]:
            before = time.perf_counter()
            self.link.wait(slot)
            self.waited_s += time.perf_counter() - before
        return self.link.matrices(slot)

    def _request(self, loads: list[Load]) -> None:
        self.link.request(loads)
        for slot, item in loads:
            self.held[slot] = item


@torch.no_grad()
def decode(model: Model, tokens: Tensor) -> tuple[Tensor, list[list[Routing]]]:
    """Return the next bytes' logits and the routing of every token, each run after those before it.

    Parameters
    ----------
    model
        What runs them.
    tokens
        Bytes, ``(tokens,)``; after as many as the context it begins anew.
    """
    logits, routings = [], []
    for stretch in tokens.split(model.config.context):
        past = None
        for token in stretch:
            found, routing, past = model(token.view(1, 1), past)
            logits.append(found[0, 0])
            routings.append(routing)
    return torch.stack(logits), routings
