"""Emulated nodes: real ones where they are permitted, else the sentence that says why not.

Both are asserted: a machine that refuses must refuse everywhere, and in one line.
"""

from __future__ import annotations

import contextlib
import functools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch_jobs_emulate as jobs

from moeopt.adapters.torch import emulate
from moeopt.adapters.torch.emulate import EmulatedNodes, _Namespace
from moeopt.adapters.torch.workers import Workers
from moeopt.core.errors import AdapterError, InstanceError

RATE = 4e6

#: Rows of a thousand bytes from each rank to each: inside the two nodes, and between them. The
#: first two ranks share a node.
INSIDE = [[0, 1000, 0], [1000, 0, 0], [0, 0, 1000]]
BETWEEN = [[0, 0, 500], [0, 0, 500], [500, 500, 0]]

#: A program that keeps nodes, tells who holds their namespaces, and then waits.
_KEEPS = """
import sys, time
from moeopt.adapters.torch.emulate import EmulatedNodes
with EmulatedNodes(2, 1e6) as nodes:
    print(*(one.process_id for one in nodes._namespaces), flush=True)
    time.sleep(600)
"""


#: Here it stays the same, unless a test changes what this machine has.
refusal = functools.cache(emulate.refusal)


@pytest.fixture(scope="module")
def workers() -> Iterator[Workers | None]:
    """Return workers on two nodes, two and one; ``None`` where nodes are not permitted."""
    if refusal() is not None:
        yield None
        return
    with (
        EmulatedNodes(2, RATE, ranks_per_node=2) as nodes,
        Workers(3, prefixes=nodes.prefixes[:3], environment=nodes.environment) as started,
    ):
        yield started


def real_or_refused(test: Callable[..., None]) -> Callable[..., None]:
    """Return the test, or where nodes are not permitted, that they say so in one line."""

    @functools.wraps(test)
    def either(*args: object, **kwargs: object) -> None:
        if refusal() is None:
            test(*args, **kwargs)
            return
        with pytest.raises(
            AdapterError, match=r"^(network namespaces|emulated nodes|ip|tc|tee) .+$"
        ):
            EmulatedNodes(2, RATE)

    return either


def ours() -> list[str]:
    """Return the interfaces, and the named namespaces, of this process's own network."""
    names = Path("/run/netns")
    found = [line.partition(":")[0] for line in Path("/proc/self/net/dev").read_text().splitlines()]
    return [*found, *(sorted(os.listdir(names)) if names.is_dir() else [])]


