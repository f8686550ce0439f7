"""Emulated nodes: network namespaces of this machine, each behind a port with a rate.

A node is a namespace with one interface, tied to a switch that stands in a namespace of its own.
One token bucket limits what leaves the node, another what the switch passes on to it: senders that
meet at a receiver queue there, and what does not fit into the queue is lost. Ranks of one node meet
on its loopback, at the speed of memory. Nothing of the machine's own network is touched.

A namespace lives as long as the processes in it. Here they end when their pipe to this process
closes, so that nothing is left of them even if it is killed.
"""

from __future__ import annotations

import contextlib
import shutil
import subprocess
from collections.abc import Sequence
from types import TracebackType
from typing import BinaryIO, cast

from moeopt.core.errors import AdapterError, InstanceError

#: Of util-linux and of iproute2.
_TOOLS = ("unshare", "nsenter", "ip", "tc")

_REFUSED = "network namespaces are not permitted here"

#: The interface of every node; names are of its namespace only.
INTERFACE = "eth0"

#: Bytes that a port may send at once after a pause, and that it holds before it drops.
_BURST_BYTES = 32 * 1024
QUEUE_BYTES = 512 * 1024

#: Most that a port can be given, of either.
_MOST_BYTES = 2**32 - 1

#: Addresses 10.0.0.1 upwards; they are seen by nobody else.
_SUBNET, _MOST_NODES = "10.0.0.0/24", 250

#: Jumbo frames, and what is lost is sent again after milliseconds: the least that Linux waits
#: otherwise, 200 ms, is longer than the exchanges.
_MTU, _RESEND_MS = 9000, 10

#: Reno gives way to loss and to nothing else, and is in every kernel.
_TCP = {"tcp_congestion_control": "reno", "tcp_slow_start_after_idle": "0"}


class EmulatedNodes:
    """Nodes on this machine with ports of a rate; a context manager that removes them.

    Give `prefixes` and `environment` to `moeopt.adapters.torch.workers.Workers`.

    Parameters
    ----------
    nodes
        How many.
    bytes_per_s
        Rate of each node's port, the same out and in.
    ranks_per_node
        Workers that share a node, and so its port.
    queue_bytes
        What a port holds of what it cannot send yet; the rest is dropped, and TCP sends it again.

    Attributes
    ----------
    prefixes
        For each rank the command that starts another in its node; ranks node by node.

    Raises
    ------
    AdapterError
        If namespaces are not permitted here, or a tool is missing.
    """

    def __init__(
        self,
        nodes: int,
        bytes_per_s: float,
        *,
        ranks_per_node: int = 1,
        queue_bytes: int = QUEUE_BYTES,
    ) -> None:
        _check(nodes, bytes_per_s, ranks_per_node, queue_bytes)
        self.prefixes: list[list[str]] = []
        self._namespaces: list[_Namespace] = []
        try:
            switch = self._add(_first())
            switch.configure("link add name switch type bridge", "link set switch up")
            for number in range(nodes):
                node = self._add(_Namespace(switch))
                _connect(switch, node, number, int(bytes_per_s), queue_bytes)
                self.prefixes += [node.entry] * ranks_per_node
        except BaseException:
            self.close()
            raise

    @property
    def environment(self) -> dict[str, str]:
        """Variables that make the workers use the nodes' ports."""
        return {"GLOO_SOCKET_IFNAME": INTERFACE}

    def close(self) -> None:
        """Remove the nodes; those with workers last until these end."""
        for namespace in self._namespaces:
            namespace.close()
        self._namespaces = []

    def __enter__(self) -> EmulatedNodes:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _add(self, namespace: _Namespace) -> _Namespace:
        self._namespaces.append(namespace)
        return namespace


def refusal() -> str | None:
    """Return why nodes cannot be emulated here, in one line; ``None`` if they can."""
    try:
        EmulatedNodes(1, 1e6).close()
    except AdapterError as error:
        return str(error)
    return None


