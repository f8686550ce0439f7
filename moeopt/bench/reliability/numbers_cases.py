"""Problems with extreme quantities: small valid ones, some of whose numbers are replaced."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from moeopt.io.decode import decode_problem
from moeopt.io.encode import problem_to_json
from moeopt.io.locate import JsonText
from moeopt.io.read import Source
from moeopt.testing.conformance.kit import kit_for

#: Quantities: nothing, what is hardly more, the ordinary, the last whole numbers, the largest.
EXTREMES = (0.0, 5e-324, 1e-300, 1e-12, 1.0, 2.0**53, 1e15, 1e30, 1e150, 1e300)

#: The same where whole numbers are wanted: where 32 and 64 bits, and doubles, end.
WHOLE = (0, 1, 2, 2**31 - 1, 2**31, 2**53, 2**53 + 1, 2**62, 2**63 - 1)

#: Powers of two by which all numbers of a field are multiplied.
_EXPONENTS = (-1000, -900, -300, -60, 60, 300, 900, 1000)

#: What says no quantity: names, versions, indices and choices.
_NO_QUANTITY = {"version", "seed", "generator", "pinned", "forbidden", "dead_devices", "previous"}
_NO_QUANTITY |= {"absent_ports", "active", "starts", "sequence_starts", "ports_per_node", "designs"}

#: Counts that make a problem larger.
_NO_QUANTITY |= {"layers", "experts", "devices", "count", "groups", "periods", "max_replicas"}

Rng = np.random.Generator
#: Where a number or an array of numbers stands in a document.
Place = tuple[str | int, ...]


def drawn(wing: str, count: int, seed: int) -> list[Any]:
    """Return small problems of a wing that have a plan, drawn from its conformance kit."""
    import hypothesis

    found: list[Any] = []
    settings = hypothesis.settings(
        max_examples=count,
        deadline=None,
        database=None,
        suppress_health_check=list(hypothesis.HealthCheck),
        phases=[hypothesis.Phase.generate],
        verbosity=hypothesis.Verbosity.quiet,
    )

    def keep(problem: Any) -> None:
        found.append(problem)

    given: Any = hypothesis.given  # Typed for test functions with annotations only.
    hypothesis.seed(seed)(settings(given(kit_for(wing).problems(True))(keep)))()
    return found[:count]


def extreme(problem: Any, rng: Rng) -> Any:
    """Return the problem with one to three of its quantities replaced.

    Raises
    ------
    InstanceError
        If these quantities are refused.
    """
    document = json.loads(problem_to_json(problem))
    places = list(_places(document, ()))
    for at in rng.choice(len(places), min(len(places), int(rng.integers(1, 4))), replace=False):
        place = places[at]
        _put(document, place, _replaced(_get(document, place), rng))
    return stated(document)


def stated(document: dict[str, Any]) -> Any:
    """Return the problem that a document states, read as from a file."""
    return decode_problem(Source(JsonText(json.dumps(document).encode()), None))


def _places(value: Any, place: Place) -> Iterator[Place]:
    """Yield where quantities stand: numbers, and lists of numbers as a whole."""
    if isinstance(value, dict):
        for key, entry in value.items():
            if key not in _NO_QUANTITY and not isinstance(entry, bool | str):
                yield from _places(entry, (*place, key))
    elif isinstance(value, int | float) or _is_array(value):
        yield place
    elif isinstance(value, list):
        for i, entry in enumerate(value):
            yield from _places(entry, (*place, i))


def _is_array(value: Any) -> bool:
    if not isinstance(value, list) or not value:
        return False
    return all(
        _is_array(entry) or (isinstance(entry, int | float) and not isinstance(entry, bool))
        for entry in value
    )


def _get(document: Any, place: Place) -> Any:
    for key in place:
        document = document[key]
    return document


def _put(document: Any, place: Place, value: Any) -> None:
    _get(document, place[:-1])[place[-1]] = value


def _replaced(value: Any, rng: Rng) -> Any:
    if not isinstance(value, list):
        return _one(value, rng)
    array = np.array(value, dtype=object)
    pattern = _PATTERNS[int(rng.integers(len(_PATTERNS)))]
    return pattern(array, rng).tolist()


def _one(value: float, rng: Rng) -> float:
    """Return one extreme quantity; whole in the place of a whole number, mostly."""
    whole = isinstance(value, int) and rng.random() < 0.7
    values: tuple[float, ...] = WHOLE if whole else EXTREMES
    return values[int(rng.integers(len(values)))]


def _all_equal(array: Any, rng: Rng) -> Any:
    return np.full(array.shape, _one(array.flat[0], rng), dtype=object)


def _any(array: Any, rng: Rng) -> Any:
    values = [_one(value, rng) for value in array.flat]
    return np.array([*values, None], dtype=object)[:-1].reshape(array.shape)


def _one_giant(array: Any, rng: Rng) -> Any:
    """Put one extreme beside zeros, ones or what stands there."""
    others = (array, np.zeros_like(array), np.ones_like(array))[int(rng.integers(3))].copy()
    others.flat[int(rng.integers(array.size))] = _one(array.flat[0], rng)
    return others


def _two(array: Any, rng: Rng) -> Any:
    """Mix two extremes."""
    first, second = (_one(array.flat[0], rng) for _ in range(2))
    return np.where(rng.random(array.shape) < 0.5, first, second).astype(object)


def _empty_row(array: Any, rng: Rng) -> Any:
    """Set a first index, a layer or a source, to zero."""
    changed = array.copy()
    changed[int(rng.integers(len(array)))] = 0
    return changed


def _times(array: Any, rng: Rng) -> Any:
    factor = 2.0 ** int(rng.choice(_EXPONENTS))
    with np.errstate(over="ignore"):
        grown = array.astype(np.float64) * factor
    return np.minimum(grown, np.finfo(float).max).astype(object)


_PATTERNS: tuple[Callable[[Any, Rng], Any], ...] = (
    _all_equal,
    _any,
    _one_giant,
    _one_giant,
    _two,
    _empty_row,
    _times,
)
