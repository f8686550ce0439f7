"""The worked examples of arXiv 2501.05313's formulas, mended, beside what the library computes.

Where a formula is misprinted the printed one stands here too: nothing else computes it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import msgspec
import numpy as np

from moeopt.bench.registry import Figure, Report
from moeopt.core.arrays import FloatArray
from moeopt.core.table import Cell, Column, Table
from moeopt.describe.pricing import MB_PER_GB, price_book
from moeopt.popularity.prediction import CountTable
from moeopt.popularity.predictors import Predictor
from moeopt.serverless.bayes_search import Epsilons
from moeopt.serverless.bayes_trials import Measured
from moeopt.serverless.designs import Clock, best_blocks, blocks_of
from moeopt.serverless.generate import deployed
from moeopt.serverless.knapsack import Front, choose, undominated
from moeopt.serverless.ods import ods_select
from moeopt.serverless.plan import ServerlessPlan, evaluate, violations
from moeopt.serverless.problem import ServerlessProblem

#: Constants of the table of E1: bytes of a token each way, bandwidth, delay, start, computing.
TOKEN_BYTES, RATE, DELAY_S, HEAD_S, COMPUTE_S = 3072.0, 65e6, 0.08, 1.2, 1e-3

#: Its pipeline degrees for 500 tokens, and (6) mended and as printed.
DEGREES = (1, 10, 50, 100, 250, 500)
MENDED = ("41.80", "5.804", "2.606", "2.208", "1.975", "1.907")
PRINTED = ("1.385", "2.187", "7.899", "19.75", "86.73", "303.1")

#: Seconds by which ``n`` minibatches are slower than one, by tokens of the replica and ``n``.
SLOWER = {
    500: {2: "0.0682", 5: "0.3011", 10: "0.6987", 50: "3.8968", 500: "39.8964"},
    20_000: {2: "-0.3926", 3: "-0.4702", 4: "-0.4689", 5: "-0.4362"},
}

#: Dollars of a second by memory, in units of 1e-6, and virtual CPUs.
SECOND_USD = {128: "2.083", 768: "12.50", 1769: "28.79", 3008: "48.96", 3072: "50.00",
              10240: "166.7"}  # fmt: skip
VCPUS = {128: "0.072", 768: "0.434", 1769: "1.00", 3008: "1.70", 3072: "1.74", 10240: "5.79"}

#: Two matrices of cost and latency by layer and design, each with its limit: ODS loses a third,
#: and ODS finds nothing.
LOSES = (((1, 4), (4, 2), (2, 2)), ((4, 2), (1, 5), (3, 1))), 8.0
FAILS = (((9, 2), (4, 1), (1, 2)), ((2, 3), (1, 4), (8, 3))), 4.0


@dataclass(frozen=True)
class Identity:
    """A number that is known, and the same computed.

    Attributes
    ----------
    name
        What it is.
    expected
        As it is known, with as many digits.
    value
        As the library computes it.
    """

    name: str
    expected: str
    value: float

    @property
    def computed(self) -> str:
        """The value with the digits of what is expected."""
        return format(self.value, f".{len(self.expected.partition('.')[2])}f")


def run() -> Report:
    """Compute every identity."""
    found = list(identities())
    rows: list[list[Cell]] = [[one.name, one.expected, one.computed] for one in found]
    columns = [Column(name) for name in ("identity", "expected", "computed")]
    differ = sum(one.expected != one.computed for one in found)
    return Report(
        [Table("Identities of the paper's formulas", columns, rows)],
        [Figure(f"identities that differ, of {len(found)}", differ, 0, "d")],
        {"identities": {one.name: [one.expected, one.value] for one in found}},
    )


def identities() -> Iterator[Identity]:
    """Return all of them."""
    yield from _pipelining()
    yield from _selectors()
    yield from _payload()
    yield from _replicas()
    yield from _predictor()
    yield from _ods()
    yield from _epsilon()
    yield from _prices()


def _clock() -> Clock:
    each_s = TOKEN_BYTES / RATE
    return Clock(
        input_storage_s=each_s, output_storage_s=each_s, input_direct_s=each_s,
        output_direct_s=each_s, delay_s=DELAY_S, load_s=0.0,
    )  # fmt: skip


def _working_s(design: int, share: float, blocks: FloatArray) -> float:
    head_s, compute_s = np.array(HEAD_S), np.array(COMPUTE_S)
    return float(_clock().working_s(design, head_s, np.array(share), blocks, compute_s))


def _pipelining() -> Iterator[Identity]:
    for degree, mended, printed in zip(DEGREES, MENDED, PRINTED, strict=True):
        blocks = blocks_of(np.array(500.0), degree)
        yield Identity(f"(6) mended (E1), degree {degree}, s", mended, _working_s(1, 500, blocks))
        yield Identity(f"(6) as printed, degree {degree}, s", printed, _printed_s(500, degree))
    once = np.array(1.0)
    yield Identity("design 2 of the same tokens, s", "1.9073", _working_s(2, 500, once))
    yield Identity("design 1 with one minibatch, s", "1.9073", _working_s(1, 500, once))
    for tokens, slower in SLOWER.items():
        for n, seconds in slower.items():
            late = _working_s(1, tokens, np.array(float(n))) - _working_s(2, tokens, once)
            yield Identity(f"{n} minibatches over design 2, {tokens} tokens, s", seconds, late)
    each_s = TOKEN_BYTES / RATE
    yield Identity("best minibatches of 20000 tokens", "3.44", best_blocks(20_000, each_s, DELAY_S))
    yield Identity("tokens from which 2 minibatches pay", "3385.4", 2 * DELAY_S / each_s)
    even = _working_s(1, 2 * DELAY_S / each_s, np.array(2.0))
    alone = _working_s(1, 2 * DELAY_S / each_s, once)
    yield Identity("what 2 minibatches cost just there, s", "0.0000", abs(even - alone))


def _printed_s(share: float, degree: int) -> float:
    """Return (6) as printed: the block times the degree, the tail times the minibatches."""
    each_s = TOKEN_BYTES / RATE
    block_s = DELAY_S + degree * max(each_s + COMPUTE_S, each_s)
    tail_s = DELAY_S + np.ceil(share / degree) * each_s
    return float(HEAD_S + tail_s + degree * block_s)


def _selectors() -> Iterator[Identity]:
    """Return E2's selectors for costs 1, 10 and 100 of the designs."""
    for a, mended, printed in ((1, "1", "2"), (2, "10", "-10"), (3, "100", "200")):
        first, second, third = (a - 2) * (a - 3), (a - 1) * (a - 3) * 10, (a - 1) * (a - 2) * 100
        yield Identity(f"selector mended (E2), a = {a}", mended, first / 2 - second + third / 2)
        yield Identity(f"selector as printed, a = {a}", printed, first + second + third)


