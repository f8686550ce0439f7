"""The page of the Lambda adapter: what it says of names, bounds and settings is the code's."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from doc_blocks import ROOT, blocks, commands, table_rows

import moeopt
from moeopt.adapters.aws_lambda.deployer import bucket, package
from moeopt.adapters.aws_lambda.dispatch.patience import Patience
from moeopt.adapters.aws_lambda.names import Names
from moeopt.cli.main import main

PAGE = ROOT / "docs" / "adapters" / "lambda.md"
TEXT = " ".join(PAGE.read_text(encoding="utf-8").split())
FOLDER = Path(moeopt.__file__).parent / "adapters" / "aws_lambda"


def test_a_bill_is_estimated_within_five_commands() -> None:
    first = next(block for block in blocks(PAGE) if block.kind == "console")
    shown = [command.line for command in commands(first)]
    assert len(shown) == 5
    assert shown[0].startswith("pip install ")
    assert "--dry-run" in shown[3]
    assert shown[4] == "moeopt lambda deploy plan.json"


def test_table_of_things_has_their_names() -> None:
    rows = {row[0]: row[1] for row in table_rows(PAGE, "thing")}
    names = Names("name")
    assert rows["a role"] == f"`{names.role}`".replace("name", "NAME")
    function = names.function(0, 1).replace("0-1", "LAYER-EXPERT").replace("name", "NAME")
    assert rows["a function for each expert"] == f"`{function}`"
    assert rows["a bucket"] == f"`{names.bucket('ACCOUNT')}`".replace("-name-", "-NAME-")
    assert rows["objects"].startswith(f"`{names.prefix.replace('name', 'NAME')}weights`")


def test_bounds_are_the_code() -> None:
    patience = Patience()
    assert f"{patience.attempts} attempts at a call" in TEXT
    assert f"{patience.total_s:.0f} s of waits" in TEXT
    assert f"{patience.halvings} halvings" in TEXT
    assert bucket._KEPT_DAYS == 1
    assert "batches expire after a day" in TEXT


def test_c_libraries_are_those_that_packages_are_held_against() -> None:
    old, new = (".".join(map(str, each)) for each in (package._OLD_GLIBC, package._NEW_GLIBC))
    assert f"Functions with Python 3.{package._LAST_OLD} have glibc {old}" in TEXT
    assert f"later ones have {new}" in TEXT
    # What the refusal says to run brings the last NumPy with such wheels.
    assert package._LEGACY["manylinux2014"] <= package._OLD_GLIBC
    assert "manylinux2014" in package._remedy("x86_64", package._LAST_OLD)


def test_options_that_are_named_exist(capsys: pytest.CaptureFixture[str]) -> None:
    known = {"--target", "--build-arg"}  # pip's, docker's
    for command in ("lambda deploy", "lambda policy", "run", "calibrate", "bench"):
        assert main([*command.split(), "--help"]) == 0
        known |= set(re.findall(r"--[a-z-]+", capsys.readouterr().out))
    assert set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", TEXT)) <= known


def test_every_module_has_its_place_in_the_architecture() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    (part,) = (one for one in text.split("\n\n") if one.startswith("In `moeopt.adapters.aws_l"))
    named = set(re.findall(r"`([\w/*]+\.py|\w+/)`", part))
    for name in named:
        assert any([*place.glob(name)] for place in (FOLDER, *FOLDER.glob("*/"))), name
    modules = FOLDER.glob("[a-z]*.py")
    assert not [path for path in modules if not any(path.match(name) for name in named)]
