"""The process of libFuzzer: a folder, its options and readers' names are the arguments.

A file of the corpus begins with a byte that says whose it is. Each file that is read adds a byte to
``count``, each failure a line to ``failures``: libFuzzer ends the process without a word.
"""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path
from random import Random
from typing import Any

#: What libFuzzer does not see: that the fuzzer itself reached new code says nothing of a reader.
_UNSEEN = [
    f"moeopt.bench.reliability.fuzz_{name}"
    for name in ("archives", "judge", "mutations", "seeds", "targets")
]


def main(argv: list[str]) -> None:
    """Fuzz until libFuzzer has had its runs."""
    atheris: Any = importlib.import_module("atheris")  # it has no types
    work = Path(argv[0])
    options = [word for word in argv[1:] if word.startswith("-")]
    names = [word for word in argv[1:] if not word.startswith("-")]
    with atheris.instrument_imports(["moeopt"], _UNSEEN, enable_loader_override=False):
        from moeopt.bench.reliability.fuzz_judge import judged_bytes
        from moeopt.bench.reliability.fuzz_mutations import mutated
        from moeopt.bench.reliability.fuzz_targets import targets

        readers = [target for target in targets() if target.name in names and target.seeds()]
        for target in readers:
            for seed in target.seeds()[:1]:
                target.load(target.put(_made(work / "files"), seed))
    corpus = _made(work / "corpus")
    for number, target in enumerate(readers):
        for which, seed in enumerate(target.seeds()):
            (corpus / f"{number}-{which}").write_bytes(bytes([number]) + seed)
    count = os.open(work / "count", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    failures = os.open(work / "failures", os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def read_one(data: bytes) -> None:
        target = readers[data[0] % len(readers)] if data else readers[0]
        os.write(count, b".")
        said = judged_bytes(target, work / "files", data[1:])
        if said:
            os.write(failures, f"{' '.join(said.split())}\n".encode("utf-8", "backslashreplace"))

    def edited(data: bytes, most: int, seed: int) -> bytes:
        random = Random(seed)
        if not data or random.random() < 0.3:
            return bytes(atheris.Mutate(data, most))
        kind = readers[data[0] % len(readers)].kind
        return (data[:1] + mutated(data[1:], kind, random))[:most]

    atheris.Setup(
        [sys.argv[0], *options, "-max_len=16384", str(corpus)], read_one, custom_mutator=edited
    )
    atheris.Fuzz()


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


if __name__ == "__main__":
    main(sys.argv[1:])
