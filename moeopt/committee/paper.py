"""What arXiv:2308.15030 publishes (SwapMoE, ACL 2024; first PC-MoE), and what follows from it.

The paper states its models of memory and latency in prose alone. Both follow from its figures: an
expert of SwitchT is two matrices of 768 x 3072 in single precision, 18 MiB, and with them the
totals of SwitchT-16 and SwitchT-64 leave the same 0.7 GiB for the rest; Table 1 then gives slots,
and latency is a line over them. Memory is in GiB, also where the paper prints GB.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from moeopt.committee.problem import CommitteeProblem
from moeopt.core.arguments import number, whole
from moeopt.core.arrays import FloatArray, own_array, require_finite_nonnegative
from moeopt.core.errors import InstanceError
from moeopt.core.sentences import require_fields

MIB, GIB = 2**20, 2**30


@dataclass(frozen=True)
class SwitchModel:
    """A Switch Transformer of the paper.

    Attributes
    ----------
    name
        As the paper has it.
    experts
        Of each layer.
    layers
        MoE layers.
    model_width, hidden_width
        Of an expert, which has two matrices.
    bytes_per_weight
        4: single precision.
    """

    name: str
    experts: int
    layers: int = 12
    model_width: int = 768
    hidden_width: int = 3072
    bytes_per_weight: int = 4

    @property
    def expert_bytes(self) -> int:
        """Bytes of an expert."""
        return 2 * self.model_width * self.hidden_width * self.bytes_per_weight

    @property
    def slots(self) -> int:
        """Experts of all layers."""
        return self.layers * self.experts

    @property
    def configurations(self) -> int:
        """Configurations of 1 to all slots for each layer: the paper's search space.

        The paper prints 12^16 for 12 layers of 16 experts; it is 16^12, 600 times fewer.
        """
        return int(self.experts**self.layers)


SWITCH_T16 = SwitchModel("SwitchT-16", 16)
SWITCH_T32 = SwitchModel("SwitchT-32", 32)
SWITCH_T64 = SwitchModel("SwitchT-64", 64)


@dataclass(frozen=True)
class Row:
    """A row of Table 1.

    Attributes
    ----------
    budget_gib
        What the planner was given; ``None``: the model with all experts.
    memory_gib
        What it then took.
    latency_s
        Of an input.
    rouge_2
        On SAMSum; it rises as experts leave, so that differences of this size are near noise.
    """

    budget_gib: float | None
    memory_gib: float
    latency_s: float
    rouge_2: float


#: Table 1, SwitchT-16. Where the text differs (0.82 s at 2.0 GiB, 0.2 at 4.0), the table counts.
TABLE_1 = (
    Row(None, 4.08, 0.82, 0.20),
    Row(2.0, 1.64, 0.45, 0.21),
    Row(3.0, 2.74, 0.65, 0.22),
    Row(3.5, 3.58, 0.76, 0.23),
    Row(4.0, 3.99, 0.80, 0.23),
)


@dataclass(frozen=True)
class Link:
    """A column of Table 2, Swin-MoE for object detection: what swapping loads.

    Attributes
    ----------
    budget_gib
        Memory.
    external_gib
        Experts that are kept elsewhere.
    peak_mib_per_s, mean_mib_per_s
        Of what is loaded. The text says that the peak is about 20 MiB/s, which is the mean here.
    """

    budget_gib: float
    external_gib: float
    peak_mib_per_s: float
    mean_mib_per_s: float


#: Table 2.
TABLE_2 = (Link(1.2, 1.02, 40, 20), Link(1.5, 1.02, 36, 27), Link(1.8, 1.02, 13, 11))

#: The slowest link that the paper quotes, from an SSD to the processor, MiB/s.
SLOWEST_LINK_MIB_PER_S = 300

#: SwitchT-64 with all experts, and at the paper's headline (abstract), which saves 67 %.
SWITCH_T64_GIB, HEADLINE_GIB = 14.2, 4.7

#: SwitchT-64 on the Jetson Nano (the paper prints GB).
NANO_GIB = 2.6

#: Seconds that the paper's search takes for one plan, without a proof (section 4.6).
SEARCH_S = 5.0

#: Relative error that the paper reports of its predicted accuracy (section A.2).
PREDICTION_ERROR = 0.01


@dataclass(frozen=True)
class MemoryModel:
    """Memory as a constant and the bytes of all slots.

    Attributes
    ----------
    fixed_bytes
        Of all that is not an expert.
    slot_bytes
        Of an expert.
    """

    fixed_bytes: int
    slot_bytes: int

    def total_bytes(self, slots: int) -> int:
        """Return the memory that so many slots take."""
        return self.fixed_bytes + slots * self.slot_bytes

    def total_gib(self, slots: int) -> float:
        """Return the same in GiB."""
        return self.total_bytes(slots) / GIB

    def slots_of(self, memory_gib: float) -> int:
        """Return the slots that come closest to a memory that was printed, rounded as it is."""
        return round((memory_gib * GIB - self.fixed_bytes) / self.slot_bytes)

    def slots_within(self, budget_bytes: int) -> int:
        """Return the most slots that keep a budget."""
        return max(0, (budget_bytes - self.fixed_bytes) // self.slot_bytes)


@dataclass(frozen=True)
class LatencyFit:
    """Latency as a line over slots, by least squares.

    Attributes
    ----------
    base_s
        Without a slot.
    slot_s
        Of each slot.
    residuals_s
        What was measured less what the line says, in the order of the slots.
    """

    base_s: float
    slot_s: float
    residuals_s: FloatArray


def memory_model(total_gib: float, model: SwitchModel) -> MemoryModel:
    """Return the memory model of a total that was printed for all experts.

    Parameters
    ----------
    total_gib
        Memory with all experts.
    model
        Whose.
    """
    experts_bytes = model.slots * model.expert_bytes
    return MemoryModel(round(total_gib * GIB) - experts_bytes, model.expert_bytes)


def latency_fit(slots: Sequence[int], latency_s: Sequence[float]) -> LatencyFit:
    """Return the line of least squares through latencies over slots.

    Parameters
    ----------
    slots
        Of all layers together, two or more different numbers.
    latency_s
        Measured with each.
    """
    x, y = own_array(slots, "slots", np.float64), own_array(latency_s, "latency_s", np.float64)
    require_finite_nonnegative(x, "slots")
    require_finite_nonnegative(y, "latency_s")
    if x.shape != y.shape or x.ndim != 1 or np.unique(x).size < 2:
        raise InstanceError(
            "slots",
            f"<shapes {x.shape}, {y.shape}>",
            "must be two or more different numbers with a latency each",
            "give one latency for each",
        )
    off = x - x.mean()
    slot_s = float(off @ (y - y.mean()) / (off @ off))
    base_s = float(y.mean() - slot_s * x.mean())
    return LatencyFit(base_s, slot_s, y - (base_s + slot_s * x))


#: The memory of all SwitchT: from SwitchT-16's total, which has the most digits.
MEMORY = memory_model(TABLE_1[0].memory_gib, SWITCH_T16)


def table_1_fit() -> LatencyFit:
    """Return the line through Table 1 over the slots that its memory comes to, fewest first."""
    rows = sorted(TABLE_1, key=lambda row: row.memory_gib)
    return latency_fit(
        [MEMORY.slots_of(row.memory_gib) for row in rows], [row.latency_s for row in rows]
    )


#: Latency of SwitchT-16 over slots, which the paper's planner takes for affine.
LATENCY = table_1_fit()


def overshoots() -> dict[float, float]:
    """Return by how much each of Table 1's plans is over its budget, as a share; below 0: under."""
    return {
        row.budget_gib: row.memory_gib / row.budget_gib - 1
        for row in TABLE_1
        if row.budget_gib is not None
    }


