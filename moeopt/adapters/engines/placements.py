"""A placement as inference engines hold it: equal slots on every rank, real layer numbers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from moeopt.core.arguments import whole
from moeopt.core.arrays import IntArray, own_array
from moeopt.core.errors import InstanceError
from moeopt.describe.presets import preset
from moeopt.placement.plan import PlacementPlan
from moeopt.placement.problem import PlacementProblem
from moeopt.traces.trace import MOST_EXPERTS

#: Most entries of a table, and most layers of a model: far beyond what is served today.
MAX_CELLS, MAX_LAYERS = 10_000_000, 100_000


@dataclass(frozen=True)
class ModelLayers:
    """Which layers of a model have experts.

    Attributes
    ----------
    ids
        Numbers of the MoE layers in the model, ascending from 0.
    total
        Layers of the whole model, dense ones included.
    """

    ids: tuple[int, ...]
    total: int

    def __post_init__(self) -> None:
        ids = tuple(whole(f"layer_ids[{i}]", layer) for i, layer in enumerate(self.ids))
        if not ids or list(ids) != sorted(set(ids)) or ids[0] < 0:
            raise InstanceError(
                "layer_ids", list(ids), "must ascend from 0 or more", "name each MoE layer once"
            )
        object.__setattr__(self, "ids", ids)
        if not ids[-1] < whole("model_layers", self.total) <= MAX_LAYERS:
            raise InstanceError(
                "model_layers",
                self.total,
                f"must be more than the last MoE layer, {ids[-1]}, and at most {MAX_LAYERS}",
                "number the layers from 0",
            )

    @classmethod
    def of_model(cls, name: str) -> ModelLayers:
        """Return the layers of a preset of `moeopt.describe`.

        Raises
        ------
        InstanceError
            If there is no such preset.
        """
        model = preset("model", name)
        return cls(tuple(model.moe_layer_ids), model.num_layers)


@dataclass(frozen=True, eq=False)
class EnginePlacement:
    """Which expert sits in every physical slot of every rank.

    Attributes
    ----------
    table
        Expert in each slot, ``(MoE layers, slots)``, rank-major, -1 for an empty slot.
    devices
        Ranks, each with equally many slots.
    experts
        Logical experts of each layer.
    layers
        Where the MoE layers stand in the model; ``None`` if that is not known.
    """

    table: IntArray
    devices: int
    experts: int
    layers: ModelLayers | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "table", own_array(self.table, "table", np.int64))
        object.__setattr__(self, "devices", whole("devices", self.devices))
        object.__setattr__(self, "experts", whole("experts", self.experts))
        _check(self)

    @property
    def num_layers(self) -> int:
        """Number of MoE layers."""
        return int(self.table.shape[0])

    @property
    def num_slots(self) -> int:
        """Physical slots of each layer, over all ranks."""
        return int(self.table.shape[1])

    @property
    def slots_per_device(self) -> int:
        """Physical slots of each layer on one rank."""
        return self.num_slots // self.devices

    @property
    def redundant(self) -> int:
        """Slots beyond one for each expert: what engines call redundant experts."""
        return self.num_slots - self.experts

    def by_device(self) -> IntArray:
        """Return the table by rank, ``(MoE layers, devices, slots per device)``."""
        return self.table.reshape(self.num_layers, self.devices, -1)

    def plan(self) -> PlacementPlan:
        """Return the placement as a plan of the placement wing."""
        return PlacementPlan(physical_to_logical=self.table)


def placement_of(
    problem: PlacementProblem, plan: PlacementPlan, layers: ModelLayers | None = None
) -> EnginePlacement:
    """Return a plan as engines hold it.

    Parameters
    ----------
    problem
        What the plan was made for.
    plan
        A plan that keeps its constraints.
    layers
        Where the MoE layers stand in the model.

    Raises
    ------
    InstanceError
        If devices are dead or differ in their slots, or the plan has not the problem's shape:
        engines number all ranks and give them equally many slots.
    """
    if problem.dead_devices:
        raise InstanceError(
            "$.dead_devices",
            list(problem.dead_devices),
            "must be empty: an engine has no rank without experts",
            "state the problem for the live devices alone",
        )
    slots = problem.slots()
    if (slots != slots[0]).any():
        raise InstanceError(
            "$.slots_per_device",
            slots.tolist(),
            "must be equal: engines give every rank equally many slots",
            "solve with equal slots, or fill the others up by --pad",
        )
    table = plan.physical_to_logical
    shape = (problem.num_layers, problem.num_slots)
    if table.shape != shape:
        raise InstanceError(
            "table",
            f"<shape {table.shape}>",
            f"must have shape {shape}",
            "give the problem's own plan",
        )
    return EnginePlacement(table, problem.num_devices, problem.num_experts, layers)


def require_full(placement: EnginePlacement, engine: str) -> None:
    """Raise `InstanceError` if a slot is empty or an expert is nowhere: no engine takes that.

    Parameters
    ----------
    placement
        The placement.
    engine
        Who refuses it, for the error.
    """
    table = placement.table
    if (table < 0).any():
        layer, slot = np.argwhere(table < 0)[0].tolist()
        raise InstanceError(
            f"table[{layer}][{slot}]",
            -1,
            f"must hold an expert: {engine} has no empty slots",
            "solve without allow_empty_slots, or fill them with copies by --pad",
        )
    require_experts(placement, engine)


def require_experts(placement: EnginePlacement, engine: str) -> None:
    """Raise `InstanceError` if an expert has no copy in some layer."""
    for layer, row in enumerate(placement.table):
        count = np.bincount(row[row >= 0], minlength=placement.experts)
        if count.min() == 0:
            raise InstanceError(
                f"table[{layer}]",
                f"<no expert {int(count.argmin())}>",
                f"must hold each of the {placement.experts} experts: {engine} routes to all",
                "give every expert a slot",
            )


def require_apart(placement: EnginePlacement, engine: str) -> None:
    """Raise `InstanceError` if a rank has two copies of an expert, where these are one."""
    ordered = np.sort(placement.by_device(), axis=2)
    twice = (ordered[:, :, 1:] == ordered[:, :, :-1]) & (ordered[:, :, 1:] >= 0)
    if twice.any():
        layer, device, slot = np.argwhere(twice)[0].tolist()
        raise InstanceError(
            f"table[{layer}]",
            f"<expert {int(ordered[layer, device, slot])} twice on device {device}>",
            f"must not have two copies of an expert on one device: {engine} keeps one",
            "solve with max_copies_per_device = 1",
        )


def require_layers(placement: EnginePlacement, engine: str) -> ModelLayers:
    """Return the layers' numbers; raise `InstanceError` if they are not known."""
    if placement.layers is None:
        raise InstanceError(
            "layer_ids",
            "<unknown>",
            f"must be known: {engine} numbers all layers of the model, dense ones too",
            "name the model by --model, or give --layer-ids 3-60 --model-layers 61",
        )
    return placement.layers


