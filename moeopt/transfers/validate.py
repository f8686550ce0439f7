"""Checks of a stated transfer problem: what is malformed, and what cannot be met by any plan."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from moeopt.core.arrays import FloatArray, require_finite_nonnegative, require_shape
from moeopt.core.errors import InstanceError
from moeopt.core.wing import Violation

if TYPE_CHECKING:
    from moeopt.transfers.problem import TransferProblem

#: Most ports, and most cells of the traffic: a misprinted size must not fill the memory.
MAX_PORTS = 4096
MAX_CELLS = 100_000_000

#: Least seconds of a message, and most bytes that the fastest port could send meanwhile.
_LEAST, _MOST = 1e-300, 1e300


def normalise(problem: TransferProblem) -> None:
    """Bring the arrays of a new problem to their documented shapes."""
    traffic = problem.traffic_bytes
    if traffic.ndim == 2:
        # Checked while the indices are still those that the user wrote.
        require_finite_nonnegative(traffic, "$.traffic_bytes")
        _set(problem, "traffic_bytes", traffic[None])
    for name in ("bandwidth_bytes_per_s", "receive_bytes_per_s"):
        rate = getattr(problem, name)
        if isinstance(rate, np.ndarray) and rate.ndim == 0:
            _set(problem, name, rate.item())


def validate(problem: TransferProblem) -> None:
    """Raise `InstanceError` for the first thing that is malformed or contradicts another."""
    _check_traffic(problem)
    _check_rates(problem)
    _check_windows(problem)
    _check_ports(problem)
    _check_parts(problem)
    _check_objective(problem)
    _check_range(problem)


def impossible(problem: TransferProblem) -> list[Violation]:
    """Return the constraints that no plan can satisfy, as far as counting alone shows."""
    return [
        violation
        for check in (_absent_impossible, _rails_impossible, _deadline_impossible)
        for violation in check(problem)
    ]


def _set(problem: TransferProblem, name: str, value: object) -> None:
    msgspec.structs.force_setattr(problem, name, value)


def _check_traffic(problem: TransferProblem) -> None:
    traffic, path = problem.traffic_bytes, "$.traffic_bytes"
    if traffic.ndim != 3 or 0 in traffic.shape or traffic.shape[1] != traffic.shape[2]:
        raise InstanceError(
            path,
            f"<shape {traffic.shape}>",
            "must have shape (ports, ports) or (waves, ports, ports), none of them 0",
            "give a row and a column for each port",
        )
    if traffic.shape[1] > MAX_PORTS or traffic.size > MAX_CELLS:
        raise InstanceError(
            path,
            f"<shape {traffic.shape}>",
            f"must have at most {MAX_PORTS} ports and {MAX_CELLS} cells",
            "split the problem, or add waves that need not be apart",
        )
    require_finite_nonnegative(traffic, path)
    with np.errstate(over="ignore"):
        total = traffic.sum(dtype=np.float64)
    if not np.isfinite(total):
        raise InstanceError(
            path, f"<a sum above {np.finfo(float).max:.3g}>", "must have a finite sum", "rescale it"
        )


def _check_rates(problem: TransferProblem) -> None:
    for name in ("bandwidth_bytes_per_s", "receive_bytes_per_s"):
        rate: Any = getattr(problem, name)
        if rate is None:
            continue
        path = f"$.{name}"
        if isinstance(rate, np.ndarray):
            require_shape(rate, path, (problem.num_ports,), "ports")
        array = np.asarray(rate, dtype=np.float64)
        # Beyond these, seconds or bytes would overflow, or vanish.
        bad = ~((array >= 1e-30) & (array <= 1e30))
        if bad.any():
            at = int(np.argmax(bad))
            where = f"[{at}]" if array.ndim else ""
            raise InstanceError(
                path + where,
                array.ravel()[at].item(),
                "must be a finite number > 0, from 1e-30 to 1e30",
                "name a port that cannot be used in absent_ports",
            )


def _check_windows(problem: TransferProblem) -> None:
    counts = {
        "wave": (problem.num_waves, "waves"),
        "source": (problem.num_ports, "ports"),
        "destination": (problem.num_ports, "ports"),
    }
    for i, window in enumerate(problem.windows):
        path = f"$.windows[{i}]"
        for name, (count, of) in counts.items():
            _require_index(getattr(window, name), count, f"{path}.{name}", of)
        if window.source is not None and window.source == window.destination:
            raise InstanceError(
                f"{path}.destination",
                window.destination,
                "must differ from source: local bytes need no network",
                "correct one of the two",
            )
        if window.deadline_s is not None and window.deadline_s <= window.release_s:
            raise InstanceError(
                f"{path}.deadline_s",
                window.deadline_s,
                f"must be after release_s = {window.release_s}",
                "raise it, or release earlier",
            )


def _check_ports(problem: TransferProblem) -> None:
    ports = problem.num_ports
    for i, busy in enumerate(problem.busy):
        _require_index(busy.port, ports, f"$.busy[{i}].port", "ports")
        if busy.end_s <= busy.start_s:
            raise InstanceError(
                f"$.busy[{i}].end_s",
                busy.end_s,
                f"must be after start_s = {busy.start_s}",
                "correct one of the two",
            )
    seen: set[int] = set()
    for i, port in enumerate(problem.absent_ports):
        path = f"$.absent_ports[{i}]"
        _require_index(port, ports, path, "ports")
        if port in seen:
            raise InstanceError(path, port, "must be named once", "remove the repetition")
        seen.add(port)
    if len(seen) == ports:
        raise InstanceError(
            "$.absent_ports",
            list(problem.absent_ports),
            "must leave a port that takes part",
            "remove an entry",
        )
    if problem.fabric is not None and ports % problem.fabric.ports_per_node:
        raise InstanceError(
            "$.fabric.ports_per_node",
            problem.fabric.ports_per_node,
            f"must divide the {ports} ports",
            "add absent ports where a node has fewer",
        )


def _check_parts(problem: TransferProblem) -> None:
    if problem.chunk_bytes > 0 and not problem.preemptive:
        raise InstanceError(
            "$.chunk_bytes",
            problem.chunk_bytes,
            "must be 0 with preemptive false, which cuts no message into chunks",
            "leave one of the two out",
        )


def _check_objective(problem: TransferProblem) -> None:
    """Refuse to count rounds where the least makespan is not known to be the largest line sum."""
    if problem.objective != "rounds":
        return
    others = {
        "startup_s": problem.startup_s > 0,
        "chunk_bytes": problem.chunk_bytes > 0,
        "preemptive": not problem.preemptive,
        "half_duplex": problem.half_duplex,
        "windows": bool(problem.windows),
        "busy": bool(problem.busy),
        "fabric": problem.fabric is not None,
    }
    for name in (name for name, stated in others.items() if stated):
        raise InstanceError(
            f"$.{name}",
            msgspec.to_builtins(getattr(problem, name)),
            'must be left out with objective "rounds": the least makespan would not be known',
            'remove it, or minimise the "makespan"',
        )
    if not problem.has_equal_ports:
        raise InstanceError(
            "$.bandwidth_bytes_per_s",
            "<unequal rates>",
            'must be the same for all ports, both ways, with objective "rounds"',
            'give one number, or minimise the "makespan"',
        )


def _check_range(problem: TransferProblem) -> None:
    """Refuse what would vanish or overflow where bytes become seconds, or seconds bytes."""
    sent = problem.messages()
    sent = sent[sent > 0]
    if not sent.size:
        return
    rates = [problem.send_rate(), problem.receive_rate()]
    if problem.fabric is not None:
        rates.append(np.atleast_1d(problem.fabric.bandwidth_bytes_per_s))
    slowest, fastest = float(np.concatenate(rates).min()), float(np.concatenate(rates).max())
    least = float(sent.min()) / max(1.0, fastest)
    if least < _LEAST:
        raise InstanceError(
            "$.traffic_bytes",
            float(sent.min()),
            f"must be 0, or take at least {_LEAST:g} s at the fastest port: less is lost in sums",
            "leave such messages out, or rescale bytes and rates",
        )
    times = [time for window in problem.windows for time in (window.release_s, window.deadline_s)]
    latest = max([0.0, *(time or 0.0 for time in times), *(busy.end_s for busy in problem.busy)])
    with np.errstate(over="ignore"):
        seconds = float(sent.sum()) * (1.0 + problem.incast_penalty * problem.num_ports) / slowest
        seconds += latest + problem.startup_s * 2 * (sent.size + problem.num_ports)
        most = seconds * max(1.0, fastest)
    if not most <= _MOST:
        raise InstanceError(
            "$.startup_s" if problem.startup_s * fastest > sent.max() else "$.traffic_bytes",
            f"<{most:.3g} bytes in the time of all messages>",
            f"must be at most {_MOST:.3g}, all messages sent one after the other",
            "rescale bytes, rates or seconds",
        )


def _require_index(value: int | None, count: int, path: str, of: str) -> None:
    if value is not None and value >= count:
        raise InstanceError(
            path, value, f"must be 0 to {count - 1}: there are {count} {of}", "correct the index"
        )


def _absent_impossible(problem: TransferProblem) -> list[Violation]:
    present = problem.present()
    lost: FloatArray = np.where(np.outer(present, present), 0.0, problem.pair_bytes())
    if not lost.any():
        return []
    source, destination = np.unravel_index(int(np.argmax(lost)), lost.shape)
    message = (
        f"{lost.sum():.6g} bytes have an absent source or destination, most of them from port"
        f" {source} to {destination}; take them out, or the port out of absent_ports"
    )
    return [_violation("C9", "$.absent_ports", message, float(lost.sum()))]


def _rails_impossible(problem: TransferProblem) -> list[Violation]:
    """Look for two nodes without a rail that has both of its ports."""
    if problem.fabric is None or not problem.fabric.rails:
        return []
    rails = problem.present().reshape(-1, problem.fabric.ports_per_node).astype(np.int64)
    node = problem.node_of_port()
    apart = ~problem.inside() & ((rails @ rails.T) == 0)[np.ix_(node, node)]
    present = problem.present()
    cut: FloatArray = np.where(apart & np.outer(present, present), problem.pair_bytes(), 0.0)
    if not cut.any():
        return []
    source, destination = np.unravel_index(int(np.argmax(cut)), cut.shape)
    message = (
        f"nodes {node[source]} and {node[destination]} have no rail with both ports present, but"
        f" {cut.sum():.6g} bytes need one, port {source} to {destination} among them; give up"
        " rails, or take a port out of absent_ports"
    )
    return [_violation("C11", "$.absent_ports", message, float(cut.sum()))]


def _deadline_impossible(problem: TransferProblem) -> list[Violation]:
    """Look for a message, and for a line of messages, with more to do than time until it is due."""
    # Imported here: bounds need the problem's class, and that class runs the checks above.
    from moeopt.transfers.bounds import least_finish, overloads

    deadline = problem.deadline()
    if np.isinf(deadline).all():
        return []
    late = np.where(problem.messages() > 0, least_finish(problem) - deadline, -np.inf)
    at = np.unravel_index(int(np.argmax(late)), late.shape)
    over, due = float(late[at]), float(deadline[at])
    if over > 1e-9 * due:
        wave, source, destination = (int(i) for i in at)
        message = (
            f"message {source} -> {destination} of wave {wave} cannot arrive before"
            f" {due + over:.6g} s, but is due at {due:.6g} s; move its window"
        )
        return [_violation("C6", "$.windows", message, over)]
    return [
        _violation(
            "C6",
            "$.windows",
            f"{name} {seconds:.6g} s too much for messages released at {a:.6g} s or later and due"
            f" by {b:.6g} s; move their windows apart",
            seconds,
        )
        for name, a, b, seconds in overloads(problem)[:1]
    ]


def _violation(constraint: str, path: str, message: str, amount: float) -> Violation:
    return Violation(constraint=constraint, path=path, message=message, amount=amount)
