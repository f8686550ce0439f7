"""Migration: experts move from one layout to the next while the layer goes on serving.

The weights of the next layout are made beside those that serve. What a rank holds already it
copies; the rest comes from other ranks, in batches ordered by `moeopt.transfers.migration`: one at
each step boundary, on its way during the step. The swap at the end copies no expert.
"""

from __future__ import annotations

import hashlib
import itertools
from collections import defaultdict, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.distributed as dist

from moeopt.adapters.torch.exchange import as_bytes
from moeopt.adapters.torch.experts import Experts
from moeopt.adapters.torch.layer import ExpertParallel, rank_and_world
from moeopt.adapters.torch.layout import Layout, require_same_experts
from moeopt.core.arrays import IntArray
from moeopt.core.errors import AdapterError, InstanceError
from moeopt.transfers import migration as orders

#: Experts that a rank sends in one batch at most, and receives: groups of very many operations
#: can hang (NCCL), and a step should not wait long for the weights.
MOST_AT_ONCE = 16

#: Why a layer cannot go over; ranks tell each other which it is, counted from 1, gradients first.
_HINDRANCES = (
    "the experts hold gradients, which would stay behind; take the optimizer's step and set them"
    " to None first",
    "the layer has other experts than at the start; migrate from these",
    "the weights have changed on the way; begin anew after a step",
)


class Migration:
    """The way of one layer to another layout; the same calls on every rank, step by step.

    Between two calls the layer serves as before. Call `advance` at step boundaries until `done`,
    then `finish` once at one, with no pass of the layer under way; on a GPU all from the stream
    that serves.

    Parameters
    ----------
    layer
        Its layout and experts are those to leave.
    layout
        To reach; of the same experts and as many ranks.
    group
        Over which weights travel, with the ranks of the layer's group. One of its own
        (``torch.distributed.new_group``) lets them travel while the layer's tokens do; with
        ``None`` they go over the layer's, in turns with its exchanges.
    ordered
        Whether a rank has one peer each way in a batch. Otherwise all pairs send at once, as
        engines do: to measure what the order brings.

    Attributes
    ----------
    layout
        To reach.
    plan
        Moves between ranks, where each comes from, and their order.
    num_batches
        Batches, each one `advance`; one more waits for the last.
    sent_bytes, received_bytes
        What this rank has sent to others, and is to have received, so far.

    Raises
    ------
    InstanceError
        If the layouts do not fit each other, or differ between ranks.
    AdapterError
        If experts hold gradients, on any rank.

    Notes
    -----
    For serving: gradients and an optimizer's state stay behind. Training may migrate between a
    step of the optimizer and the next forward pass, with gradients set to ``None``, and must give
    the optimizer the new parameters. Weights may not change on the way.
    """

    def __init__(
        self,
        layer: ExpertParallel,
        layout: Layout,
        group: Any = None,
        *,
        ordered: bool = True,
    ) -> None:
        self._layer, self.layout = layer, layout
        self._group = layer.group if group is None else group
        self._check(ordered)
        old = layer.experts
        self._old: Experts | None = old
        self._versions = _versions(old)
        self._on_gpu = old.up.is_cuda
        expert, self.plan = planned(layer.layout, layout, bytes_of_expert(old))
        was, wanted = layer.layout.experts_on(layer.rank), layout.experts_on(layer.rank)
        self._new, self._twins = _staged(old, was, wanted)
        batches = self.plan.batches if ordered else _at_once(self.plan)
        parts = [part for flows in batches for part in _parts(flows, layout.num_ranks)]
        self.num_batches = len(parts)
        self._shelves = _Shelf(expert, was, old), _Shelf(expert, wanted, self._new)
        self._batches = deque(parts)
        self._works: list[Any] = []
        self._arrived = not self._batches
        self.sent_bytes = self.received_bytes = 0

    @property
    def staged_bytes(self) -> int:
        """Bytes of this rank's weights that are held besides those that serve."""
        fresh = self._old is not None and self._new is not self._old
        return sum(weights.nbytes for weights in _weights(self._new)) if fresh else 0

    @property
    def done(self) -> bool:
        """Whether everything has arrived, at the same step on every rank.

        On a GPU: whether the stream waits for it.
        """
        return self._arrived

    def advance(self) -> None:
        """Send the next batch on its way; after the last one, wait for it."""
        # NCCL keeps the order on a stream of its own: waiting before the end could only stall
        # what serves. Elsewhere batches would overlap.
        if not (self._batches and self._on_gpu):
            for work in self._works:
                work.wait()
            self._works = []
        # Also on a rank that has nothing to wait for: the others must know when it goes over.
        self._arrived = not self._batches
        if self._batches:
            self._start(self._operations(self._batches.popleft()))

    def finish(self) -> None:
        """Let the layer go over to the new layout, and release the old weights.

        The ranks first agree that nothing hinders any of them: the host waits once.

        Raises
        ------
        AdapterError
            If experts are still on their way, or on any rank are no longer what was sent: then no
            rank goes over. If it has been called before.
        """
        if self._old is None:
            raise AdapterError("the migration is over; begin another from the layer as it is")
        if not self.done:
            left = f"{len(self._batches)} of {self.num_batches} batches are still to begin"
            raise AdapterError(f"experts are on their way, {left}; advance until it is done")
        _require_nothing(max(_told(self._layer, [self._hindrance()], self._group)[:, 0]))
        with torch.no_grad():
            for weights in _weights(self._new):
                for slot, twin in self._twins:
                    weights[twin].copy_(weights[slot])
        self._layer.adopt(self.layout, self._new)
        self._old = None
        del self._shelves  # the old weights stand there, too

    def _check(self, ordered: bool) -> None:
        layer = self._layer
        ranks, wanted = _members(self._group), _members(layer.group)
        if ranks != wanted:
            rule = f"must have the layer's workers, {wanted}"
            raise InstanceError("group", f"<{ranks}>", rule, "name them in order")
        # First the same layouts everywhere: then all ranks refuse, or none.
        _require_agreement(layer, self.layout, ordered, self._group)
        require_same_experts([layer.layout, self.layout])

    def _hindrance(self) -> int:
        """Return what hinders this rank, counted from 1 in `_HINDRANCES`; 0 if nothing does."""
        old = self._layer.experts
        found = (_have_gradients(old), old is not self._old, _versions(old) != self._versions)
        return found.index(True) + 1 if any(found) else 0

    def _operations(self, flows: list[orders.Flow]) -> list[dist.P2POp]:
        """Return what this rank does in a batch."""
        leaving, coming = self._shelves
        found: list[dist.P2POp] = []
        kind: Any
        for flow in flows:
            if self._layer.rank == flow.source:
                kind, peer, shelf = dist.isend, flow.destination, leaving
            elif self._layer.rank == flow.destination:
                kind, peer, shelf = dist.irecv, flow.source, coming
            else:
                continue
            found += [self._operation(kind, rows, peer) for rows in shelf.rows(flow)]
        return found

    def _operation(self, kind: Any, rows: torch.Tensor, peer: int) -> dist.P2POp:
        return dist.P2POp(kind, rows, group=self._group, group_peer=peer)

    def _start(self, operations: list[dist.P2POp]) -> None:
        for operation in operations:
            if operation.op is dist.isend:
                self.sent_bytes += operation.tensor.nbytes
            else:
                self.received_bytes += operation.tensor.nbytes
        if operations:
            self._works += dist.batch_isend_irecv(operations)


