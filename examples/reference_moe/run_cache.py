"""Run the reference model with a cache of its experts, and compare the stall with a prediction.

    python examples/reference_moe/run_cache.py --device cpu --expert-copies 16
    python examples/reference_moe/run_cache.py --device cuda --expert-copies 640

With cuda, GPU memory is filled from pinned host memory; with cpu, host memory from a file. The
stall is what a run takes longer than the one just before it with all experts resident. The file is
written into a temporary folder of the working directory, and asks for Linux.
"""

from __future__ import annotations

import argparse
import gc
import os
import platform
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import NamedTuple

import numpy as np
import torch
import weights
from cache_links import Link, link_to, packed, strip
from cache_timing import Observed, fit, observe, passes, predict
from device_cache import DeviceCache, Script, decode, script_of
from index import SHIPPED
from model import Model, Routing
from torch import Tensor

from moeopt.buffering.from_trace import buffering_problem
from moeopt.buffering.plan import BufferingPlan, evaluate, violations
from moeopt.buffering.problem import BufferingProblem
from moeopt.buffering.replays import policy_plan
from moeopt.library import trace_path
from moeopt.traces import RoutingTrace, read_trace


@dataclass(frozen=True)
class Case:
    """A cache that is run: what a policy does with so many slots for each layer."""

    policy: str
    slots: int
    problem: BufferingProblem
    plan: BufferingPlan
    script: Script


class Run(NamedTuple):
    """What came of one run: its cache, when it began and ended, and the logits."""

    cache: DeviceCache
    begin: float
    end: float
    logits: Tensor

    @property
    def seconds(self) -> float:
        """Return how long it took."""
        return self.end - self.begin


class Row(NamedTuple):
    """A case's figures: the stall of every run, the median of its waits, the prediction."""

    case: Case
    stalls_s: list[float]
    waited_s: float
    predicted_s: float


class Options(NamedTuple):
    """What the command line says."""

    device: str
    slots: list[int]
    policy: list[str]
    tokens: int
    expert_copies: int
    repeats: int


def case_of(trace: RoutingTrace, policy: str, slots: int) -> Case:
    """Return a cache for a recorded text.

    Parameters
    ----------
    trace
        What the model asks for, token by token.
    policy
        Name, as in `moeopt.buffering.policies`.
    slots
        Experts of each layer that fit.
    """
    problem = buffering_problem(trace, slots=slots)
    plan = policy_plan(problem, policy)
    if found := violations(problem, plan):
        raise RuntimeError(f"{policy} broke {found[0]}")
    return Case(policy, slots, problem, plan, script_of(problem, plan))


def all_resident(trace: RoutingTrace) -> Case:
    """Return the cache that holds every expert from the start.

    Parameters
    ----------
    trace
        As for `case_of`.
    """
    layers, experts = trace.num_layers, trace.num_experts
    problem = buffering_problem(
        trace,
        slots=experts,
        pinned=np.argwhere(np.ones((layers, experts), np.bool_)),
    )
    nothing = np.empty(0, np.int64)
    plan = BufferingPlan(
        capacity=np.full(layers, experts),
        load_at=nothing,
        load_item=nothing,
        drop_at=nothing,
        drop_item=nothing,
    )
    return Case("", experts, problem, plan, script_of(problem, plan))


def run(model: Model, tokens: Tensor, case: Case, link: Link) -> Run:
    """Run a model over a text with a cache.

    Parameters
    ----------
    model, tokens
        As in `decode`.
    case
        What the cache does.
    link
        Where experts come from.
    """
    cache = DeviceCache(case.script, link, case.problem.num_experts)
    with cache.serving(model), no_collection():
        link.finish()
        begin = time.perf_counter()
        logits, _ = decode(model, tokens)
        link.finish()
        end = time.perf_counter()
    if len(cache.begun) != len(case.script.items):
        raise RuntimeError("the model asked for less than was recorded")
    return Run(cache, begin, end, logits)


