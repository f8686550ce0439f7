"""Bad and infeasible instances of the transfers wing: small changes of one valid base."""

from __future__ import annotations

import json
from typing import Any

from bad_instance import Case, file_with

TRANSFERS_BASE: dict[str, Any] = {
    "problem": "transfers",
    "version": 1,
    "name": "base",
    "traffic_bytes": [[0, 3, 1, 0], [2, 0, 2, 0], [1, 1, 0, 0], [0, 0, 5, 0]],
    "bandwidth_bytes_per_s": 2.0,
}

_INDEX = "must be 0 to 3: there are 4 ports"


def bad(name: str, *says: str, code: int = 2, **fields: Any) -> Case:
    """Return a case whose document has other or more fields."""
    data = json.dumps({**TRANSFERS_BASE, **fields}).encode()
    return Case(f"transfers-{name}", lambda folder: file_with(folder, data), says, code)


#: Values of the wrong type or shape, or that contradict a rule or each other.
TRANSFERS = [
    bad(
        "other-wing",
        "$.loads_tokens: must not be there",
        "no such field",
        loads_tokens=[[1, 2]],
    ),
    bad(
        "not-square",
        "$.traffic_bytes: must have shape (ports, ports)",
        "<shape (1, 2, 3)>",
        "give a row and a column",
        traffic_bytes=[[0, 1, 2], [1, 0, 2]],
    ),
    bad(
        "no-ports",
        "$.traffic_bytes: must have shape",
        "give a row and a column",
        traffic_bytes=[],
    ),
    bad(
        "negative",
        "$.traffic_bytes[1][0]: must be a finite number >= 0",
        "got -2",
        "correct",
        traffic_bytes=[[0, 3], [-2, 0]],
    ),
    bad(
        "negative-wave",
        "$.traffic_bytes[1][0][1]: must be a finite number >= 0",
        "got -3",
        "correct",
        traffic_bytes=[[[0, 3], [2, 0]], [[0, -3], [2, 0]]],
    ),
    bad(
        "overflowing",
        "$.traffic_bytes: must have a finite sum",
        "<a sum above",
        "rescale",
        traffic_bytes=[[0, 1.7e308], [1.7e308, 0]],
    ),
    bad(
        "string",
        "$.traffic_bytes[0][1]: must be a number",
        "got '3'",
        "write it plainly",
        traffic_bytes=[[0, "3"], [1, 0]],
    ),
    bad(
        "no-rate",
        "$.bandwidth_bytes_per_s: must be a finite number > 0",
        "got 0",
        "absent_ports",
        bandwidth_bytes_per_s=0,
    ),
    bad(
        "rate-of-one-port",
        "$.bandwidth_bytes_per_s[2]: must be a finite number > 0",
        "got -1",
        "absent_ports",
        bandwidth_bytes_per_s=[1, 1, -1, 1],
    ),
    bad(
        "rates-shape",
        "$.receive_bytes_per_s: must have shape (4,) = (ports)",
        "<shape (2,)>",
        "give one entry for each",
        receive_bytes_per_s=[1, 1],
    ),
    bad(
        "negative-startup",
        "$.startup_s: must be a number >= 0",
        "got -1",
        "correct",
        startup_s=-1,
    ),
    bad(
        "startup-of-what",
        "$.startup_per: must be one of",
        "got 'rounds'",
        "did you mean 'round'?",
        startup_per="rounds",
    ),
    bad("peers", "$.peers: must be one of", "got 'two'", peers="two"),
    bad(
        "chunks-of-whole-messages",
        "$.chunk_bytes: must be 0 with preemptive false",
        "got 1",
        "leave one of the two out",
        chunk_bytes=1,
        preemptive=False,
    ),
    bad(
        "window-index",
        f"$.windows[1].source: {_INDEX}",
        "got 4",
        "correct",
        windows=[{"release_s": 1}, {"source": 4, "release_s": 1}],
    ),
    bad(
        "window-wave",
        "$.windows[0].wave: must be 0 to 0: there are 1 waves",
        "got 1",
        "correct",
        windows=[{"wave": 1, "release_s": 1}],
    ),
    bad(
        "window-local",
        "$.windows[0].destination: must differ from source",
        "got 2",
        "correct one of the two",
        windows=[{"source": 2, "destination": 2, "release_s": 1}],
    ),
    bad(
        "window-backwards",
        "$.windows[0].deadline_s: must be after release_s = 3.0",
        "got 2",
        "raise it",
        windows=[{"release_s": 3, "deadline_s": 2}],
    ),
    bad(
        "busy-index",
        f"$.busy[0].port: {_INDEX}",
        "got 9",
        "correct",
        busy=[{"port": 9, "start_s": 0, "end_s": 1}],
    ),
    bad(
        "busy-backwards",
        "$.busy[0].end_s: must be after start_s = 1.0",
        "got 1",
        "correct",
        busy=[{"port": 1, "start_s": 1, "end_s": 1}],
    ),
    bad("absent-index", f"$.absent_ports[0]: {_INDEX}", "got 4", "correct", absent_ports=[4]),
    bad(
        "absent-twice",
        "$.absent_ports[1]: must be named once",
        "got 3",
        "remove the repetition",
        absent_ports=[3, 3],
    ),
    bad(
        "absent-all",
        "$.absent_ports: must leave a port",
        "got [0, 1, 2, 3]",
        "remove an entry",
        absent_ports=[0, 1, 2, 3],
    ),
    bad(
        "uneven-nodes",
        "$.fabric.ports_per_node: must divide the 4 ports",
        "got 3",
        "add absent ports",
        fabric={"ports_per_node": 3, "bandwidth_bytes_per_s": 8.0},
    ),
    bad(
        "fabric-without-rate",
        "$.fabric.bandwidth_bytes_per_s: must be given",
        "<missing>",
        fabric={"ports_per_node": 2},
    ),
    bad(
        "rounds-with-startups",
        '$.startup_s: must be left out with objective "rounds"',
        "got 1",
        'minimise the "makespan"',
        objective="rounds",
        startup_s=1,
    ),
    bad(
        "rounds-of-unequal-ports",
        "$.bandwidth_bytes_per_s: must be the same for all ports",
        "<unequal rates>",
        "give one number",
        objective="rounds",
        bandwidth_bytes_per_s=[1, 2, 1, 1],
    ),
    bad(
        "objective",
        "$.objective: must be one of",
        "got 'round'",
        "did you mean 'rounds'?",
        objective="round",
    ),
]

