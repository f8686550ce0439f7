"""Numbers, seconds and bytes in a few digits, with the unit that takes them.

Bytes are told in powers of 1000, as links are; the memory of caches in powers of 1024.
"""

from __future__ import annotations

from collections.abc import Iterable

_Units = tuple[tuple[float, str], ...]

_TIMES: _Units = ((1.0, "s"), (1e-3, "ms"), (1e-6, "us"))
_BYTES: _Units = ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB"))
_MEMORY: _Units = ((2.0**40, "TiB"), (2.0**30, "GiB"), (2.0**20, "MiB"), (2.0**10, "KiB"))

#: From here on parts of one are not told; from there on it takes a power of ten.
LARGE, _HUGE = 1e5, 1e15


def number_text(value: float) -> str:
    """Return a number for people: whole where it is large.

    Parameters
    ----------
    value
        Of tokens, say.
    """
    return f"{value:,.0f}" if LARGE <= abs(value) < _HUGE else f"{value:,.6g}"


def range_text(numbers: Iterable[int]) -> str:
    """Return from where to where whole numbers reach.

    Parameters
    ----------
    numbers
        One at least.
    """
    every = list(map(int, numbers))
    low, high = min(every), max(every)
    return str(low) if low == high else f"{low} to {high}"


def time_unit(largest: float) -> tuple[float, str]:
    """Return the seconds and the name of the unit that shows the largest value in a few digits.

    Parameters
    ----------
    largest
        Seconds.
    """
    return _unit(largest, _TIMES, (1e-9, "ns") if largest > 0 else (1.0, "s"))


def time_text(value: float) -> str:
    """Return a time in the unit that shows it in a few digits.

    Parameters
    ----------
    value
        Seconds.
    """
    size, unit = time_unit(value)
    return f"{value / size:.6g} {unit}"


def bytes_unit(largest: float) -> tuple[float, str]:
    """Return the bytes and the name of the unit that shows the largest value in a few digits.

    Parameters
    ----------
    largest
        Bytes.
    """
    return _unit(largest, _BYTES, (1.0, "B"))


def bytes_text(value: float) -> str:
    """Return bytes in the unit that shows them in a few digits.

    Parameters
    ----------
    value
        Bytes.
    """
    size, unit = bytes_unit(value)
    return f"{value / size:.4g} {unit}"


def memory_unit(largest: float) -> tuple[float, str]:
    """Return the bytes and the name of the binary unit for the largest value, as `bytes_unit` does.

    Parameters
    ----------
    largest
        Bytes.
    """
    return _unit(largest, _MEMORY, (1.0, "bytes"))


def memory_text(value: float) -> str:
    """Return bytes of memory in the binary unit that shows them in a few digits.

    Parameters
    ----------
    value
        Bytes.
    """
    size, unit = memory_unit(value)
    return f"{value / size:.6g} {unit}"


def _unit(largest: float, units: _Units, smallest: tuple[float, str]) -> tuple[float, str]:
    return next((found for found in units if largest >= found[0]), smallest)
