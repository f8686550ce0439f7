"""Instances on which something disagreed once: now everything that answers them agrees."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest

from moeopt import load_problem
from moeopt.bench.reliability.agreement_cases import Instance
from moeopt.bench.reliability.agreement_checks import compare

TESTS = Path(__file__).parents[1]

#: In the folder ``regressions`` of each wing's tests.
FILES = sorted(TESTS.glob("*/regressions/*.json"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parts[-3]}-{file.stem}")
def test_all_answers_agree(file: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        compared = compare(file.parts[-3], Instance(load_problem(file), "generated"))
    broken = [one for each in compared.identities.values() for one in each.failures]
    assert compared.failures + broken == []
    assert compared.asked.uncaught == ""
    assert compared.methods or compared.bounds
