"""The loss of committees on held-out text, budget by budget: pruned, the paper's, ours.

    python examples/reference_moe/committee_quality.py
    python examples/reference_moe/committee_quality.py --show gating parts links
    python examples/reference_moe/committee_quality.py --device cuda --streams 64 --bytes 2048

Each seed has streams of its own, from where chance says in the held-out text, and plans of its own
where these are searched for. What is printed is nats a byte above those of all experts resident, in
the mean over the seeds.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import data
import numpy as np
import torch
import weights
from cache_links import packed
from committee_entries import (
    GATING,
    LINKS,
    MAIN,
    PARTS,
    Entry,
    Measured,
    Plans,
    budgets_at,
    measure,
)
from committee_methods import Lab, known_from, of_windows, positive, streams_of
from committee_plans import profiled
from index import SHIPPED

#: Tables by name.
SHOWN = {"main": MAIN, "parts": PARTS, "gating": GATING, "links": LINKS}


@dataclass(frozen=True)
class Options:
    """What the command line says."""

    device: str
    text: Path | None
    show: list[str]
    shares: list[float]
    seeds: int
    streams: int
    bytes: int
    rows: int
    json: bool


def table(
    entries: Sequence[Entry], measured: Sequence[Measured], shares: Sequence[float]
) -> list[str]:
    """Return the lines of a table: nats a byte above the original, in the mean over the seeds.

    Parameters
    ----------
    entries, measured, shares
        Its rows, what came of them, and its columns.
    """
    width = max(len(entry.name) for entry in entries) + 2
    head = "".join(f"{share:>7.0%}" for share in shares)
    lines = ["experts".ljust(width) + head]
    for entry, found in zip(entries, measured, strict=True):
        cells = "".join(f"{value:7.3f}" for value in found.excess.mean(0))
        lines.append(entry.name.ljust(width) + cells)
    return lines


def against(measured: dict[str, Measured], shares: Sequence[float]) -> list[str]:
    """Return what ours costs beside the paper's, seed by seed, and what both load.

    Parameters
    ----------
    measured
        By name.
    shares
        Columns.
    """
    paper, ours = measured["paper"], measured["ours"]
    apart = ours.excess - paper.excess
    rows = {
        "ours - paper": apart.mean(0),
        "least of a seed": apart.min(0),
        "most of a seed": apart.max(0),
        "loads, paper": paper.loads.mean(0),
        "loads, ours": ours.loads.mean(0),
    }
    lines = [
        name.ljust(19) + "".join(f"{value:7.3f}" for value in values)
        for name, values in rows.items()
    ]
    wins = int((apart <= 0).sum())
    return [*lines, f"ours at most the paper's: {wins} of {apart.size} seeds and budgets"]


@dataclass(frozen=True)
class Figures:
    """All that was measured.

    Attributes
    ----------
    original
        Nats a byte with all experts resident, of each seed.
    rows
        By table, what came of its entries.
    memory_mb
        Of each budget, and with all experts.
    rest_mb
        Of that, what is no expert.
    expert_bytes
        Of an expert.
    error
        Mean relative error of the paper's model of accuracy, if a plan was made by it.
    """

    original: list[float]
    rows: dict[str, dict[Entry, Measured]]
    memory_mb: list[float]
    rest_mb: float
    expert_bytes: int
    error: float | None


def figures(given: Options) -> Figures:
    """Measure all that is to be shown.

    Parameters
    ----------
    given
        The command line's options.
    """
    model = weights.load(SHIPPED / "weights.safetensors", given.device)
    model.compute_together(given.device != "cpu")
    found = profiled()
    text, known = data.load(given.text), known_from(found, model)
    streams = [
        streams_of(text.held_out, given.streams, given.bytes, seed) for seed in range(given.seeds)
    ]
    labs = [Lab(model, some, known, rows=given.rows) for some in streams]
    original = [float(lab.original().mean()) for lab in labs]
    budgets = budgets_at(found, given.shares)
    plans = Plans(found, budgets)
    done: dict[Entry, Measured] = {}
    for entry in (entry for shown in given.show for entry in SHOWN[shown]):
        if entry not in done:
            done[entry] = measure(labs, original, entry, plans)
    each = 4 * packed(model).shape[1]
    rest = 4 * sum(p.numel() for name, p in model.named_parameters() if ".experts." not in name)
    experts = [*budgets.tolist(), found["prior"].size]
    return Figures(
        original,
        {shown: {entry: done[entry] for entry in SHOWN[shown]} for shown in given.show},
        [(rest + each * number) / 1e6 for number in experts],
        rest / 1e6,
        each,
        float(np.mean(plans.errors)) if plans.errors else None,
    )


def report(given: Options, found: Figures) -> list[str]:
    """Return the figures as lines for people.

    Parameters
    ----------
    given
        The command line's options.
    found
        What was measured.
    """
    sizes = [
        f"{share:.0%} {mb:.1f}" for share, mb in zip(given.shares, found.memory_mb, strict=False)
    ]
    lines = [
        f"{given.seeds} seeds of {given.streams} streams of {given.bytes} bytes, held out;"
        f" original: {np.mean(found.original):.4f} nats a byte",
        f"memory, MB: all {found.memory_mb[-1]:.1f}; {', '.join(sizes)};"
        f" {found.rest_mb:.1f} of it no experts",
        f"an expert: {found.expert_bytes:,} bytes; one slot of each budget for what is on its way",
    ]
    for shown, rows in found.rows.items():
        lines += ["", *table(list(rows), list(rows.values()), given.shares)]
        if shown == "main":
            named = {entry.name: measured for entry, measured in rows.items()}
            lines += against(named, given.shares)
    if found.error is not None:
        lines.append(f"error of the paper's model of accuracy: {found.error:.1%}")
    return lines


def plain(given: Options, found: Figures) -> dict[str, Any]:
    """Return the figures as plain types, for JSON.

    Parameters
    ----------
    given, found
        As for `report`.
    """
    rows = [
        {"table": shown, "name": entry.name, **{k: v.tolist() for k, v in part._asdict().items()}}
        for shown, entries in found.rows.items()
        for entry, part in entries.items()
    ]
    return {
        "shares": given.shares,
        "memory_mb": found.memory_mb[:-1],
        "original": found.original,
        "rows": rows,
        "error": found.error,
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--text", type=Path, help="what data.py wrote; else the library at hand")
    parser.add_argument("--show", nargs="+", choices=SHOWN, default=["main"])
    parser.add_argument(
        "--shares", type=float, nargs="+", default=[k / 10 for k in range(1, 10)], help="of experts"
    )
    parser.add_argument("--seeds", type=positive, default=5)
    parser.add_argument("--streams", type=positive, default=2, help="of each seed")
    parser.add_argument("--bytes", type=of_windows, default=1024, help="of each stream")
    parser.add_argument("--rows", type=positive, help="streams that are run at a time")
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")
    given = vars(parser.parse_args())
    given["rows"] = given["rows"] or (96 if given["device"] == "cpu" else 2048)
    torch.set_float32_matmul_precision("high")
    options = Options(**given)
    found = figures(options)
    if options.json:
        print(json.dumps(plain(options, found)))
    else:
        print(*report(options, found), sep="\n")


if __name__ == "__main__":
    main()
