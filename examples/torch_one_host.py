"""What the GPUs of one host make of orders: exchanges, a migration, two models in turns.

**Exchange**: balanced, Zipf's and incast traffic, in one operation, in shifted rounds and in the
rounds of a transfer plan, from 64 KiB to 64 MiB a pair. **Migration**: from contiguous experts to
our plan while layers run, in batches of one peer each way and with all pairs at once.
**Colocated**: two models one after the other, and in turns with tokens on streams of their own.

    python examples/torch_one_host.py --world 8                    # DeepSeek-V2-Lite's layer
    python examples/torch_one_host.py --world 8 --experts 256 --top-k 8 --hidden 7168 --inner 2048
    python examples/torch_one_host.py --backend gloo --world 4 --tiny                   # no GPU

Layers alone, under four placements, are timed by ``torch_layer_time.py``.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from torch_layer_time import counts, synthetic
from torch_parts import host_jobs
from torch_parts.layer_bench import Shape

from moeopt import solve
from moeopt.adapters.engines.eplb import rebalance_experts
from moeopt.adapters.torch.layout import Layout
from moeopt.adapters.torch.link import Link
from moeopt.adapters.torch.workers import Workers
from moeopt.bench.torch_orders import in_rounds
from moeopt.core.table import Column, Table, print_tables
from moeopt.transfers import TransferProblem

PARTS = ("exchange", "migration", "colocated")
PAIR_KIB = (64, 256, 1024, 4096, 16384, 65536)
TRAFFICS = ("balanced", "zipf", "incast")

#: In place of the options of a shape: what processors do in seconds.
TINY = {"tokens": 32, "hidden": 32, "inner": 16, "experts": 16, "top_k": 2}
TINY_PAIR_KIB = (1, 64)

#: Utilisation of Aurora's two models over one alone, and over Lina's two (arXiv 2410.17043).
PUBLISHED = ((1.57, 1.72), (1.28, 1.50))

TIMEOUT_S = 1800.0


def main() -> None:
    """Read the options, start the workers, print the tables."""
    args = options()
    shape = Shape(args.hidden, args.inner, args.experts, args.top_k, args.tokens)
    figures: dict[str, Any] = {}
    with Workers(args.world, args.backend) as workers:
        if "exchange" in args.parts:
            figures["exchange"] = exchange(workers, args.pair_kib)
            show_exchange(figures["exchange"])
        if "migration" in args.parts:
            figures["migration"] = migration(workers, shape, args.slots)
            show_migration(figures["migration"])
        if "colocated" in args.parts:
            figures["colocated"] = colocated(workers, shape)
            show_colocated(figures["colocated"])
    if args.json:
        args.json.write_text(json.dumps(figures, indent=1))


def options() -> argparse.Namespace:
    """Return the options."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, dest="parts")
    parser.add_argument("--world", type=int, default=2, help="workers, a GPU each")
    parser.add_argument("--backend", choices=("nccl", "gloo"), default="nccl")
    parser.add_argument("--pair-kib", type=int, nargs="+", default=PAIR_KIB)
    parser.add_argument("--slots", type=int, help="of the plan that is migrated to")
    parser.add_argument("--tokens", type=int, default=4096, help="of a worker")
    parser.add_argument("--hidden", type=int, default=2048)
    parser.add_argument("--inner", type=int, default=1408)
    parser.add_argument("--experts", type=int, default=64)
    parser.add_argument("--top-k", type=int, default=6)
    parser.add_argument("--tiny", action="store_true", help="a small shape and few bytes")
    parser.add_argument("--json", type=Path, help="write the figures there")
    args = parser.parse_args()
    if args.tiny:
        vars(args).update(TINY, pair_kib=TINY_PAIR_KIB)
    if args.world < 2:
        parser.error("--world must be at least 2: nothing is exchanged by one worker")
    args.slots = args.slots or args.world * -(-args.experts * 9 // (8 * args.world))
    if args.slots < args.experts or args.slots % args.world:
        parser.error("--slots must be a multiple of --world and at least --experts")
    return args


def exchange(workers: Workers, pair_kib: tuple[int, ...]) -> list[dict[str, Any]]:
    """Return seconds of each way to exchange, by traffic and bytes of a pair."""
    most = 1024 * max(pair_kib) * (workers.world - 1)
    ports = np.arange(workers.world)
    distance = (ports - ports[:, None]) % workers.world
    link = workers.run(host_jobs.link, most, timeout_s=TIMEOUT_S)[0]
    found = []
    for traffic in TRAFFICS:
        for kib in pair_kib:
            rows = rows_of(traffic, workers.world, 1024 * kib // host_jobs.ROW_BYTES)
            problem = problem_of(rows * float(host_jobs.ROW_BYTES), link)
            plans = {
                "one operation": None,
                "shifted rounds": in_rounds(problem, distance),
                "transfer plan": solve(problem, "few_rounds").plan,
            }
            seconds = workers.run(host_jobs.exchange_s, plans, rows, timeout_s=TIMEOUT_S)[0]
            sent = problem.traffic_bytes
            busiest = float(max(sent.sum(axis=0).max(), sent.sum(axis=1).max()))
            floor_s = busiest / max(link.bytes_per_s, link.round_bytes_per_s)
            rounds = len(np.unique(plans["transfer plan"].round_index))
            case = {"traffic": traffic, "pair_kib": kib, "floor_s": floor_s, "rounds": rounds}
            found.append({**case, **seconds})
    return found


def rows_of(traffic: str, world: int, pair_rows: int) -> np.ndarray:
    """Return rows from each rank to each other; `pair_rows` are those of a pair in the mean.

    ``zipf``: receivers are popular as Zipf's law says. ``incast``: only rank 0 receives.
    """
    popular = {
        "balanced": np.ones(world),
        "zipf": 1.0 / np.arange(1, world + 1),
        "incast": (np.arange(world) == 0).astype(float),
    }[traffic]
    rows = np.tile(popular, (world, 1))
    np.fill_diagonal(rows, 0.0)
    if traffic == "zipf":
        rows /= rows.sum() / (world * (world - 1))
    return np.ceil(rows * pair_rows).astype(np.int64)


def problem_of(traffic_bytes: np.ndarray, link: Link) -> TransferProblem:
    """Return an exchange as a problem, with what rounds cost here."""
    return TransferProblem(
        traffic_bytes=traffic_bytes,
        bandwidth_bytes_per_s=link.round_bytes_per_s,
        startup_s=link.round_startup_s,
        startup_per="round",
    )


def migration(workers: Workers, shape: Shape, slots: int) -> dict[str, Any]:
    """Return what going over to our plan takes, and what it takes from the layers."""
    world = workers.world
    ids = dealt(shape, world, models=1)[0]
    loads = counts(ids[:, :, None], shape.experts)
    table = rebalance_experts(loads, slots, 1, 1, world, method="search")[0][0]
    old = Layout.contiguous(shape.experts, world)
    new = Layout.even(np.asarray(table), np.full(world, slots // world))
    return workers.run(host_jobs.migration, shape, ids, old, new, timeout_s=TIMEOUT_S)[0]


def colocated(workers: Workers, shape: Shape) -> dict[str, float]:
    """Return what two models take one after the other, and in turns."""
    world = workers.world
    ids = dealt(shape, world, models=2)
    layouts = paired([counts(each[:, :, None], shape.experts)[0] for each in ids], world)
    return workers.run(host_jobs.colocated, shape, ids, layouts, timeout_s=TIMEOUT_S)[0]


def dealt(shape: Shape, world: int, models: int) -> np.ndarray:
    """Return the experts of each rank's tokens, ``(models, ranks, tokens, top_k)``."""
    tokens = world * shape.tokens
    ids = synthetic(shape.experts, shape.top_k, 0.7, tokens=tokens, layers=models)
    return ids.swapaxes(0, 1).reshape(models, world, shape.tokens, shape.top_k)


def paired(loads: list[np.ndarray], world: int) -> list[Layout]:
    """Return contiguous experts of two models, the busiest of one beside the idlest of the other.

    So Aurora pairs models on equal GPUs (its section 6).
    """
    first = Layout.contiguous(len(loads[0]), world)
    groups = [np.array_split(np.arange(len(own)), world) for own in loads]
    sums = [[own[group].sum() for group in each] for own, each in zip(loads, groups, strict=True)]
    place = np.empty(world, dtype=np.int64)
    place[np.argsort(sums[0])] = np.argsort(sums[1])[::-1]
    chosen = [groups[1][group] for group in place]
    return [first, Layout.even(np.concatenate(chosen), [len(group) for group in chosen])]


def show_exchange(found: list[dict[str, Any]]) -> None:
    """Print milliseconds of each way."""
    ways = ("one operation", "shifted rounds", "transfer plan")
    columns = [Column("traffic"), Column("a pair KiB", ",d"), Column("floor ms", ".3f")]
    columns += [Column(way, ".3f") for way in ways]
    columns += [Column("rounds", ",d"), Column("plan over one", ".2f"), Column("shifted", ".2f")]
    rows = []
    for each in found:
        one, shifted, plan = (each[way] for way in ways)
        ms = [1e3 * seconds for seconds in (each["floor_s"], one, shifted, plan)]
        ratios = (each["rounds"], plan / one, plan / shifted)
        rows.append([each["traffic"], each["pair_kib"], *ms, *ratios])
    note = (
        "floor: bytes of the busiest port over the best rate of an even exchange; ms, medians of"
        " exchanges that all ranks begin together; rounds: the plan's; ratios: the plan over others"
    )
    print_tables([Table("exchange", columns, rows, note)])


def show_migration(found: dict[str, Any]) -> None:
    """Print bytes, seconds, and how much slower passes are meanwhile."""
    columns = [
        Column("order"),
        Column("batches", ",d"),
        Column("idle ms", ".3f"),
        Column("serving ms", ".3f"),
        Column("passes", ",d"),
        Column("without ms", ".3f"),
        Column("lost ms", ".3f"),
    ]
    rows = []
    for name in ("ordered", "all at once"):
        each = found[name]
        rows.append(
            [
                name,
                each["batches"],
                1e3 * each["idle_s"],
                1e3 * each["serving_s"],
                each["passes"],
                1e3 * each["without_s"],
                1e3 * (each["serving_s"] - each["without_s"]),
            ]
        )
    note = (
        f"{found['sent_bytes']:,} bytes between ranks; idle: nothing is served; serving: a pass of"
        " the layer after every batch; without: as many passes and no migration"
    )
    print_tables([Table("migration", columns, rows, note)])


def show_colocated(found: dict[str, float]) -> None:
    """Print throughput and utilisation of two models, both ways."""
    columns = [
        Column("two models"),
        Column("ms", ".3f"),
        Column("throughput", ".2f"),
        Column("utilisation %", ".1f"),
    ]
    ways = (("one after the other", found["after_s"]), ("in turns", found["turns_s"]))
    rows = [
        [name, 1e3 * seconds, found["after_s"] / seconds, 100 * found["busy_s"] / seconds]
        for name, seconds in ways
    ]
    note = (
        "throughput: over one after the other. utilisation: experts computing, mean of the ranks."
        " Aurora's simulations: utilisation {} to {} times that of one model alone,"
        " {} to {} times Lina's".format(*PUBLISHED[0], *PUBLISHED[1])
    )
    print_tables([Table("colocated", columns, rows, note)])


if __name__ == "__main__":
    main()