def _payload() -> Iterator[Identity]:
    """Return with how many replicas 10,240 tokens of 3,072 bytes may be sent, by design (E3)."""
    problem = deployed("gpt2-moe", load="uniform", tokens=4 * 10_240)
    layers = tuple(
        msgspec.structs.replace(layer, tokens=np.full(4, 10_240.0)) for layer in problem.layers
    )
    problem = msgspec.structs.replace(problem, layers=layers, generator=None)
    for design, expected in ((2, "1"), (3, "7")):
        too_large = [
            any(broken.constraint == "C4" for broken in violations(problem, plan))
            for plan in _by_replicas(problem, design)
        ]
        name = f"replicas that the payload asks for (E3), design {design}"
        yield Identity(name, expected, 1.0 + too_large.index(False))


def _replicas() -> Iterator[Identity]:
    """Return what another replica costs over its head: ``T^h M``, through storage 2 delays more."""
    problem = deployed("gpt2-moe", bill="paper")
    expert, network = problem.expert_of(0), problem.network
    head_s = expert.parameter_bytes / network.storage_bytes_per_s
    head_s += network.access_delay_s + network.warm_start_s
    for design, delays in ((2, 2), (3, 0)):
        again_s = head_s + delays * network.access_delay_s
        plans = _by_replicas(problem, design)
        usd = np.array([evaluate(problem, plan).expert_usd[0, 0] for plan in plans])
        more = np.diff(usd) / (again_s * problem.usd_per_s()[-1])
        name = f"a replica's cost over its head's, design {design}"
        yield Identity(f"{name}, least", "1.0000", float(more.min()))
        yield Identity(f"{name}, most", "1.0000", float(more.max()))


