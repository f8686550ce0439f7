"""Prices and limits of functions and storage, against published and derived figures."""

from __future__ import annotations

import re

import msgspec
import numpy as np
import pytest

from moeopt.core.errors import InstanceError
from moeopt.describe.presets import preset_names
from moeopt.describe.pricing import (
    DurationTier,
    FunctionPrices,
    PlatformLimits,
    PriceBook,
    StoragePrices,
    price_book,
)

LAMBDA = price_book("aws-lambda")


@pytest.mark.parametrize(
    ("memory_mb", "usd_per_s", "vcpus"),
    [
        (128, 2.083e-6, 0.072),
        (768, 1.250e-5, 0.434),
        (1769, 2.879e-5, 1.0),
        (3008, 4.896e-5, 1.70),
        (3072, 5.000e-5, 1.74),
        (10240, 1.667e-4, 5.79),
    ],
)
def test_a_second_of_each_size_on_x86(memory_mb: int, usd_per_s: float, vcpus: float) -> None:
    rate = LAMBDA.function_prices("x86").usd_per_gb_s()
    assert memory_mb / 1024 * rate == pytest.approx(usd_per_s, rel=5e-4)
    assert LAMBDA.limits.vcpus(memory_mb) == pytest.approx(vcpus, abs=0.005)


@pytest.mark.parametrize(
    ("width", "bytes_per_number", "raw", "base64"),
    [(768, 4, 2048, 1536), (768, 2, 4096, 3072), (1600, 4, 983, 737)],
)
def test_tokens_that_fit_into_a_call(
    width: int, bytes_per_number: int, raw: int, base64: int
) -> None:
    token = width * bytes_per_number
    assert LAMBDA.limits.payload_bytes == 6_291_456
    assert LAMBDA.limits.payload_bytes // token == raw
    assert LAMBDA.limits.tensor_payload_bytes // token == base64
    plain = msgspec.structs.replace(LAMBDA.limits, payload_is_json=False)
    assert plain.tensor_payload_bytes == plain.payload_bytes


@pytest.mark.parametrize(
    ("architecture", "used_gb_s", "usd"),
    [
        ("x86", 0, 0.0000166667),
        ("x86", 6e9 - 1, 0.0000166667),
        ("x86", 6e9, 0.000015),
        ("x86", 15e9, 0.0000133334),
        ("x86", 1e12, 0.0000133334),
        ("arm64", 0, 0.0000133334),
        ("arm64", 7.5e9, 0.0000120001),
        ("arm64", 18.75e9, 0.0000106667),
    ],
)
def test_tiers_of_a_month(architecture: str, used_gb_s: float, usd: float) -> None:
    assert LAMBDA.function_prices(architecture).usd_per_gb_s(used_gb_s) == usd


def test_requests_of_functions_and_of_storage() -> None:
    assert 1e6 * LAMBDA.usd_per_request == pytest.approx(0.20)
    standard, express = (LAMBDA.storage_prices(f"s3-{kind}") for kind in ("standard", "express"))
    assert 1000 * standard.usd_per_put == pytest.approx(0.005)
    assert 1000 * standard.usd_per_get == pytest.approx(0.0004)
    # One of each is 0.11 s of a function of 3,008 MB.
    second = 3008 / 1024 * LAMBDA.function_prices("x86").usd_per_gb_s()
    assert (standard.usd_per_put + standard.usd_per_get) / second == pytest.approx(0.11, abs=5e-4)
    assert 1000 * express.usd_per_put == pytest.approx(0.00113)
    assert express.usd_per_uploaded_gb > express.usd_per_retrieved_gb > 0
    assert standard.usd_per_uploaded_gb == standard.usd_per_retrieved_gb == 0
    assert standard.kept_usd(5e9, months=2) == pytest.approx(0.23)


def test_durations_are_rounded_up_to_a_millisecond() -> None:
    seconds = np.array([0.0, 0.0001, 0.001, 0.0011, 0.1 + 0.2, 1.9999])
    assert LAMBDA.billed_s(seconds) == pytest.approx([0, 0.001, 0.001, 0.002, 0.3, 2.0])
    free = msgspec.structs.replace(LAMBDA, billing_step_s=0.0)
    assert free.billed_s(seconds) is seconds


