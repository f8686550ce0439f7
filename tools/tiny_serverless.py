"""Tiny serverless problems: one for each rule, with the optimum, and some that have no plan.

A second of 1,024 MB costs one dollar, and nothing else is billed unless said otherwise. A start
takes a second, an access to storage no time, a token a second of an expert on 1,024 MB, and a MB a
second on its way; experts have no parameters, tokens no bytes, and design 2 alone is allowed. So
`r` tokens take ``1 + r`` seconds of a replica and of a layer, and sums can be done by hand. The
optimum of each is found again by brute force in the tests, once with the rule and once without.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from moeopt.describe.pricing import (
    DurationTier,
    FunctionPrices,
    PlatformLimits,
    PriceBook,
    StoragePrices,
)
from moeopt.serverless.problem import (
    Billing,
    ExpertFunction,
    MemoryTable,
    Network,
    ServerlessLayer,
    ServerlessProblem,
    VcpuModel,
    paper_costs,
)

Fields = dict[str, Any]

MB = 2**20

#: Design 1, a token's input and output taking a second each, as long as an access to storage.
_PIPELINED: Fields = {"token_mb": (1, 1), "network": {"access_delay_s": 1.0}, "designs": (1,)}

#: What the paper bills: nothing but time.
_TIME = paper_costs()


def known() -> Iterator[tuple[ServerlessProblem, float]]:
    """Yield each tiny problem with its least objective."""
    yield from _rules()
    yield from _communication()
    yield from _bills()
    yield from _batches()


def infeasible() -> Iterator[tuple[ServerlessProblem, str]]:
    """Yield problems that no plan can meet, each for one reason, with the constraint's label."""
    large: Fields = {"token_mb": (128, 128), "expert": {"intermediate_bytes": 600 * MB}}
    yield (
        _problem(
            "infeasible-memory",
            "2 of 4 tokens, 256 MB each in and out, beside 600 MB, in 1024",
            [[4]],
            max_replicas=2,
            **large,
        ),
        "C3",
    )
    yield (
        _problem(
            "infeasible-memory-in-one-batch",
            "a token of the first batch fits, 2 of the second do not",
            [[[1], [2]]],
            **large,
        ),
        "C3",
    )
    yield (
        _problem(
            "infeasible-payload",
            "3 tokens of 1 MB each for a replica, 2 MB in a call, and only design 3 is allowed",
            [[6]],
            token_mb=(1, 1),
            max_replicas=2,
            designs=(3,),
            payload_bytes=2 * MB,
        ),
        "C4",
    )
    yield (
        _problem(
            "infeasible-timeout",
            "a call takes 1 + 5 seconds at best, and may take 5",
            [[10]],
            max_replicas=2,
            limits={"timeout_s": 5.0},
        ),
        "C5",
    )
    yield (
        _problem(
            "infeasible-every-way",
            "4 tokens of 1 MB: design 3 takes 9 of 10 seconds, but 3 MB in a call; design 2 takes"
            " 13 seconds",
            [[4]],
            token_mb=(1, 1),
            designs=(2, 3),
            payload_bytes=3 * MB,
            limits={"timeout_s": 10.0},
        ),
        "C5",
    )
    yield (
        _problem(
            "infeasible-promise",
            "1 + 2 seconds at best, for 2 * (1 + 2) dollars; 2 are promised",
            [[4]],
            max_replicas=2,
            slo_s=2.0,
        ),
        "C6",
    )
    yield (
        _problem(
            "infeasible-cold-start",
            "warm it takes 1 + 4 seconds as promised, but a cold start takes 3 more",
            [[4]],
            network={"cold_start_s": 3.0},
            slo_start="cold",
            slo_s=5.0,
        ),
        "C6",
    )
    yield (
        _problem(
            "infeasible-one-degree",
            "2 tokens one by one take 13 seconds and 6 two by two 28; with one degree for both it"
            " is 13 + 29 or 14 + 28",
            [[2], [6]],
            pipeline_degree="model",
            slo_s=41.5,
            **_PIPELINED,
        ),
        "C6",
    )


