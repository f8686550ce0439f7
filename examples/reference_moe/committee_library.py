"""The schedulers of `moeopt.committee.online` in the runtime, one for each stream."""

from __future__ import annotations

import numpy as np
import torch
from committee_schedulers import Exchanges
from torch import Tensor

from moeopt.committee.online import Changes
from moeopt.committee.online import Scheduler as Online
from moeopt.committee.problem import CommitteeProblem

#: What a load costs, in what an expert weighs in a window on average: dear, so that few are made.
PRICE = 8.0


class Library:
    """Schedulers of the library, each with a committee of its own.

    Parameters
    ----------
    slots
        Of each stream, ``(streams, layers)``.
    norms
        Of each expert, ``(layers, experts)``.
    prior
        What a token of training text weighs, ``(layers, experts)``.
    window
        Tokens of a window.
    loads
        Experts that pass the link beside a window.
    rule
        As the library names it.
    """

    def __init__(
        self,
        slots: Tensor,
        norms: Tensor,
        prior: Tensor,
        *,
        window: int,
        loads: float,
        rule: str = "rent_or_buy",
    ) -> None:
        self.norms = norms
        history = (window * prior * norms).double().cpu().numpy()
        layers, experts = history.shape
        problem = CommitteeProblem(
            layers=layers,
            experts=experts,
            importance=np.zeros((1, layers, experts)),
            budget_bytes=layers * experts,
            min_slots=0,
            load_price=PRICE * float(history.mean()),
            link_bytes_per_s=loads,
            window_s=1.0,
        )
        rows = slots.cpu().numpy()
        self.online = [Online(problem, row, rule, history=history) for row in rows]
        self.changes: list[Changes] = []

    def observe(self, mass: Tensor) -> None:
        """Take note of a window."""
        weights = (mass * self.norms).double().cpu().numpy()
        pairs = zip(self.online, weights, strict=True)
        self.changes = [online.observe(seen) for online, seen in pairs]

    def exchanges(self, resident: Tensor) -> Exchanges:
        """Return what the schedulers ask for, who themselves know who is resident."""
        experts = resident.shape[2]
        count = torch.tensor([len(changes.loads) for changes in self.changes])
        incoming = [self._first(changes.loads, experts) for changes in self.changes]
        outgoing = [self._first(changes.drops, experts) for changes in self.changes]
        device = resident.device
        rows = (torch.from_numpy(np.stack(rows)).to(device) for rows in (incoming, outgoing))
        return Exchanges(*rows, count.to(device))

    def _first(self, pairs: np.ndarray, experts: int) -> np.ndarray:
        """Return all experts, those that are named first."""
        named = pairs[:, 0] * experts + pairs[:, 1]
        others = np.setdiff1d(np.arange(self.norms.numel()), named)
        return np.concatenate((named, others))
