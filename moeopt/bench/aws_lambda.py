"""``moeopt bench lambda``: predicted and measured seconds and bills, on a stand on this machine."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable

from moeopt.bench.parts import run_parts
from moeopt.bench.registry import Figure, Report, Setting, Workload, register

#: What a stand needs beside boto3.
NEEDED = ("boto3", "moto", "awslambdaric")


def run(setting: Setting) -> Report:
    """Calibrate on a stand, then predict, measure and choose."""
    report = Report()
    why = left_out()
    if why is not None:
        setting.say(f"bench lambda: left out: {why}")
        report.data["left_out"] = why
        report.figures.append(Figure("functions on a stand", None, note=why))
        return report
    from moeopt.adapters.aws_lambda.stand.shape import shape_of
    from moeopt.bench import aws_lambda_choice, aws_lambda_forecast
    from moeopt.bench.aws_lambda_model import PLATFORM, model
    from moeopt.bench.aws_lambda_stand import Bench

    first = model(512, PLATFORM)
    with Bench(shape_of(first), first) as bench:
        found = aws_lambda_forecast.Calibrated()
        parts: dict[str, Callable[[], Report]] = {
            "calibration": lambda: found.fit(bench, setting.quick),
            "forecast": lambda: aws_lambda_forecast.run(bench, found.calibration, setting.quick),
            "choice": lambda: aws_lambda_choice.run(bench, found.calibration, setting.quick),
        }
        run_parts(setting, "lambda", parts, report)
    return report


def left_out() -> str | None:
    """Return why there is no stand here, in a few words; ``None`` if there is one."""
    if not sys.platform.startswith("linux"):
        return "needs Linux"
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    return f"needs {', '.join(missing)}" if missing else None


register(
    Workload(
        name="lambda",
        summary="functions: calibrated, predicted and measured seconds and bills, and choices",
        run=run,
    )
)
