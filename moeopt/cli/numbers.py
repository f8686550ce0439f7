"""Lists of numbers as arguments: ``0,4-7``."""

from __future__ import annotations

import re


def numbers_of(text: str, option: str) -> tuple[int, ...]:
    """Return the numbers of a list such as ``0,4-7``.

    Parameters
    ----------
    text
        As it was given.
    option
        Which option it was given to, for errors.

    Raises
    ------
    InstanceError
        If it is no such list.
    """
    from moeopt.core.errors import InstanceError

    numbers: list[int] = []
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d{1,9})(?:-(\d{1,9}))?\s*", part, re.ASCII)
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
        if not 0 <= last - first <= 100_000:
            rule = "must be numbers and ranges, the lower end first"
            raise InstanceError(option, text, rule, "write them as 0,4-7")
        numbers += range(first, last + 1)
    return tuple(numbers)
