"""Write the library of instances: ``python tools/make_instances.py [--traces FOLDER] [--solve S]``.

Generated and hand-made instances are always written. Those counted from recorded routing are
written where the folder of the traces is given, and kept as they are where it is not.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path

import buffering_instances
import colocation_instances
import committee_instances
import placement_instances
import reference_instances
import serverless_instances
import transfers_instances
from instance_files import LIBRARY, improve, keep_best, known_entries

WINGS = {
    "buffering": buffering_instances,
    "colocation": colocation_instances,
    "committee": committee_instances,
    "placement": placement_instances,
    "serverless": serverless_instances,
    "transfers": transfers_instances,
}


def main() -> None:
    """Write the instances and their index."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--traces", type=Path, help="folder of intent.npz and translation.npz")
    parser.add_argument("--solve", type=float, metavar="S", help="seconds to look for more")
    parser.add_argument("--wing", choices=WINGS, help="only this wing's; the others stay")
    arguments = parser.parse_args()
    known = known_entries()
    found = []
    for name, wing in WINGS.items():
        before = [entry for entry in known.values() if entry.name.startswith(f"{name}/")]
        if arguments.wing not in (None, name):
            found += before
            continue
        (LIBRARY / name).mkdir(parents=True, exist_ok=True)
        made = [*wing.generated(), *wing.tiny(), *reference_instances.made(name)]
        if arguments.traces is None:
            made += [entry for entry in before if entry.from_traces]
        else:
            made += wing.from_traces(arguments.traces)
        for entry in made:
            keep_best(entry, known.get(entry.name))
            if arguments.solve is not None and entry.proven_by is None:
                improve(entry, wing.METHODS, arguments.solve)
        found += made
    found.sort(key=lambda entry: entry.name)
    index = {"version": 1, "instances": [asdict(entry) for entry in found]}
    text = json.dumps(index, indent=1, ensure_ascii=False) + "\n"
    (LIBRARY / "index.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