#: Well-formed, and no plan can exist: exit code 3, with the constraint and by how much.
TRANSFERS_INFEASIBLE = [
    bad(
        "absent-receiver",
        "infeasible: C9 at $.absent_ports",
        "10 bytes have an absent source or destination",
        "take them out",
        "off by 10",
        code=3,
        absent_ports=[2],
    ),
    bad(
        "no-rail",
        "infeasible: C11 at $.absent_ports",
        "have no rail with both ports present",
        "give up rails",
        code=3,
        traffic_bytes=[[0, 0, 0, 1], [0] * 4, [0] * 4, [0] * 4],
        fabric={"ports_per_node": 2, "bandwidth_bytes_per_s": 8.0, "rails": True},
        absent_ports=[1, 2],
    ),
    bad(
        "late-message",
        "infeasible: C6 at $.windows",
        "message 3 -> 2 of wave 0 cannot arrive before 2.5 s, but is due at 2 s",
        "move its window",
        "off by 0.5",
        code=3,
        windows=[{"source": 3, "deadline_s": 2}],
    ),
    bad(
        "crowded-port",
        "infeasible: C6 at $.windows",
        "port 2 receives 1 s too much for messages released at 0 s or later and due by 3 s",
        "off by 1",
        code=3,
        windows=[{"deadline_s": 3}],
    ),
]
