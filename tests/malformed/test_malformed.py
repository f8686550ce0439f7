"""Bad input: exit 2 or 3, a sentence with path, value, rule and remedy, and nothing written."""

from __future__ import annotations

import builtins
import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from bad_committee import COMMITTEE, COMMITTEE_BASE, COMMITTEE_INFEASIBLE
from bad_files import FILES
from bad_instance import BASE, Case
from bad_serverless import SERVERLESS, SERVERLESS_BASE, SERVERLESS_INFEASIBLE
from bad_texts import HEADERS, PLACES, TEXTS
from bad_transfers import TRANSFERS, TRANSFERS_BASE, TRANSFERS_INFEASIBLE
from bad_types import TYPES
from bad_values import VALUES
from infeasible import INFEASIBLE

import moeopt
from moeopt.cli.main import main

BAD = [*TEXTS, *PLACES, *HEADERS, *TYPES, *VALUES, *FILES, *TRANSFERS, *SERVERLESS, *COMMITTEE]
CASES = [*BAD, *INFEASIBLE, *TRANSFERS_INFEASIBLE, *SERVERLESS_INFEASIBLE, *COMMITTEE_INFEASIBLE]


def test_the_base_is_valid_and_cases_are_distinct(tmp_path: Path) -> None:
    path = tmp_path / "base.json"
    path.write_text(json.dumps(BASE))
    assert moeopt.load_problem(path).num_experts == 4
    path.write_text(json.dumps(TRANSFERS_BASE))
    assert moeopt.load_problem(path).num_ports == 4
    path.write_text(json.dumps(SERVERLESS_BASE))
    assert moeopt.load_problem(path).num_layers == 2
    path.write_text(json.dumps(COMMITTEE_BASE))
    assert moeopt.load_problem(path).num_windows == 2
    assert len({case.name for case in CASES}) == len(CASES) >= 45


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_command_line_says_what_is_wrong(
    case: Case, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, output = case.make(tmp_path), tmp_path / "plan.json"
    code = main(["solve", str(path), "-o", str(output)])
    out, err = capsys.readouterr()
    assert code == case.code, err
    assert err.startswith("moeopt: ")
    assert Path(str(path)).name.strip("\0") in err or "NUL" in err
    for said in case.says:
        assert said in err
    assert "Traceback" not in err
    assert "internal error" not in err
    assert out == ""
    assert not output.exists()
    if case.code == 2:
        assert len(err.strip().splitlines()) == 1
        assert len(err) < 700


@pytest.mark.parametrize("case", BAD, ids=str)
def test_the_library_raises_instance_error(case: Case, tmp_path: Path) -> None:
    with pytest.raises(moeopt.InstanceError) as caught:
        moeopt.load_problem(str(case.make(tmp_path)))
    assert caught.value.rule
    assert caught.value.remedy
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("command", ["show", "check", "export"])
def test_other_commands_say_the_same(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "bad.json"
    path.write_text(json.dumps({**BASE, "groups": 3}))
    rest = {"show": [], "check": [str(path)], "export": ["--format", "mps", "-o", "x.mps"]}
    assert main([command, str(path), *rest[command]]) == 2
    assert f"{path}: $.groups: must divide the 4 experts, got 3; use 1" in capsys.readouterr().err


def test_a_protected_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "base.json"
    path.write_text(json.dumps(BASE))
    path.chmod(0)
    if os.geteuid() == 0:
        # Root reads everything, so the system's refusal is stood in for.
        opened = builtins.open

        def refuse(name: object, *arguments: object, **options: object) -> object:
            if str(name) == str(path):
                raise PermissionError(errno.EACCES, "Permission denied", str(path))
            return opened(name, *arguments, **options)  # type: ignore[call-overload]

        monkeypatch.setattr(builtins, "open", refuse)
    assert main(["solve", str(path)]) == 2
    assert "permission denied" in capsys.readouterr().err


_MEASURED = """
import resource, sys
from pathlib import Path
from moeopt.cli.main import main
code = main(sys.argv[1:])
used = resource.getrusage(resource.RUSAGE_SELF)
# What the system counts as a child's peak begins with its parent's size; Linux tells the own one.
own = Path("/proc/self/status")
peak = int(own.read_text().split("VmHWM:")[1].split()[0]) if own.exists() else used.ru_maxrss
print(used.ru_utime + used.ru_stime, peak // 1024)
raise SystemExit(code)
"""


@pytest.mark.parametrize("name", ["brackets", "shallow-brackets", "deep", "truncated"])
def test_in_a_process_of_its_own_within_a_second_and_a_gigabyte(name: str, tmp_path: Path) -> None:
    case = next(case for case in TEXTS if case.name == name)
    path = case.make(tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", _MEASURED, "solve", str(path)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert all(said in done.stderr for said in case.says)
    assert "Traceback" not in done.stderr
    seconds, mebibytes = map(float, done.stdout.split())
    # Of processor time, start-up included: a second on an idle machine, more on a shared one.
    assert seconds < 2.0
    assert mebibytes < 1024


def test_standard_input(tmp_path: Path) -> None:
    reference = {**BASE, "loads_tokens": {"npz": "a.npz", "key": "a"}}
    done = subprocess.run(
        [sys.executable, "-m", "moeopt", "solve", "-"],
        input=json.dumps(reference),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert "<stdin>: $.loads_tokens.npz: must not be used on standard input" in done.stderr


def test_a_failure_that_is_ours_asks_for_a_report(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*args: object, **named: object) -> None:
        raise ZeroDivisionError("division by zero")

    path = tmp_path / "base.json"
    path.write_text(json.dumps(BASE))
    monkeypatch.setattr("moeopt.core.solve.solve", broken)
    assert main(["solve", str(path)]) == 1
    err = capsys.readouterr().err
    assert "internal error: ZeroDivisionError: division by zero; please report it" in err
    assert "Traceback" not in err
    monkeypatch.setenv("MOEOPT_TRACEBACK", "1")
    assert main(["solve", str(path)]) == 1
    assert "Traceback" in capsys.readouterr().err
