"""Faults: which requests meet them, and how often."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from moeopt.adapters.aws_lambda.stand.faults import Fault, Faults
from moeopt.core.errors import InstanceError


def test_a_fault_meets_what_fits_as_often_as_it_says() -> None:
    faults = Faults()
    wanted = Fault("s3-missing", times=2, function="-0-1", key="inputs/")
    faults.add([wanted, Fault("s3-missing", key="weights/")])
    assert faults.take("s3-slow", "moeopt-a-0-1", "inputs/3") is None
    assert faults.take("s3-missing", "moeopt-a-0-2", "inputs/3") is None
    assert faults.take("s3-missing", "moeopt-a-0-1", "outputs/3") is None
    assert faults.take("s3-missing", "moeopt-a-0-1", "inputs/3") == wanted
    assert faults.take("s3-missing", "moeopt-a-0-1", "inputs/4") == wanted
    assert faults.take("s3-missing", "moeopt-a-0-1", "inputs/5") is None
    assert faults.take("s3-missing", "moeopt-a-0-1", "weights/a.npz") is not None
    faults.add([Fault("crash")])
    faults.clear()
    assert faults.take("crash", "f") is None


def test_threads_take_no_fault_twice() -> None:
    faults = Faults()
    faults.add([Fault("throttle", times=40), Fault("throttle", times=20)])
    with ThreadPoolExecutor(8) as threads:
        taken = list(threads.map(lambda k: faults.take("throttle", f"f{k}"), range(100)))
    assert sum(fault is not None for fault in taken) == 60


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"kind": "flood"}, "$.kind"),
        ({"kind": "crash", "times": 0}, "$.times"),
        ({"kind": "s3-slow", "seconds": -1.0}, "$.seconds"),
        ({"kind": "s3-slow", "seconds": float("nan")}, "$.seconds"),
    ],
)
def test_impossible_faults_are_refused(fields: dict[str, Any], path: str) -> None:
    with pytest.raises(InstanceError) as refused:
        Fault(**fields)
    assert refused.value.path == path