@contextmanager
def no_collection() -> Iterator[None]:
    """Keep Python from looking for garbage at times of its own choice."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


class Measured(NamedTuple):
    """Runs with everything resident and then with a cache, by case, and transfers alone."""

    pairs: list[list[tuple[Run, Run]]]
    observed: Observed


def measure(
    model: Model,
    tokens: Tensor,
    expected: Tensor,
    cases: Sequence[Case],
    link: Link,
    given: Options,
) -> Measured:
    """Time transfers alone, then run every case; and again, as often as is asked for.

    Parameters
    ----------
    model, tokens
        As in `decode`.
    expected
        The logits that every run must give, to the last bit.
    cases
        Everything resident, and the caches.
    link
        Where experts come from.
    given
        With `repeats` and `expert_copies`.
    """
    items = model.config.layers * model.config.experts
    attention = model.layers()[0].attention
    some = model.embedding[tokens[:1]][None]
    resident, *caches = cases
    pairs: list[list[tuple[Run, Run]]] = [[] for _ in caches]
    observed: Observed = defaultdict(list)
    for number in range(given.repeats):
        # What is done first is slower, and does not count.
        run(model, tokens, resident, link)
        found = observe(
            link, given.expert_copies, items, lambda: attention(some, None, False), number
        )
        for key, seconds in found.items():
            observed[key] += seconds
        for case, past in zip(caches, pairs, strict=True):
            pair = (run(model, tokens, resident, link), run(model, tokens, case, link))
            if not all(torch.equal(one.logits, expected) for one in pair):
                raise RuntimeError(f"{case.policy}, {case.slots} slots: other logits")
            past.append(pair)
    return Measured(pairs, observed)


def compare(cases: Sequence[Case], measured: Measured, link: Link) -> list[str]:
    """Return what to say of the runs of everything resident, the first case, and of the others.

    Parameters
    ----------
    cases, measured, link
        What was run, what came of it, and where the experts came from.
    """
    times = fit(measured.observed)
    resident = [base for pairs in measured.pairs for base, _ in pairs]
    split = [passes(one.cache, cases[0].problem, one.begin, one.end) for one in resident]
    before_s, experts_s = (np.median([part[k] for part in split], 0) for k in (0, 1))
    apart, beside = before_s, experts_s
    if not link.overlaps:
        apart, beside = before_s + experts_s, np.zeros_like(experts_s)
    rows = []
    for case, pairs in zip(cases[1:], measured.pairs, strict=True):
        foreseen = predict(case.problem, case.plan, times, link.expert_bytes, apart, beside)
        waited = median(one.cache.waited_s for _, one in pairs)
        stalls = [one.seconds - base.seconds for base, one in pairs]
        rows.append(Row(case, stalls, waited, foreseen.stall_s))
    totals = [one.seconds for one in resident]
    return [
        f"transfers: {times.bytes_per_s / 1e9:.2f} GB/s and {1e6 * times.each_s:.1f} us each,"
        f" after {1e6 * times.latency_s:.1f} us to begin",
        f"all resident: {median(totals):.3f} s ({min(totals):.3f} to {max(totals):.3f}); in a pass"
        f" of a layer {1e6 * before_s.mean():.0f} us before its first expert runs and"
        f" {1e6 * experts_s.mean():.0f} us from then on",
        *table(rows),
    ]


def table(rows: Sequence[Row]) -> list[str]:
    """Return the lines of a table of rows.

    Parameters
    ----------
    rows
        Its figures.
    """
    lines = [
        "policy         slots  spare  hit rate  loads  predicted s  stall s          from to"
        "  ratio  in waits"
    ]
    for case, stalls, waited, predicted in rows:
        value = evaluate(case.problem, case.plan)
        ratio = f"{median(stalls) / predicted:5.2f}" if predicted else "    -"
        spare = max(0, case.script.num_slots - int(case.plan.capacity.sum()))
        lines.append(
            f"{case.policy:13}  {case.slots:5}  {spare:5}  {value.hit_rate:8.3f}"
            f"  {value.loads:5}  {predicted:11.3f}  {median(stalls):7.3f}"
            f"  {min(stalls):7.3f} {max(stalls):7.3f}  {ratio}  {waited:8.3f}"
        )
    return lines


def main() -> None:
    """Measure, predict and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--slots", type=int, nargs="+", default=[8, 16, 32], help="a layer's")
    parser.add_argument("--policy", nargs="+", default=["inactive_lifo", "lru", "learned"])
    parser.add_argument("--tokens", type=int, default=64, help="of the held-out trace's text")
    parser.add_argument(
        "--expert-copies", type=int, default=1, help="move each expert so many times over"
    )
    parser.add_argument("--repeats", type=int, default=3, help="runs of each cache")
    options = Options(**vars(parser.parse_args()))
    if options.device == "cuda":
        compute_alike()
    # Not where temporary files are: these may be in memory.
    with tempfile.TemporaryDirectory(dir=".") as folder:
        print(*report(options, Path(folder)), sep="\n")


def compute_alike() -> None:
    """Let a GPU take sums in a fixed order, so that logits can be compared to the last bit."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True)
    torch.utils.deterministic.fill_uninitialized_memory = False


def report(given: Options, folder: Path) -> list[str]:
    """Return what `main` prints.

    Parameters
    ----------
    given
        The command line's options.
    folder
        Where the file of experts may be.
    """
    model = weights.load(SHIPPED / "weights.safetensors", given.device)
    text = read_trace(trace_path("reference-held-out")).token_ids
    assert text is not None
    tokens = torch.from_numpy(text[: given.tokens].astype(np.int64)).to(given.device)
    expected, routings = decode(model, tokens)
    trace = trace_of(model, routings)

    experts = packed(model)
    strip(model)
    cases = [all_resident(trace)]
    for policy in given.policy:
        cases += [case_of(trace, policy, slots) for slots in given.slots]
    link = link_to(
        given.device,
        folder,
        experts=experts,
        width=model.config.width,
        copies=given.expert_copies,
        slots=max(case.script.num_slots for case in cases),
    )
    with closing(link):
        measured = measure(model, tokens, expected, cases, link, given)
    machine = torch.cuda.get_device_name() if given.device == "cuda" else platform.machine()
    return [
        f"{machine}, Python {platform.python_version()}, PyTorch {torch.__version__};"
        f" experts from {link.name}",
        f"{len(tokens)} tokens one by one; an expert of {link.expert_bytes:,} bytes:"
        f" {given.expert_copies} times its own {4 * experts.shape[1]:,}",
        *compare(cases, measured, link),
        "logits of all runs: the same to the last bit",
    ]


def trace_of(model: Model, routings: Sequence[Sequence[Routing]]) -> RoutingTrace:
    """Return what `decode` found as a trace.

    Parameters
    ----------
    model
        What was run.
    routings
        Of each token, by layer.
    """
    ids = torch.stack([torch.cat([layer.ids[0] for layer in token]) for token in routings])
    whole, rest = divmod(len(ids), model.config.context)
    return RoutingTrace(
        ids.cpu().numpy(),
        sequence_lengths=np.array([model.config.context] * whole + [rest] * (rest > 0)),
        experts=model.config.experts,
    )


if __name__ == "__main__":
    main()
