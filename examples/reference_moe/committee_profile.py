"""Measure on training text what the planners of committees go by, and plan ours.

    python examples/reference_moe/committee_profile.py --device cuda

Two minutes on one H100, hours on a CPU. It writes `shipped/committee.npz`:

- what training text says of the experts, and what other settings of our scheduler and our gating
  would cost,
- for the paper's planner random configurations, run with its scheduler and masked gating,
- for ours, budget by budget, tables of what one layer's slots cost, the others' as they are, and
  the slots that a knapsack makes of them; that three times, each from the slots of the time before.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import data
import numpy as np
import torch
import weights
from committee_methods import (
    OURS,
    PAPER,
    PERIODS,
    Floats,
    Ints,
    Lab,
    budgets_of,
    even_slots,
    known_of,
    of_windows,
    positive,
    streams_of,
)
from committee_streams import Pace
from index import SHIPPED
from model import Model

from moeopt.committee.configurations import random_configurations
from moeopt.committee.knapsack import choose

#: Where it is written.
FILE = SHIPPED / "committee.npz"

#: Shares of the memory of all experts that are planned for.
SHARES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)

#: By how much one layer's slots are changed to see what they are worth, time after time.
FACTORS = (
    (0.35, 0.55, 0.75, 1.3, 1.65, 2.2),
    (0.6, 0.75, 0.88, 1.15, 1.35, 1.6),
    (0.75, 0.88, 1.15, 1.35),
)


#: Settings of ours that are tried, one at a time.
TRIED: dict[str, tuple[float, ...]] = {
    "damping": (0.0, 0.2, 0.4, 0.5, 0.6, 0.7, 0.8, 1.0),
    "half_life": (64.0, 128.0, 256.0, 512.0, 1024.0, 4096.0),
    "prior_weight": (0.0, 0.25, 0.5, 1.0, 2.0),
    "margin": (0.0, 0.05, 0.1, 0.2, 0.4),
}


@dataclass(frozen=True)
class Sizes:
    """How much is measured.

    Attributes
    ----------
    streams, length
        Streams of training text and their bytes.
    stretches
        Stretches of training text for what is known of the experts.
    samples
        Random configurations for the paper's planner.
    rows
        Streams that are run at a time.
    seed
        Of the configurations.
    """

    streams: int = 16
    length: int = 2048
    stretches: int = 1024
    samples: int = 1250
    rows: int = 2048
    seed: int = 0


class Turn(NamedTuple):
    """Slots of a budget, what a change of one layer costs, and what comes of it."""

    #: Where it began, ``(layers,)``.
    centre: Ints
    #: What 0, 1, ... slots of a layer cost beside its slots in the centre, ``(layers, experts +
    #: 1)``; what was not measured nor lies between is ``inf``.
    table: Floats
    #: By the table, ``(layers,)``.
    slots: Ints


def sampled(lab: Lab, fewest: int, sizes: Sizes) -> dict[str, Any]:
    """Return random configurations and what they cost with the paper's scheduler.

    Parameters
    ----------
    lab
        What runs them.
    fewest
        Slots of a layer.
    sizes
        How many.
    """
    config = lab.model.config
    rng = np.random.default_rng(sizes.seed)
    low, high = np.full(config.layers, fewest), np.full(config.layers, config.experts)
    slots = random_configurations(low, high, sizes.samples, rng)
    period = rng.choice(PERIODS, sizes.samples)
    loss = lab.run(PAPER, slots, period).loss.mean(1)
    return {"slots": slots, "period": period, "loss": loss}


def tried(lab: Lab, totals: Ints) -> dict[str, Floats]:
    """Return the loss of ours with other settings and an even split, ``(values, budgets)`` each.

    Parameters
    ----------
    lab
        What measures.
    totals
        Slots of all layers together, ``(budgets,)``.
    """
    slots = np.stack([even_slots(int(total), lab.model.config.layers) for total in totals])
    found = {}
    for name, values in TRIED.items():
        losses = []
        for value in values:
            changed = {name: value}
            method = (
                replace(OURS, gating=OURS.gating._replace(**changed))
                if name == "damping"
                else replace(OURS, memory=OURS.memory._replace(**changed))
            )
            losses.append(lab.run(method, slots).loss.mean(1))
        found[name] = np.stack(losses)
    return found


def planned(
    lab: Lab, totals: Ints, turns: Sequence[Sequence[float]]
) -> tuple[list[list[Turn]], list[Ints]]:
    """Return how our plans came about, turn by turn and budget by budget, and the plans.

    Parameters
    ----------
    lab
        What measures.
    totals
        Slots of all layers together, ``(budgets,)``.
    turns
        By which factors slots are changed.
    """
    layers = lab.model.config.layers
    centres = [even_slots(int(total), layers) for total in totals]
    told = []
    for factors in turns:
        found = turned(lab, centres, factors)
        told.append(found)
        centres = better(lab, found)
    return told, centres


def turned(lab: Lab, centres: Sequence[Ints], factors: Sequence[float]) -> list[Turn]:
    """Return the slots that a knapsack makes of what changes of one layer cost.

    Parameters
    ----------
    lab
        What measures.
    centres
        Slots of each budget.
    factors
        By which they are changed.
    """
    config = lab.model.config
    changed: list[list[Ints]] = []
    for centre in centres:
        around = np.rint(centre[:, None] * np.array([1.0, *factors])).astype(np.int64)
        around = np.clip(around, config.top_k, config.experts)
        changed.append([np.unique(row) for row in around])
    rows = [
        np.where(np.arange(config.layers) == layer, slots, centre)
        for centre, layers in zip(centres, changed, strict=True)
        for layer, some in enumerate(layers)
        for slots in some
    ]
    costs = iter(lab.run(OURS, np.stack(rows)).loss.mean(1).tolist())
    found = []
    for centre, layers in zip(centres, changed, strict=True):
        table = np.full((config.layers, config.experts + 1), np.inf)
        for layer, some in enumerate(layers):
            cost = np.array([next(costs) for _ in some])
            between = np.arange(some[0], some[-1] + 1)
            # More slots cannot cost more: what says so is noise.
            table[layer, between] = np.interp(between, some, np.minimum.accumulate(cost))
            table[layer] -= table[layer, centre[layer]]
        found.append(Turn(centre, table, allotted(table, int(centre.sum()))))
    return found


def allotted(table: Floats, total: int) -> Ints:
    """Return the slots of least cost by a table.

    Parameters
    ----------
    table
        Of 0, 1, ... slots of each layer, ``(layers, slots + 1)``.
    total
        Of all layers together.
    """
    used = [np.arange(table.shape[1], dtype=np.float64)[None]] * len(table)
    found = choose(list(table), used, np.array([float(total)]))
    assert found is not None, "the centre is within"
    return found.slots


def better(lab: Lab, turns: Sequence[Turn]) -> list[Ints]:
    """Return for each budget the best of where a turn began, where it led, and half the way.

    Parameters
    ----------
    lab
        What measures.
    turns
        Of each budget.
    """
    ways = [(turn.centre, _half(turn), turn.slots) for turn in turns]
    costs = lab.run(OURS, np.concatenate(ways)).loss.mean(1).reshape(len(ways), -1)
    return [way[k] for way, k in zip(ways, costs.argmin(1), strict=True)]


def _half(turn: Turn) -> Ints:
    """Return slots half the way, as many together."""
    half = (turn.centre + turn.slots) // 2
    odd = np.flatnonzero((turn.centre + turn.slots) % 2)
    half[odd[: turn.centre.sum() - half.sum()]] += 1
    return half


def profile(model: Model, text: data.Text, shares: Sequence[float], sizes: Sizes) -> dict[str, Any]:
    """Return what is written.

    Parameters
    ----------
    model
        Whose committees.
    text
        The training part is measured on.
    shares
        Of the memory of all experts.
    sizes
        How much is measured.
    """
    context = model.config.context
    known = known_of(model, data.windows(text.train, sizes.stretches, context))
    streams = streams_of(text.train, sizes.streams, sizes.length)
    lab = Lab(model, streams, known, Pace(), sizes.rows)
    original = lab.original().mean()
    budgets = budgets_of(model, shares)
    turns, slots = planned(lab, budgets - OURS.staged, FACTORS)
    loss = lab.run(OURS, np.stack(slots)).loss.mean(1)
    random = sampled(lab, model.config.top_k, sizes)
    other = tried(lab, budgets - OURS.staged)
    return {f"tried_{name}": losses.astype(np.float32) for name, losses in other.items()} | {
        "prior": known.prior.cpu().numpy(),
        "frequency": known.frequency.cpu().numpy(),
        "original": original,
        "budgets": budgets,
        "random_slots": random["slots"].astype(np.uint8),
        "random_period": random["period"].astype(np.uint8),
        "random_loss": random["loss"].astype(np.float32),
        "ours_centres": np.array([[turn.centre for turn in turn_] for turn_ in turns], np.uint8),
        "ours_tables": np.stack([turn.table for turn in turns[-1]]).astype(np.float32),
        "ours_slots": np.stack(slots).astype(np.uint8),
        "ours_loss": loss.astype(np.float32),
    }


def main() -> None:
    """Measure, plan and write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--text", type=Path, help="what data.py wrote; else the library at hand")
    parser.add_argument("--out", type=Path, default=FILE)
    for name, value in asdict(Sizes()).items():
        kind = {"length": of_windows, "seed": int}.get(name, positive)
        parser.add_argument(f"--{name}", type=kind, default=value)
    given = vars(parser.parse_args())
    device, path, out = given.pop("device"), given.pop("text"), given.pop("out")
    sizes = Sizes(**given)
    torch.set_float32_matmul_precision("high")
    model = weights.load(SHIPPED / "weights.safetensors", device)
    model.compute_together(device != "cpu")
    text = data.load(path)
    began = time.monotonic()
    found = profile(model, text, SHARES, sizes)
    made = asdict(sizes) | {
        "seconds": round(time.monotonic() - began, 1),
        "device": torch.cuda.get_device_name() if device != "cpu" else platform.machine(),
        "torch": str(torch.__version__),
        "python": text.python,
        "train_sha256": text.digests["train"],
    }
    np.savez_compressed(out, made=json.dumps(made), **found)
    print(json.dumps(made))
    for share, slots, loss in zip(SHARES, found["ours_slots"], found["ours_loss"], strict=True):
        print(f"{share:.0%} {slots.tolist()} {loss - found['original']:.3f}")
    for name, values in TRIED.items():
        for value, losses in zip(values, found[f"tried_{name}"] - found["original"], strict=True):
            print(f"{name} {value:g}:", *(f"{loss:.3f}" for loss in losses))


if __name__ == "__main__":
    main()
