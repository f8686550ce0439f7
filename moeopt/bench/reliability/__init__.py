"""``moeopt bench reliability``: hostile input, failing solvers, long runs, extreme sizes."""

from __future__ import annotations

import importlib
from functools import partial

from moeopt.bench.parts import run_parts
from moeopt.bench.registry import Report, Setting, Workload, register
from moeopt.core.registry import wing_names

#: Parts beside the agreement of each wing's methods, each a module of this package.
_MODULES = {
    "fuzz": "fuzz",
    "solvers": "solvers",
    "determinism": "determinism",
    "scale": "scale",
    "atomicity": "atomicity",
    "long-run": "long_run",
    "numbers": "numbers",
}

_AGREEMENT = "agreement-"


def parts() -> tuple[str, ...]:
    """Return the names of all parts."""
    return (*_MODULES, *(f"{_AGREEMENT}{wing}" for wing in wing_names()))


def run(setting: Setting) -> Report:
    """Run the parts asked for, one after the other."""
    report = Report()
    chosen = [name for name in parts() if not setting.only or name in setting.only]
    run_parts(
        setting, "reliability", {name: partial(_part, name, setting) for name in chosen}, report
    )
    return report


def _part(name: str, setting: Setting) -> Report:
    if name.startswith(_AGREEMENT):
        from moeopt.bench.reliability import agreement

        return agreement.run(setting, name.removeprefix(_AGREEMENT))
    module = importlib.import_module(f"{__name__}.{_MODULES[name]}")
    report: Report = module.run(setting)
    return report


register(
    Workload(
        name="reliability",
        summary="hard wear: hostile files, failing solvers, agreement of methods, kill -9, scale",
        run=run,
        parts=parts(),
    )
)
