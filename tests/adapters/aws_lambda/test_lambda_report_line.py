"""The REPORT line, as Lambda prints it, cut, missing or another call's."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moeopt.adapters.aws_lambda.dispatch.report_line import Report, report_of

ID = "3604209a-e9a3-11e6-939a-754dd98c7be3"

WARM = (
    f"REPORT RequestId: {ID}\tDuration: 12.34 ms\tBilled Duration: 13 ms\t"
    "Memory Size: 128 MB\tMax Memory Used: 47 MB\t"
)


def tail(*lines: str) -> str:
    return base64.b64encode("\n".join(lines).encode()).decode()


def test_lambda_report_line_of_a_warm_call() -> None:
    log = tail(f"START RequestId: {ID} Version: $LATEST", "hello", f"END RequestId: {ID}", WARM, "")
    assert report_of(log, ID) == Report(0.01234, 0.013, 128, 47, None)


@pytest.mark.parametrize(
    "more",
    [
        "Init Duration: 100.50 ms\t",
        "Init Duration: 100.50 ms\t\nXRAY TraceId: 1-5bd\tSegmentId: 3fd\tSampled: true",
        "Init Duration: 100.50 ms\tStatus: timeout",
        "Init Duration: 100.50 ms\tStatus: error\tError Type: Runtime.ExitError",
    ],
)
def test_lambda_report_line_of_a_cold_call(more: str) -> None:
    report = report_of(tail(WARM + more), ID)
    assert report is not None
    assert report.init_s == pytest.approx(0.1005)


def test_lambda_report_line_of_another_call_is_not_taken() -> None:
    log = tail(WARM, WARM.replace(ID, "other").replace("12.34", "99"), "said by an extension")
    assert report_of(log, ID) == Report(0.01234, 0.013, 128, 47, None)
    assert report_of(log, "third") is None
    latest = report_of(log)
    assert latest is not None
    assert latest.duration_s == pytest.approx(0.099)


@pytest.mark.parametrize("log", [None, "", "not base64!", "AAA", tail("hello"), tail("REPORT ")])
def test_lambda_report_line_missing(log: str | None) -> None:
    assert report_of(log, ID) is None


@given(st.integers(0, len(WARM)), st.booleans())
def test_lambda_report_line_cut_anywhere_gives_no_wrong_number(at: int, front: bool) -> None:
    whole, cut = report_of(tail(WARM), ID), WARM[at:] if front else WARM[:at]
    report = report_of(tail(cut), ID)
    if report is not None:
        assert whole is not None
        assert (report.duration_s, report.billed_s) == (whole.duration_s, whole.billed_s)
        assert report.memory_mb == whole.memory_mb
        assert report.used_mb in (whole.used_mb, None)


@given(st.binary(max_size=200))
def test_lambda_report_line_of_any_bytes(data: bytes) -> None:
    assert report_of(base64.b64encode(data).decode(), ID) is None
