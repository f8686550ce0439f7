"""Check that the shipped files do what reference.json says.

Run: python examples/reference_moe/check.py [--sequences N | --all]

The text of the held-out trace is at hand in the trace itself, so its loss and its routing are
checked on every machine. The library at hand is another text if its version is another one: then
its loss is printed and not compared.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import data
import numpy as np
import torch
import weights
from index import LIBRARY, SHIPPED
from model import Model
from record import record
from train import evaluate

from moeopt.traces import read_trace

#: Losses agree within this, whatever sums in another order: nats a byte.
TOLERANCE = 2e-3
#: Share of the choices of experts that must be the same.
SAME = 0.999


def main() -> int:
    """Print recorded and found side by side; return 0 if they agree."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sequences", type=int, default=64, help="stretches of each text")
    parser.add_argument("--all", action="store_true", help="all held-out text: minutes")
    parser.add_argument("--text", type=Path, help="what data.py wrote; else the library at hand")
    given = parser.parse_args()

    reference = json.loads((SHIPPED / "reference.json").read_text())
    model = weights.load(SHIPPED / "weights.safetensors")
    good = _trace_agrees(model, reference["traces"]["reference-held-out"], given.sequences)

    text = data.load(given.text)
    known = text.digests == reference["digests"]
    held_out = torch.from_numpy(text.held_out.copy())
    loss, _ = evaluate(model, held_out, None if given.all else given.sequences, batch=16)
    part = "all" if given.all else f"{given.sequences} stretches of"
    what = f"library of Python {text.python}, {part} held-out"
    recorded = reference["rounding"]["after"]
    if known and given.all:
        good &= _compare(what, recorded, loss)
    else:
        why = "a part only: --all" if known else f"recorded with Python {reference['python']}"
        print(f"{what}: {loss:.4f} nats a byte; {recorded:.4f} for the whole ({why})")

    print("", *recorded_figures(reference), sep="\n")
    print("agrees" if good else "does NOT agree with reference.json")
    return 0 if good else 1


def recorded_figures(reference: dict[str, Any]) -> list[str]:
    """Return lines on what was found when the models were trained and the traces recorded."""
    lines = [
        "runs            held-out  training  parameters  ms a step  imbalance by layer, held-out"
    ]
    for name, run in reference["runs"].items():
        figures = f"{run['held_out']:8.4f}  {run['train']:8.4f}  {run['parameters']:>10,}"
        loads = " ".join(f"{ratio:.2f}" for ratio in run.get("imbalance", []))
        lines.append(f"{name:13s}  {figures}  {run['ms_per_step']:9.1f}  {loads}".rstrip())
    lines += ["", "traces                experts shared with the token before, by layer  by chance"]
    for name, trace in reference["traces"].items():
        shares = " ".join(f"{share:.3f}" for share in trace["overlap"])
        apart = sum(trace["overlap_apart"]) / len(trace["overlap_apart"])
        lines.append(f"{name:20s}  {shares}  {apart:9.3f}")
    return lines


def _trace_agrees(model: Model, recorded: dict[str, Any], sequences: int) -> bool:
    """Run the first sequences of the held-out trace again."""
    trace = read_trace(LIBRARY / "reference-held-out.npz")
    assert trace.token_ids is not None
    texts = trace.token_ids.astype(np.uint8).reshape(-1, model.config.context)[:sequences]
    found, losses = record(model, texts)
    before = recorded["losses"][: len(losses)]
    same = float((found.expert_ids == trace.expert_ids[: found.num_tokens]).mean())
    good = _compare(
        f"held-out trace, {texts.size} bytes", float(np.mean(before)), float(np.mean(losses))
    )
    print(f"  choices of experts as in the trace: {100 * same:.3f} %")
    return good and same >= SAME


def _compare(what: str, recorded: float, found: float) -> bool:
    print(f"{what}: {found:.4f} nats a byte, recorded {recorded:.4f}")
    return abs(found - recorded) <= TOLERANCE


if __name__ == "__main__":
    sys.exit(main())
