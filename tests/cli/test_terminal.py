"""What a real terminal shows: a bar, tables that fit, and what Ctrl-C does."""

from __future__ import annotations

import io
import json
import os
import re
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import Ran

from moeopt.cli import main, progress

pty = pytest.importorskip("pty")
fcntl = pytest.importorskip("fcntl")
termios = pytest.importorskip("termios")

_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")

#: How long a test waits for what must come; reached only where something is wrong.
_PATIENCE_S = 60.0


@dataclass(frozen=True)
class Shown:
    """What a terminal showed, and how the program ended."""

    code: int
    raw: str

    @property
    def text(self) -> str:
        """What it showed, without what moves and colours."""
        return _ESCAPES.sub("", self.raw).replace("\r\n", "\n")

    def lines(self) -> list[str]:
        """Return every line as it stood at last."""
        return [line.rsplit("\r", 1)[-1] for line in self.text.split("\n")]


class Terminal:
    """A terminal of some width in which moeopt runs."""

    def __init__(self, columns: int, *arguments: object, **environment: str) -> None:
        import struct

        self._pid, self._screen = pty.fork()
        if self._pid == 0:
            os.environ.update({"TERM": "xterm-256color", **environment})
            os.environ.pop("COLUMNS", None)
            # The program must not begin before its window has a size.
            os.read(0, 1)
            words = [sys.executable, "-m", "moeopt", *map(str, arguments)]
            os.execv(sys.executable, words)
        fcntl.ioctl(self._screen, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
        os.write(self._screen, b"\n")
        self._seen = b""

    def wait_for(self, what: bytes) -> Terminal:
        """Read until the screen has shown something."""
        deadline = time.monotonic() + _PATIENCE_S
        while what not in self._seen:
            assert time.monotonic() < deadline, self._seen[-500:]
            assert self._read(), self._seen[-500:]
        return self

    def ctrl_c(self) -> Terminal:
        """Press it: the terminal sends SIGINT to every process in the foreground."""
        os.write(self._screen, b"\x03")
        return self

    def ended(self) -> Shown:
        """Read to the end."""
        while self._read():
            pass
        _, status = os.waitpid(self._pid, 0)
        os.close(self._screen)
        return Shown(os.waitstatus_to_exitcode(status), self._seen.decode())

    def _read(self) -> bool:
        try:
            data = os.read(self._screen, 65536)
        except OSError:  # Linux says so at the end
            return False
        self._seen += data
        return bool(data)


@pytest.fixture
def on_terminal(
    run: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch
) -> Callable[[int], Callable[..., list[str]]]:
    """Return what runs a command in this process, tables drawn for a terminal of some width."""
    from rich import console

    def of_width(columns: int) -> Callable[..., list[str]]:
        monkeypatch.setattr(console.Console, "is_terminal", True)
        monkeypatch.setenv("COLUMNS", str(columns))
        monkeypatch.setenv("TERM", "xterm")

        def lines(*arguments: object) -> list[str]:
            ran = run(*arguments)
            assert ran.code == 0, ran.err
            return _ESCAPES.sub("", ran.out).splitlines()

        return lines

    return of_width


WINGS = [
    "@placement/tiny-memory-across-layers",
    "@placement/tiny-move-price",
    "@transfers/tiny-relay",
    "@transfers/tiny-waves",
    "@transfers/tiny-whole-messages",
    "@colocation/tiny-three-models",
    "@buffering/tiny-budget-unequal",
    "@committee/table-12x16-unequal",
    "@serverless/tiny-2x4",
]


@pytest.mark.parametrize("name", WINGS)
def test_tables_of_every_wing_fit(
    on_terminal: Callable[[int], Callable[..., list[str]]], tmp_path: Path, name: str
) -> None:
    plan = tmp_path / "plan.json"
    on_terminal(80)("solve", name, "--quiet", "-o", plan)
    for columns in (80, 60):
        lines = on_terminal(columns)
        # The last line of a check begins with the plan's path.
        shown = lines("show", name) + lines("show", plan) + lines("check", name, plan)[:-1]
        assert max(map(len, shown)) <= columns
        assert "…" not in "".join(shown)


def test_lists_fit_and_lose_no_digit(
    on_terminal: Callable[[int], Callable[..., list[str]]],
) -> None:
    from moeopt.library import entries

    lines = on_terminal(80)
    shown = lines("instances") + lines("solve", "--list-methods") + lines("--version")
    assert max(map(len, shown)) <= 80
    words = set("\n".join(shown).split())
    for entry in entries():
        assert f"@{entry.name}" in words
        for value in (entry.best_objective, entry.best_bound):
            assert value is None or format(value, ".6g") in words


def test_a_table_with_too_many_columns_goes_on_below(
    on_terminal: Callable[[int], Callable[..., list[str]]], capsys: pytest.CaptureFixture[str]
) -> None:
    from moeopt.core.table import Column, Table, print_tables

    on_terminal(80)
    columns = [Column("layer"), *(Column(f"device {i}", ".3f") for i in range(12))]
    row = [7, *(1234567.125 + i for i in range(12))]
    print_tables([Table("loads", columns, [row], footer=["total", *row[1:]])])
    shown = _ESCAPES.sub("", capsys.readouterr().out)
    assert max(map(len, shown.splitlines())) <= 80
    for value in row[1:]:
        # In its row and in the footer.
        assert shown.count(f"{value:.3f}") == 2
    assert shown.count("layer") == shown.count("total") == 3


def test_words_beside_numbers_keep_their_columns_or_stand_below(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from rich import console

    from moeopt.core.table import Column, Table, print_tables

    monkeypatch.setattr(console.Console, "is_terminal", True)
    monkeypatch.setenv("COLUMNS", "40")
    loads = [Column(f"load {i}", ".3f") for i in range(3)]
    numbers = [1234567.125, 2345678.125, 3456789.125]
    named = Table("", [Column("name"), Column("status"), *loads], [["a", "b", *numbers]])
    counted = Table(
        "", [Column("device"), Column("model 0"), Column("model 1"), *loads],
        [[0, "x", "y", *numbers], [1, "z", "", *numbers]],
    )  # fmt: skip
    print_tables([named])
    assert ["b"] in [line.split() for line in capsys.readouterr().out.splitlines()]
    print_tables([counted])
    shown = [line.split() for line in _ESCAPES.sub("", capsys.readouterr().out).splitlines()]
    # Several columns of words below one number would be a riddle.
    assert ["0", "x", "y", "1234567.125"] in shown
    assert ["1", "z", "1234567.125"] in shown


def test_a_terminal_of_80_columns_gets_a_bar_tables_and_the_incumbent(tmp_path: Path) -> None:
    plan = tmp_path / "plan.json"
    words = ("solve", "@placement/reference-windows", "--method", "search", "--time-limit", "60")
    terminal = Terminal(80, *words, "-o", plan, NO_COLOR="1")
    shown = terminal.wait_for(b"gap").ctrl_c().ended()
    bar = re.search(r"[\d.]+ of 60 s  objective [\d.]+  bound [\d.]+  gap [\d.]+ %", shown.text)
    assert bar is not None, shown.text
    assert max(map(len, shown.lines())) <= 80
    assert not re.search(r"\x1b\[[0-9;]*3[0-7]", shown.raw), "a colour in spite of NO_COLOR"
    # The bar is gone when the tables stand.
    assert " of 60 s" not in shown.text[shown.text.index("imbalance:") :]
    _require_incumbent(shown, plan)


def test_no_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    class Screen(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(sys, "stderr", Screen())
    for quiet, term, seen in (
        (False, "xterm", True),
        (True, "xterm", False),
        (False, "dumb", False),
    ):
        monkeypatch.setenv("TERM", term)
        with progress.shown(quiet) as listener, progress.counted(quiet) as count:
            assert ((listener is not None), (count is not None)) == (seen, seen)


def test_what_is_logged_stands_over_the_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bar puts its own stream in the place of standard error for as long as it lives."""
    import logging

    with main._logging_to_stderr(logging.NOTSET):
        screen = io.StringIO()
        monkeypatch.setattr(sys, "stderr", screen)
        logging.getLogger("moeopt.mip").warning("told")
    assert screen.getvalue() == "moeopt: told\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ["instances"],
        ["show", "@placement/tiny-replicas"],
        ["sweep", "@placement/tiny-replicas", "--workers", "1"],
        ["sweep", "@placement/tiny-replicas", "--frontier", "slots", "--workers", "1"],
    ],
)
def test_quiet_says_nothing(run: Callable[..., Ran], arguments: list[str]) -> None:
    loud, quiet = run(*arguments), run(*arguments, "--quiet")
    assert loud.out != ""
    assert (quiet.code, quiet.out, quiet.err) == (0, "", "")


def test_a_quiet_check_still_says_what_is_wrong(
    run: Callable[..., Ran], tmp_path: Path, instance: Path
) -> None:
    plan = tmp_path / "plan.json"
    assert run("solve", instance, "-o", plan, "--quiet").code == 0
    assert run("check", instance, plan, "--quiet") == Ran(0, "", "")
    document = json.loads(plan.read_text())
    document["physical_to_logical"][0] = [0, 0, 0, 0]
    plan.write_text(json.dumps(document))
    ran = run("check", instance, plan, "--quiet")
    assert (ran.code, ran.out) == (2, "")
    assert "C" in ran.err


def _whole_messages(path: Path) -> str:
    """Write a problem of whole messages that takes CP-SAT long; return its name.

    All ports send and receive as much: the bound is reached only if none ever waits.
    """
    rng = np.random.default_rng(1)
    sent = np.zeros((10, 10), dtype=np.int64)
    for _ in range(40):
        ports = rng.permutation(10)
        sent[ports, np.roll(ports, 1)] += rng.integers(1, 100)
    document: dict[str, Any] = {
        "problem": "transfers", "version": 1, "bandwidth_bytes_per_s": 1, "peers": "one",
        "preemptive": False, "traffic_bytes": sent.tolist(),
    }  # fmt: skip
    path.write_text(json.dumps(document))
    return str(path)


def _require_incumbent(shown: Shown, plan: Path) -> None:
    assert shown.code == 0, shown.text[-500:]
    assert "Traceback" not in shown.text
    assert "feasible, stopped by its interrupted limit" in " ".join(shown.text.split())
    result = json.loads(plan.read_text())["result"]
    assert (result["status"], result["limit"]) == ("feasible", "interrupted")
    assert result["history"][-1][1:] == [result["objective"], result["bound"]]


def test_ctrl_c_stops_a_solver_in_its_process(tmp_path: Path) -> None:
    plan = tmp_path / "plan.json"
    name = _whole_messages(tmp_path / "whole.json")
    terminal = Terminal(120, "solve", name, "--method", "exact", "-o", plan)
    _require_incumbent(terminal.wait_for(b"objective").ctrl_c().ended(), plan)


def test_ctrl_c_with_nothing_to_hand_back(tmp_path: Path) -> None:
    endless = tmp_path / "endless.json"
    os.mkfifo(endless)
    terminal = Terminal(80, "solve", endless)
    with endless.open("w"):  # which waits until moeopt reads
        shown = terminal.ctrl_c().ended()
    assert shown.code == 130
    assert shown.text.rstrip().endswith("moeopt: interrupted")


def test_a_sweep_that_is_stopped_keeps_what_is_finished(tmp_path: Path) -> None:
    plans = tmp_path / "plans"
    names = ("@placement/tiny-replicas", "@placement/deepseek-v3-320-64-hierarchical")
    terminal = Terminal(
        80, "sweep", *names, "--method", "search", "--time-limit", 5, "--workers", 1, "-o", plans
    )
    shown = terminal.wait_for(b"1 of 2 solved").ctrl_c().ended()
    assert shown.code == 130, shown.text[-500:]
    assert shown.text.rstrip().endswith("moeopt: interrupted")
    bar, tables = shown.text.split("Solved apart")
    assert "━" in bar
    assert "━" not in tables
    assert [path.name for path in plans.iterdir()] == ["placement-tiny-replicas.json"]
