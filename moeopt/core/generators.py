"""Making instances by a call: names that must be known, and the call that a document keeps."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

from moeopt.core.errors import InstanceError

T = TypeVar("T")


def known(table: Mapping[str, T], name: str, path: str) -> T:
    """Return the entry called `name`.

    Raises
    ------
    InstanceError
        If there is none; `path` says where the name was written.
    """
    if name not in table:
        raise InstanceError(
            f"$.{path}", name, f"must be one of {', '.join(table)}", "choose one of them"
        )
    return table[name]


def made_again(
    generators: Mapping[str, Callable[..., T]], call: Mapping[str, str | int | float]
) -> T:
    """Make a problem again from its ``generator`` field.

    Raises
    ------
    InstanceError
        If the call names none of `generators`, or parameters that it does not have or cannot take.
    """
    arguments = dict(call)
    generator = known(generators, str(arguments.pop("name", "")), "generator.name")
    try:
        return generator(**arguments)
    except InstanceError:
        raise
    except (TypeError, ValueError, IndexError) as error:
        raise InstanceError("$.generator", dict(call), str(error), "correct the call") from None
