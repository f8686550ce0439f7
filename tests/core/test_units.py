"""Seconds and bytes in the unit that shows them in a few digits."""

from __future__ import annotations

import pytest

from moeopt.core.units import bytes_text, memory_text, number_text, time_text, time_unit


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1 / 3, "0.333333"),
        (16_383.94, "16,383.9"),
        (123_456.7, "123,457"),
        (-123_456.7, "-123,457"),
        (4e15, "4e+15"),
    ],
)
def test_numbers(value: float, text: str) -> None:
    assert number_text(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(90.0, "90 s"), (1.0, "1 s"), (0.0125, "12.5 ms"), (3e-6, "3 us"), (4.5e-9, "4.5 ns")],
)
def test_times(seconds: float, text: str) -> None:
    assert time_text(seconds) == text


def test_no_time_is_seconds() -> None:
    assert time_unit(0.0) == (1.0, "s")


@pytest.mark.parametrize(
    ("value", "sent", "held"),
    [
        (0, "0 B", "0 bytes"),
        (999, "999 B", "999 bytes"),
        (1000, "1 kB", "1000 bytes"),
        (1536, "1.536 kB", "1.5 KiB"),
        (44_040_192, "44.04 MB", "42 MiB"),
        (2**30, "1.074 GB", "1 GiB"),
        (3e12, "3 TB", "2.72848 TiB"),
    ],
)
def test_bytes_are_told_in_thousands_when_sent_and_in_1024s_when_held(
    value: float, sent: str, held: str
) -> None:
    assert (bytes_text(value), memory_text(value)) == (sent, held)
