"""Instances made by a call: drawn routing, SwitchT's shape, tables, and two that mislead.

Each function of `GENERATORS` returns a problem whose ``generator`` field is the call that made it,
so that `remake` can make it again.

No routing here is recorded. `routed` draws gates of skewed popularity, which may drift from window
to window, with parameters of ours; `switch_t` gives it the sizes of arXiv:2308.15030's models.
What recorded routing does is in the instances made from traces.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from moeopt.committee.paper import GIB, LATENCY, MIB, SWITCH_T64, switch_problem
from moeopt.committee.problem import CommitteeProblem
from moeopt.core.arrays import FloatArray, IntArray
from moeopt.core.errors import InstanceError
from moeopt.core.generators import known, made_again

#: Bytes of an expert of SwitchT.
EXPERT_BYTES = SWITCH_T64.expert_bytes

#: Router values are whole numbers of which so many are one unit.
UNITS = 100

#: Most router values that a call may draw.
MOST_VALUES = 10**8

Call = dict[str, str | int | float]


class _Room(NamedTuple):
    """What rules are stated for: sizes, the share that fits, what an expert's absence costs."""

    layers: int
    experts: int
    fewest: int
    share: float
    cost: float

    def slots(self, each: FloatArray | None = None) -> float:
        """Return what slots may take: a share of what all take, and all that must be there.

        Parameters
        ----------
        each
            What a slot of each layer takes; 1 if left out.
        """
        taken = np.ones(self.layers) if each is None else each
        wanted = np.floor(self.share * self.experts * float(taken.sum()))
        return max(float(wanted), self.fewest * float(taken.sum()))


def routed(
    layers: int = 2,
    experts: int = 16,
    windows: int = 8,
    tokens: int = 32,
    top_k: int = 2,
    loss: str = "additive",
    skew: float = 1.0,
    drift: float = 0.0,
    room: float = 0.4,
    rules: str = "budget",
    seed: int = 0,
) -> CommitteeProblem:
    """Return drawn routing: each layer has popular experts, and who is popular may change.

    Parameters
    ----------
    layers, experts
        Of the model.
    windows, tokens
        Number of windows, and tokens of each.
    top_k
        Experts of a token.
    loss
        ``"additive"``, ``"masked"`` or ``"skip"``; the first has the tokens' importance alone.
    skew
        Popularity is ``1 / rank**skew``, ranks in an order of each layer's own; 0: all alike.
    drift
        Chance that an expert of a layer changes ranks with another from one window to the next.
    room
        Share of the experts that fits.
    rules
        One of `RULES`.
    seed
        Of the draw.
    """
    stated = known(RULES, rules, "rules")
    known(dict.fromkeys(_LOSSES), loss, "loss")
    _check_sizes(layers, experts, windows, tokens, top_k)
    _within("skew", skew, 0.0, 100.0)
    _within("drift", drift, 0.0, 1.0)
    _within("room", room, 0.0, 1.0)
    drawn = _Draw(np.random.default_rng([layers, experts, seed]), layers, experts, skew, drift)
    values = [drawn.window(tokens) for _ in range(windows)]
    importance = np.stack([_importance(one, top_k) for one in values])
    call: Call = {
        "layers": layers,
        "experts": experts,
        "windows": windows,
        "tokens": tokens,
        "top_k": top_k,
        "loss": loss,
        "skew": skew,
        "drift": drift,
        "room": room,
        "rules": rules,
        "seed": seed,
    }
    drifting = "-drift" if drift else ""
    seeded = f"-{seed}" if seed else ""
    return CommitteeProblem(
        name=f"{loss}-{layers}x{experts}x{windows}{drifting}-{rules}{seeded}",
        source=f"drawn, seed {seed}: popularity 1 / rank^{skew:g}, drift {drift:g}",
        generator={"name": "routed", **call},
        layers=layers,
        experts=experts,
        top_k=top_k,
        **_routing(loss, values, importance),
        **stated(_Room(layers, experts, top_k, room, float(importance.mean()))),
    )


