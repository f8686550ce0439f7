"""A million windows: memory that does not grow, statistics that do not drift, time that stays.

Policies that see one window after the other are walked along a stream of changing magnitudes,
empty windows, a giant one and half a million equal ones: see
`moeopt.bench.reliability.long_run_walks`.
"""

from __future__ import annotations

import gc
import time
import warnings
from collections.abc import Callable, Mapping

import numpy as np

from moeopt.bench.registry import Report, Setting
from moeopt.bench.reliability.long_run_walks import (
    Cache,
    Calibration,
    Committee,
    OnlinePolicy,
    Outlooks,
    Rebalances,
    RunningAverages,
    Walk,
)
from moeopt.bench.reliability.status import status_bytes
from moeopt.bench.reliability.trial import Trial, report_of

#: What is walked, and what part of all windows it is given.
WALKS: Mapping[str, tuple[Callable[[int], Walk], float]] = {
    "the online policy": (OnlinePolicy, 1.0),
    "its averages": (RunningAverages, 1.0),
    "its calibration": (Calibration, 1.0),
    "vLLM's policy, one rebalance in 100": (Rebalances, 1.0),
    "the learned cache": (Cache, 1.0),
    "the committee's scheduler": (Committee, 0.2),
    "its outlook": (Outlooks, 0.2),
}

_FULL, _QUICK = 1_000_000, 300

#: Bytes by which the second half of a walk may grow.
MOST_GROWTH = 2**20

#: Times the median of the first tenth that a window of the last one may take, and seconds beside:
#: what a clock and a busy machine do.
_SLOWER, _SLACK_S = 3.0, 1e-4

_TENTHS = 10


def run(setting: Setting) -> Report:
    """Walk everything along a million windows, or three hundred if it must be quick.

    Parameters
    ----------
    setting
        What the workload was started with.
    """
    trials = []
    for what, (begun, share) in WALKS.items():
        windows = _QUICK if setting.quick else int(share * _FULL)
        trials.append(walked(what, begun(windows), windows))
        setting.say(f"bench reliability: long run, {what}: {trials[-1].seen}")
    return report_of("long-run", trials)


def walked(what: str, walk: Walk, windows: int) -> Trial:
    """Walk along so many windows, and say after each tenth of them what is wrong.

    Parameters
    ----------
    what
        What is walked.
    walk
        It.
    windows
        How many; a multiple of 10.
    """
    failures, resident, seconds = [], [], []
    part = windows // _TENTHS
    for tenth in range(_TENTHS):
        try:
            with warnings.catch_warnings():
                # What numpy warns of is a number nobody meant.
                warnings.simplefilter("error", RuntimeWarning)
                seconds.append(_median_s(walk, range(tenth * part, (tenth + 1) * part)))
                failures += [
                    f"after {(tenth + 1) * part:,} windows {said}" for said in walk.wrong()
                ]
        except Exception as error:
            said = f"{type(error).__name__}: {error}"
            failures.append(f"between {tenth * part:,} and {(tenth + 1) * part:,} windows {said}")
            return Trial(what, tenth * part, tuple(failures))
        # Garbage is looked for where it is compared: in a large process that takes longest.
        if tenth + 1 in (_TENTHS // 2, _TENTHS):
            resident.append(resident_bytes())
    growth = resident[1] - resident[0]
    if growth > MOST_GROWTH:
        failures.append(f"memory grew by {growth:,} bytes in the second half")
    ratio = seconds[-1] / seconds[0]
    if seconds[-1] > _SLOWER * seconds[0] + _SLACK_S:
        failures.append(f"a window of the last tenth took {ratio:.1f} times one of the first")
    seen = f"{seconds[-1] * 1e6:,.0f} us a window, {ratio:.2f} of the first tenth's;"
    return Trial(what, windows, tuple(failures), f"{seen} second half {growth / 2**20:+.2f} MiB")


def _median_s(walk: Walk, numbers: range) -> float:
    """Return the median of the processor's seconds for each of some windows."""
    taken = np.empty(len(numbers))
    before = time.process_time()
    for at, number in enumerate(numbers):
        walk.step(number)
        now = time.process_time()
        taken[at], before = now - before, now
    return float(np.median(taken))


def resident_bytes() -> int:
    """Return the memory of this process that is resident, after garbage is gone."""
    gc.collect()
    return status_bytes("VmRSS")
