"""Dynamic against static gating on one device, at the layer shapes of arXiv 2303.06182.

    python examples/torch_gating.py                       one GPU, two minutes
    python examples/torch_gating.py --experts-share 8     what one of eight ranks computes
    python examples/torch_gating.py --device cpu --small  tiny shapes, seconds

All experts of a layer stand on the device. Beside the layer a period of the stack is measured: that
layer and the dense ones to each of its kind, with attention. Embeddings, the vocabulary, and what
travels between devices are left out of both.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from statistics import median

import torch
from torch_parts.place import Maker, Place, Step
from torch_parts.stack import CASES, TOP_K, Case, Inputs, Model, Period, inputs

from moeopt.adapters.torch.clock import PHASES, PhaseClock
from moeopt.adapters.torch.experts import Experts
from moeopt.adapters.torch.layer import ExpertParallel
from moeopt.adapters.torch.layout import Layout
from moeopt.adapters.torch.static import StaticGating, waste_factor
from moeopt.core.table import Cell, Column, Table, print_tables

Layer = StaticGating | ExpertParallel
Both = Sequence[Step | None]

#: Tokens at which the search for the largest batch ends.
MOST_TOKENS = 1 << 22


@dataclass(frozen=True)
class Row:
    """One batch: the layer and the stack with static and with dynamic gating."""

    tokens: int
    layer: Both
    stack: Both
    dropped: float | None

    def cells(self, weights_gb: float) -> list[Cell]:
        """Return them as a table has them."""
        took = [[step and 1e3 * step.seconds for step in both] for both in (self.layer, self.stack)]
        peaks = [step and step.peak_bytes for step in self.layer]
        memory = [None if peak is None else peak / 1e9 for peak in peaks]
        whole = [None if peak is None else peak + weights_gb for peak in memory]
        times = [cell for both in took for cell in (*both, ratio(both))]
        percent = None if self.dropped is None else 100 * self.dropped
        return [self.tokens, *times, *memory, ratio(memory), ratio(whole), percent]


def ratio(both: Sequence[float | None]) -> float | None:
    """Return static over dynamic; unknown if either is."""
    static, dynamic = both
    return None if static is None or dynamic is None else static / dynamic


class Bench:
    """The layer of one model, with either gating."""

    def __init__(self, place: Place, model: Model) -> None:
        self.place, self.model = place, model
        up = place.random(model.experts, model.inner, model.hidden, scale=model.hidden**-0.5)
        down = place.random(model.experts, model.hidden, model.inner, scale=model.inner**-0.5)
        self.experts = Experts(up, down, "relu")

    def static(self) -> StaticGating:
        """Return the layer with static gating."""
        return StaticGating(self.experts, self.model.capacity_factor)

    def dynamic(self) -> ExpertParallel:
        """Return the layer with dynamic gating."""
        return ExpertParallel(Layout.contiguous(self.model.experts, 1), self.experts)

    def rows(self, case: Case) -> Iterator[Row]:
        """Measure all batches of a case."""
        period = Period(self.place, self.model, case)
        for tokens in case.tokens:
            given = inputs(self.place, self.model, case, tokens)
            dropped = self.dropped(given)
            layer = [self.place.measure(step_of(make, given)) for make in self.both()]
            kept = period.kept(tokens, self.model.hidden)
            stack = [self.place.measure(step_of(make, given, period, kept)) for make in self.both()]
            yield Row(tokens, layer, stack, dropped)

    def both(self) -> tuple[Callable[[], Layer], Callable[[], Layer]]:
        """Return what makes the layers."""
        return self.static, self.dynamic

    def dropped(self, given: Inputs) -> float | None:
        """Return the share of choices that static gating drops; if none, compare the outputs."""
        self.place.tidy()
        layer = self.static()
        try:
            static = layer(*given)
        except torch.OutOfMemoryError:
            return None
        dynamic = self.dynamic()(*given)
        off = float((static - dynamic).abs().max() / dynamic.abs().max())
        if layer.dropped == 0 and off > (2e-2 if self.place.cuda else 1e-5):
            raise SystemExit(f"static and dynamic gating differ by {off:.2g} of the largest value")
        return layer.dropped / given.expert_ids.numel()

    def most_tokens(self, case: Case, make: Callable[[], Layer]) -> int:
        """Return the largest batch whose step of the layer fits, to within an eighth."""

        def fits(tokens: int) -> bool:
            def made() -> Callable[[], torch.Tensor]:
                return step_of(make, inputs(self.place, self.model, case, tokens))()

            return self.place.fits(made)

        most = case.tokens[0]
        while most < MOST_TOKENS and fits(2 * most):
            most *= 2
        for part in (2, 4, 8):
            if most < MOST_TOKENS and fits(most + most // part):
                most += most // part
        return most

    def phases(self, case: Case, tokens: int) -> Iterator[list[Cell]]:
        """Measure the phases of both layers."""
        given = inputs(self.place, self.model, case, tokens)
        for name, make in zip(("static", "dynamic"), self.both(), strict=True):
            self.place.tidy()
            layer = make()
            for _ in range(3):
                layer(*given)
            layer.clock = PhaseClock(self.place.device)
            for _ in range(5):
                layer(*given)
            took = layer.clock.seconds()
            yield [case.name, tokens, name, *(1e3 * median(took[phase]) for phase in PHASES)]


def step_of(
    make: Callable[[], Layer],
    given: Inputs,
    period: Period | None = None,
    kept: Sequence[torch.Tensor | None] = (),
) -> Maker:
    """Return what makes a step: of the layer alone, or of the period that it is in."""

    def made() -> Callable[[], torch.Tensor]:
        layer = make()
        if period is None:
            return lambda: layer(*given)
        return lambda: period(given, kept, layer)

    return made


COLUMNS = [
    Column("tokens", ","),
    *(Column(name, ".3f") for name in ("static ms", "dynamic ms")),
    Column("ratio", ".2f"),
    *(Column(name, ".3f") for name in ("stack: static", "dynamic")),
    Column("ratio", ".2f"),
    *(Column(name, ".3f") for name in ("GB: static", "dynamic")),
    *(Column(name, ".2f") for name in ("ratio", "with weights")),
    Column("dropped %", ".1f"),
]


def table(model: Model, case: Case, rows: list[Row]) -> Table:
    """Return the table of a case, with the best throughput beside the published one."""
    notes = []
    for what in ("layer", "stack"):
        static, dynamic = (
            max(
                (row.tokens / step.seconds, row.tokens)
                for row in rows
                if (step := getattr(row, what)[gating]) is not None
            )
            for gating in range(2)
        )
        notes.append(
            f"{what}, best of all batches: static {static[0]:,.0f} tokens/s at {static[1]:,},"
            f" dynamic {dynamic[0]:,.0f} at {dynamic[1]:,}: {dynamic[0] / static[0]:.2f} times"
        )
    there = model.published
    activations = there.static_gb / there.dynamic_gb
    notes.append(
        f"published, {model.name} whole on eight V100s: throughput {case.published:g} times,"
        f" activations {activations:.2f} times, all memory up to {there.memory:g} times"
    )
    if any(step is None for row in rows for step in (*row.layer, *row.stack)):
        notes.append("where nothing stands, memory did not suffice")
    return Table(
        case.name, COLUMNS, [row.cells(model.weights_gb) for row in rows], "\n".join(notes)
    )


def measure(place: Place, model: Model, cases: Sequence[Case], share: int) -> list[list[Cell]]:
    """Print the tables of one model, and return where its time goes."""
    waste = waste_factor(model.experts, model.capacity_factor, TOP_K)
    print(
        f"\n{model.name}: {model.experts} experts of {model.hidden} x {model.inner}, top-{TOP_K},"
        f" capacity factor {model.capacity_factor:g}, waste factor {waste:g}"
    )
    bench = Bench(place, model.share(share))
    went: list[list[Cell]] = []
    for case in cases:
        rows = list(bench.rows(case))
        print()
        print_tables([table(model, case, rows)])
        went += bench.phases(case, max(row.tokens for row in rows if row.layer[0] is not None))
    if place.cuda:
        static, dynamic = (bench.most_tokens(cases[0], make) for make in bench.both())
        print(
            f"\n{model.name}, largest batch of a layer: static {static:,} tokens,"
            f" dynamic {dynamic:,}: {dynamic / static:.1f} times;"
            f" published, whole model: {model.published.largest_batch:g} times"
        )
    return went


def main() -> None:
    """Measure all models."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    best = "cuda" if torch.cuda.is_available() else "cpu"
    parser.add_argument("--device", choices=["cuda", "cpu"], default=best)
    parser.add_argument("--small", action="store_true", help="tiny shapes and batches")
    parser.add_argument(
        "--experts-share",
        type=int,
        default=1,
        choices=[1, 2, 4, 8],
        metavar="RANKS",
        help="only the experts of one of so many ranks, with rows as from all of them",
    )
    asked = parser.parse_args()
    place = Place(asked.device)
    print(place)
    if asked.experts_share > 1:
        print(f"one of {asked.experts_share} ranks: its part of the experts, rows as from all")
    went: list[list[Cell]] = []
    with torch.no_grad():
        for model, cases in CASES.items():
            if asked.small:
                model, cases = model.small(), [case.small() for case in cases]
            went += measure(place, model, cases, asked.experts_share)
    names = [Column("case"), Column("tokens", ","), Column("gating")]
    phases = [Column(f"{phase} ms", ".3f") for phase in PHASES]
    print()
    print_tables([Table("Where the layer's time goes", [*names, *phases], went)])


if __name__ == "__main__":
    main()
