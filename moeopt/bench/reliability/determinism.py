"""Whether equal input gives equal bytes, in whatever process, order, form or number of threads.

One fresh process for each way works out all answers (`moeopt.bench.reliability.determinism_work`);
their digests must be those of a plain one. What vLLM's ranks are told is compared apart.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from moeopt.bench.registry import Report, Setting
from moeopt.bench.reliability.determinism_child import is_digest
from moeopt.bench.reliability.determinism_ranks import RANKS, Rank, trial_of
from moeopt.bench.reliability.determinism_way import Way, said, start, threads
from moeopt.bench.reliability.trial import Trial, report_of

_CHILD = "moeopt.bench.reliability.determinism_child"

PLAIN = Way("plain")

#: The ways, and how much is worked out in each.
WAYS: Sequence[tuple[Way, str]] = (
    (Way("PYTHONHASHSEED=1, 2 threads", {"PYTHONHASHSEED": "1", **threads(2)}), "all"),
    (
        Way(
            "PYTHONHASHSEED=12345, 4 threads, the last first, after other solves and dice",
            {"PYTHONHASHSEED": "12345", **threads(4)},
            backwards=True,
        ),
        "all",
    ),
    (
        Way(
            "PYTHONHASHSEED=random, arrays and fields in other forms",
            {"PYTHONHASHSEED": "random"},
            forms=True,
        ),
        "all",
    ),
    (Way("in a thread, a clock 20 times as fast", where="thread", clock=20.0), "all"),
    (Way("spread over two processes by joblib", where="processes"), "some"),
    (Way("workers=2", workers=2), "some"),
    (Way("workers=4", workers=4), "some"),
    (Way("without the JIT", {"NUMBA_DISABLE_JIT": "1"}), "some"),
)

#: Several of them at once.
QUICK_WAYS: Sequence[tuple[Way, str]] = (
    (
        Way(
            "another hash seed, 4 threads, the last first, other forms, a fast clock",
            {"PYTHONHASHSEED": "random", **threads(4)},
            backwards=True,
            forms=True,
            clock=20.0,
        ),
        "few",
    ),
)


def run(setting: Setting) -> Report:
    """Work everything out in every way, and compare.

    Parameters
    ----------
    setting
        What the workload was started with.
    """
    ways, ranks = (QUICK_WAYS, ()) if setting.quick else (WAYS, RANKS)
    return report_of("determinism", trials(setting, ways, ranks))


def trials(
    setting: Setting, ways: Sequence[tuple[Way, str]], ranks: Sequence[Rank]
) -> Iterable[Trial]:
    """Yield what came of each way, and of the ranks."""
    plain: dict[str, str] = {}
    much = "few" if setting.quick else "all"
    process = start(_CHILD, PLAIN, much)
    for way, asked in ways:
        # Two processes at a time, the plain one and the first.
        other = start(_CHILD, way, asked)
        if not plain:
            plain, wrong = said(process)
            if wrong:
                said(other)
                yield Trial("answers in a plain process", 0, (wrong,))
                break
        yield compared(way, plain, *said(other))
        setting.say(f"bench reliability: determinism, {way.name}")
    if ranks:
        yield trial_of(ranks)


def compared(way: Way, plain: Mapping[str, str], answers: Mapping[str, str], wrong: str) -> Trial:
    """Return what came of one way.

    Parameters
    ----------
    way
        Which.
    plain, answers
        Digests of answers by name, in a plain process and in this way.
    wrong
        Why there are no answers.
    """
    failures = [wrong] * bool(wrong)
    for name, found in answers.items():
        if name not in plain:
            failures.append(f"{name}: there is no such answer in a plain process")
        elif found != plain[name] or not is_digest(found):
            failures.append(f"{name}: {found} instead of {plain[name]}")
    return Trial(f"equal bytes: {way.name}", len(answers), tuple(failures))
