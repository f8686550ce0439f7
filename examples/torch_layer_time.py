"""Time an expert-parallel layer on this machine's GPUs under four placements, on real routing.

For each trace the first half of the tokens is history, the second half is served: rank by rank,
repeated until every rank has its tokens. Contiguous experts, EPLB's plan and ours (both made from
the history), and the clairvoyant one (ours, made from what is served) are timed layer by layer,
beside the floor (the experts alone on the busiest rank, plus its bytes over the measured exchange
rate) and the time predicted by ``moeopt.timeline`` from constants that were measured on evenly
random routing.

    python examples/torch_layer_time.py intent.npz translation.npz
    python examples/torch_layer_time.py            # synthetic routing of the same shape
    python examples/torch_layer_time.py --backend gloo --tokens 64 --hidden 64 --inner 32  # no GPU
    python examples/torch_layer_time.py --world 8 --experts 256 --top-k 8 --hidden 7168 --inner 2048

The default shape is DeepSeek-V2-Lite's, in bf16; the last one is DeepSeek-V3's.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from torch_parts.layer_bench import Constants, Shape, calibrate, measure

from moeopt.adapters.engines.eplb import rebalance_experts
from moeopt.adapters.torch.layout import Layout
from moeopt.adapters.torch.workers import Workers
from moeopt.core.table import Column, Table, print_tables
from moeopt.timeline import layer_time
from moeopt.traces import read_trace

PLACEMENTS = ("contiguous", "EPLB", "ours", "clairvoyant")


def main() -> None:
    """Read the options, start the workers, print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--world", type=int, default=2, help="workers, a GPU each")
    args, choices = options(parser)
    if args.world < 2:
        parser.error("--world must be at least 2: torch_ranks_in_turn.py needs one GPU only")
    figures = {}
    with Workers(args.world, args.backend) as workers:
        for name, (ids, experts) in choices.items():
            shape = Shape(args.hidden, args.inner, experts, ids.shape[2], args.tokens)
            constants = workers.run(calibrate, shape)[0]
            figures[name] = run(workers, shape, constants, ids, args.slots or experts)
            show_constants(name, shape, constants)
    show(figures)
    if args.json:
        args.json.write_text(json.dumps(figures, indent=1))


def options(
    parser: argparse.ArgumentParser,
) -> tuple[argparse.Namespace, dict[str, tuple[np.ndarray, int]]]:
    """Return the options, and choices of experts with the number of experts, by name."""
    parser.add_argument("traces", nargs="*", help="routing traces (.npz)")
    parser.add_argument("--backend", choices=("nccl", "gloo"), default="nccl")
    parser.add_argument("--slots", type=int, help="of all ranks; more than experts: replicas")
    parser.add_argument("--tokens", type=int, default=4096, help="of a rank")
    parser.add_argument("--hidden", type=int, default=2048)
    parser.add_argument("--inner", type=int, default=1408)
    parser.add_argument("--experts", type=int, default=64, help="of synthetic routing")
    parser.add_argument("--top-k", type=int, default=6, help="of synthetic routing")
    parser.add_argument("--skew", type=float, default=0.7, help="its exponent of Zipf's law")
    parser.add_argument("--layers", type=int, help="only so many")
    parser.add_argument("--json", type=Path, help="write the figures there")
    args = parser.parse_args()
    traces = {Path(name).stem: read_trace(name) for name in args.traces}
    if len(traces) < len(args.traces):
        parser.error("traces must have different names")
    choices = {
        name: (trace.expert_ids[:, : args.layers], trace.num_experts)
        for name, trace in traces.items()
    }
    made_up = synthetic(args.experts, args.top_k, args.skew)[:, : args.layers]
    return args, choices or {"synthetic": (made_up, args.experts)}


def synthetic(
    experts: int, top_k: int, skew: float, tokens: int = 8192, layers: int = 4
) -> np.ndarray:
    """Return choices with popularities that fall off as Zipf's, drawn without repetition."""
    rng = np.random.default_rng(0)
    popularity = rng.permuted(np.tile(np.arange(1, experts + 1) ** -skew, (layers, 1)), axis=1)
    keys = rng.exponential(size=(tokens, layers, experts)) / popularity
    return keys.argsort(axis=2)[..., :top_k]


def run(
    workers: Workers, shape: Shape, constants: Constants, ids: np.ndarray, slots: int
) -> dict[str, list[dict[str, float]]]:
    """Return measured and predicted figures of each placement, layer by layer."""
    dealt, tables = planned(shape, ids, slots, workers.world)
    found = {}
    for name, (table, here) in tables.items():
        times = workers.run(measure, shape, dealt, table[None], here)[0][0]
        found[name] = [
            figures_of(shape, constants, Layout.even(table[layer], here), dealt[layer], *time)
            for layer, time in enumerate(times)
        ]
    return found