def switch_t(
    experts: int = 64,
    budget_gib: float = 4.7,
    latency_s: float = 0.0,
    windows: int = 1,
    tokens: int = 512,
    drift: float = 0.0,
    seed: int = 0,
) -> CommitteeProblem:
    """Return SwitchT-`experts` as arXiv:2308.15030 runs it, its importance drawn.

    Twelve layers of experts of 18 MiB, one expert to a token; memory and latency are what the
    paper's totals come to, `moeopt.committee.paper`.

    Parameters
    ----------
    experts
        Of each layer: 16, 32 or 64 in the paper.
    budget_gib
        Memory, in GiB.
    latency_s
        Most latency; 0: no limit.
    windows, tokens, drift, seed
        As for `routed`; popularity is ``1 / rank``.
    """
    layers = SWITCH_T64.layers
    _check_sizes(layers, experts, windows, tokens, 1)
    _within("budget_gib", budget_gib, 0.0, 1024.0)
    _within("latency_s", latency_s, 0.0, 1e6)
    _within("drift", drift, 0.0, 1.0)
    drawn = _Draw(np.random.default_rng([layers, experts, seed]), layers, experts, 1.0, drift)
    timed = f"-{latency_s:g}s" if latency_s else ""
    return switch_problem(
        experts,
        max(1, round(budget_gib * GIB)),
        latency_s=latency_s or None,
        name=f"switch-t-{experts}-{budget_gib:g}gib{timed}",
        source=f"shape of SwitchT-{experts} of arXiv:2308.15030; importance drawn, seed {seed}",
        generator={
            "name": "switch_t",
            "experts": experts,
            "budget_gib": budget_gib,
            "latency_s": latency_s,
            "windows": windows,
            "tokens": tokens,
            "drift": drift,
            "seed": seed,
        },
        importance=np.stack([_importance(drawn.window(tokens), 1) for _ in range(windows)]),
        # Rounded, so that every machine's least squares give the same file.
        base_s=round(LATENCY.base_s, 4),
        slot_s=round(LATENCY.slot_s, 6),
    )


def tables(
    layers: int = 12,
    experts: int = 16,
    periods: int = 1,
    rough: float = 0.3,
    room: float = 0.4,
    rules: str = "budget",
    seed: int = 0,
) -> CommitteeProblem:
    """Return drawn tables of losses as measurements give them: falling, but by no smooth curve.

    Parameters
    ----------
    layers, experts
        Of the model.
    periods
        Update periods to choose from: 1, 2, 4, ...; each has a table of its own, worse for longer
        ones.
    rough
        Spread of the noise on each entry.
    room
        Share of the experts that fits.
    rules
        One of `RULES`, but not ``"price"``; only with ``"link"`` do updates have swaps.
    seed
        Of the draw.
    """
    rest = {name: rule for name, rule in RULES.items() if name != "price"}
    stated = known(rest, rules, "rules")
    _check_sizes(layers, experts, periods, 1, 1)
    _within("periods", periods, 1, 16)
    _within("rough", rough, 0.0, 10.0)
    _within("room", room, 0.0, 1.0)
    rng = np.random.default_rng([layers, experts, seed])
    absent = 1.0 - np.arange(experts + 1) / experts
    steep, scale = rng.uniform(1.0, 4.0, (layers, 1)), rng.lognormal(0.0, 0.5, (layers, 1))
    ages = 1.0 + 0.2 * np.arange(periods)[:, None, None]
    noise = rng.lognormal(0.0, rough, (periods, layers, experts + 1))
    fields: dict[str, Any] = stated(_Room(layers, experts, 1, room, 1.0))
    fields["table"] = _own(np.round(10 * UNITS * scale * absent**steep * ages * noise))
    if "link_bytes_per_s" in fields:
        # Few of few experts change, and few of those that stay whoever is popular.
        slots = np.arange(experts + 1)
        moved = slots * np.minimum(1.0, 2.0 * np.sqrt(ages / experts) * absent)
        fields["swaps"] = _own(np.broadcast_to(np.round(moved, 2), noise.shape))
    fields.pop("periods", None)
    if periods > 1:
        fields["periods"] = 2 ** np.arange(periods)
    chosen = f"-{periods}-periods" if periods > 1 else ""
    seeded = f"-{seed}" if seed else ""
    return CommitteeProblem(
        name=f"table-{layers}x{experts}{chosen}-{rules}{seeded}",
        source=f"drawn, seed {seed}: falling losses with noise of {rough:g}",
        generator={
            "name": "tables",
            "layers": layers,
            "experts": experts,
            "periods": periods,
            "rough": rough,
            "room": room,
            "rules": rules,
            "seed": seed,
        },
        layers=layers,
        experts=experts,
        loss="table",
        **fields,
    )


