"""What each rank of a host computes, one rank after another on one GPU.

For plans of more ranks than there are GPUs. A layer waits for the rank that computes longest: its
experts are timed here on the rows that the placement brings there, rank by rank, layer by layer,
with the placements and the tokens of ``torch_layer_time.py``. Exchanges are not. Predicted is a
time by the row and one beside, fitted to evenly random routing.

    python examples/torch_ranks_in_turn.py --slots 72 intent.npz translation.npz
    python examples/torch_ranks_in_turn.py --slots 72 --skew 1              # synthetic routing
    python examples/torch_ranks_in_turn.py --experts 256 --top-k 8 --hidden 7168 --inner 2048
    python examples/torch_ranks_in_turn.py --backend gloo --tokens 32 --hidden 64 --inner 32

The default shape is DeepSeek-V2-Lite's, in bf16; the third one is DeepSeek-V3's, the last one for
machines without a GPU.
"""

from __future__ import annotations

import argparse
import json

import numpy as np
from torch_layer_time import options, planned, sent_rows
from torch_parts.layer_bench import Shape, ranks_in_turn

from moeopt.adapters.torch.layout import Layout
from moeopt.adapters.torch.workers import Workers
from moeopt.core.table import Column, Table, print_tables

TIMEOUT_S = 1800.0


def main() -> None:
    """Read the options, time every rank, print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--ranks", type=int, default=8, help="of the host that is planned for")
    args, choices = options(parser)
    slots = {name: args.slots or experts for name, (_, experts) in choices.items()}
    if args.ranks < 1 or any(
        slots[name] < experts or slots[name] % args.ranks for name, (_, experts) in choices.items()
    ):
        parser.error("--slots must be a multiple of --ranks, and at least the experts")
    figures = {}
    with Workers(1, args.backend) as worker:
        for name, (ids, experts) in choices.items():
            shape = Shape(args.hidden, args.inner, experts, ids.shape[2], args.tokens)
            figures[name] = run(worker, name, shape, args.ranks, ids, slots[name])
    show(figures)
    if args.json:
        args.json.write_text(json.dumps(figures, indent=1))


def run(
    worker: Workers, name: str, shape: Shape, ranks: int, ids: np.ndarray, slots: int
) -> dict[str, list[dict[str, float]]]:
    """Return measured and predicted figures of each placement, layer by layer."""
    dealt, tables = planned(shape, ids, slots, ranks)
    lines: dict[int, np.ndarray] = {}
    found: dict[str, list[dict[str, float]]] = {}
    for placement, (table, here) in tables.items():
        most = int(max(here))
        if most not in lines:
            lines[most] = calibrated(worker, shape, ranks, most)
            show_line(name, shape, ranks, most, lines[most])
        found[placement] = [
            figures_of(worker, shape, Layout.even(experts, here), ids_of_ranks, lines[most])
            for experts, ids_of_ranks in zip(table, dealt, strict=True)
        ]
    return found


def figures_of(
    worker: Workers, shape: Shape, layout: Layout, ids: np.ndarray, line: np.ndarray
) -> dict[str, float]:
    """Return one layer's figures: measured and predicted."""
    rows = rows_of_slots(layout, sent_rows(ids, shape.experts))
    on_rank = [layout.experts_on(rank) for rank in range(layout.num_ranks)]
    split = np.split(rows, layout.first_slot[1:])
    times = worker.run(ranks_in_turn, shape, on_rank, split, timeout_s=TIMEOUT_S)[0]
    loads = np.array([count.sum() for count in split])
    return {
        "imbalance": float(loads.max() / loads.mean()),
        "slowest_s": max(times),
        "mean_s": float(np.mean(times)),
        "predicted_s": float(line @ (1.0, loads.max())),
    }


def calibrated(worker: Workers, shape: Shape, ranks: int, slots: int) -> np.ndarray:
    """Return seconds beside and seconds a row, of a rank's slots chosen evenly at random.

    The line is fitted to half, all, one and a half times and twice the tokens. Where few tokens
    come, the weights take the time and more rows take no more: then it is the mean, and level.
    """
    tokens = [round(ranks * shape.tokens * times) for times in (0.5, 1.0, 1.5, 2.0)]
    rows = [random_rows(number, shape.top_k, ranks * slots)[:slots] for number in tokens]
    times = worker.run(ranks_in_turn, shape, [np.arange(slots)] * len(rows), rows)[0]
    per_row_s, beside_s = np.polyfit([count.sum() for count in rows], times, 1)
    return np.array([beside_s, per_row_s] if per_row_s > 0 else [np.mean(times), 0.0])


def random_rows(tokens: int, top_k: int, slots: int) -> np.ndarray:
    """Return the rows of each slot where tokens choose evenly at random."""
    keys = np.random.default_rng(tokens).random((tokens, slots), dtype=np.float32)
    ids = np.argpartition(keys, top_k - 1, axis=1)[:, :top_k]
    return np.bincount(ids.ravel(), minlength=slots)


def rows_of_slots(layout: Layout, sent: np.ndarray) -> np.ndarray:
    """Return the rows of each slot, ``(slots,)``, of those that ranks send to each expert."""
    return np.rint((sent[:, layout.expert_of_slot] * layout.share).sum(axis=0)).astype(np.int64)


def show_line(name: str, shape: Shape, ranks: int, slots: int, line: np.ndarray) -> None:
    """Print what was measured on evenly random routing."""
    rows = shape.tokens * shape.top_k
    print(
        f"{name}: {shape.experts} experts of {shape.hidden} x {shape.inner}, top-{shape.top_k},"
        f" {ranks} ranks, {shape.tokens} tokens of each, bf16\n"
        f"  evenly random routing, {slots} slots: {line @ (1.0, rows) * 1e3:.3f} ms of {rows} rows,"
        f" {line[1] * 1e9:.2f} ns a row and {line[0] * 1e3:.3f} ms beside"
    )


def show(figures: dict[str, dict[str, list[dict[str, float]]]]) -> None:
    """Print the means over layers of each task and placement."""
    columns = [
        Column("task"),
        Column("placement"),
        Column("imbalance", ".3f"),
        Column("slowest ms", ".3f"),
        Column("mean ms", ".3f"),
        Column("ratio", ".3f"),
        Column("predicted", ".3f"),
        Column("off %", "+.1f"),
        Column("worst %", ".1f"),
    ]
    rows = [
        (task, name, *summary(found[name])) for task, found in figures.items() for name in found
    ]
    note = (
        "imbalance: rows of the busiest rank over the mean rank's; ratio: the same of seconds;"
        " worst: the layer whose prediction is furthest off"
    )
    print_tables([Table("means over layers", columns, rows, note)])


def summary(layers: list[dict[str, float]]) -> tuple[float, ...]:
    """Return the means of some layers' figures, and the prediction's worst error."""
    mean = {key: float(np.mean([layer[key] for layer in layers])) for key in layers[0]}
    off = [100 * (layer["predicted_s"] / layer["slowest_s"] - 1) for layer in layers]
    return (
        mean["imbalance"],
        mean["slowest_s"] * 1e3,
        mean["mean_s"] * 1e3,
        float(np.mean([layer["slowest_s"] / layer["mean_s"] for layer in layers])),
        mean["predicted_s"] * 1e3,
        100 * (mean["predicted_s"] / mean["slowest_s"] - 1),
        max(map(abs, off)),
    )


if __name__ == "__main__":
    main()
