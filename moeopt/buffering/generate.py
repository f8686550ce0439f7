"""Instances made by a call: drawn streams with locality, scans, and streams against a policy.

Each function of `GENERATORS` returns a problem whose ``generator`` field is the call that made it,
so that `remake` can make it again.

None of the streams is recorded routing. `locality` draws what the published studies of expert
caches describe (experts stay popular for a while, popularity is skewed, and both change with the
domain) with parameters of ours; `offloaded` gives it a real model's shape and bytes, on a machine
whose rates are those of `LINK_BYTES_PER_S` and its neighbours. What recorded routing does is in
the instances counted from traces.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from moeopt.buffering.problem import BufferingProblem, Timing
from moeopt.core.arrays import FloatArray, IntArray
from moeopt.core.errors import InstanceError
from moeopt.core.generators import known, made_again
from moeopt.describe.presets import preset

#: The link from host to device: what arXiv:2303.06182 saw of PCIe 3.0's 16 GB/s.
LINK_BYTES_PER_S = 12e9

#: Memory rates of host and device; an expert is read once for each pass, wherever it runs. Ours.
HOST_BYTES_PER_S, DEVICE_BYTES_PER_S = 4e10, 1e12

#: Most references that a call may make.
MOST_REFERENCES = 10**8

_MIB = 2**20

Call = dict[str, str | int | float]


class _Room(NamedTuple):
    """What rules are stated for: layers, experts, the share that fits, and the draw."""

    layers: int
    experts: int
    share: float
    rng: np.random.Generator

    def slots(self) -> int:
        """Return the experts of a layer that fit, at least one."""
        return max(1, round(self.share * self.experts))


def locality(
    layers: int = 2,
    experts: int = 16,
    steps: int = 64,
    top_k: int = 2,
    batch: int = 1,
    stay: float = 0.6,
    skew: float = 1.0,
    drift: float = 0.0,
    domains: int = 1,
    domain_steps: int = 0,
    past: int = 0,
    room: float = 0.5,
    rules: str = "slots",
    seed: int = 0,
) -> BufferingProblem:
    """Return a drawn stream whose experts stay popular for a while.

    Parameters
    ----------
    layers, experts
        Of the model.
    steps
        Passes of the batch through all layers.
    top_k
        Experts of a token.
    batch
        Sequences that run together; a group asks for the experts of all their tokens, in rising
        order, as an expert runs once for all of its tokens.
    stay
        Chance that an expert of a sequence's last token is one of its next token too.
    skew
        Other experts are drawn by popularities ``1 / rank**skew``, ranks in an order of each
        layer's own.
    drift
        Chance that two experts of a layer change ranks in a step.
    domains
        Different orders of popularity.
    domain_steps
        Steps from one domain to the next, in turn, each a new sequence; 0: no change.
    past
        Steps before the first one, of which `history` has the counts; 0: no history.
    room
        Share of the experts that fits.
    rules
        One of `RULES`.
    seed
        Of the draw.
    """
    stated = known(RULES, rules, "rules")
    _check_sizes(layers, experts, steps, top_k, batch)
    _within("domains", domains, 1, 1000)
    _within("domain_steps", domain_steps, 0, MOST_REFERENCES)
    _within("past", past, 0, MOST_REFERENCES)
    for name, share in (("stay", stay), ("drift", drift), ("room", room)):
        _within(name, share, 0.0, 1.0)
    _within("skew", skew, 0.0, 100.0)
    rng = np.random.default_rng([layers, experts, seed])
    source = _Source(rng, layers, experts, top_k, batch, stay, skew, drift, domains)
    earlier = [source.counts(0) for _ in range(past)]
    passed = np.stack(
        [source.counts(t // domain_steps if domain_steps else 0) for t in range(steps)]
    )
    fields: dict[str, Any] = stated(_Room(layers, experts, room, rng))
    if domain_steps:
        fields["sequence_starts"] = np.arange(0, steps, domain_steps)
    if past:
        fields["history"] = np.sum(earlier, axis=0)
    call: Call = {
        "layers": layers,
        "experts": experts,
        "steps": steps,
        "top_k": top_k,
        "batch": batch,
        "stay": stay,
        "skew": skew,
        "drift": drift,
        "domains": domains,
        "domain_steps": domain_steps,
        "past": past,
        "room": room,
        "rules": rules,
        "seed": seed,
    }
    seeded = f"-{seed}" if seed else ""
    return BufferingProblem(
        name=f"locality-{layers}x{experts}x{steps}-{rules}{seeded}",
        source=f"drawn, seed {seed}: experts stay with chance {stay:g}, skew {skew:g}",
        generator={"name": "locality", **call},
        layers=layers,
        experts=experts,
        **_references(passed, weighted=fields.get("serve") == "bypass"),
        **fields,
    )


def offloaded(
    model: str = "olmoe-1b-7b",
    steps: int = 64,
    batch: int = 1,
    room: float = 0.25,
    uploads: int = 0,
    past: int = 0,
    seed: int = 0,
) -> BufferingProblem:
    """Return a model whose experts live on the host, with seconds of transfers and computation.

    Parameters
    ----------
    model
        A model preset, `moeopt.describe.preset_names`.
    steps, batch, past, seed
        As for `locality`, whose other parameters keep their values.
    room
        Share of the experts that fits on the device.
    uploads
        0: an expert that is missing is loaded before it runs. Otherwise the host computes what is
        missing, and so many experts may be loaded before each pass of a layer, llama.cpp's way.
    """
    shape = preset("model", model)
    _check_sizes(shape.moe_layers, shape.experts, steps, shape.top_k, batch)
    _within("room", room, 0.0, 1.0)
    _within("uploads", uploads, 0, shape.experts)
    _within("past", past, 0, MOST_REFERENCES)
    rng = np.random.default_rng([shape.moe_layers, shape.experts, seed])
    source = _Source(rng, shape.moe_layers, shape.experts, shape.top_k, batch, 0.6, 1.0, 0.0, 1)
    earlier = [source.counts(0) for _ in range(past)]
    passed = np.stack([source.counts(0) for _ in range(steps)])
    size = shape.expert_bytes
    # Reading the weights takes the time: at few tokens nothing else counts.
    fields: dict[str, Any] = {"load_s": size / LINK_BYTES_PER_S}
    if uploads:
        fields |= {"serve": "bypass", "loads_per_group": uploads, "free_fill": True}
        fields["miss_s"] = size / HOST_BYTES_PER_S
    if past:
        fields["history"] = np.sum(earlier, axis=0)
    call: Call = {
        "model": model,
        "steps": steps,
        "batch": batch,
        "room": room,
        "uploads": uploads,
        "past": past,
        "seed": seed,
    }
    capped = f"-uploads-{uploads}" if uploads else ""
    batched = f"-batch-{batch}" if batch > 1 else ""
    return BufferingProblem(
        name=f"{model}-offloaded{batched}{capped}",
        source=f"shape of {model}; routing drawn, seed {seed}; rates of link and memories assumed",
        generator={"name": "offloaded", **call},
        layers=shape.moe_layers,
        experts=shape.experts,
        **_references(passed, weighted=False),
        expert_bytes=size,
        slots=max(1, round(room * shape.experts)),
        objective="seconds",
        timing=Timing(
            link_bytes_per_s=LINK_BYTES_PER_S,
            compute_s=shape.top_k * size / DEVICE_BYTES_PER_S,
        ),
        **fields,
    )


def scan(
    experts: int = 8, slots: int = 4, rounds: int = 4, layers: int = 1, together: int = 1
) -> BufferingProblem:
    """Return a cyclic scan: every expert in turn, again and again. LRU and FIFO never hit.

    Parameters
    ----------
    experts, slots
        Of each layer, and how many of them fit.
    rounds
        How often the scan is repeated.
    layers
        How many layers do the same.
    together
        Experts of a group; divides `experts`. All of them: a batch that needs every expert.
    """
    _within("rounds", rounds, 1, MOST_REFERENCES)
    _check_sizes(layers, experts, rounds * experts, 1, 1)
    _within("slots", slots, 1, experts)
    if together < 1 or experts % together:
        rule = f"must divide the {experts} experts"
        raise InstanceError("$.together", together, rule, "1 asks for one at a time")
    steps = rounds * experts // together
    run = np.arange(rounds * experts).reshape(steps, 1, together) % experts
    counts = np.zeros((steps, layers, experts))
    np.put_along_axis(counts, np.broadcast_to(run, (steps, layers, together)), 1.0, axis=2)
    grouped = f"-by-{together}" if together > 1 else ""
    return BufferingProblem(
        name=f"scan-{experts}-{slots}{grouped}",
        source=f"every expert in turn, {rounds} times; MIN misses least, LRU always",
        generator={
            "name": "scan",
            "experts": experts,
            "slots": slots,
            "rounds": rounds,
            "layers": layers,
            "together": together,
        },
        layers=layers,
        experts=experts,
        **_references(counts, weighted=False),
        slots=slots,
    )


def adversary(policy: str = "lru", slots: int = 4, steps: int = 64) -> BufferingProblem:
    """Return a stream on which a policy misses every time: what it has just dropped comes next.

    There is one expert more than slots, so that the optimum misses at most once in `slots` steps.

    Parameters
    ----------
    policy
        One of `ADVERSARIES`.
    slots
        How many experts fit.
    steps
        References, one in each.
    """
    value = known(ADVERSARIES, policy, "policy")
    _within("slots", slots, 1, 1000)
    _check_sizes(1, slots + 1, steps, 1, 1)
    inserted, used, times = ([0] * (slots + 1) for _ in range(3))
    resident: list[int] = []
    asked = []
    for now in range(steps):
        missing = next(e for e in range(slots + 1) if e not in resident)
        if len(resident) == slots:
            resident.remove(min(resident, key=lambda e: (value(inserted[e], used[e], times[e]), e)))
        resident.append(missing)
        inserted[missing] = used[missing] = now
        times[missing] += 1
        asked.append(missing)
    counts = np.zeros((steps, 1, slots + 1))
    counts[np.arange(steps), 0, asked] = 1.0
    return BufferingProblem(
        name=f"against-{policy}-{slots}",
        source=f"the expert that {policy} does not hold, each time; {slots + 1} for {slots} slots",
        generator={"name": "adversary", "policy": policy, "slots": slots, "steps": steps},
        experts=slots + 1,
        **_references(counts, weighted=False),
        slots=slots,
    )


def _slots(room: _Room) -> dict[str, Any]:
    return {"slots": room.slots()}


def _pool(room: _Room) -> dict[str, Any]:
    return {"slots": max(1, round(room.share * room.layers * room.experts)), "pooled": True}


def _budget(room: _Room) -> dict[str, Any]:
    return {
        "expert_bytes": _MIB,
        "budget_bytes": max(room.layers, round(room.share * room.layers * room.experts)) * _MIB,
        "objective": "miss_bytes",
    }


def _unequal_layers(room: _Room) -> dict[str, Any]:
    """State layers of 1, 2 and 3 MiB in turn, and room for one of each at least."""
    layer_bytes = (1 + np.arange(room.layers) % 3) * _MIB
    total = int(layer_bytes.sum())
    return {
        "expert_bytes": layer_bytes,
        "budget_bytes": max(total, round(room.share * room.experts * total)),
        "objective": "miss_bytes",
    }


def _unequal(room: _Room) -> dict[str, Any]:
    """State experts of 1 to 4 MiB, and room for the largest at least."""
    expert_bytes = room.rng.integers(1, 5, (room.layers, room.experts)) * _MIB
    wanted = np.round(room.share * expert_bytes.sum(axis=1))
    return {
        "expert_bytes": expert_bytes,
        "cache_bytes": np.maximum(wanted, expert_bytes.max(axis=1)).astype(np.int64),
        "objective": "miss_bytes",
    }


def _any_order(room: _Room) -> dict[str, Any]:
    return {"slots": room.slots(), "any_order": True}


def _caps(room: _Room) -> dict[str, Any]:
    """State a load before a group at most, three times as dear as a token on the host."""
    return {
        "serve": "bypass",
        "slots": room.slots(),
        "loads_per_group": 1,
        "load_s": 3e-3,
        "miss_s": 1e-3,
        "objective": "seconds",
    }


def _periods(room: _Room) -> dict[str, Any]:
    """State residents that change every fourth step, the first of them for nothing."""
    return {
        "serve": "bypass",
        "slots": room.slots(),
        "update_period": 4,
        "free_fill": True,
        "load_s": 3e-3,
        "miss_s": 1e-3,
        "objective": "seconds",
    }


#: Rules of `locality` by name: what fits, and how what does not is served.
RULES: Mapping[str, Callable[[_Room], dict[str, Any]]] = {
    "slots": _slots,
    "pool": _pool,
    "budget": _budget,
    "unequal-layers": _unequal_layers,
    "unequal": _unequal,
    "any-order": _any_order,
    "caps": _caps,
    "periods": _periods,
}

#: Policies of `adversary`: each drops the resident of least value, of when it came in, when it was
#: last asked for, and how often since the start.
ADVERSARIES: Mapping[str, Callable[[int, int, int], int]] = {
    "lru": lambda inserted, used, times: used,
    "fifo": lambda inserted, used, times: inserted,
    "lfu": lambda inserted, used, times: times,
    "lifo": lambda inserted, used, times: -inserted,
}

#: Every generator by the name that a problem's ``generator`` field carries.
GENERATORS: Mapping[str, Callable[..., BufferingProblem]] = {
    "adversary": adversary,
    "locality": locality,
    "offloaded": offloaded,
    "scan": scan,
}


def remake(call: Mapping[str, str | int | float]) -> BufferingProblem:
    """Make a problem again from its ``generator`` field.

    Raises
    ------
    InstanceError
        If the call names no generator, or parameters that it does not have.
    """
    return made_again(GENERATORS, call)


class _Source:
    """The experts of a batch of sequences, step after step."""

    def __init__(
        self,
        rng: np.random.Generator,
        layers: int,
        experts: int,
        top_k: int,
        batch: int,
        stay: float,
        skew: float,
        drift: float,
        domains: int,
    ) -> None:
        self.rng, self.top_k, self.stay, self.drift = rng, top_k, stay, drift
        rank = np.log(np.arange(1.0, experts + 1))
        orders = [[rng.permutation(rank) for _ in range(layers)] for _ in range(domains)]
        #: Logarithms of the popularities, ``(domains, layers, experts)``.
        self.popularity = -skew * np.array(orders)
        self.chosen = np.zeros((layers, batch, experts), dtype=np.bool_)

    def counts(self, domain: int) -> FloatArray:
        """Return the tokens of each expert in the next step, ``(layers, experts)``."""
        layers, _, experts = self.chosen.shape
        self._drift(layers, experts)
        kept = self.chosen & (self.rng.random(self.chosen.shape) < self.stay)
        # The largest of popularities with Gumbel noise are a draw without replacement.
        keys = self.rng.gumbel(size=self.chosen.shape)
        keys += self.popularity[domain % len(self.popularity), :, None, :]
        keys[kept] = np.inf
        first = np.argpartition(-keys, self.top_k - 1, axis=2)[:, :, : self.top_k]
        self.chosen = np.zeros_like(self.chosen)
        np.put_along_axis(self.chosen, first, True, axis=2)
        return np.asarray(self.chosen.sum(axis=1), dtype=np.float64)

    def _drift(self, layers: int, experts: int) -> None:
        """Let two experts of some layers change ranks, in every domain alike."""
        if not self.drift or experts < 2:
            return
        for layer in np.flatnonzero(self.rng.random(layers) < self.drift):
            one, other = self.rng.choice(experts, 2, replace=False)
            changed = self.popularity[:, layer]
            changed[:, [one, other]] = changed[:, [other, one]]


def _references(counts: FloatArray, *, weighted: bool) -> dict[str, Any]:
    """Return the references of tokens, ``(steps, layers, experts)``, group after group."""
    step, layer, active = np.nonzero(counts)
    sizes = np.count_nonzero(counts, axis=2).ravel()
    starts: IntArray = np.concatenate(([0], np.cumsum(sizes)))
    fields: dict[str, Any] = {"active": active, "starts": starts}
    if weighted:
        fields["weights"] = counts[step, layer, active]
    return fields


def _check_sizes(layers: int, experts: int, steps: int, top_k: int, batch: int) -> None:
    _within("layers", layers, 1, 1000)
    _within("experts", experts, 1, 100_000)
    _within("steps", steps, 1, MOST_REFERENCES)
    _within("top_k", top_k, 1, experts)
    _within("batch", batch, 1, 100_000)
    _within("steps", steps * layers * top_k * batch, 1, MOST_REFERENCES)


def _within(name: str, value: float, least: float, most: float) -> None:
    if not least <= value <= most:
        raise InstanceError(f"$.{name}", value, f"must be {least} to {most}", "correct it")
