"""What calls cost, from the price book: every attempt, and every request to storage."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from moeopt.adapters.aws_lambda.calls import Call, GateTraffic, LayerRecord
from moeopt.describe.pricing import BYTES_PER_GB
from moeopt.serverless.problem import Billing, ServerlessProblem


@dataclass(frozen=True)
class Bill:
    """Dollars of a batch, or of several.

    Attributes
    ----------
    duration_usd
        Billed seconds of all calls that ran, failed ones too.
    requests_usd
        Those calls themselves.
    storage_usd
        GETs and PUTs of functions and of the caller, with traffic where it has a price.
    gb_s
        Billed GB-seconds.
    calls
        That ran.
    gets, puts
        Requests to storage.
    failed_usd
        What of `duration_usd` and `requests_usd` went to calls that failed.
    estimated
        Calls whose report was lost: their seconds are the caller's round trip.
    """

    duration_usd: float
    requests_usd: float
    storage_usd: float
    gb_s: float
    calls: int
    gets: int
    puts: int
    failed_usd: float
    estimated: int

    @property
    def usd(self) -> float:
        """All of it."""
        return self.duration_usd + self.requests_usd + self.storage_usd

    def counted_usd(self, billing: Billing) -> float:
        """Return what of it a problem counts: to be compared with a plan's evaluation."""
        return (
            self.duration_usd
            + (self.requests_usd if billing.requests else 0.0)
            + (self.storage_usd if billing.storage else 0.0)
        )


def bill(
    problem: ServerlessProblem, calls: Iterable[Call], traffic: Sequence[GateTraffic] = ()
) -> Bill:
    """Return what calls and the caller's own requests to storage cost.

    Seconds are priced at ``problem.billing.used_gb_s``, on demand. A call that never began, such
    as a throttled one, costs nothing.

    Parameters
    ----------
    problem
        Prices and how they apply.
    calls
        All attempts.
    traffic
        The caller's own.
    """
    book, billing = problem.book(), problem.billing
    rate = book.function_prices(problem.architecture).usd_per_gb_s(billing.used_gb_s)
    ephemeral = book.ephemeral_usd_per_s(billing.ephemeral_mb)
    prices = book.storage_prices(problem.storage)
    ran = [call for call in calls if call.billed_s > 0]
    failed = [call for call in ran if call.error is not None]

    def duration_usd(some: Sequence[Call]) -> float:
        gb_s = math.fsum(call.billed_gb_s for call in some)
        return gb_s * rate + math.fsum(call.billed_s for call in some) * ephemeral

    asked = [*(_asked_by(problem, call) for call in ran), *(_asked(own) for own in traffic)]
    storage_usd = math.fsum(
        each.gets * prices.usd_per_get
        + each.puts * prices.usd_per_put
        + each.read_bytes / BYTES_PER_GB * prices.usd_per_retrieved_gb
        + each.write_bytes / BYTES_PER_GB * prices.usd_per_uploaded_gb
        for each in asked
    )
    return Bill(
        duration_usd=duration_usd(ran),
        requests_usd=len(ran) * book.usd_per_request,
        storage_usd=storage_usd,
        gb_s=math.fsum(call.billed_gb_s for call in ran),
        calls=len(ran),
        gets=sum(each.gets for each in asked),
        puts=sum(each.puts for each in asked),
        failed_usd=duration_usd(failed) + len(failed) * book.usd_per_request,
        estimated=sum(call.estimated for call in ran),
    )


def bill_of_call(problem: ServerlessProblem, call: Call) -> float:
    """Return what one attempt costs, with its own requests to storage, in US dollars."""
    return bill(problem, [call]).usd


def bill_of_records(problem: ServerlessProblem, records: Sequence[LayerRecord]) -> Bill:
    """Return what recorded layers cost."""
    calls = [call for record in records for call in record.calls]
    return bill(problem, calls, [record.traffic for record in records])


@dataclass(frozen=True)
class _Asked:
    """What somebody asked of storage."""

    gets: int
    puts: int
    read_bytes: float
    write_bytes: float


def _asked(traffic: GateTraffic) -> _Asked:
    """Return what the caller asked of storage."""
    read, write = traffic.read_bytes, traffic.write_bytes
    return _Asked(len(read), len(write), float(sum(read)), float(sum(write)))


def _asked_by(problem: ServerlessProblem, call: Call) -> _Asked:
    """Return what a call asked of storage: all that it had to ask, if it did not say.

    A call that failed may have asked less, or waited for an input and asked for it again.
    """
    own = call.seconds
    if own is not None:
        read = own.load_bytes + sum(own.read_bytes)
        return _Asked(own.gets, own.puts, float(read), float(sum(own.write_bytes)))
    objects = 0 if call.design == 3 else len(call.minibatches)
    expert = problem.expert_of(call.layer)
    tokens = call.tokens if objects else 0
    return _Asked(
        gets=1 + objects,
        puts=objects,
        read_bytes=float(problem.parameter_bytes_of(call.layer)[call.expert])
        + tokens * expert.input_bytes_per_token,
        write_bytes=tokens * expert.output_bytes_per_token,
    )