def _check(given: EnginePlacement) -> None:
    table = given.table
    if table.ndim != 2 or 0 in table.shape or table.dtype != np.int64:
        raise InstanceError(
            "table",
            f"<{table.dtype} of shape {table.shape}>",
            "must be whole numbers of shape (MoE layers, slots), none of them 0",
            "give one row for each MoE layer",
        )
    if table.size > MAX_CELLS:
        raise InstanceError(
            "table", f"<{table.size} slots>", f"must have at most {MAX_CELLS}", "is it misprinted?"
        )
    if not 1 <= given.experts <= MOST_EXPERTS:
        raise InstanceError(
            "experts", given.experts, f"must be 1 to {MOST_EXPERTS}", "number them from 0"
        )
    if given.devices < 1 or given.num_slots % given.devices:
        raise InstanceError(
            "devices", given.devices, f"must divide the {given.num_slots} slots", "correct it"
        )
    wrong = (table < -1) | (table >= given.experts)
    if wrong.any():
        layer, slot = np.argwhere(wrong)[0].tolist()
        raise InstanceError(
            f"table[{layer}][{slot}]",
            int(table[layer, slot]),
            f"must be an expert, 0 to {given.experts - 1}",
            "correct the entry",
        )
    _check_layers(given.layers, given.num_layers)


def _check_layers(layers: ModelLayers | None, rows: int) -> None:
    if layers is not None and len(layers.ids) != rows:
        raise InstanceError(
            "layer_ids",
            f"<{len(layers.ids)} layers>",
            f"must be as many as the placement's {rows} MoE layers",
            "is it the right model?",
        )