class _Namespace:
    """A network namespace, held by a process that waits for its input to end.

    Parameters
    ----------
    owner
        The namespace whose user makes it; ``None`` for ours.
    user
        Whether to become root in a user namespace of its own first, as anybody may who may not
        make a network namespace.
    """

    def __init__(self, owner: _Namespace | None = None, *, user: bool = False) -> None:
        self._user: bool = user or (owner is not None and owner._user)
        enter = [] if owner is None else owner.entry
        become = ["--user", "--map-root-user"] if user else []
        try:
            self._process = subprocess.Popen(
                [*enter, "unshare", *become, "--net", "sh", "-c", "echo && exec cat"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                # Of its own, so that Ctrl-C reaches it through us, after the workers.
                start_new_session=True,
            )
        except OSError as error:
            raise AdapterError(f"{_REFUSED}: {error}") from None
        try:
            if not cast("BinaryIO", self._process.stdout).readline():
                said = cast("BinaryIO", self._process.stderr).read().decode("utf-8", "replace")
                raise AdapterError(f"{_REFUSED}: {_line(said)}")
        except BaseException:
            self.close()
            raise

    @property
    def entry(self) -> list[str]:
        """Command that starts another in this namespace."""
        user = ["--user", "--preserve-credentials"] if self._user else []
        return ["nsenter", "--target", str(self.process_id), *user, "--net"]

    @property
    def process_id(self) -> int:
        """Number of the process that holds it."""
        return self._process.pid

    def configure(self, *lines: str) -> None:
        """Give commands to ``ip``."""
        self._feed(["ip", "-batch", "-"], "\n".join(lines))

    def limit(self, interface: str, bytes_per_s: int, queue_bytes: int) -> None:
        """Limit what leaves by an interface."""
        bucket = f"tbf rate {bytes_per_s}bps burst {_BURST_BYTES} limit {queue_bytes}"
        self._feed(["tc", "-batch", "-"], f"qdisc add dev {interface} root {bucket}")

    def tune(self) -> None:
        """Set what TCP does, as near to a fast network's ways as a slow port lets it."""
        for name, value in _TCP.items():
            self._feed(["tee", f"/proc/sys/net/ipv4/{name}"], value)

    def close(self) -> None:
        """End the process."""
        process = self._process
        for stream in (process.stdin, process.stdout, process.stderr):
            with contextlib.suppress(OSError):
                cast("BinaryIO", stream).close()
        try:
            process.wait(timeout=1.0)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _feed(self, command: Sequence[str], text: str) -> None:
        done = subprocess.run(
            [*self.entry, *command],
            input=text + "\n",
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise AdapterError(f"{command[0]} cannot emulate nodes here: {_line(done.stderr)}")


def _first() -> _Namespace:
    """Return a namespace in the way that is permitted: as root, or as one's own root."""
    missing = [tool for tool in _TOOLS if shutil.which(tool) is None]
    if missing:
        raise AdapterError(f"emulated nodes need {', '.join(missing)} on the PATH")
    with contextlib.suppress(AdapterError):
        return _Namespace()
    return _Namespace(user=True)


def _connect(
    switch: _Namespace, node: _Namespace, number: int, bytes_per_s: int, queue_bytes: int
) -> None:
    """Tie a node to the switch, with a rate on both ends."""
    port = f"port{number}"
    pair = f"mtu {_MTU} type veth peer name {INTERFACE} mtu {_MTU} netns {node.process_id}"
    switch.configure(f"link add name {port} {pair}", f"link set {port} master switch up")
    address = f"10.0.0.{number + 1}/24"
    up = [f"link set {name} up" for name in ("lo", INTERFACE)]
    node.configure(f"address add {address} dev {INTERFACE}", *up)
    node.configure(f"route replace {_SUBNET} dev {INTERFACE} rto_min {_RESEND_MS}ms")
    node.tune()
    switch.limit(port, bytes_per_s, queue_bytes)
    node.limit(INTERFACE, bytes_per_s, queue_bytes)


def _line(said: str) -> str:
    """Return what a command said as one line."""
    return " ".join(said.split())


def _check(nodes: int, bytes_per_s: float, ranks_per_node: int, queue_bytes: int) -> None:
    if not 1 <= nodes <= _MOST_NODES:
        rule = f"must be from 1 to {_MOST_NODES}"
        raise InstanceError("nodes", nodes, rule, "this machine does the work of all of them")
    if ranks_per_node < 1:
        raise InstanceError("ranks_per_node", ranks_per_node, "must be >= 1", "start one on each")
    if not 1 <= bytes_per_s <= _MOST_BYTES:
        rule = f"must be from 1 to {_MOST_BYTES}"
        raise InstanceError("bytes_per_s", bytes_per_s, rule, "slow ports show more than fast ones")
    if not _BURST_BYTES <= queue_bytes <= _MOST_BYTES:
        rule = f"must be from {_BURST_BYTES}, what a port may send at once, to {_MOST_BYTES}"
        raise InstanceError("queue_bytes", queue_bytes, rule, "leave it out")
