"""The most memory that a call takes, as Python and NumPy tell it."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable


def peak_bytes(call: Callable[[], object]) -> int:
    """Return the most bytes that were allocated at once during a call, the second of two."""
    call()  # what is imported and compiled on first use stays
    tracemalloc.start()
    try:
        call()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