@dataclass(frozen=True, eq=False)
class _Shelf:
    """Where moved experts lie on a rank, or will.

    Attributes
    ----------
    expert
        Of each move.
    slots
        Expert in each slot of the rank.
    experts
        Their weights.
    """

    expert: IntArray
    slots: IntArray
    experts: Experts

    def rows(self, flow: orders.Flow) -> Iterator[torch.Tensor]:
        """Yield the memory of a flow's experts, as bytes."""
        for move in flow.moves:
            slot = _slot_of(int(self.expert[move]), self.slots)
            for weights in _weights(self.experts):
                yield as_bytes(weights[slot].contiguous())


def migrate_layers(
    layers: Sequence[ExpertParallel], layouts: Sequence[Layout], group: Any = None
) -> Iterator[Migration]:
    """Migrate layers one after the other, so that only one's weights are held twice.

    Take the next item at every step boundary, until there is none: each layer goes over as soon
    as all of its experts have arrived.

    Parameters
    ----------
    layers
        In the order in which they go over.
    layouts
        To reach, one for each.
    group
        As `Migration`.

    Yields
    ------
    Migration
        That of the layer whose weights are on their way during the coming step. Layers to which
        nothing travels go over at once.
    """
    if len(layers) != len(layouts):
        rule = f"must be as many as there are layers, {len(layers)}"
        raise InstanceError("layouts", len(layouts), rule, "name those that stay, too")
    for layer, layout in zip(layers, layouts, strict=True):
        migration = Migration(layer, layout, group)
        migration.advance()
        while not migration.done:
            yield migration
            migration.advance()
        migration.finish()


def planned(old: Layout, new: Layout, expert_bytes: int) -> tuple[IntArray, orders.Migration]:
    """Return the expert of each move between two layouts, and the order of the moves.

    Parameters
    ----------
    old, new
        Layouts of the same experts and ranks.
    expert_bytes
        Bytes of one expert.
    """
    most = int(max(old.slots_per_rank.max(), new.slots_per_rank.max()))
    before, after = _padded(old, most), _padded(new, most)
    expert, moves = orders.moves_between(before, after, most, float(expert_bytes))
    return expert, orders.order_migration(moves)


def bytes_of_expert(experts: Experts) -> int:
    """Return the bytes of one expert, also of a rank that has none."""
    return sum(
        int(np.prod(weights.shape[1:])) * weights.element_size() for weights in _weights(experts)
    )


def _padded(layout: Layout, slots: int) -> IntArray:
    """Return the table with as many slots for every rank, those in addition empty."""
    table = np.full((layout.num_ranks, slots), -1, dtype=np.int64)
    table[np.arange(slots) < layout.slots_per_rank[:, None]] = layout.expert_of_slot
    return table.ravel()


