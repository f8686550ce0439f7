"""What the tests of the command line share."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

INSTANCE: dict[str, Any] = {
    "problem": "placement",
    "version": 1,
    "name": "small",
    "loads_tokens": [[40, 30, 20, 10], [10, 20, 30, 40]],
    "cluster": {"nodes": [{"node": {"devices": 2}}]},
    "slots_per_device": 2,
}

PLAN: dict[str, Any] = {
    "plan": "placement",
    "version": 1,
    "physical_to_logical": [[0, 3, 1, 2], [0, 3, 1, 2]],
}


@dataclass(frozen=True)
class Ran:
    """What one run of the command line gave."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        """Return standard output, which must be one JSON document."""
        return json.loads(self.out)