def alternating(load_price: float = 100.0, windows: int = 400) -> CommitteeProblem:
    """Return two experts that are needed in turn, one slot, and nothing there at first.

    A committee of the last window's best loads before every window but the first, always the wrong
    one, and pays ``windows + load_price * (windows - 1)``; the optimum loads once and pays
    ``windows / 2 + load_price``, where that is less than nothing loaded, or all.

    Parameters
    ----------
    load_price
        Of an expert, whose absence for a window costs 1.
    windows
        How many.
    """
    _within("load_price", load_price, 0.0, 1e12)
    _check_sizes(1, 2, windows, 1, 1)
    return CommitteeProblem(
        name=f"alternating-{load_price:g}",
        source="two experts in turn: the last window's best is always the wrong one",
        generator={"name": "alternating", "load_price": load_price, "windows": windows},
        experts=2,
        importance=np.eye(2)[np.arange(windows) % 2][:, None, :],
        budget_bytes=1,
        load_price=load_price,
        free_fill=False,
    )


def hub(experts: int = 8, slots: int = 1, short: float = 1e-3) -> CommitteeProblem:
    """Return the worst case of the most important experts: a hub that is nobody's first choice.

    Each expert but the hub is the first choice of one token, and the hub is the second of all, by
    `short` less. No importance is the hub's, yet it alone retains nearly everything; so the most
    important retain ``slots / experts`` of the optimum, as few as is possible.

    Parameters
    ----------
    experts
        How many, the hub, expert 0, among them.
    slots
        How many fit.
    short
        By how much the hub falls short of the first choice.
    """
    _check_sizes(1, experts, 1, max(1, experts - 1), 1)
    _within("experts", experts, 2, 100_000)
    _within("slots", slots, 1, experts)
    _within("short", short, 0.0, 1.0)
    router = np.eye(experts)[1:]
    router[:, 0] = 1.0 - short
    return CommitteeProblem(
        name=f"hub-{experts}-{slots}",
        source="expert 0 is every token's second choice, each other one the first of one token",
        generator={"name": "hub", "experts": experts, "slots": slots, "short": short},
        experts=experts,
        loss="masked",
        router=router[:, None, :],
        budget_bytes=slots,
    )


def _budget(room: _Room) -> dict[str, Any]:
    return {"expert_bytes": EXPERT_BYTES, "budget_bytes": int(room.slots()) * EXPERT_BYTES}


def _unequal(room: _Room) -> dict[str, Any]:
    """State layers of 6, 12 and 18 MiB in turn, with activations, staging and other memory."""
    expert_bytes = (1 + np.arange(room.layers) % 3) * 6 * MIB
    activation_bytes = (1 + np.arange(room.layers) % 2) * MIB
    staging_slots = np.arange(room.layers) % 2
    needed = room.slots((expert_bytes + activation_bytes).astype(np.float64))
    return {
        "expert_bytes": expert_bytes,
        "activation_bytes": activation_bytes,
        "fixed_bytes": GIB // 2,
        "staging_slots": staging_slots,
        "budget_bytes": GIB // 2 + int((staging_slots * expert_bytes).sum()) + int(needed),
    }


def _latency(room: _Room) -> dict[str, Any]:
    """State a latency that deeper layers use up faster, and twice the memory that it allows."""
    slot_s = (4.0 + np.arange(room.layers) % 3) / 2**11
    wide = room._replace(share=min(1.0, 2.0 * room.share))
    return {
        **_budget(wide),
        "base_s": 0.25,
        "slot_s": slot_s,
        "latency_s": 0.25 + room.slots(slot_s * 2**11) / 2**11,
    }


def _link(room: _Room) -> dict[str, Any]:
    """State a link for one expert of every other layer a window, and staging for it."""
    staged = room.layers * EXPERT_BYTES
    loads = (room.layers + 1) // 2
    return {
        "expert_bytes": EXPERT_BYTES,
        "staging_slots": 1,
        "budget_bytes": staged + int(room.slots()) * EXPERT_BYTES,
        "link_bytes_per_s": loads * EXPERT_BYTES / 0.5,
        "window_s": 0.5,
        "periods": np.array([1, 2, 4]),
    }


def _price(room: _Room) -> dict[str, Any]:
    """State loads as dear as an expert's absence for one to three windows, the first too."""
    price = (1 + np.arange(room.layers) % 3) * np.ceil(room.cost)
    return {**_budget(room), "load_price": price, "free_fill": False}


