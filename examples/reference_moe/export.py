"""Make what is shipped from what train.py made: weights, traces, norms, figures.

Run: python examples/reference_moe/export.py [--text text.npz] [--runs build] [--ship NAME]
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from pathlib import Path
from typing import Any

import data
import index
import numpy as np
import record
import torch
import weights
from index import LIBRARY, SHIPPED
from model import Config, Model
from train import FOLDER, evaluate

from moeopt.traces import write_trace
from moeopt.traces.archive import write_arrays

#: Stretches in each trace: a part of the text, and who routes it.
TRACES = {"held-out": 64, "train": 24, "unbalanced": 24}

State = dict[str, Any]


def trained(path: Path) -> tuple[Model, State]:
    """Return a model that train.py made, in half precision, and what is known of it."""
    state = torch.load(path, map_location="cpu", weights_only=True)
    model = Model(Config(**state["settings"]["config"]))
    model.load_state_dict({name: tensor.float() for name, tensor in state["model"].items()})
    return model.eval(), state


def facts_of(state: State) -> State:
    """Return what reference.json says of a run."""
    facts = dict(state["facts"])
    facts.pop("python")
    facts.pop("digests")
    facts["train"] = state["log"][-1]["train"]
    if state["settings"]["config"]["experts"] > 1:
        counts = state["counts"].double().numpy()
        facts["imbalance"] = record.imbalance(counts)
        facts["unused_experts"] = (counts == 0).sum(1).tolist()
    return facts | {"settings": state["settings"]}


def write_traces(
    folder: Path, text: data.Text, shipped: Model, unbalanced: Model
) -> dict[str, State]:
    """Write the traces and the norms; return what reference.json says of each trace."""
    folder.mkdir(parents=True, exist_ok=True)
    write_arrays(folder / "reference-norms.npz", dict(record.norms(shipped)))
    found = {}
    for name, count in TRACES.items():
        model = unbalanced if name == "unbalanced" else shipped
        part = text.train if name == "train" else text.held_out
        trace, losses = record.record(model, data.windows(part, count, model.config.context))
        path = folder / f"reference-{name}.npz"
        write_trace(path, trace)
        follow, apart = record.overlap(trace)
        found[path.stem] = {
            "tokens": trace.num_tokens,
            "loss": sum(losses) / len(losses),
            "imbalance": record.imbalance(trace.counts()),
            "overlap": follow,
            "overlap_apart": apart,
            "losses": losses,
        }
    return found


def main() -> None:
    """Round, record, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--text", type=Path, help="what data.py wrote; else the library at hand")
    parser.add_argument("--runs", type=Path, default=FOLDER, help="where train.py wrote")
    parser.add_argument("--ship", default="moe_dropout", help="name of the run to ship")
    parser.add_argument("--out", type=Path, default=SHIPPED, help="folder for weights and figures")
    parser.add_argument("--traces", type=Path, default=LIBRARY, help="folder for the traces")
    given = parser.parse_args()

    text = data.load(given.text)
    runs = {path.stem: trained(path) for path in sorted(given.runs.glob("*.pt"))}
    if missing := {given.ship, "unbalanced"} - set(runs):
        raise SystemExit(f"not in {given.runs}: {', '.join(sorted(missing))}; train.py makes them")
    model, state = runs[given.ship]
    if state["facts"]["digests"] != text.digests:
        raise SystemExit("the model was trained on another text: give --text")
    file = given.out / "weights.safetensors"
    weights.save(file, model)
    rounded = weights.load(file)
    traces = write_traces(given.traces, text, rounded, runs["unbalanced"][0])

    began = time.monotonic()
    loss, _ = evaluate(rounded, torch.from_numpy(text.held_out.copy()), batch=16)
    losses = {"before": state["facts"]["held_out"], "after": loss}
    losses["seconds_on_cpu"] = round(time.monotonic() - began, 1)
    made = {
        "python": text.python,
        "digests": text.digests,
        "bytes": {"train": len(text.train), "held_out": len(text.held_out)},
        "shipped": given.ship,
        "weights_bytes": file.stat().st_size,
        "rounding": losses,
        "runs": {name: facts_of(run) for name, (_, run) in runs.items()},
        "traces": traces,
        "exported_with": {
            "torch": str(torch.__version__),
            "numpy": np.__version__,
            "python": platform.python_version(),
        },
    }
    reference = _rounded(made)
    (given.out / "reference.json").write_text(json.dumps(reference, indent=1) + "\n")
    index.write(given.traces, reference)
    print(json.dumps(_rounded({"rounding": losses, "traces": traces}), indent=1))


def _rounded(value: Any) -> Any:
    """Return the value with six digits behind the point."""
    if isinstance(value, float):
        return round(value, 6)
    if isinstance(value, dict):
        return {key: _rounded(part) for key, part in value.items()}
    return [_rounded(part) for part in value] if isinstance(value, (list, tuple)) else value


if __name__ == "__main__":
    main()