def gone(process_id: int) -> bool:
    """Tell whether a process ends within a while."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            state = Path(f"/proc/{process_id}/stat").read_text(encoding="utf-8")
        except OSError:
            return True
        if state.rpartition(")")[2].split()[0] == "Z":
            return True  # nobody has asked how it ended
        time.sleep(0.02)
    return False


@real_or_refused
def test_ranks_of_a_node_share_its_network(workers: Workers | None) -> None:
    assert workers is not None
    networks = workers.run(jobs.network)
    assert networks[0] == networks[1] != networks[2]
    assert os.readlink("/proc/self/ns/net") not in networks


@real_or_refused
def test_traffic_inside_a_node_does_not_use_its_port(workers: Workers | None) -> None:
    assert workers is not None
    inside = workers.run(jobs.over_the_port, INSIDE, 1000)
    between = workers.run(jobs.over_the_port, BETWEEN, 1000)
    inside_bytes, _, _ = zip(*inside, strict=True)
    between_bytes, begun, ended = zip(*between, strict=True)
    assert max(inside_bytes) < 100_000
    assert min(between_bytes) >= 2 * 500 * 1000
    # Each port takes what two ranks send. It cannot be faster, but for what goes at once.
    assert max(ended) - min(begun) > (2 * 500 * 1000 - 100_000) / RATE


@real_or_refused
def test_both_ends_of_a_port_have_its_rate() -> None:
    with EmulatedNodes(2, 3e6, queue_bytes=90_000) as nodes:
        switch, *inside = nodes._namespaces
        for namespace, ports in ((switch, 2), (inside[0], 1), (inside[1], 1)):
            shown = subprocess.run(
                [*namespace.entry, "tc", "qdisc", "show"],
                capture_output=True,
                text=True,
                check=True,
            )
            buckets = [line for line in shown.stdout.splitlines() if "tbf" in line]
            assert len(buckets) == ports
            assert all("rate 24Mbit" in line for line in buckets)


@real_or_refused
def test_nothing_of_this_machines_network_changes() -> None:
    before = ours()
    with EmulatedNodes(3, RATE) as nodes:
        holders = [one.process_id for one in nodes._namespaces]
        assert len(holders) == 4
        assert ours() == before
    assert all(map(gone, holders))
    assert ours() == before


@pytest.mark.parametrize("ends", [signal.SIGINT, signal.SIGKILL])
@real_or_refused
def test_nothing_is_left_however_the_program_ends(ends: signal.Signals) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", _KEEPS],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        # Ctrl-C goes to a whole group.
        process_group=0,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    ) as program:
        assert program.stdout is not None
        holders = [int(word) for word in program.stdout.readline().split()]
        os.killpg(program.pid, ends)
    assert len(holders) == 3
    assert all(map(gone, holders))


@real_or_refused
def test_a_failure_half_way_leaves_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    made: list[int] = []
    start = subprocess.Popen.__init__

    def noted(process: subprocess.Popen[bytes], *args: object, **kwargs: object) -> None:
        start(process, *args, **kwargs)  # type: ignore[call-overload]
        made.append(process.pid)

    script(tmp_path / "tc", "echo tc: no such qdisc >&2; exit 2")
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setattr(subprocess.Popen, "__init__", noted)
    with pytest.raises(AdapterError, match=r"^tc cannot emulate nodes here: tc: no such qdisc$"):
        EmulatedNodes(2, RATE)
    assert made
    assert all(map(gone, made))


def test_a_refusal_is_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for tool in ("nsenter", "ip", "tc"):
        script(tmp_path / tool, "exit 0")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert emulate.refusal() == "emulated nodes need unshare on the PATH"
    script(
        tmp_path / "unshare", "echo unshare failed: >&2; echo Operation not permitted >&2; exit 1"
    )
    said = "network namespaces are not permitted here: unshare failed: Operation not permitted"
    assert emulate.refusal() == said
    (tmp_path / "unshare").write_text("#!/nowhere/sh\n", encoding="utf-8")
    assert str(emulate.refusal()).startswith("network namespaces are not permitted here: ")


def test_a_users_own_namespace_will_do() -> None:
    with contextlib.ExitStack() as stack:
        try:
            switch = _Namespace(user=True)
        except AdapterError:
            stack.enter_context(pytest.raises(AdapterError, match="are not permitted here: "))
            switch = _Namespace(user=True)
        node = _Namespace(switch)
        for namespace in (node, switch):
            assert "--user" in namespace.entry
            command = [*namespace.entry, "id", "-u"]
            shown = subprocess.run(command, capture_output=True, text=True, check=True)
            assert shown.stdout == "0\n"
            namespace.close()


@pytest.mark.parametrize(
    ("arguments", "path"),
    [
        ({"nodes": 0}, "nodes"),
        ({"nodes": 251}, "nodes"),
        ({"bytes_per_s": 0.0}, "bytes_per_s"),
        ({"bytes_per_s": float("nan")}, "bytes_per_s"),
        ({"bytes_per_s": 1e10}, "bytes_per_s"),
        ({"ranks_per_node": 0}, "ranks_per_node"),
        ({"queue_bytes": 1}, "queue_bytes"),
        ({"queue_bytes": 2**32}, "queue_bytes"),
    ],
)
def test_strange_arguments_are_told(arguments: dict[str, float], path: str) -> None:
    with pytest.raises(InstanceError, match=f"^{path}: must be"):
        EmulatedNodes(**{"nodes": 2, "bytes_per_s": RATE, **arguments})  # type: ignore[arg-type]


def script(path: Path, text: str) -> None:
    """Write a command that does what a shell is told."""
    path.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
    path.chmod(0o755)
