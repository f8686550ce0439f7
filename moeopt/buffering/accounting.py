"""The memory of expert buffering as its paper counts it (arXiv:2303.06182), and what it omits.

Every device keeps a cache of slots for each MoE layer of the decoder, and nothing is saved in the
encoder. So the printed 2.25 GB are ten slots of sixteen experts in six layers, 1.15 times less
memory than without, and that is what the paper evaluates; its headline, 1.47 times, is one slot,
at which it prints no latency.
"""

from __future__ import annotations

from dataclasses import dataclass

from moeopt.core.arguments import number, whole
from moeopt.core.errors import InstanceError

#: Bytes of a GiB, in which the paper's figures are whole though it prints GB.
GIB = 2**30


@dataclass(frozen=True)
class PaperModel:
    """A model of the paper's Table I.

    Attributes
    ----------
    name
        Its task.
    experts
        Of each MoE layer.
    moe_layers
        MoE layers, all of them.
    buffered_layers
        Those whose experts are buffered.
    model_width, hidden_width
        Of an expert, which has two matrices.
    capacity_factor
        Of the static gating: an expert's share of the tokens.
    top_k
        Experts of a token.
    bytes_per_parameter
        2: half precision.
    """

    name: str
    experts: int
    moe_layers: int
    buffered_layers: int
    model_width: int
    hidden_width: int
    capacity_factor: float
    top_k: int = 2
    bytes_per_parameter: int = 2

    @property
    def expert_parameters(self) -> int:
        """Parameters of an expert."""
        return 2 * self.model_width * self.hidden_width

    @property
    def expert_bytes(self) -> int:
        """Bytes of an expert."""
        return self.expert_parameters * self.bytes_per_parameter

    @property
    def all_expert_parameters(self) -> int:
        """Parameters of all experts of all layers."""
        return self.moe_layers * self.experts * self.expert_parameters

    def experts_on_device(self, devices: int) -> int:
        """Return the experts of a layer on each of `devices`.

        Raises
        ------
        InstanceError
            If they cannot be dealt equally.
        """
        if whole("devices", devices) < 1 or self.experts % devices:
            raise InstanceError(
                "devices",
                devices,
                f"must divide the {self.experts} experts of a layer",
                "every device has equally many",
            )
        return self.experts // devices

    def device_expert_bytes(self, devices: int, slots: int | None = None) -> int:
        """Return the bytes of experts, and of free slots, on each device.

        Parameters
        ----------
        devices
            That share the experts of every layer.
        slots
            Experts of a buffered layer that fit; ``None``: all are there.
        """
        on_device = self.experts_on_device(devices)
        kept = on_device if slots is None else self._within(slots, on_device)
        layers = (self.moe_layers - self.buffered_layers) * on_device + self.buffered_layers * kept
        return layers * self.expert_bytes

    def saved_bytes(self, devices: int, slots: int) -> int:
        """Return the bytes that a cache of so many slots for each layer saves on a device."""
        return self.device_expert_bytes(devices) - self.device_expert_bytes(devices, slots)

    def _within(self, slots: int, on_device: int) -> int:
        if not 1 <= whole("slots", slots) <= on_device:
            raise InstanceError(
                "slots", slots, f"must be 1 to {on_device}", "a device has no more experts"
            )
        return slots


#: The language model: every second of 24 layers is one of experts. The paper buffers none of them.
LANGUAGE_MODEL = PaperModel("LM", 512, 12, 0, 1024, 4096, 0.05)

#: The translation model, NLLB-200: every fourth layer, six of the encoder and six of the decoder.
TRANSLATION = PaperModel("MT", 128, 12, 6, 2048, 8192, 1.0)

#: Devices of the paper's node.
DEVICES = 8

#: Bytes on a device that are not experts, which give the printed 32.2 %: about 5.5 GiB. Ours.
OTHER_BYTES = 5.5 * GIB

#: What the CPU's link was seen to carry, bytes a second.
LINK_BYTES_PER_S = 12e9

#: The slots at which the paper runs, and those of its headline.
EVALUATED_SLOTS, HEADLINE_SLOTS = 10, 1


@dataclass(frozen=True)
class Memory:
    """Static memory of a device with a cache, against all experts on it.

    Attributes
    ----------
    slots
        Of each buffered layer.
    bytes_without, bytes_with
        Of the device, everything counted.
    saved_bytes
        The difference.
    saved_share
        Of `bytes_without`.
    factor
        How many times less.
    """

    slots: int
    bytes_without: float
    bytes_with: float
    saved_bytes: float
    saved_share: float
    factor: float


def device_memory(
    slots: int,
    model: PaperModel = TRANSLATION,
    devices: int = DEVICES,
    other_bytes: float = OTHER_BYTES,
) -> Memory:
    """Return the memory of a device with so many slots for each buffered layer.

    Parameters
    ----------
    slots
        `HEADLINE_SLOTS`, `EVALUATED_SLOTS` or any other number.
    model
        Whose experts.
    devices
        That share them.
    other_bytes
        On the device, not experts.
    """
    if not number("other_bytes", other_bytes) >= 0:
        raise InstanceError("other_bytes", other_bytes, "must be 0 or more", "correct it")
    without = model.device_expert_bytes(devices) + other_bytes
    saved = model.saved_bytes(devices, slots)
    left = without - saved
    return Memory(slots, without, left, saved, saved / without, without / left)


def waste_factor(experts: int, capacity_factor: float, top_k: int) -> float:
    """Return the rows of static gating for each that holds a token.

    Every expert has room for ``capacity_factor * S`` of ``S`` tokens, which need `top_k` rows each:
    ``E C / k``. Dynamic gating has no row without a token.

    Parameters
    ----------
    experts
        Of the layer.
    capacity_factor
        Share of the tokens for which an expert has room.
    top_k
        Experts of a token.
    """
    room = whole("experts", experts) * number("capacity_factor", capacity_factor)
    return room / _positive("top_k", whole("top_k", top_k))


def miss_seconds(expert_bytes: float, link_bytes_per_s: float = LINK_BYTES_PER_S) -> float:
    """Return the seconds of one expert's transfer, alone on the link.

    Parameters
    ----------
    expert_bytes
        Of the expert.
    link_bytes_per_s
        Rate of the link.
    """
    rate = _positive("link_bytes_per_s", number("link_bytes_per_s", link_bytes_per_s))
    return number("expert_bytes", expert_bytes) / rate


def _positive(path: str, value: float) -> float:
    if not value > 0:
        raise InstanceError(path, value, "must be > 0", "correct it")
    return value
