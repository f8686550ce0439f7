"""The descent of replanning on whole problems: the kernel's arrays, trails, and their order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np

from moeopt.core.arrays import BoolArray, FloatArray, IntArray
from moeopt.placement.problem import PlacementProblem
from moeopt.placement.rules import home_mask

#: Tells whether the time is up.
Late = Callable[[], bool]

#: Steps of a layer's descent, at most, for each of its slots.
STEPS_PER_SLOT = 2


@dataclass(frozen=True)
class Trails:
    """Descents of some layers from given tables.

    Attributes
    ----------
    layers
        Which, ``(rows,)``.
    start
        Their tables, ``(rows, slots)``.
    heat, size, number
        ``(rows, points)`` after each step, from none on: largest load over speed, and bytes and
        number of the copies that the previous plan lacks.
    writes
        ``(rows, points - 1, 4)``: slot, expert, slot, expert of each step; -1 for no second.
    steps
        ``(rows,)``: steps that were taken.
    """

    layers: IntArray
    start: IntArray
    heat: FloatArray
    size: FloatArray
    number: IntArray
    writes: IntArray
    steps: IntArray

    def row(self, row: int, step: int) -> IntArray:
        """Return the table of a row after some steps, ``(slots,)``."""
        table: IntArray = self.start[row].copy()
        done = self.writes[row, :step].reshape(-1, 2)
        done = done[done[:, 0] >= 0]
        # Of several entries for one slot the last stays.
        table[done[:, 0]] = done[:, 1]
        return table


@dataclass(frozen=True)
class Turns:
    """Changes of single layers, in the order of what a byte buys.

    Attributes
    ----------
    layer, trail, row, step
        Of each turn, ``(turns,)``: its layer afterwards is `row` of trail `trail` after `step`.
    heat, size, number
        ``(turns,)``: those of its layer afterwards.
    """

    layer: IntArray
    trail: IntArray
    row: IntArray
    step: IntArray
    heat: FloatArray
    size: FloatArray
    number: IntArray

    def __len__(self) -> int:
        return len(self.layer)

    def part(self, chosen: IntArray | slice) -> Turns:
        """Return some of the turns."""
        names = self.__dataclass_fields__
        return Turns(**{name: getattr(self, name)[chosen] for name in names})

    @staticmethod
    def joined(parts: Sequence[Turns]) -> Turns:
        """Return turns one part after the other."""
        names = Turns.__dataclass_fields__
        return Turns(**{n: np.concatenate([getattr(part, n) for part in parts]) for n in names})


@dataclass(frozen=True)
class Ground:
    """What the descents of a problem have in common, as its kernel wants it.

    The last expert is the ghost that empty slots hold.

    Attributes
    ----------
    previous
        ``(layers, slots)``.
    load, size
        ``(layers, experts + 1)``: tokens; bytes over `unit_bytes`.
    allowed, pinned
        ``(layers or 1, experts + 1, devices)``.
    rules
        The kernel's.
    target
        ``(layers,)``: heat at which a layer is left alone.
    mean
        ``(layers,)``: load over speed if it were spread perfectly.
    unit_bytes
        Bytes of the mean expert.
    num_nodes
        Nodes of the cluster.
    workers
        Threads that share the layers.
    late
        Tells whether the time is up: layers that were not begun by then stay where they are.
    """

    previous: IntArray
    load: FloatArray
    size: FloatArray
    allowed: BoolArray
    pinned: BoolArray
    rules: object
    target: FloatArray
    mean: FloatArray
    unit_bytes: float
    num_nodes: int
    workers: int
    late: Late | None

    @classmethod
    def of(
        cls,
        problem: PlacementProblem,
        start: IntArray,
        imbalance: float,
        workers: int,
        late: Late | None = None,
    ) -> Ground:
        """Return the ground of a problem whose groups, if bound to nodes, stay where `start` is."""
        from moeopt.placement._kernels_stock import Rules

        size = problem.bytes_of_experts()
        unit = float(size.mean())
        live = problem.live()
        speed = problem.cluster.relative_speed()
        load = problem.mean_loads()
        mean = load.sum(axis=1) / speed[live].sum()
        per_device = problem.max_copies_per_device
        rules = Rules(
            slot_start=problem.slot_start(),
            slow=1.0 / speed,
            node=problem.cluster.device_node(),
            live=live,
            least=problem.min_copies_per_expert,
            most=problem.copies_limit(),
            per_device=problem.num_slots if per_device is None else per_device,
            apart=problem.distinct_nodes,
            strict=problem.distinct_nodes or _limits_arrivals(problem),
        )
        return cls(
            previous=_haunted(np.asarray(problem.previous), problem.num_experts),
            load=_with_ghost(load),
            size=_with_ghost(size / unit),
            allowed=_masked(_allowed(problem, start), ghost=True),
            pinned=_masked(problem.pair_mask(problem.pinned), ghost=False),
            rules=rules,
            target=imbalance * mean,
            mean=mean,
            unit_bytes=unit,
            num_nodes=problem.cluster.num_nodes,
            workers=workers,
            late=late,
        )

    @property
    def ghost(self) -> int:
        """The expert that empty slots hold."""
        return int(self.load.shape[1]) - 1

    def at(self, problem: PlacementProblem, table: IntArray) -> Ground:
        """Return the same ground for descents from another table, ``(layers, slots)``.

        Groups that are bound to nodes stay where they are in that one.
        """
        if problem.group_rule == "free":
            return self
        return replace(self, allowed=_masked(_allowed(problem, table), ghost=True))

    def descend(
        self,
        start: IntArray,
        layers: IntArray,
        room_bytes: FloatArray | None = None,
        node_room_bytes: FloatArray | None = None,
        most_steps: int | None = None,
    ) -> Trails:
        """Descend from the tables `start` of some layers.

        Parameters
        ----------
        start
            ``(rows, slots)``.
        layers
            ``(rows,)``.
        room_bytes, node_room_bytes
            ``(rows, devices)`` and ``(rows, nodes)``: what may arrive; ``None`` is anything.
        most_steps
            Of each layer; `STEPS_PER_SLOT` tells if left out.
        """
        from moeopt.placement._kernels_replan import descend_layers

        rows, slots = start.shape
        most = most_steps or STEPS_PER_SLOT * slots
        trail = np.zeros((rows, most + 1, 3))
        writes = np.zeros((rows, most, 4), dtype=np.int64)
        steps = np.zeros(rows, dtype=np.int64)
        target = self.target[layers]
        masks = [mask[layers] if len(mask) > 1 else mask for mask in (self.allowed, self.pinned)]
        arrays = (
            _haunted(start, self.ghost),
            self.previous[layers],
            self.load[layers],
            self.size[layers],
            self._room(room_bytes, rows, self.allowed.shape[2]),
            self._room(node_room_bytes, rows, self.num_nodes),
            target,
            trail,
            writes,
            steps,
        )

        def run(part: slice) -> None:
            one_mask = [mask if len(mask) == 1 else mask[part] for mask in masks]
            descend_layers(*(array[part] for array in arrays), *one_mask, self.rules)

        def run_in_time(part: slice) -> None:
            for row in range(part.start, part.stop):
                if self.late and self.late():
                    # As even as they shall be: their heat and size are told, and no step is taken.
                    target[row : part.stop] = np.inf
                    run(slice(row, part.stop))
                    return
                run(slice(row, row + 1))

        self._in_threads(run_in_time if self.late else run, rows)
        longest = int(steps.max(initial=0))
        writes = writes[:, :longest]
        writes[:, :, 1::2][writes[:, :, 1::2] == self.ghost] = -1
        trail = trail[:, : longest + 1]
        return Trails(
            layers=layers,
            start=start,
            heat=trail[:, :, 0],
            size=trail[:, :, 1] * self.unit_bytes,
            number=np.rint(trail[:, :, 2]).astype(np.int64),
            writes=writes,
            steps=steps,
        )

    def _in_threads(self, run: Callable[[slice], None], rows: int) -> None:
        """Run parts of the rows beside each other: the kernel lets other threads run."""
        threads = min(self.workers, rows)
        if threads <= 1:
            run(slice(0, rows))
            return
        ends = np.linspace(0, rows, threads + 1).astype(int).tolist()
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(run, [slice(*ends[i : i + 2]) for i in range(threads)]))

    def _room(self, room_bytes: FloatArray | None, rows: int, columns: int) -> FloatArray:
        if room_bytes is None:
            return np.full((rows, columns), np.inf)
        # Sums of many sizes may round up.
        return room_bytes / self.unit_bytes * (1 + 1e-12)


def corners(trails: Sequence[Trails], layers: int) -> tuple[Turns, Turns]:
    """Return where layers begin, and their turns from there in the order of what a byte buys.

    Each layer goes along the lower convex hull of its trails' heat over size: of all ways to spend
    any number of bytes, no convex combination of the layers' plans is better. A layer that has the
    bytes for itself goes by every point that none other is as good as.

    Parameters
    ----------
    trails
        The first has all layers.
    layers
        How many there are.
    """
    from moeopt.placement._kernels_hull import hulls

    every = _points(trails)
    order = np.lexsort((every.heat, every.size, every.layer))
    every = every.part(order)
    count = np.bincount(every.layer, minlength=layers)
    first = np.cumsum(count) - count
    place = np.arange(len(every)) - first[every.layer]
    padded = np.zeros((layers, int(count.max(initial=0)), 2))
    padded[every.layer, place] = np.stack([every.size, every.heat], axis=1)
    kept = np.zeros(padded.shape[:2], dtype=np.int64)
    hulls(padded, count, layers > 1, kept)
    layer, at = np.nonzero(kept >= 0)
    corner = every.part(first[layer] + kept[layer, at])
    begins = corner.part(np.flatnonzero(at == 0))
    turns = np.flatnonzero(at > 0)
    gained = corner.heat[turns - 1] - corner.heat[turns]
    paid = corner.size[turns] - corner.size[turns - 1]
    if layers == 1:
        return begins, corner.part(turns)
    # Within a layer the slopes fall, so that its turns keep their order.
    best_first = np.argsort(-gained / paid, kind="stable")
    return begins, corner.part(turns[best_first])


def _points(trails: Sequence[Trails]) -> Turns:
    """Return every point of every trail."""
    parts = []
    for number, trail in enumerate(trails):
        taken = np.arange(trail.heat.shape[1]) <= trail.steps[:, None]
        row, step = np.nonzero(taken)
        parts.append(
            Turns(
                layer=trail.layers[row],
                trail=np.full(len(row), number),
                row=row,
                step=step,
                heat=trail.heat[row, step],
                # Sums of sizes: what rounding left of a copy that was undone is nothing.
                size=np.round(trail.size[row, step], 6),
                number=trail.number[row, step],
            )
        )
    return Turns.joined(parts)


def _limits_arrivals(problem: PlacementProblem) -> bool:
    limits = (problem.max_moved_bytes_per_device, problem.max_moved_bytes_per_node)
    return any(limit is not None for limit in limits)


def _haunted(table: IntArray, ghost: int) -> IntArray:
    """Return a table whose empty slots hold the ghost."""
    return np.where(table < 0, ghost, table).astype(np.int64)


def _with_ghost(values: FloatArray) -> FloatArray:
    return np.concatenate([values, np.zeros((len(values), 1))], axis=1)


def _allowed(problem: PlacementProblem, start: IntArray) -> BoolArray:
    home = home_mask(problem, start)
    return problem.allowed() if home is None else problem.allowed() & home


def _masked(mask: BoolArray, *, ghost: bool) -> BoolArray:
    """Return a mask with the ghost's row, of one layer only if all layers are alike."""
    if (mask == mask[:1]).all():
        mask = mask[:1]
    row = np.full((len(mask), 1, mask.shape[2]), ghost)
    return np.ascontiguousarray(np.concatenate([mask, row], axis=1))
