"""Files that nobody should have written: drawn, guided by coverage, and hostile on purpose."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator

from moeopt.bench.registry import Report, Setting
from moeopt.bench.reliability.fuzz_commands import commands
from moeopt.bench.reliability.fuzz_drawn import drawn
from moeopt.bench.reliability.fuzz_guided import guided
from moeopt.bench.reliability.fuzz_named import named
from moeopt.bench.reliability.fuzz_targets import Target, targets
from moeopt.bench.reliability.trial import Trial, report_of

#: Files of each family, by either fuzzer; and of all commands together, which take longer.
_FILES, _FILES_OF_COMMANDS = 10_000, 3_000

#: The same, and every so manieth hostile file, if there is little time.
_QUICK, _QUICK_STRIDE = 38, 41

#: Readers that the guided fuzzer gets if there is little time: they begin at once.
_QUICK_FAMILY = "placements of engines"

_NOTE = (
    "A reader returns, or raises InstanceError with one line of less than 1,000 characters;"
    " a command ends with 0, 2 or 3. Hostile files have at most a second of processor time and a"
    " GiB, in processes that have no more."
)


def run(setting: Setting) -> Report:
    """Return what every reader of files did with files of no good."""
    families: dict[str, list[Target]] = {}
    for target in targets():
        families.setdefault(target.family, []).append(target)
    trials = [*_trials(setting, families)]
    absent = [name for name in ("atheris", "hypothesis") if not there(name)]
    notes = [_NOTE, *(f"{name} is not installed: nothing was tried by it" for name in absent)]
    return report_of("fuzz", trials, "; ".join(notes))


def _trials(setting: Setting, families: dict[str, list[Target]]) -> Iterator[Trial]:
    quick = setting.quick
    for family, readers in families.items():
        names = [target.name for target in readers]
        if there("hypothesis"):
            yield drawn(family, readers, _QUICK if quick else _FILES)
        if there("atheris") and (not quick or family == _QUICK_FAMILY):
            yield guided(family, names, _QUICK if quick else _FILES)
        if not quick or family == _QUICK_FAMILY:
            yield named(family, names, _QUICK_STRIDE if quick else 1)
        setting.say(f"bench reliability: fuzz: {family} done")
    if there("hypothesis"):
        yield drawn("commands", commands(), _QUICK if quick else _FILES_OF_COMMANDS)


def there(name: str) -> bool:
    """Tell whether a fuzzer is installed: atheris has no wheels for some systems."""
    return importlib.util.find_spec(name) is not None