def _limits(room: _Room) -> dict[str, Any]:
    """State at least one slot, and at most half of the experts in every other layer."""
    half = max(1, room.experts // 2)
    most = np.where(np.arange(room.layers) % 2, half, room.experts)
    return {**_budget(room), "min_slots": 1, "max_slots": most}


#: Rules by name: what limits the committees, beside a budget.
RULES: Mapping[str, Callable[[_Room], dict[str, Any]]] = {
    "budget": _budget,
    "unequal": _unequal,
    "latency": _latency,
    "link": _link,
    "price": _price,
    "limits": _limits,
}

#: Every generator by the name that a problem's ``generator`` field carries.
GENERATORS: Mapping[str, Callable[..., CommitteeProblem]] = {
    "alternating": alternating,
    "hub": hub,
    "routed": routed,
    "switch_t": switch_t,
    "tables": tables,
}


def remake(call: Mapping[str, str | int | float]) -> CommitteeProblem:
    """Make a problem again from its ``generator`` field.

    Raises
    ------
    InstanceError
        If the call names no generator, or parameters that it does not have.
    """
    return made_again(GENERATORS, call)


_LOSSES = ("additive", "masked", "skip")


class _Draw:
    """Router values of one window after another."""

    def __init__(
        self, rng: np.random.Generator, layers: int, experts: int, skew: float, drift: float
    ) -> None:
        self.rng, self.drift = rng, drift
        rank = np.log(np.arange(1.0, experts + 1))
        #: Logarithms of the popularities, ``(layers, experts)``.
        self.popularity = -skew * np.stack([rng.permutation(rank) for _ in range(layers)])
        #: Lengths of the experts' weights, of which no two are alike.
        self.norm = rng.lognormal(0.0, 0.2, (layers, experts))
        self.begun = False

    def window(self, tokens: int) -> FloatArray:
        """Return the values of the next window, ``(tokens, layers, experts)``, whole numbers."""
        if self.begun:
            self._drift()
        self.begun = True
        # The largest of popularities with Gumbel noise is a draw by popularity.
        logits = self.popularity + self.rng.gumbel(size=(tokens, *self.popularity.shape))
        gates = np.exp(logits - logits.max(axis=2, keepdims=True))
        gates /= gates.sum(axis=2, keepdims=True)
        length = self.rng.lognormal(0.0, 0.2, (tokens, 1, 1))
        return np.asarray(np.round(UNITS * length * gates * self.norm))

    def _drift(self) -> None:
        """Let experts change ranks with others of their layer."""
        if not self.drift:
            return
        for popularity in self.popularity:
            moved = np.flatnonzero(self.rng.random(popularity.size) < self.drift)
            popularity[moved] = popularity[self.rng.permutation(moved)]


def _importance(values: FloatArray, top_k: int) -> FloatArray:
    """Return the sum of each expert's values over the tokens that are routed to it, eq. 1.

    Parameters
    ----------
    values
        Of one window, ``(tokens, layers, experts)``.
    top_k
        Experts of a token.
    """
    first = np.argsort(-values, axis=2, kind="stable")[:, :, :top_k]
    chosen = np.zeros_like(values)
    np.put_along_axis(chosen, first, np.take_along_axis(values, first, axis=2), axis=2)
    return np.asarray(chosen.sum(axis=0))


def _routing(loss: str, values: list[FloatArray], importance: FloatArray) -> dict[str, Any]:
    """Return the fields of a loss: importance, or router values and where windows start."""
    if loss == "additive":
        return {"loss": loss, "importance": importance}
    sizes = [len(one) for one in values]
    starts: IntArray = np.cumsum([0, *sizes[:-1]])
    return {"loss": loss, "router": np.concatenate(values), "window_starts": starts}


def _own(table: FloatArray) -> FloatArray:
    """Return a table of one period as ``(layers, experts + 1)``, without the axis of periods."""
    return table[0] if len(table) == 1 else table


def _check_sizes(layers: int, experts: int, windows: int, tokens: int, top_k: int) -> None:
    _within("layers", layers, 1, 1000)
    _within("experts", experts, 1, 100_000)
    _within("windows", windows, 1, MOST_VALUES)
    _within("tokens", tokens, 1, MOST_VALUES)
    _within("top_k", top_k, 1, experts)
    _within("tokens", windows * tokens * layers * experts, 1, MOST_VALUES)


def _within(name: str, value: float, least: float, most: float) -> None:
    if not least <= value <= most:
        raise InstanceError(f"$.{name}", value, f"must be {least} to {most}", "correct it")
