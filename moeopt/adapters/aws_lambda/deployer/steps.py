"""Work that is planned before any of it is done."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from moeopt.adapters.aws_lambda.deployer.changes import Change
from moeopt.adapters.aws_lambda.deployer.control import side_by_side


@dataclass(frozen=True)
class Step:
    """A change, and the calls that make it.

    Attributes
    ----------
    change
        What becomes of what.
    do
        Makes it; ``None`` if there is nothing to do.
    """

    change: Change
    do: Callable[[], None] | None = None


@dataclass(frozen=True)
class Phase:
    """Steps that do not depend on each other.

    Attributes
    ----------
    steps
        In the order in which they begin.
    threads
        How many are done at once.
    """

    steps: Sequence[Step]
    threads: int = 1


def changes_of(phases: Sequence[Phase]) -> tuple[Change, ...]:
    """Return what all phases change, in order."""
    return tuple(step.change for phase in phases for step in phase.steps)


def carry_out(phases: Sequence[Phase], say: Callable[[str], None]) -> None:
    """Do all phases, one after the other.

    Parameters
    ----------
    phases
        What is to be done.
    say
        Gets a line as each change has been made, one after the other.
    """
    saying = threading.Lock()

    def one(step: Step) -> None:
        if step.do is not None:
            step.do()
            if step.change.action != "keep":
                with saying:
                    say(step.change.sentence())

    for phase in phases:
        side_by_side(one, [step for step in phase.steps if step.do is not None], phase.threads)
