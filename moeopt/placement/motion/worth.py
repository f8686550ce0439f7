"""When a new plan is worth its migration, and how much of it: a threshold out of the costs.

A plan saves seconds in every batch for as long as the loads last, and costs the seconds of its
migration once. Neither is known by a constant: what a batch takes comes from the cost model over
windows that may come, drawn such that a plan fitted to few windows is not believed to be as good
as it looks on them, and the batches ahead from how long loads have lasted so far.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import msgspec
import numpy as np

from moeopt.core.arrays import FloatArray, IntArray
from moeopt.core.errors import InstanceError
from moeopt.placement.motion.costs import Costs, free_s, migration_experts
from moeopt.placement.problem import PlacementProblem
from moeopt.placement.replan import Front, replan_front

#: Points of a front that are looked at: each layer then takes its own best of them.
POINTS = 24

#: Prices of a second of ports that are tried for overlapped migrations.
PRICES = 48


@dataclass(frozen=True, eq=False)
class Worth:
    """The best migration for so many batches ahead; it may be none.

    Attributes
    ----------
    table
        The plan to change to, ``(layers, slots)``; the plan in force where nothing is worth moving.
    layers
        Layers that change.
    saved_s
        Seconds that the new plan is expected to save in each batch.
    migration_s
        Seconds of the migration: of serving if it blocks, of free ports if it is overlapped.
    net_s
        Seconds saved in the batches ahead, less what the migration costs; 0 for none.
    break_even_batches
        Batches after which the migration has paid, ``inf`` if nothing moves.
    """

    table: IntArray
    layers: int
    saved_s: float
    migration_s: float
    net_s: float
    break_even_batches: float


def worth_moving(
    problem: PlacementProblem, costs: Costs, batches_ahead: float, *, overlapped: bool = False
) -> Worth:
    """Choose how much to move, from nothing to all that a new plan changes, layer by layer.

    Parameters
    ----------
    problem
        With ``previous``, and in ``loads_tokens`` what batches may look like: one scenario or, so
        that a plan is not fitted to chance, several.
    costs
        Of batches and migrations.
    batches_ahead
        Batches for which these loads are expected to last.
    overlapped
        Whether the migration runs beside serving.

    Raises
    ------
    InstanceError
        If the problem cannot be replanned, or devices have unequal slots, which `Costs` cannot.
    """
    slots = problem.slots()
    if (slots != slots[0]).any():
        rule = "must be one number here"
        raise InstanceError("slots_per_device", slots.tolist(), rule, "give devices equal slots")
    known_bytes = problem.expert_bytes is not None
    mean = msgspec.structs.replace(
        problem,
        loads_tokens=problem.mean_loads()[None],
        scenario_weights=None,
        objective="max_load",
        cvar_tail=None,
        expert_bytes=problem.expert_bytes if known_bytes else costs.expert_bytes,
    )
    plans = sampled(replan_front(mean))
    table = np.asarray(problem.previous, dtype=np.int64)
    draws, weights = np.asarray(problem.loads_tokens), problem.weights()
    offer = Offer.of([table, *plans], draws, costs, int(slots[0]), weights)
    offer = replace(offer, whole=problem.limits_moves())
    return offer.best(np.full(problem.num_layers, float(batches_ahead)), overlapped=overlapped)


def sampled(front: Front) -> list[IntArray]:
    """Return plans of a front at growing moved bytes, more of them where few move."""
    points: Sequence[int] = range(len(front))
    if len(front) > POINTS:
        most = float(front.moved_bytes[-1])
        at = {front.within(most * share) for share in np.linspace(0.0, 1.0, POINTS) ** 2}
        points = sorted({*at, len(front) - 1})
    return [front.table(point) for point in points]


@dataclass(frozen=True, eq=False)
class Offer:
    """Plans to change to, and what each layer of each would bring and cost.

    Attributes
    ----------
    tables
        The plan in force first, ``(plans, layers, slots)``.
    saved_s
        Seconds of a batch that each layer is expected to save, ``(plans, layers)``.
    moving_s
        Seconds of ports that each layer's migration takes, ``(plans, layers)``.
    free_s
        Seconds of a batch in which ports are free, under the plan in force.
    whole
        Whether layers must change to the same plan, since limits hold for plans as they are.
    """

    tables: IntArray
    saved_s: FloatArray
    moving_s: FloatArray
    free_s: float
    whole: bool = False

    @classmethod
    def of(
        cls,
        tables: Sequence[IntArray],
        draws: FloatArray,
        costs: Costs,
        slots_per_device: int,
        weights: FloatArray | None = None,
    ) -> Offer:
        """Work out what plans bring and cost.

        A layer's saving is its mean over the draws, less the standard error of that mean: what so
        many draws cannot tell from nothing is not worth a move.

        Parameters
        ----------
        tables
            The plan in force first.
        draws
            Loads of batches that may come, ``(draws, layers, experts)``.
        costs
            Of batches and migrations.
        slots_per_device
            Slots of each device.
        weights
            Of the draws, summing to 1; equal if left out.
        """
        each = np.full(len(draws), 1.0 / len(draws)) if weights is None else weights
        now = costs.of_served(costs.served(draws, tables[0], slots_per_device))
        saved = np.zeros((len(tables), len(tables[0])))
        experts = np.zeros(saved.shape)
        for i, (before, table) in enumerate(pairwise(tables), start=1):
            # Along a front few layers change from plan to plan.
            saved[i], experts[i] = saved[i - 1], experts[i - 1]
            part = np.flatnonzero((table != before).any(axis=1))
            if not len(part):
                continue
            then_s = costs.layers_s(draws[:, part], table[part], slots_per_device)
            gains = now.total_s[:, part] - then_s
            saved[i, part] = each @ gains - standard_error(gains, each)
            experts[i, part] = migration_experts(tables[0][part], table[part], slots_per_device)
        expert_s = costs.expert_bytes / float(costs.port_bytes_per_s.min())
        free = float((each @ free_s(now)).sum())
        return cls(np.stack(tables), saved, expert_s * experts, free)

    def best(
        self,
        batches_ahead: FloatArray,
        *,
        overlapped: bool = False,
        batches_to_next: float = math.inf,
    ) -> Worth:
        """Return the migration that saves most, each layer going as far as pays for it.

        Parameters
        ----------
        batches_ahead
            For each layer, ``(layers,)``.
        overlapped
            A migration then costs no serving, but all its layers arrive with the last one. What a
            second of it costs is what they would save together meanwhile.
        batches_to_next
            When the next migration can be begun. An overlapped one that takes longer gives way to
            the best one that does not, if there is any: the rest can follow.
        """
        if not overlapped:
            return self._worth(self._choice(batches_ahead, 1.0), batches_ahead, False)
        stay = self._worth(np.zeros(self.saved_s.shape[1], dtype=np.int64), batches_ahead, True)
        if self.free_s <= 0:
            return stay
        # The dearer a second of ports, the less far layers go, and the sooner they arrive.
        tried = [
            self._worth(self._choice(batches_ahead, price), batches_ahead, True)
            for price in self._prices(batches_ahead)
        ]
        soon = [stay, *(w for w in tried if w.break_even_batches <= batches_to_next)]
        best = max(soon, key=lambda worth: worth.net_s)
        if best.layers:
            return best
        return max([stay, *tried], key=lambda worth: worth.net_s / max(worth.break_even_batches, 1))

    def _prices(self, batches_ahead: FloatArray) -> list[float]:
        """Return prices at which layers change their choice, a sample of them if there are many."""
        moves = (self.moving_s > 0) & (self.saved_s > 0)
        ratios = np.unique((self.saved_s * batches_ahead)[moves] / self.moving_s[moves])
        if len(ratios) > PRICES:
            ratios = ratios[np.linspace(0, len(ratios) - 1, PRICES).astype(np.int64)]
        return [0.0, *(0.999 * ratios).tolist()]

    def _choice(self, batches_ahead: FloatArray, price: float) -> IntArray:
        """Return the plan that each layer changes to if a second of ports has this price."""
        value = self.saved_s * batches_ahead - price * self.moving_s
        if self.whole:
            return np.full(value.shape[1], int(value.sum(axis=1).argmax()))
        return np.asarray(value.argmax(axis=0))

    def _worth(self, choice: IntArray, batches_ahead: FloatArray, overlapped: bool) -> Worth:
        """Return the migration in which each layer changes to the plan that it chose."""
        layer = np.arange(len(choice))
        table = self.tables[choice, layer]
        saved = self.saved_s[choice, layer]
        saved_s, migration_s = float(saved.sum()), float(self.moving_s[choice, layer].sum())
        if overlapped:
            even = migration_s / self.free_s if self.free_s > 0 else math.inf
            net_s = float((saved * (batches_ahead - even)).sum()) if choice.any() else 0.0
        else:
            net_s = float((saved * batches_ahead).sum()) - migration_s
            even = migration_s / saved_s if saved_s > 0 else math.inf
        return Worth(
            table=table,
            layers=int((table != self.tables[0]).any(axis=1).sum()),
            saved_s=saved_s,
            migration_s=migration_s,
            net_s=net_s,
            break_even_batches=even if choice.any() else math.inf,
        )


def standard_error(values: FloatArray, weights: FloatArray) -> FloatArray:
    """Return that of the weighted mean over the first axis; 0 for one value."""
    squares = float((weights**2).sum())
    if squares >= 1.0 - 1e-12:
        return np.zeros(values.shape[1:])
    variance = weights @ (values - weights @ values) ** 2
    return np.asarray(np.sqrt(variance * squares / (1.0 - squares)))
