"""The index of the traces: what each file holds, how it was made, and its digest.

Run: python examples/reference_moe/index.py, to write it again from what is shipped
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np

SHIPPED = Path(__file__).parent / "shipped"
#: Where the traces lie, so that they travel with the library of instances.
LIBRARY = Path(__file__).parents[2] / "instances" / "traces"

NOTICE = (
    "token_ids and attention_ids are bytes of the Python standard library: Copyright (c) 2001-2023"
    " Python Software Foundation; All Rights Reserved; licence in LICENSE.python.txt. Changes:"
    " files joined, line ends made alike, stretches taken. All else is moeopt's."
)

#: Which part of the text each trace is of, and what routes it.
_PARTS = {
    "reference-held-out": ("held_out", None),
    "reference-train": ("train", None),
    "reference-unbalanced": ("held_out", "unbalanced"),
}


def write(folder: Path, reference: dict[str, Any]) -> None:
    """Write ``index.json`` beside the traces.

    Parameters
    ----------
    folder
        Where the ``.npz`` lie.
    reference
        What ``reference.json`` holds.
    """
    found = [_entry(path, reference) for path in sorted(folder.glob("*.npz"))]
    index = {"version": 1, "notice": NOTICE, "traces": found}
    (folder / "index.json").write_text(json.dumps(index, indent=1) + "\n", encoding="utf-8")


def _entry(path: Path, reference: dict[str, Any]) -> dict[str, Any]:
    part, run = _PARTS.get(path.stem, (None, None))
    run = run or reference["shipped"]
    with np.load(path, allow_pickle=False) as file:
        arrays = {name: list(file[name].shape) for name in file.files}
        sequences = file["sequence_lengths"].tolist() if part else []
    settings = reference["runs"][run]["settings"]
    sizes = settings["config"]
    return {
        "name": path.stem,
        "path": f"traces/{path.name}",
        "bytes": path.stat().st_size,
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "arrays": arrays,
        "tokens": sum(sequences),
        "sequences": len(sequences),
        "layers": sizes["layers"],
        "experts": sizes["experts"],
        "top_k": sizes["top_k"],
        "model": _model(run, reference["shipped"]),
        "text": _text(part, sequences, reference),
        "python": reference["python"],
        "text_sha256": reference["digests"][part] if part else None,
        "torch": reference["exported_with"]["torch"],
        "commands": [_command(run, settings), "python examples/reference_moe/export.py"],
    }


def _model(run: str, shipped: str) -> str:
    if run == shipped:
        return f"examples/reference_moe/shipped/weights.safetensors: run {run}, rounded to int8"
    return f"run {run} of examples/reference_moe/train.py, in half precision; not shipped"


def _text(part: str | None, sequences: list[int], reference: dict[str, Any]) -> str | None:
    if part is None:
        return None
    words = {"held_out": "held-out", "train": "training"}[part]
    return (
        f"{len(sequences)} stretches of {sequences[0]} bytes, evenly far apart in the {words} part"
        f" of the standard library of Python {reference['python']}, as examples/reference_moe/"
        "data.py parts it"
    )


def _command(run: str, settings: dict[str, Any]) -> str:
    words = [f"python examples/reference_moe/train.py {settings['kind']}"]
    if settings["config"]["dropout"]:
        words.append(f"--dropout {settings['config']['dropout']}")
    if run != settings["kind"]:
        words.append(f"--name {run}")
    return " ".join(words)


if __name__ == "__main__":
    write(LIBRARY, json.loads((SHIPPED / "reference.json").read_text()))
