"""The process in which hostile files are read: ``python -m`` this, a line of JSON for each.

Arguments are a folder, a stride, the first file's number and readers' names: each
stride-th file is read, from the first on.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any

from moeopt.bench.reliability.fuzz_hostile import hostile_files
from moeopt.bench.reliability.fuzz_judge import MOST_SECONDS, emptied, judged, limit_memory
from moeopt.bench.reliability.fuzz_targets import targets


def main(argv: list[str]) -> None:
    """Read every hostile file and tell of each before and after."""
    work, stride, begin, names = Path(argv[0]), int(argv[1]), int(argv[2]), argv[3:]
    readers = [target for target in targets() if target.name in names and target.seeds()]
    os.chdir(emptied(work))
    for target in readers:
        # What is imported on first use counts for no file.
        for seed in target.seeds():
            target.put(emptied(work / "files"), seed)
            judged(target, work / "files")
    files = ((target, each) for target in readers for each in hostile_files(target))
    limit_memory()
    for number, (target, each) in enumerate(islice(files, begin, None, stride)):
        folder = emptied(work / "files")
        each.put(folder / target.file)
        _tell({"number": begin + stride * number, "target": target.name, "name": each.name})
        verdict = judged(target, folder, measured=True)
        if verdict.seconds > MOST_SECONDS:
            # So may a way that no seed went, whose imports are due: the next time it must not.
            verdict = judged(target, folder, measured=True)
        _tell(asdict(verdict))


def _tell(said: dict[str, Any]) -> None:
    print(json.dumps(said), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