def _problem(
    name: str,
    why: str,
    tokens: Sequence[Any],
    *,
    seconds: Sequence[float] = (1.0,),
    token_mb: tuple[float, float] = (0, 0),
    **stated: Any,
) -> ServerlessProblem:
    """Return a problem.

    Parameters
    ----------
    name, why
        Its name, and the sum that gives the optimum.
    tokens
        Of each layer.
    seconds
        Of a token, for each memory size.
    token_mb
        A token's input and output.
    stated
        Fields of the problem. ``expert``, ``network``, ``layer``, ``limits`` and ``book`` hold
        fields of the records of these names that are not as described above.
    """
    limits: Fields = {"mb_per_vcpu": 1024.0, "payload_bytes": 2**40, "timeout_s": 1e6}
    book: Fields = {
        "functions": {"x86": FunctionPrices(duration=(DurationTier(usd_per_gb_s=1.0),))},
        "storage": {"s3-standard": StoragePrices()},
        "limits": PlatformLimits(**limits | stated.pop("limits", {})),
    }
    network: Fields = {
        "storage_bytes_per_s": MB,
        "function_bytes_per_s": MB,
        "warm_start_s": 1.0,
    }
    expert: Fields = {
        "parameter_bytes": 0,
        "input_bytes_per_token": token_mb[0] * MB,
        "output_bytes_per_token": token_mb[1] * MB,
        "compute": MemoryTable(seconds_per_token=tuple(seconds)),
    }
    layer: Fields = stated.pop("layer", {})
    usual: Fields = {"memory_mb": (1024,), "designs": (2,), "billing": _TIME}
    return ServerlessProblem(
        name=name,
        source=f"made by hand: {why}",
        layers=tuple(
            ServerlessLayer(tokens=np.array(one, dtype=np.float64), **layer) for one in tokens
        ),
        prices=PriceBook(name="a dollar", **book | stated.pop("book", {})),
        network=Network(**network | stated.pop("network", {})),
        expert=ExpertFunction(**expert | stated.pop("expert", {})),
        **usual | stated,
    )


def _rules() -> Iterator[tuple[ServerlessProblem, float]]:
    yield (
        _problem(
            "tiny-sizes",
            "6 tokens in 5 seconds: 2048 MB take 1 + 3, 2 * 4 dollars; 1536 MB would take 1 + 4,"
            " 1.5 * 5 dollars",
            [[6]],
            memory_mb=(1024, 2048),
            expert={"compute": VcpuModel(seconds_per_token=1.0, most_vcpus=2.0)},
            slo_s=5.0,
        ),
        8,
    )
    yield (
        _problem(
            "tiny-replicas",
            "12 tokens in 5 seconds: 2 replicas of 2048 MB, 4 * (1 + 3.6); with a third of 1024"
            " MB 3 * (1 + 4)",
            [[12]],
            memory_mb=(1024, 2048),
            seconds=(1.0, 0.6),
            max_replicas=2,
            slo_s=5.0,
        ),
        18.4,
    )
    yield (
        _problem(
            "tiny-memory",
            "4 tokens of 128 MB beside 768 MB need a second replica, 2 * (1 + 6), or 2048 MB,"
            " 2 * 13; alone 1 + 12",
            [[4]],
            memory_mb=(1024, 2048),
            seconds=(1.0, 1.0),
            token_mb=(64, 64),
            network={"storage_bytes_per_s": 64 * MB},
            expert={"intermediate_bytes": 768 * MB},
            max_replicas=2,
        ),
        14,
    )
    yield (
        _problem(
            "tiny-payload",
            "6 tokens of 1 MB, 3 MB in a call: 2 replicas, 2 * (1 + 6), for design 2 takes 1 + 18;"
            " in one call 1 + 12",
            [[6]],
            token_mb=(1, 1),
            designs=(2, 3),
            max_replicas=2,
            payload_bytes=3 * MB,
        ),
        14,
    )
    yield (
        _problem(
            "tiny-timeout",
            "a call may take 5 seconds: 2 * (1 + 4); else 1 + 8",
            [[8]],
            max_replicas=2,
            limits={"timeout_s": 5.0},
        ),
        10,
    )
    yield (
        _problem(
            "tiny-promise",
            "6 tokens in 5 seconds: 2 * (1 + 3); without the promise 1 + 6",
            [[6]],
            max_replicas=2,
            slo_s=5.0,
        ),
        8,
    )
    yield (
        _problem(
            "tiny-one-degree",
            "n minibatches of r tokens take 3 + r / n + n + 2 r seconds: 4 tokens are best in 2, 16"
            " in 4, 15 + 43; a degree of 3 for both makes 6 of 16, 15 + 43.667",
            [[4], [16]],
            pipeline_degree="model",
            **_PIPELINED,
        ),
        58 + 2 / 3,
    )
    yield (
        _problem(
            "tiny-designs",
            "4 tokens of 1 MB one by one through storage: 1 + 8 + 1; design 3 would take 1 + 8",
            [[4]],
            token_mb=(1, 1),
            designs=(1, 2),
        ),
        10,
    )


