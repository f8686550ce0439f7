"""Backends that misbehave; a module of its own, because a child process imports it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time

import numpy as np

from moeopt.core.result import Limit
from moeopt.mip import Backend, LinearModel
from moeopt.mip.answer import Claim, Verdict
from moeopt.mip.backends.record import Request
from moeopt.mip.backends.scipy_ import SCIPY


def _yes() -> bool:
    return True


def _version() -> str:
    return "broken 1"


def _sleep(model: LinearModel, request: Request) -> Claim:
    time.sleep(60)
    raise AssertionError


def _busy(model: LinearModel, request: Request) -> Claim:
    re.match(r"(a+)+$", "a" * 60 + "b")  # exponential, in C, holding the interpreter
    raise AssertionError


def _report_and_sleep(model: LinearModel, request: Request) -> Claim:
    assert request.on_incumbent is not None
    request.on_incumbent(np.array([0.0, 1.0, 0.0]), None)
    request.on_incumbent(np.array([1.0, 1.0, 1.0]), None)  # breaks the row: not passed on
    time.sleep(60)
    raise AssertionError


def _killed(model: LinearModel, request: Request) -> Claim:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


def _crash(model: LinearModel, request: Request) -> Claim:
    raise ZeroDivisionError("inside the solver")


def _chatty(model: LinearModel, request: Request) -> Claim:
    os.write(1, b"noise on standard output\n" * 1000)
    return Claim(verdict=Verdict.OPTIMAL, x=np.array([1.0, 1.0, 0.0]), bound=None)


def _wrong(model: LinearModel, request: Request) -> Claim:
    return Claim(verdict=Verdict.OPTIMAL, x=np.ones(model.num_columns), bound=-1e9)


def _wrong_in_time(model: LinearModel, request: Request) -> Claim:
    return Claim(verdict=Verdict.FEASIBLE, limit=Limit.TIME, x=np.ones(model.num_columns))


def _says_infeasible(model: LinearModel, request: Request) -> Claim:
    return Claim(verdict=Verdict.INFEASIBLE)


def _bound_too_high(model: LinearModel, request: Request) -> Claim:
    return Claim(verdict=Verdict.UNKNOWN, limit=Limit.TIME, bound=1e6)


def _overproud(model: LinearModel, request: Request) -> Claim:
    return Claim(verdict=Verdict.FEASIBLE, limit=Limit.TIME, x=np.array([1.0, 0.0, 0.0]), bound=0.0)


def _nearly_integer(model: LinearModel, request: Request) -> Claim:
    if model.integrality.any():
        return Claim(verdict=Verdict.OPTIMAL, x=np.array([5e-8, 5.0]))
    return SCIPY.run(model, request)


def _with_a_program(model: LinearModel, request: Request) -> Claim:
    subprocess.run(["sh", "-c", f"sleep 0.9; touch '{model.name}'"], check=True)
    raise AssertionError


def _endless_program(model: LinearModel, request: Request) -> Claim:
    script = f"echo $$ > '{model.name}'; exec sleep 600"
    subprocess.run(["sh", "-c", script], check=True)
    raise AssertionError


def _make(name: str, run: object) -> Backend:
    return Backend(name=name, version=_version, available=_yes, run=run)


SLEEPER = _make("sleeper", _sleep)
BUSY = _make("busy", _busy)
REPORTER = _make("reporter", _report_and_sleep)
KILLED = _make("killed", _killed)
CRASHING = _make("crashing", _crash)
CHATTY = _make("chatty", _chatty)
WRONG = _make("wrong", _wrong)
WRONG_IN_TIME = _make("wrong in time", _wrong_in_time)
SAYS_INFEASIBLE = _make("says infeasible", _says_infeasible)
BOUND_TOO_HIGH = _make("bound too high", _bound_too_high)
OVERPROUD = _make("overproud", _overproud)
NEARLY_INTEGER = _make("nearly integer", _nearly_integer)
WITH_A_PROGRAM = _make("with a program", _with_a_program)
ENDLESS_PROGRAM = _make("endless program", _endless_program)
