"""What functions and object storage cost, and what they allow, as dated data with sources.

The book of AWS Lambda is the preset ``"aws-lambda"``; a user may bring another platform's.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Annotated, TypeVar

import msgspec
import numpy as np

from moeopt.core.arrays import FloatArray
from moeopt.core.errors import InstanceError
from moeopt.core.wing import Document
from moeopt.describe.cluster import Bytes, Count, Positive
from moeopt.describe.presets import preset

PricesT = TypeVar("PricesT", bound=Document)
NonNegative = Annotated[float, msgspec.Meta(ge=0)]

#: Platforms count a GB of function memory as this many MB.
MB_PER_GB = 1024.0

#: Bytes of a GB that storage and streaming are charged by.
BYTES_PER_GB = 1e9


class DurationTier(Document, frozen=True, kw_only=True, omit_defaults=True):
    """The price of a GB-second up to some use in a month.

    Attributes
    ----------
    usd_per_gb_s
        US dollars for a second of a function with 1,024 MB.
    up_to_gb_s
        The month's use, in GB-seconds, at which the next tier begins; ``None`` for the last.
    """

    usd_per_gb_s: NonNegative
    up_to_gb_s: Positive | None = None


class FunctionPrices(Document, frozen=True, kw_only=True, omit_defaults=True):
    """What running functions costs on one processor architecture.

    Attributes
    ----------
    duration
        Tiers of the GB-second, cheapest use first.
    provisioned_held_usd_per_gb_s, provisioned_running_usd_per_gb_s
        Provisioned concurrency: while it is held, and what running costs then instead of
        `duration`; ``None`` where the platform has none.
    """

    duration: tuple[DurationTier, ...]
    provisioned_held_usd_per_gb_s: NonNegative | None = None
    provisioned_running_usd_per_gb_s: NonNegative | None = None

    def __post_init__(self) -> None:
        ends = [math.inf if t.up_to_gb_s is None else t.up_to_gb_s for t in self.duration]
        if not ends or ends[-1] != math.inf or any(a >= b for a, b in pairwise(ends)):
            raise InstanceError(
                "$.duration",
                f"<tiers up to {ends}>",
                "must be tiers of growing up_to_gb_s, the last one without",
                "order them, and leave up_to_gb_s out of the last",
            )

    def usd_per_gb_s(self, used_gb_s: float = 0.0) -> float:
        """Return the price of the next GB-second after `used_gb_s` in this month."""
        for tier in self.duration:
            if tier.up_to_gb_s is None or used_gb_s < tier.up_to_gb_s:
                return tier.usd_per_gb_s
        raise AssertionError("the last tier has no end")


class StoragePrices(Document, frozen=True, kw_only=True, omit_defaults=True):
    """What object storage costs.

    Attributes
    ----------
    usd_per_put, usd_per_get
        A request that writes or lists, and one that reads.
    usd_per_uploaded_gb, usd_per_retrieved_gb
        Traffic between storage and functions of the same region, by 1e9 bytes.
    usd_per_gb_month
        Keeping 1e9 bytes for a month.
    """

    usd_per_put: NonNegative = 0.0
    usd_per_get: NonNegative = 0.0
    usd_per_uploaded_gb: NonNegative = 0.0
    usd_per_retrieved_gb: NonNegative = 0.0
    usd_per_gb_month: NonNegative = 0.0

    def kept_usd(self, size_bytes: float, months: float = 1.0) -> float:
        """Return what keeping `size_bytes` costs."""
        return self.usd_per_gb_month * size_bytes / BYTES_PER_GB * months


class PlatformLimits(Document, frozen=True, kw_only=True, omit_defaults=True):
    """What a platform allows a function.

    Attributes
    ----------
    least_memory_mb, most_memory_mb, memory_step_mb
        Memory sizes that can be asked for.
    mb_per_vcpu
        Memory that comes with one virtual CPU.
    payload_bytes
        Largest request, and largest response, of a synchronous call.
    payload_is_json
        Whether bytes must travel as base64 in JSON, which leaves three quarters of the payload.
    timeout_s
        Longest call.
    init_s
        Longest initialisation.
    package_bytes, image_bytes
        Largest code package, unpacked, and largest container image.
    most_ephemeral_mb
        Largest ephemeral storage of a function.
    concurrency
        Calls that an account may have running at once, unless it asked for more.
    """

    least_memory_mb: Count = 1
    most_memory_mb: Count = 1_000_000
    memory_step_mb: Count = 1
    mb_per_vcpu: Positive
    payload_bytes: Bytes
    payload_is_json: bool = False
    timeout_s: Positive
    init_s: Positive | None = None
    package_bytes: Bytes | None = None
    image_bytes: Bytes | None = None
    most_ephemeral_mb: Count | None = None
    concurrency: Count | None = None

    @property
    def tensor_payload_bytes(self) -> int:
        """Bytes of a tensor that fit into one request: what base64 leaves of the payload."""
        # Base64 writes three bytes as four characters, and fills up the last four.
        return self.payload_bytes // 4 * 3 if self.payload_is_json else self.payload_bytes

    def vcpus(self, memory_mb: FloatArray | float) -> FloatArray:
        """Return the virtual CPUs that come with `memory_mb`, elementwise."""
        return np.asarray(memory_mb, dtype=np.float64) / self.mb_per_vcpu


class PriceBook(Document, frozen=True, kw_only=True, omit_defaults=True):
    """Prices and limits of one platform on one day, in US dollars.

    Attributes
    ----------
    name
        Platform and region.
    date
        The day of these prices, ``YYYY-MM-DD``.
    sources
        Where each figure comes from.
    functions
        Prices by processor architecture.
    usd_per_request
        A call of a function.
    billing_step_s
        Durations are rounded up to a multiple of this; 0 for no rounding.
    init_is_billed
        Whether initialisation of a cold start is billed as duration.
    ephemeral_usd_per_gb_s, ephemeral_free_mb
        Ephemeral storage beyond what is free, by GB of 1,024 MB and second of duration.
    streamed_usd_per_gb, streamed_free_bytes
        A streamed response, by 1e9 bytes beyond what is free in each.
    storage
        Prices of object storage by name.
    limits
        What the platform allows.
    """

    name: str
    date: str = ""
    sources: dict[str, str] = msgspec.field(default_factory=dict)
    functions: dict[str, FunctionPrices]
    usd_per_request: NonNegative = 0.0
    billing_step_s: NonNegative = 0.0
    init_is_billed: bool = True
    ephemeral_usd_per_gb_s: NonNegative = 0.0
    ephemeral_free_mb: NonNegative = 0.0
    streamed_usd_per_gb: NonNegative = 0.0
    streamed_free_bytes: NonNegative = 0.0
    storage: dict[str, StoragePrices]
    limits: PlatformLimits

    def function_prices(self, architecture: str) -> FunctionPrices:
        """Return the prices of an architecture.

        Raises
        ------
        InstanceError
            If the book has none.
        """
        return _named(self.functions, architecture, "$.architecture", self.name)

    def storage_prices(self, storage: str) -> StoragePrices:
        """Return the prices of a kind of storage.

        Raises
        ------
        InstanceError
            If the book has none.
        """
        return _named(self.storage, storage, "$.storage", self.name)

    def billed_s(self, duration_s: FloatArray) -> FloatArray:
        """Return durations rounded up to `billing_step_s`, elementwise."""
        if not self.billing_step_s:
            return duration_s
        steps = duration_s / self.billing_step_s
        # A sum of floating-point seconds a hair above a step is that step.
        rounded: FloatArray = np.ceil(steps - 1e-6) * self.billing_step_s
        return rounded

    def ephemeral_usd_per_s(self, ephemeral_mb: float) -> float:
        """Return the price of a second with this much ephemeral storage."""
        billed_gb = max(0.0, ephemeral_mb - self.ephemeral_free_mb) / MB_PER_GB
        return self.ephemeral_usd_per_gb_s * billed_gb

    def streamed_usd(self, response_bytes: float) -> float:
        """Return the price of one streamed response."""
        beyond = max(0.0, response_bytes - self.streamed_free_bytes)
        return self.streamed_usd_per_gb * beyond / BYTES_PER_GB


def price_book(name_or_book: str | PriceBook) -> PriceBook:
    """Return a price book, looked up if it is named.

    Raises
    ------
    InstanceError
        If there is no book of this name.
    """
    if isinstance(name_or_book, PriceBook):
        return name_or_book
    book: PriceBook = preset("price_book", name_or_book)
    return book


def _named(prices: dict[str, PricesT], name: str, path: str, book: str) -> PricesT:
    if not prices:
        raise InstanceError(path, name, f"cannot be priced: {book} has no such prices", "add them")
    if name not in prices:
        known = ", ".join(prices)
        raise InstanceError(
            path, name, f"must be one of {known}: {book} prices no other", "choose one of them"
        )
    return prices[name]