def _communication() -> Iterator[tuple[ServerlessProblem, float]]:
    yield (
        _problem(
            "tiny-pipelining",
            "2 minibatches of 4 tokens take 2 + 1 + 2 + 2 * (1 + 4); in one 2 + 2 + 12",
            [[4]],
            **_PIPELINED | {"designs": (1, 2)},
        ),
        15,
    )
    yield (
        _problem(
            "tiny-hidden-load",
            "13 seconds: by design 2 the next function's 11 seconds of start hide the upload and"
            " the work, 2 more gather, 1 + 6 dollars; design 3 costs 1 + 4, but ends at 7 + 11",
            [[2]],
            token_mb=(1, 1),
            designs=(2, 3),
            layer={"next_parameter_bytes": 10 * MB},
            slo_s=13.0,
        ),
        7,
    )
    yield (
        _problem(
            "tiny-two-layers",
            "5 + 9 seconds in 10: a second replica saves the second layer 4, the first one 2;"
            " 5 + 2 * 5",
            [[4], [8]],
            max_replicas=2,
            slo_s=10.0,
        ),
        15,
    )
    yield (
        _problem(
            "tiny-mixed-designs",
            "9 + 21 seconds by design 3, but only 4 tokens fit into a call: 1 + 8 and 1 + 30",
            [[4], [10]],
            token_mb=(1, 1),
            designs=(2, 3),
            payload_bytes=4 * MB,
        ),
        40,
    )