def test_ephemeral_storage_and_streams_cost_beyond_what_is_free() -> None:
    assert LAMBDA.ephemeral_usd_per_s(512) == LAMBDA.ephemeral_usd_per_s(100) == 0
    assert LAMBDA.ephemeral_usd_per_s(512 + 2048) == pytest.approx(2 * 3.09e-8)
    assert LAMBDA.streamed_usd(6_291_456) == 0
    assert LAMBDA.streamed_usd(6_291_456 + 5e8) == pytest.approx(0.004)


def test_provisioned_functions_cost_less_running_and_something_held() -> None:
    for architecture in ("x86", "arm64"):
        prices = LAMBDA.function_prices(architecture)
        held, running = (
            prices.provisioned_held_usd_per_gb_s,
            prices.provisioned_running_usd_per_gb_s,
        )
        assert held is not None
        assert running is not None
        assert 0 < held < running < prices.usd_per_gb_s()


def test_the_limits_are_lambda_s() -> None:
    limits = LAMBDA.limits
    assert (limits.least_memory_mb, limits.most_memory_mb, limits.memory_step_mb) == (128, 10240, 1)
    assert (limits.timeout_s, limits.init_s, limits.concurrency) == (900, 10, 1000)
    assert limits.image_bytes == 10 * 2**30
    assert LAMBDA.init_is_billed


def test_every_book_is_dated_and_says_where_its_figures_are_from() -> None:
    for name in preset_names("price_book"):
        book = price_book(name)
        assert re.fullmatch(r"\d{4}-\d{2}-\d{2}", book.date)
        assert {"functions", "requests", "limits", *book.storage} <= set(book.sources)
        assert all("https://" in source for source in book.sources.values())


def own_book() -> PriceBook:
    return PriceBook(
        name="my cluster",
        functions={"x86": FunctionPrices(duration=(DurationTier(usd_per_gb_s=1e-5),))},
        storage={"disk": StoragePrices()},
        limits=PlatformLimits(mb_per_vcpu=2048, payload_bytes=1_000_000, timeout_s=60),
    )


def test_a_book_of_one_s_own_goes_through_json() -> None:
    book = own_book()
    again = msgspec.json.decode(msgspec.json.encode(book), type=PriceBook)
    assert again == book
    assert price_book(again) is again
    assert again.usd_per_request == again.billed_s(np.array([0.5]))[0] - 0.5 == 0
    assert again.limits.tensor_payload_bytes == 1_000_000
    assert again.function_prices("x86").provisioned_held_usd_per_gb_s is None


@pytest.mark.parametrize(
    "tiers",
    [
        (),
        (DurationTier(usd_per_gb_s=1.0, up_to_gb_s=5.0),),
        (DurationTier(usd_per_gb_s=1.0), DurationTier(usd_per_gb_s=0.5)),
        (
            DurationTier(usd_per_gb_s=1.0, up_to_gb_s=5.0),
            DurationTier(usd_per_gb_s=0.5, up_to_gb_s=5.0),
            DurationTier(usd_per_gb_s=0.1),
        ),
    ],
)
def test_tiers_that_do_not_grow_are_refused(tiers: tuple[DurationTier, ...]) -> None:
    with pytest.raises(InstanceError, match="tiers of growing up_to_gb_s") as caught:
        FunctionPrices(duration=tiers)
    assert caught.value.path == "$.duration"


def test_what_a_book_does_not_price_is_named() -> None:
    with pytest.raises(InstanceError, match="must be one of x86, arm64") as caught:
        LAMBDA.function_prices("riscv")
    assert caught.value.path == "$.architecture"
    with pytest.raises(InstanceError, match="s3-standard, s3-express") as caught:
        LAMBDA.storage_prices("disk")
    assert caught.value.path == "$.storage"
    with pytest.raises(InstanceError, match="did you mean 'aws-lambda'"):
        price_book("aws_lambda")


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"usd_per_request": -1.0}, "$.usd_per_request"),
        ({"billing_step_s": float("nan")}, "$.billing_step_s"),
        ({"ephemeral_free_mb": "much"}, "$.ephemeral_free_mb"),
    ],
)
def test_prices_are_numbers_of_at_least_0(fields: dict[str, object], path: str) -> None:
    with pytest.raises(InstanceError) as caught:
        msgspec.structs.replace(own_book(), **fields)
    assert caught.value.path == path