def planned(
    shape: Shape, ids: np.ndarray, slots: int, world: int
) -> tuple[np.ndarray, dict[str, tuple[np.ndarray, np.ndarray]]]:
    """Return what each rank's tokens choose, ``(layers, ranks, tokens, top_k)``, and placements.

    Of each placement the expert in each slot, ``(layers, slots)``, and the slots of each rank.
    """
    history, served = np.array_split(ids, 2)
    per_rank = [part[np.arange(shape.tokens) % len(part)] for part in np.array_split(served, world)]
    dealt = np.stack(per_rank).transpose(2, 0, 1, 3)
    known = [counts(part, shape.experts) for part in (history, dealt.transpose(1, 2, 0, 3))]
    usual = Layout.contiguous(shape.experts, world).slots_per_rank
    share = np.full(world, slots // world)
    return dealt, {
        name: (table, usual if name == "contiguous" else share)
        for name, table in placements(*known, slots, world).items()
    }


def placements(
    history: np.ndarray, served: np.ndarray, slots: int, world: int
) -> dict[str, np.ndarray]:
    """Return the expert in each slot under each placement, ``(layers, slots)``."""

    def balanced(loads: np.ndarray, method: str) -> np.ndarray:
        return rebalance_experts(loads, slots, 1, 1, world, method=method)[0]

    contiguous = np.tile(np.arange(history.shape[1]), (len(history), 1))
    plans = (
        contiguous,
        balanced(history, "eplb"),
        balanced(history, "search"),
        balanced(served, "search"),
    )
    return dict(zip(PLACEMENTS, plans, strict=True))


def counts(ids: np.ndarray, experts: int) -> np.ndarray:
    """Return tokens of each expert, ``(layers, experts)``, of choices ``(..., layers, top_k)``."""
    layers, top_k = ids.shape[-2:]
    by_layer = ids.reshape(-1, layers, top_k).swapaxes(0, 1).reshape(layers, -1)
    return np.stack([np.bincount(row, minlength=experts) for row in by_layer]).astype(np.float64)


def figures_of(
    shape: Shape,
    constants: Constants,
    layout: Layout,
    ids: np.ndarray,
    layer_s: float,
    compute_s: float,
    port_bytes: int,
) -> dict[str, float]:
    """Return one layer's figures: measured, floor, predicted."""
    traffic = layout.served(sent_rows(ids, shape.experts))
    floor_s = compute_s + 2 * port_bytes / constants.rate
    load = traffic.sum(axis=0)
    return {
        "imbalance": float(load.max() / load.mean()),
        "layer_s": layer_s,
        "floor_s": floor_s,
        "over_floor": layer_s / floor_s,
        "predicted_s": predicted_s(shape, constants, traffic),
    }


def sent_rows(ids: np.ndarray, experts: int) -> np.ndarray:
    """Return the rows from each rank to each expert, of choices ``(ranks, tokens, top_k)``."""
    sent = np.stack([np.bincount(rank.ravel(), minlength=experts) for rank in ids])
    return sent.astype(np.float64)


def predicted_s(shape: Shape, constants: Constants, traffic: np.ndarray) -> float:
    """Return the layer's time by ``moeopt.timeline``, rows travelling as `traffic` says."""
    (few, few_s), (many, many_s) = constants.compute
    per_row = (many_s - few_s) / (many - few)
    row_bytes = 2 * shape.hidden
    # What is neither computation by the row nor bytes: sorting, launches, waiting for sizes.
    fixed = constants.layer_s - per_row * many - 2 * constants.even_bytes / constants.rate
    time = layer_time(
        traffic,
        relative_speed=np.ones(len(traffic)),
        port_bytes_per_s=np.full(len(traffic), constants.rate),
        seconds_per_token=per_row,
        dispatch_bytes_per_token=row_bytes,
        combine_bytes_per_token=row_bytes,
        gate_s=fixed,
    )
    return float(time.total_s)


def show_constants(name: str, shape: Shape, constants: Constants) -> None:
    """Print what was measured on evenly random routing."""
    (_, _), (rows, seconds) = constants.compute
    print(
        f"{name}: {shape.experts} experts of {shape.hidden} x {shape.inner}, top-{shape.top_k},"
        f" {shape.tokens} tokens a worker, bf16\n"
        f"  evenly random routing: layer {constants.layer_s * 1e3:.3f} ms,"
        f" experts alone {seconds * 1e3:.3f} ms of {rows} rows,"
        f" exchange {constants.rate / 1e9:.0f} GB/s a port"
    )


def show(figures: dict[str, dict[str, list[dict[str, float]]]]) -> None:
    """Print the means over layers of each task and placement, and over all tasks."""
    rows = []
    for name in PLACEMENTS:
        each = [(task, found[name]) for task, found in figures.items()]
        if len(each) > 1:
            each.append(("all", [layer for _, layers in each for layer in layers]))
        rows += [(task, name, *summary(layers)) for task, layers in each]
    columns = [Column(title) for title in ("task", "placement")]
    columns += [
        Column("imbalance", ".3f"),
        Column("layer ms", ".3f"),
        Column("floor ms", ".3f"),
        Column("over floor", ".2f"),
        Column("worst", ".2f"),
        Column("predicted", ".3f"),
        Column("off %", "+.1f"),
        Column("worst %", ".1f"),
    ]
    print_tables([Table("means over layers", columns, sorted(rows, key=lambda row: row[0]))])


def summary(layers: list[dict[str, float]]) -> tuple[float, ...]:
    """Return the means of some layers' figures, and their worst ratios."""
    mean = {key: float(np.mean([layer[key] for layer in layers])) for key in layers[0]}
    off = [layer["predicted_s"] / layer["layer_s"] - 1 for layer in layers]
    return (
        mean["imbalance"],
        mean["layer_s"] * 1e3,
        mean["floor_s"] * 1e3,
        mean["layer_s"] / mean["floor_s"],
        max(layer["over_floor"] for layer in layers),
        mean["predicted_s"] * 1e3,
        100 * (mean["predicted_s"] / mean["layer_s"] - 1),
        100 * max(map(abs, off)),
    )


if __name__ == "__main__":
    main()