def _at_once(plan: orders.Migration) -> list[list[orders.Flow]]:
    """Return one batch in which every pair sends all that it has, or none."""
    moves: dict[tuple[int, int], list[int]] = defaultdict(list)
    for flow in itertools.chain.from_iterable(plan.batches):
        moves[flow.source, flow.destination] += flow.moves
    flows = [orders.Flow(*pair, tuple(sorted(own))) for pair, own in sorted(moves.items())]
    return [flows] if flows else []


def _parts(flows: list[orders.Flow], ranks: int) -> list[list[orders.Flow]]:
    """Return a batch cut into parts, in which no rank sends or receives too many experts."""
    longest = max(len(flow.moves) for flow in flows)
    ends = ([flow.source for flow in flows], [flow.destination for flow in flows])
    peers = max(int(np.bincount(side, minlength=ranks).max()) for side in ends)
    most = max(1, MOST_AT_ONCE // peers)
    parts = []
    for first in range(0, longest, most):
        cut = slice(first, first + most)
        parts.append([orders.Flow(f.source, f.destination, f.moves[cut]) for f in flows])
    return parts


def _staged(old: Experts, was: IntArray, wanted: IntArray) -> tuple[Experts, list[tuple[int, int]]]:
    """Return the experts to be, those that this rank holds already copied, and twins.

    A twin is a slot whose expert arrives in another slot of this rank: both, that one first. A
    rank whose slots stay as they are keeps its experts.
    """
    if np.array_equal(was, wanted):
        return old, []
    twins = []
    # Tensors made in inference mode could not be trained later.
    with torch.inference_mode(mode=False), torch.no_grad():
        up, down = (each.new_empty(len(wanted), *each.shape[1:]) for each in _weights(old))
        for slot, expert in enumerate(wanted.tolist()):
            first = _slot_of(expert, wanted)
            if expert in was:
                for weights, held in zip((up, down), _weights(old), strict=True):
                    weights[slot].copy_(held[_slot_of(expert, was)])
            elif expert >= 0 and first != slot:
                twins.append((first, slot))
            elif expert < 0:
                for weights in (up, down):
                    weights[slot].zero_()
        new = Experts(up, down, old.activation)
    for after, before in zip(new.parameters(), old.parameters(), strict=True):
        after.requires_grad_(before.requires_grad)
    return new, twins


def _slot_of(expert: int, slots: IntArray) -> int:
    """Return the first slot that holds an expert."""
    return int(np.argmax(slots == expert))


def _weights(experts: Experts) -> tuple[torch.Tensor, torch.Tensor]:
    return experts.up.detach(), experts.down.detach()


def _versions(experts: Experts) -> list[int]:
    """Return how often each of the weights was written; inference tensors do not tell."""
    return [each._version for each in experts.parameters() if not each.is_inference()]


def _have_gradients(experts: Experts) -> bool:
    return any(weights.grad is not None for weights in experts.parameters())


def _require_nothing(hindrance: int) -> None:
    if hindrance:
        raise AdapterError(_HINDRANCES[hindrance - 1])


def _members(group: Any) -> list[int]:
    """Return the workers of a group by their numbers among all."""
    rank, _ = rank_and_world(group)
    return dist.get_process_group_ranks(group) if dist.is_initialized() else [rank]


def _told(layer: ExpertParallel, numbers: list[int], group: Any) -> IntArray:
    """Return what each rank tells all others, ``(ranks, numbers)``."""
    everyone = own = torch.tensor([numbers], device=layer.experts.up.device)
    if layer.world > 1:
        everyone = own.new_empty(layer.world, len(numbers))
        dist.all_gather_into_tensor(everyone, own, group=group)
    return np.asarray(everyone.cpu().numpy())


def _require_agreement(layer: ExpertParallel, layout: Layout, ordered: bool, group: Any) -> None:
    """Raise unless all ranks are to do the same, and can: all of them raise, or none.

    The first operation on a group must be a collective (NCCL): it is this one.
    """
    told = [_digest(layer, layout, ordered), int(_have_gradients(layer.experts))]
    digests, gradients = _told(layer, told, group).T
    if (digests != told[0]).any():
        rule = "must be the same on every rank, and the order and the weights' shapes with it"
        raise InstanceError("layout", "<others elsewhere>", rule, "plan once, and send it to all")
    _require_nothing(gradients.max())


def _digest(layer: ExpertParallel, layout: Layout, ordered: bool) -> int:
    """Return a number for what is to be done, the same where that is the same."""
    digest = hashlib.sha256()
    for each in (layer.layout, layout):
        digest.update(each.expert_of_slot.astype(np.int64).tobytes())
        digest.update(each.slots_per_rank.astype(np.int64).tobytes())
        digest.update(each.share.astype(np.float64).tobytes())
    shapes = [(each.dtype, tuple(each.shape[1:])) for each in _weights(layer.experts)]
    digest.update(repr((ordered, shapes)).encode())
    return int.from_bytes(digest.digest()[:8], "little", signed=True)
