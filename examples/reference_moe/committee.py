"""A committee of experts on a device: who is resident serves, and others come in the background.

All layers share the slots of a link. While the model computes, a thread of its own fills spare
slots. An expert serves from the first token after it has arrived, and until then its predecessor
does; gates choose among those that serve. So nothing ever waits for an expert.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from queue import SimpleQueue

import torch
from cache_links import Link, Load
from committee_schedulers import Scheduler, mass_of
from committee_streams import Pace
from model import Gating, Model, Past
from torch import Tensor


class Loader:
    """A thread that fills slots one after another.

    Parameters
    ----------
    link
        Whose slots; nobody else may ask it for transfers meanwhile.
    """

    def __init__(self, link: Link) -> None:
        self.link = link
        self._asked: SimpleQueue[Load | None] = SimpleQueue()
        self._done: SimpleQueue[Load | BaseException] = SimpleQueue()
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def ask(self, load: Load) -> None:
        """Ask for an expert in a slot that nobody uses.

        Parameters
        ----------
        load
            Slot and expert.
        """
        self._asked.put(load)

    def arrived(self) -> Iterator[Load]:
        """Yield what has arrived and was not yielded before; raise what went wrong."""
        while not self._done.empty():
            found = self._done.get()
            if isinstance(found, BaseException):
                raise found
            yield found

    def stop(self) -> None:
        """Return when all transfers that were asked for have ended."""
        self._asked.put(None)
        self._thread.join()

    def _work(self) -> None:
        try:
            while (load := self._asked.get()) is not None:
                self.link.request([load])
                self.link.wait(load[0])
                self._done.put(load)
        except BaseException as error:  # To be raised where the model runs.
            self._done.put(error)


class Committee:
    """The experts of a model that serve, and those that are on their way.

    Parameters
    ----------
    model
        Whose experts; it need have none itself.
    link
        Has a slot for each member, and the spare ones.
    resident
        Members from the start, ``(layers, experts)`` of bool.
    scheduler
        What exchanges them; ``None``: they stay.
    gating
        What the gates do about absent experts.
    pace
        How long a window is, and how many experts may be loaded beside it.
    spare
        Slots for what is on its way; of the link's no more are used than these and the members'.

    Attributes
    ----------
    arrived
        When each expert has come to serve after the start, seconds of `time.perf_counter`.
    """

    def __init__(
        self,
        model: Model,
        link: Link,
        resident: Tensor,
        scheduler: Scheduler | None,
        gating: Gating,
        pace: Pace,
        spare: int = 1,
    ) -> None:
        self.model, self.link, self.scheduler, self.pace = model, link, scheduler, pace
        self.gating, self.resident = gating, resident.clone()
        self.experts = resident.shape[1]
        self.tokens, self.credit = 0, 0.0
        self.arrived: list[float] = []
        #: What goes when an expert that is on its way arrives.
        self.goes: dict[int, int] = {}
        self.due: deque[tuple[int, int]] = deque()
        self.seen: list[list[Tensor]] = []
        members = resident.flatten().nonzero()[:, 0].tolist()
        self.spare = list(range(len(members), len(members) + spare))
        if len(members) + spare > link.num_slots:
            raise ValueError("the link has too few slots")
        if scheduler is not None and not self.spare:
            raise ValueError("exchanges need a spare slot")
        link.forget()
        self.slot_of = {item: slot for slot, item in enumerate(members)}
        link.request(list(enumerate(members)))
        for slot in range(len(members)):
            link.wait(slot)

    @contextmanager
    def serving(self) -> Iterator[None]:
        """Let the model take its experts from here; at the end, wait for those on their way."""
        layers = self.model.layers()
        for layer, block in enumerate(layers):
            block.experts.fetch = partial(self.fetch, layer)  # type: ignore[method-assign]
        self.model.set_resident(self.resident, self.gating)
        self.loader = Loader(self.link)
        try:
            yield
        finally:
            self.loader.stop()
            self.model.set_resident(None)
            for block in layers:
                del block.experts.fetch
            self._welcome()

    def fetch(self, layer: int, expert: int) -> tuple[Tensor, Tensor]:
        """Return an expert's two matrices.

        Parameters
        ----------
        layer, expert
            Which one; it must serve.
        """
        return self.link.matrices(self.slot_of[layer * self.experts + expert])

    def step(self, logits: list[Tensor]) -> None:
        """Take note of what the gates said of a token; exchange what has arrived; ask for more.

        Parameters
        ----------
        logits
            Of each layer, ``(1, 1, experts)``.
        """
        if self.scheduler is None:
            return
        self._welcome()
        self.seen.append(logits)
        self.tokens += 1
        if self.tokens % self.pace.window == 0:
            self._decide(self.scheduler)
        while self.due and self.spare:
            incoming, outgoing = self.due.popleft()
            self.goes[incoming] = outgoing
            self.loader.ask((self.spare.pop(), incoming))

    def _decide(self, scheduler: Scheduler) -> None:
        """Decide after a window what is loaded beside the next."""
        logits = [torch.cat(layer, 1) for layer in zip(*self.seen, strict=True)]
        self.seen = []
        scheduler.observe(mass_of(logits, self.model.config.top_k))
        self.credit += self.pace.loads
        most = int(self.credit)
        self.credit -= most
        found = scheduler.exchanges(self._expected()[None])
        some = slice(min(most, int(found.count[0])))
        pairs = zip(found.incoming[0, some].tolist(), found.outgoing[0, some].tolist(), strict=True)
        self.due = deque(pairs)

    def _expected(self) -> Tensor:
        """Return who serves once what is on its way has arrived."""
        flat = self.resident.flatten().clone()
        flat[list(self.goes)] = True
        flat[list(self.goes.values())] = False
        return flat.view_as(self.resident)

    def _welcome(self) -> None:
        """Let each expert serve that has arrived, instead of its predecessor."""
        for slot, incoming in self.loader.arrived():
            outgoing = self.goes.pop(incoming)
            self.slot_of[incoming] = slot
            self.spare.append(self.slot_of.pop(outgoing))
            flat = self.resident.view(-1)
            flat[incoming], flat[outgoing] = True, False
            self.arrived.append(time.perf_counter())


@torch.no_grad()
def serve(committee: Committee, tokens: Tensor) -> tuple[Tensor, list[float]]:
    """Run each token of a text after those before it.

    Parameters
    ----------
    committee
        What serves them; inside its `serving`.
    tokens
        Bytes, ``(tokens,)``; after as many as the context the model begins anew.

    Returns
    -------
    Tensor
        The next bytes' logits, ``(tokens, 256)``.
    list of float
        When each token began, seconds of `time.perf_counter`.
    """
    model, logits, begun = committee.model, [], []
    for stretch in tokens.split(model.config.context):
        past: list[Past] | None = None
        for token in stretch:
            begun.append(time.perf_counter())
            found, routings, past = model(token.view(1, 1), past)
            logits.append(found[0, 0])
            committee.step([routing.logits for routing in routings])
    return torch.stack(logits), begun
