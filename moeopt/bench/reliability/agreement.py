"""Whether all that answers a problem of a wing agrees: brute force, methods, bounds, solvers.

Of small instances, drawn by the wing's hypothesis strategies and made by its generators, each is
put to everything that takes it (`moeopt.bench.reliability.agreement_checks`).
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable

from moeopt.bench.registry import Report, Setting
from moeopt.bench.reliability.agreement_cases import Drawn, instances
from moeopt.bench.reliability.agreement_checks import Compared, compare
from moeopt.bench.reliability.agreement_identities import trials as identity_trials
from moeopt.bench.reliability.agreement_solvers import BACKENDS
from moeopt.bench.reliability.trial import Trial, report_of

#: Instances that have a plan, that surely have none, and that the wing's generators make.
_FULL = {"feasible": 1800, "infeasible": 200, "generated": 200}
_QUICK = {"feasible": 8, "infeasible": 2, "generated": 2}

#: Every so many instances are put to each solver alone too: that takes as long as all the rest.
_SOLVERS_EVERY = 2

#: Every so many instances a line of progress.
_TOLD_EVERY = 250

_KINDS = {
    "feasible": "drawn instances, by every method that takes each",
    "infeasible": "instances that surely have no plan",
    "generated": "instances of the wing's generators, shrunken",
}


def run(setting: Setting, wing: str) -> Report:
    """Compare all answers to the wing's instances, and count what disagrees.

    Parameters
    ----------
    setting
        What the workload was started with.
    wing
        Name of the wing.
    """
    drawn = instances(wing, _QUICK if setting.quick else _FULL)
    compared = []
    with warnings.catch_warnings():
        # What numpy warns of inside a method is a number nobody meant.
        warnings.simplefilter("error", RuntimeWarning)
        for n, instance in enumerate(drawn.instances, 1):
            compared.append(compare(wing, instance, solvers=n % _SOLVERS_EVERY == 0))
            if n % _TOLD_EVERY == 0:
                setting.say(f"bench reliability: {wing}, {n:,} of {len(drawn.instances):,}")
    return report_of(f"agreement-{wing}", _trials(drawn, compared), drawn.note)


def _trials(drawn: Drawn, compared: list[Compared]) -> Iterable[Trial]:
    for kind, what in _KINDS.items():
        own = [
            each
            for instance, each in zip(drawn.instances, compared, strict=True)
            if instance.kind == kind
        ]
        yield Trial(
            what,
            len(own),
            tuple(said for each in own for said in each.failures),
            f"{sum(each.brute for each in own):,} by brute force too,"
            f" {sum(len(each.methods) for each in own):,} solves by"
            f" {len({name for each in own for name in each.methods})} methods",
        )
    yield Trial("bounds computed alone", sum(each.bounds for each in compared))
    yield from identity_trials(each.identities for each in compared)
    for backend in BACKENDS:
        said = [each.asked.solvers[backend] for each in compared if backend in each.asked.solvers]
        others = {one: said.count(one) for one in ("failed", "unproven", "wrong")}
        seen = ", ".join(f"{count:,} {one}" for one, count in others.items() if count)
        yield Trial(f"exact's models by {backend} alone", len(said), seen=seen)
    wrong = [each for each in compared if each.asked.wrong]
    yield Trial(
        "wrong proofs of a solver alone, put to a second one",
        len(wrong),
        tuple(each.asked.uncaught for each in wrong if each.asked.uncaught),
        "; ".join(each.asked.wrong for each in wrong[:3]),
    )