def _by_replicas(problem: ServerlessProblem, design: int) -> list[ServerlessPlan]:
    """Return plans of the largest memory with 1, 2 and more replicas of every expert."""
    shape = (problem.num_layers, problem.num_experts)
    return [
        ServerlessPlan(
            design=np.full(shape[0], design),
            pipeline_degree=np.zeros(shape[0], dtype=np.int64),
            memory_mb=np.full(shape, problem.memory_mb[-1]),
            replicas=np.full(shape, replicas),
        )
        for replicas in range(1, problem.max_replicas + 1)
    ]


def _predictor() -> Iterator[Identity]:
    """Return the votes of 5 and 1 tokens of one attention ID, 1 and 3 of another."""
    table = CountTable(
        layer=np.zeros(4, dtype=np.int64),
        token=np.zeros(4, dtype=np.int64),
        attention=np.array([1, 1, 2, 2]),
        expert=np.array([0, 1, 0, 1]),
        count=np.array([5.0, 1.0, 1.0, 3.0]),
        experts=(2,),
    )
    predictor, token = Predictor(table), np.zeros(1, dtype=np.int64)
    for shares, expected in (((0.5, 0.5), "1.5000"), ((0.2, 0.8), "0.6923")):
        votes = predictor.posterior(token, np.array([0.0, *shares]))[0].share[0]
        name = f"votes, first expert over second, attention {shares[0]} and {shares[1]}"
        yield Identity(name, expected, float(votes[0] / votes[1]))
    alike = predictor.posterior(token)[0].share[0]
    yield Identity("the same by token ID alone", "1.5000", float(alike[0] / alike[1]))


def _ods() -> Iterator[Identity]:
    """Return Algorithm 1 (E4 mended) and the optimum, where they differ."""
    cost, latency = np.moveaxis(np.array(LOSES[0], dtype=np.float64), -1, 0)
    chosen = ods_select(cost, latency, LOSES[1]).design
    assert chosen is not None
    yield Identity("ODS, cost", "4", float(cost[[0, 1], chosen].sum()))
    yield Identity("ODS, latency", "5", float(latency[[0, 1], chosen].sum()))
    for name, (entries, limit), usd, seconds in (
        ("optimum", LOSES, "3", "7"),
        ("optimum where ODS finds nothing", FAILS, "6", "4"),
    ):
        cost, latency = np.moveaxis(np.array(entries, dtype=np.float64), -1, 0)
        fronts = [_front(*layer) for layer in zip(latency, cost, strict=True)]
        best = choose(fronts, limit, 0.0)
        assert best is not None
        spent = sum(f.latency_s[p] for f, p in zip(fronts, best.point.tolist(), strict=True))
        yield Identity(f"{name}, cost", usd, best.cost_usd)
        yield Identity(f"{name}, latency", seconds, float(spent))
    cost, latency = np.moveaxis(np.array(FAILS[0], dtype=np.float64), -1, 0)
    found = ods_select(cost, latency, FAILS[1])
    yield Identity("ODS there finds a choice within the limit", "0", found.design is not None)


def _front(latency: FloatArray, cost: FloatArray) -> Front:
    kept = undominated(latency, cost)
    return Front(latency_s=latency[kept], cost_usd=cost[kept])


def _epsilon() -> Iterator[Identity]:
    """Return the slow share of exploration (E6, E7) with rho 0.5 and rho_1 0.3."""
    overrun = Measured(cost_usd=0.0, over_memory=True)
    for evaluations, expected in ((1, "0.867"), (10, "0.667"), (100, "0.608"), (10_000, "0.600")):
        share, _ = Epsilons(start=1.0, decay=0.5, memory=0.3).after(evaluations, overrun)
        yield Identity(f"epsilon after {evaluations} memory overruns", expected, share)


def _prices() -> Iterator[Identity]:
    book = price_book("aws-lambda")
    for mb, expected in SECOND_USD.items():
        usd = book.function_prices("x86").usd_per_gb_s() * mb / MB_PER_GB
        yield Identity(f"a second of {mb} MB, 1e-6 USD", expected, usd * 1e6)
    for mb, expected in VCPUS.items():
        yield Identity(f"virtual CPUs of {mb} MB", expected, float(book.limits.vcpus(mb)))
    for token, raw, encoded in ((3072, "2048", "1536"), (1536, "4096", "3072"),
                                (6400, "983", "737")):  # fmt: skip
        limits = book.limits
        yield Identity(f"tokens of {token} B in a payload", raw, limits.payload_bytes // token)
        yield Identity(f"tokens of {token} B in it as base64", encoded,
                       limits.tensor_payload_bytes // token)  # fmt: skip