def switch_problem(
    experts: int, budget_bytes: int, *, latency_s: float | None = None, **fields: Any
) -> CommitteeProblem:
    """Return the problem of planning a SwitchT, with the memory and the latency of the paper.

    Latency was measured for SwitchT-16; for the others it is the same line, beyond its data.

    Parameters
    ----------
    experts
        Of each layer: 16, 32 or 64 in the paper.
    budget_bytes
        Memory of the device: no plan takes more.
    latency_s
        Most seconds of an input; ``None``: no limit.
    **fields
        What absence costs, which the paper does not publish, and any further field of
        `CommitteeProblem`: ``importance=...``, ``loss="table", table=...``, ``periods=...``.
    """
    if whole("experts", experts) < 1:
        raise InstanceError("experts", experts, "must be 1 or more", "a layer has experts")
    require_fields(fields, list(CommitteeProblem.__struct_fields__))
    if latency_s is not None:
        latency_s = number("latency_s", latency_s)
    budget_gib = whole("budget_bytes", budget_bytes) / GIB
    model = SwitchModel(f"SwitchT-{experts}", experts)
    stated: dict[str, Any] = {
        "name": f"{model.name} in {budget_gib:.2f} GiB",
        "source": "sizes, memory and latency of arXiv:2308.15030; losses are the caller's",
        "layers": model.layers,
        "experts": experts,
        "expert_bytes": model.expert_bytes,
        "fixed_bytes": MEMORY.fixed_bytes,
        "budget_bytes": budget_bytes,
        "base_s": LATENCY.base_s,
        "slot_s": LATENCY.slot_s,
        "latency_s": latency_s,
    }
    return CommitteeProblem(**(stated | fields))
