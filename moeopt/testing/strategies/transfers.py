"""Strategies of the transfers wing: problems with every rule it knows, and plans for them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from hypothesis import strategies as st

from moeopt.core.arrays import FloatArray
from moeopt.testing.strategies._broken_transfers import broken_transfers
from moeopt.testing.strategies._witness_transfers import Arrival, serial_arrivals
from moeopt.transfers.plan import TransferPlan
from moeopt.transfers.problem import Busy, Fabric, TransferProblem, Window

#: Optional parts of a problem. An example has a few of them; a failing one shrinks to those it
#: needs. Without any, ports are equal and nothing but their rate restricts them.
TRANSFER_FEATURES = (
    "absent",
    "busy",
    "chunk",
    "deadlines",
    "fabric",
    "half_duplex",
    "incast",
    "local",
    "named",
    "one_peer",
    "receive",
    "releases",
    "round_startups",
    "rounds",
    "startups",
    "unequal",
    "waves",
    "whole",
)

#: Features that the objective ``"rounds"`` does not go with.
_NOT_IN_ROUNDS = {
    "busy",
    "chunk",
    "deadlines",
    "fabric",
    "half_duplex",
    "receive",
    "releases",
    "round_startups",
    "startups",
    "unequal",
    "whole",
}

#: Sizes of messages, plainest first: a failing example shrinks towards the front.
_KINDS = ("ones", "integers", "one_port", "permutation", "reals", "mixed", "zeros")

_FACTOR = st.sampled_from([1.0, 0.5, 2.0, 4.0]) | st.floats(0.1, 10.0)

Fields = dict[str, Any]


def transfer_problems(
    *,
    max_ports: int = 4,
    features: Sequence[str] = TRANSFER_FEATURES,
    feasible: bool | None = True,
    plain: bool = False,
) -> st.SearchStrategy[TransferProblem]:
    """Draw transfer problems, small by default.

    Parameters
    ----------
    max_ports
        Most ports, at least 2.
    features
        Optional rules to draw from, of `TRANSFER_FEATURES`.
    feasible
        ``True``: a plan exists, because deadlines leave time for one message after the other.
        ``False``: none exists, though counting alone may not show it. ``None``: either, deadlines
        anywhere.
    plain
        Whether to draw only traffic and one rate for all ports: short for no `features`.

    Examples
    --------
    >>> from moeopt.testing.strategies import transfer_problems
    >>> strategy = transfer_problems(features=("unequal", "one_peer"))
    """
    chosen = () if plain else tuple(features)
    kept = _stated(max_ports, chosen).map(_problem)
    if feasible is True:
        return kept
    contradictory = _stated(max_ports, chosen).flatmap(broken_transfers).map(_problem)
    if feasible is False:
        return contradictory
    return kept | contradictory | _stated(max_ports, chosen).flatmap(_hurried).map(_problem)


@st.composite
def transfer_plans(draw: st.DrawFn, problem: TransferProblem) -> TransferPlan:
    """Draw a plan of the right shape and range; it need not keep the problem's rules.

    Parameters
    ----------
    problem
        The problem that the plan is for.
    """
    ports = problem.num_ports
    rows = draw(st.integers(0, 6)) if ports > 1 else 0
    port = st.integers(0, ports - 1)

    def whole(most: int) -> Any:
        return np.array(draw(st.lists(st.integers(0, most), min_size=rows, max_size=rows)), int)

    def amounts(least: float) -> FloatArray:
        element = st.integers(1, 5).map(float) | st.floats(least, 100.0)
        return np.array(draw(st.lists(element, min_size=rows, max_size=rows)), dtype=np.float64)

    source = whole(ports - 1)
    columns: Fields = {
        "source": source,
        "destination": (source + 1 + whole(max(0, ports - 2))) % ports,
        "size_bytes": amounts(0.0),
        "start_s": amounts(0.0),
        "duration_s": amounts(1e-3),
        "round_index": whole(3),
    }
    if problem.num_waves > 1 or draw(st.booleans()):
        columns["wave"] = whole(problem.num_waves - 1)
    if draw(st.booleans()):
        columns["origin"] = np.array([draw(port) for _ in range(rows)], dtype=np.int64)
        columns["target"] = np.array([draw(port) for _ in range(rows)], dtype=np.int64)
    return TransferPlan(**columns)


def _problem(fields: Fields) -> TransferProblem:
    return TransferProblem(**fields)


@st.composite
def _stated(draw: st.DrawFn, max_ports: int, known: tuple[str, ...]) -> Fields:
    """Draw the fields of a problem whose deadlines, if any, a serial plan keeps."""
    features = draw(st.sets(st.sampled_from(known), max_size=6)) if known else set()
    if "rounds" in features:
        features -= _NOT_IN_ROUNDS
    if "whole" in features:
        features.discard("chunk")
    ports = draw(st.integers(2, max(2, max_ports)))
    waves = draw(st.integers(2, 3)) if "waves" in features else 1
    traffic = np.stack([draw(_traffic(ports)) for _ in range(waves)])
    scale, rate = draw(st.sampled_from([(1.0, 1.0), (1e6, 50e9), (4096.0, 12.5e9)]))
    if "local" not in features:
        traffic *= ~np.eye(ports, dtype=np.bool_)
    fields: Fields = {"traffic_bytes": traffic * scale, "bandwidth_bytes_per_s": rate}
    _state_ports(draw, fields, features)
    _state_rules(draw, fields, features, scale)
    _state_times(draw, fields, features)
    if len(fields["traffic_bytes"]) == 1 and draw(st.booleans()):
        fields["traffic_bytes"] = fields["traffic_bytes"][0]
    if "named" in features:
        fields["name"] = draw(st.text("abc-0", max_size=5))
        fields["source"] = draw(st.text("abc é", max_size=5))
        fields["generator"] = {"name": "drawn", "seed": draw(st.integers(0, 9)), "size": 0.5}
    return fields


@st.composite
def _traffic(draw: st.DrawFn, ports: int) -> FloatArray:
    """Draw one matrix of bytes of about the size of 1, its diagonal not yet empty."""
    kind = draw(st.sampled_from(_KINDS))
    size = ports * ports
    if kind == "zeros":
        return np.zeros((ports, ports))
    if kind in ("reals", "mixed"):
        rng = np.random.default_rng(draw(st.integers(0, 2**16)))
        exponent = 1.0 if kind == "reals" else 6.0
        return np.asarray(rng.random((ports, ports)) ** exponent * 9.0)
    most = 1 if kind == "ones" else 6
    cells = draw(st.lists(st.integers(0, most), min_size=size, max_size=size))
    drawn = np.array(cells, dtype=np.float64).reshape(ports, ports)
    if kind == "one_port":
        hot = draw(st.integers(0, ports - 1))
        kept = np.arange(ports) == hot
        return np.asarray(drawn * (kept if draw(st.booleans()) else kept[:, None]))
    if kind == "permutation":
        return np.asarray(drawn * np.eye(ports)[draw(st.permutations(range(ports)))])
    return drawn


def _state_ports(draw: st.DrawFn, fields: Fields, features: set[str]) -> None:
    """State rates, the fabric and who is absent."""
    ports = fields["traffic_bytes"].shape[-1]
    rate = fields["bandwidth_bytes_per_s"]
    per_port = st.lists(_FACTOR, min_size=ports, max_size=ports).map(np.array)
    if "unequal" in features:
        fields["bandwidth_bytes_per_s"] = rate * draw(per_port)
    if "receive" in features:
        fields["receive_bytes_per_s"] = rate * draw(per_port | _FACTOR)
    if "fabric" in features:
        sizes = [n for n in range(ports, 0, -1) if ports % n == 0]
        fields["fabric"] = Fabric(
            ports_per_node=draw(st.sampled_from(sizes)),
            bandwidth_bytes_per_s=rate * draw(st.sampled_from([8.0, 1.0, 0.5])),
            rails=draw(st.booleans()),
        )
    if "absent" in features:
        fields["absent_ports"] = absent = draw(_absent(ports, fields.get("fabric")))
        fields["traffic_bytes"][:, list(absent)] = 0.0
        fields["traffic_bytes"][:, :, list(absent)] = 0.0


@st.composite
def _absent(draw: st.DrawFn, ports: int, fabric: Fabric | None) -> tuple[int, ...]:
    """Draw absent ports; on rails whole places of the nodes, so that a way around is left."""
    if fabric is not None and fabric.rails:
        size = fabric.ports_per_node
        places = draw(st.sets(st.integers(0, size - 1), max_size=size - 1))
        return tuple(port for port in range(ports) if port % size in places)
    return tuple(draw(st.sets(st.integers(0, ports - 1), max_size=ports - 1)))


def _state_rules(draw: st.DrawFn, fields: Fields, features: set[str], scale: float) -> None:
    """State what transmissions may be and cost."""
    token_s = scale / float(np.max(fields["bandwidth_bytes_per_s"]))
    if features & {"startups", "round_startups"}:
        fields["startup_s"] = token_s * draw(st.sampled_from([1.0, 0.25]) | st.floats(0.01, 5.0))
    if "round_startups" in features:
        fields["startup_per"] = "round"
    if "chunk" in features:
        fields["chunk_bytes"] = scale * draw(st.sampled_from([1.0, 2.0, 0.5, 100.0]))
    if "whole" in features:
        fields["preemptive"] = False
    if "one_peer" in features:
        fields["peers"] = "one"
    if "half_duplex" in features:
        fields["half_duplex"] = True
    if "incast" in features:
        fields["incast_penalty"] = draw(st.sampled_from([0.1, 1.0]))
    if "rounds" in features:
        fields["objective"] = "rounds"


def _state_times(draw: st.DrawFn, fields: Fields, features: set[str]) -> None:
    """State releases, busy times, and deadlines that a serial plan keeps."""
    traffic = fields["traffic_bytes"]
    token_s = float(traffic.max()) / float(np.max(fields["bandwidth_bytes_per_s"])) or 1.0
    moment = st.integers(0, 4).map(lambda n: n * token_s) | st.floats(0.0, 4.0 * token_s)
    length = st.integers(1, 3).map(lambda n: n * token_s) | st.floats(0.1 * token_s, token_s)
    windows = []
    if "releases" in features:
        windows = [
            Window(**draw(_some_messages(traffic.shape)), release_s=draw(moment))
            for _ in range(draw(st.integers(1, 3)))
        ]
    if "busy" in features:
        busy = []
        for _ in range(draw(st.integers(1, 3))):
            start = draw(moment)
            port = draw(st.integers(0, traffic.shape[-1] - 1))
            busy.append(Busy(port=port, start_s=start, end_s=start + draw(length)))
        fields["busy"] = tuple(busy)
    fields["windows"] = tuple(windows)
    if "deadlines" in features:
        windows += [draw(_kept_deadline(fields)) for _ in range(draw(st.integers(1, 2)))]
        fields["windows"] = tuple(windows)


@st.composite
def _some_messages(draw: st.DrawFn, shape: tuple[int, ...]) -> Fields:
    """Draw whom a window is for."""
    names = ("wave", "source", "destination")
    chosen = {
        name: draw(st.none() | st.integers(0, count - 1))
        for name, count in zip(names, shape, strict=True)
    }
    if chosen["source"] == chosen["destination"]:
        chosen["destination"] = None
    return chosen


@st.composite
def _kept_deadline(draw: st.DrawFn, fields: Fields) -> Window:
    """Draw a deadline that a plan keeps which sends one message after the other."""
    messages = draw(_some_messages(fields["traffic_bytes"].shape))
    # In an order of the draw, so that tight deadlines are not always those of the first ports.
    arrivals = serial_arrivals(_problem(fields), draw(st.integers(0, 9)))
    last = max((a.time_s for a in arrivals if _is_for(messages, a)), default=1.0)
    slack = draw(st.sampled_from([1.0, 1.0 + 1e-6, 1.25, 3.0]))
    return Window(**messages, deadline_s=last * slack)


def _is_for(messages: Fields, arrival: Arrival) -> bool:
    ends = {name: getattr(arrival, name) for name in messages}
    return all(value is None or value == ends[name] for name, value in messages.items())


@st.composite
def _hurried(draw: st.DrawFn, fields: Fields) -> Fields:
    """State a deadline anywhere: a plan may or may not be left."""
    if fields.get("objective") == "rounds":
        return fields
    rate = float(np.max(fields["bandwidth_bytes_per_s"]))
    longest = max(float(fields["traffic_bytes"].sum()) / rate, 1e-9)
    traffic = fields["traffic_bytes"]
    shape = traffic.shape if traffic.ndim == 3 else (1, *traffic.shape)
    deadline = longest * draw(st.floats(0.05, 2.0))
    releases = [w.release_s for w in fields["windows"]]
    window = Window(**draw(_some_messages(shape)), deadline_s=max([deadline, *releases]) * 1.01)
    return {**fields, "windows": (*fields["windows"], window)}