def _bills() -> Iterator[tuple[ServerlessProblem, float]]:
    yield (
        _problem(
            "tiny-storage-fees",
            "4 dollars to write, half a dollar to read: design 3 reads its parameters, 21 + 0.5;"
            " design 2 asks for 9 more, 13 + 9.5",
            [[4]],
            token_mb=(1, 1),
            designs=(2, 3),
            network={"function_bytes_per_s": MB / 4},
            book={"storage": {"s3-standard": StoragePrices(usd_per_put=4.0, usd_per_get=0.5)}},
            billing=_billed(storage=True),
        ),
        21.5,
    )
    yield (
        _problem(
            "tiny-requests",
            "a call costs 3 dollars: 2048 MB in one, 3 + 2 * 4, 1024 MB in two, 2 * (3 + 4); were"
            " it nothing, both 8",
            [[6]],
            memory_mb=(1024, 2048),
            seconds=(1.0, 0.5),
            max_replicas=2,
            book={"usd_per_request": 3.0},
            billing=_billed(requests=True),
            slo_s=5.0,
        ),
        11,
    )
    yield (
        _problem(
            "tiny-waiting",
            "design 2 waits 8 seconds for the upload, 8 + 3 and 8 + 21; design 3 takes 1 + 3.5 and"
            " 1 + 24.5; were waiting not billed, design 2 would be 4 + 22",
            [[1, 7]],
            token_mb=(1, 1),
            designs=(2, 3),
            network={"function_bytes_per_s": MB / 2.5},
            billing=_billed(waiting=True),
        ),
        30,
    )
    yield (
        _problem(
            "tiny-cold-starts",
            "every second start takes 4 seconds more: 1.75 * (1 + 2 + 3.6) once, against"
            " 2 * (1 + 2 + 3) for two; warm 1.75 * 4.6 against 2 * 4",
            [[6]],
            memory_mb=(1024, 1792),
            seconds=(1.0, 0.6),
            max_replicas=2,
            network={"cold_start_s": 4.0},
            billing=_billed(cold_starts=True, cold_share=0.5),
            slo_s=5.0,
        ),
        11.55,
    )
    yield (
        _problem(
            "tiny-rounding",
            "1 + 2.5 seconds are billed as 4",
            [[5]],
            seconds=(0.5,),
            book={"billing_step_s": 1.0},
            billing=_billed(rounding=True),
        ),
        4,
    )
    yield (
        _problem(
            "tiny-non-moe",
            "2 + 1 + 8 / 3 seconds of the other functions, and 3 * 1 + 8: with 2 or 4 replicas 17",
            [[8]],
            max_replicas=4,
            layer={"non_moe_s": 2.0},
            billing=_billed(non_moe_memory_mb=1024),
        ),
        16 + 2 / 3,
    )
    held = FunctionPrices(
        duration=(DurationTier(usd_per_gb_s=1.0),),
        provisioned_held_usd_per_gb_s=0.125,
        provisioned_running_usd_per_gb_s=0.5,
    )
    yield (
        _problem(
            "tiny-provisioned",
            "two functions held for 8 seconds run at half the price: 2 * (1 + 4 / 2)",
            [[6]],
            max_replicas=2,
            book={"functions": {"x86": held}},
            billing=_billed(provisioned_s=8.0),
            slo_s=5.0,
        ),
        6,
    )


def _batches() -> Iterator[tuple[ServerlessProblem, float]]:
    yield (
        _problem(
            "tiny-batches",
            "each expert has 6 tokens in one batch and 2 in the other, in 5 seconds: 2 replicas"
            " each, 2 * (2 + 4); for 4 tokens in each 2 * (1 + 4)",
            [[[2, 6], [6, 2]]],
            max_replicas=2,
            slo_s=5.0,
        ),
        12,
    )
    yield (
        _problem(
            "tiny-weights",
            "three of four batches have 2 tokens, the fourth 6: 0.75 * 3 + 0.25 * 7",
            [[[2], [6]]],
            scenario_weights=np.array([3.0, 1.0]),
        ),
        4,
    )
    yield (
        _problem("tiny-idle-expert", "an expert without tokens is not called: 1 + 4", [[4, 0]]),
        5,
    )
    yield (
        _problem(
            "tiny-cold-promise",
            "cold 2 + 1 + 6 seconds, promised are 7: 2 * (1 + 3); warm 1 + 6 would do",
            [[6]],
            max_replicas=2,
            network={"cold_start_s": 2.0},
            slo_start="cold",
            slo_s=7.0,
        ),
        8,
    )
    yield (
        _problem(
            "tiny-parameters",
            "experts of 1 and 3 MB are downloaded first: 1 + 1 + 2 and 1 + 3 + 2",
            [[2, 2]],
            layer={"parameter_bytes": np.array([MB, 3 * MB])},
        ),
        10,
    )


def _billed(**fields: Any) -> Billing:
    """Return a bill of time, and of what is named."""
    nothing = {
        name: False for name in ("requests", "storage", "cold_starts", "waiting", "rounding")
    }
    return Billing(**nothing | fields)
