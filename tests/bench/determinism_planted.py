"""A process that answers by hash order, for the tests of the part on determinism."""

from __future__ import annotations

import json

from moeopt.bench.reliability.determinism_child import digest

ANSWERS = {
    "by hash order": lambda: repr(set("abcdefgh")).encode(),
    "by nothing": lambda: b"the same",
}

if __name__ == "__main__":
    print(json.dumps(dict(map(digest, ANSWERS.items()))))
