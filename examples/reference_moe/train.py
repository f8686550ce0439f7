"""Train the reference model, the same without the balancing loss, or a dense one.

Run on a GPU, again until it says that it is done:

    python examples/reference_moe/train.py moe --minutes 9
    python examples/reference_moe/train.py moe --dropout 0.1 --name moe_dropout --minutes 9
    python examples/reference_moe/train.py unbalanced --minutes 9
    python examples/reference_moe/train.py dense --minutes 9
    python examples/reference_moe/train.py dense --dropout 0.1 --name dense_dropout --minutes 9

On a CPU, in a few minutes: python examples/reference_moe/train.py moe --size toy
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import data
import torch
from model import Config, Model, Routing
from torch import Tensor
from torch.nn import functional as F

KINDS = ("moe", "unbalanced", "dense")
FOLDER = Path(__file__).parent / "build"


@dataclass(frozen=True)
class Settings:
    """All that decides what is learnt."""

    kind: str
    config: Config
    steps: int
    batch: int
    rate: float = 3e-3
    decay: float = 0.1
    warm_up: int = 200
    balance: float = 0.01
    seed: int = 0


FULL = Settings("moe", Config(), steps=6000, batch=128)
TOY = Settings(
    "moe",
    Config(layers=3, width=64, heads=2, experts=16, top_k=2, hidden=32, context=128),
    steps=400,
    batch=16,
    warm_up=40,
)


def settings_of(kind: str, size: str) -> Settings:
    """Return the settings of a kind of model at a size."""
    settings = replace(FULL if size == "full" else TOY, kind=kind)
    if kind == "moe":
        return settings
    settings = replace(settings, balance=0.0)
    if kind == "unbalanced":
        return settings
    # As many parameters for each token as the gate and the chosen experts have.
    hidden = settings.config.active // (2 * settings.config.width)
    return replace(settings, config=replace(settings.config, experts=1, top_k=1, hidden=hidden))


class Trainer:
    """A model on its way: the state that a checkpoint keeps."""

    def __init__(self, settings: Settings, text: data.Text, device: str) -> None:
        torch.manual_seed(settings.seed)
        self.settings, self.device = settings, device
        self.on_gpu = device.startswith("cuda")
        self.model = Model(settings.config).to(device)
        self.model.compute_together(self.on_gpu or settings.config.experts == 1)
        matrices = [p for p in self.model.parameters() if p.requires_grad]
        self.optimizer = torch.optim.AdamW(
            matrices, settings.rate, (0.9, 0.95), weight_decay=settings.decay, fused=self.on_gpu
        )
        self.train = torch.from_numpy(text.train.copy()).to(device)
        self.held_out = torch.from_numpy(text.held_out.copy()).to(device)
        self.losses = torch.compile(self._losses) if self.on_gpu else self._losses
        self.step, self.seconds = 0, 0.0
        self.log: list[dict[str, float]] = []

    def _losses(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Return the loss in nats a byte, and the balancing loss summed over the layers."""
        logits, routings, _ = self.model(tokens[:, :-1])
        loss = F.cross_entropy(logits.float().flatten(0, 1), tokens[:, 1:].flatten())
        return loss, torch.stack([balance_loss(routing) for routing in routings]).sum()

    def advance(self) -> Tensor:
        """Take one step and return its loss; what it reads depends on seed and step alone."""
        settings, length = self.settings, self.settings.config.context + 1
        torch.manual_seed(settings.seed * 1_000_003 + self.step)
        starts = torch.randint(len(self.train) - length, (settings.batch, 1))
        places = starts.to(self.device) + torch.arange(length, device=self.device)
        for group in self.optimizer.param_groups:
            group["lr"] = settings.rate * _share(self.step, settings)
        self.model.train()
        with torch.autocast(self.device.split(":")[0], torch.bfloat16, enabled=self.on_gpu):
            loss, balance = self.losses(self.train[places].long())
            torch.autograd.backward(loss + settings.balance * balance)
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.step += 1
        return loss.detach()

    def run(self, minutes: float, report: int) -> None:
        """Take steps until all are taken or the time is up."""
        end = time.monotonic() + 60 * minutes
        began, losses = time.monotonic(), []
        while self.step < self.settings.steps:
            losses.append(self.advance())
            if self.step % report and self.step < self.settings.steps:
                continue
            train = float(torch.stack(losses).mean())
            spent = time.monotonic() - began
            self.seconds += spent
            held_out, _ = evaluate(self.model, self.held_out, 64, self.on_gpu)
            entry = {"step": self.step, "seconds": round(self.seconds, 1), "train": train}
            entry |= {"held_out": held_out, "ms_per_step": 1e3 * spent / len(losses)}
            self.log.append(entry)
            print(self.settings.kind, json.dumps(entry), flush=True)
            if time.monotonic() > end:
                break
            began, losses = time.monotonic(), []

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint keeps."""
        kept = {"settings": asdict(self.settings), "step": self.step, "seconds": self.seconds}
        kept |= {"log": self.log, "model": self.model.state_dict()}
        return kept | {"optimizer": self.optimizer.state_dict()}

    def go_on(self, state: dict[str, Any]) -> None:
        """Take up what a checkpoint kept."""
        if state["settings"] != asdict(self.settings):
            raise SystemExit("the checkpoint has other settings: give another --out")
        self.step, self.seconds, self.log = state["step"], state["seconds"], state["log"]
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])

    def result(self, text: data.Text) -> dict[str, Any]:
        """Return the model in half precision and what is known of it."""
        loss, counts = evaluate(self.model, self.held_out, None, False)
        steps = statistics.median(entry["ms_per_step"] for entry in self.log)
        parameters = sum(p.numel() for p in self.model.parameters())
        facts: dict[str, Any] = {
            "held_out": loss,
            "parameters": parameters,
            "ms_per_step": round(steps, 2),
        }
        facts |= {"seconds": round(self.seconds, 1), "python": text.python}
        facts |= {
            "digests": text.digests,
            "torch": str(torch.__version__),
            "device": _name(self.device),
        }
        half = {name: tensor.half().cpu() for name, tensor in self.model.state_dict().items()}
        kept = {"settings": asdict(self.settings), "facts": facts, "log": self.log}
        return kept | {"counts": counts.cpu(), "model": half}


@torch.no_grad()
def evaluate(
    model: Model, text: Tensor, sequences: int | None = None, low: bool = False, batch: int = 64
) -> tuple[float, Tensor]:
    """Return the loss in nats a byte and the choices of each expert, ``(layers, experts)``.

    Parameters
    ----------
    model
        What to evaluate; each byte is predicted from those before it in its stretch.
    text
        Bytes, cut into stretches of the context, one byte shared: the whole, or evenly spaced.
    sequences
        How many stretches; all of them if left out.
    low
        Whether to compute in bfloat16.
    batch
        Stretches at a time.
    """
    was_training = model.training
    model.eval()
    length = model.config.context + 1
    starts = torch.arange(0, len(text) - length + 1, length - 1)
    if sequences is not None and sequences < len(starts):
        starts = starts[torch.linspace(0, len(starts) - 1, sequences).long()]
    places = (starts[:, None] + torch.arange(length)).to(text.device)
    total, counts = 0.0, torch.zeros(model.config.layers, model.config.experts)
    for some in torch.split(places, batch):
        tokens = text[some].long()
        with torch.autocast(text.device.type, torch.bfloat16, enabled=low):
            logits, routings, _ = model(tokens[:, :-1])
        goal = tokens[:, 1:].flatten()
        total += float(F.cross_entropy(logits.float().flatten(0, 1), goal, reduction="sum"))
        for layer, routing in enumerate(routings):
            counts[layer] += routing.ids.flatten().bincount(minlength=counts.shape[1]).cpu()
    model.train(was_training)
    return total / (len(starts) * (length - 1)), counts


def balance_loss(routing: Routing) -> Tensor:
    """Return experts x sum of (share of the choices x mean score), one if all are alike."""
    scores = routing.scores.flatten(0, -2)
    counts = torch.zeros_like(scores).scatter(1, routing.ids.flatten(0, -2), 1.0).sum(0)
    return scores.shape[1] * (counts / counts.sum() * scores.mean(0)).sum()


def _share(step: int, settings: Settings) -> float:
    """Return the share of the learning rate: up at once, then straight down to zero."""
    left = (settings.steps - step) / max(1, settings.steps - settings.warm_up)
    return min(1.0, (step + 1) / settings.warm_up, left)


def _name(device: str) -> str:
    return torch.cuda.get_device_name() if device.startswith("cuda") else "CPU"


def _save(path: Path, state: dict[str, Any]) -> None:
    """Write a file whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(state, path.with_suffix(".part"))
    os.replace(path.with_suffix(".part"), path)


def main() -> None:
    """Train, or go on training, one model."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("--name", help="name of the result; else the kind")
    parser.add_argument("--size", choices=("full", "toy"), default="full")
    parser.add_argument("--minutes", type=float, default=math.inf, help="stop, to go on later")
    parser.add_argument("--steps", type=int, help="instead of the size's own")
    parser.add_argument("--dropout", type=float, default=0.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--report", type=int, default=200, help="steps between two reports")
    parser.add_argument("--text", type=Path, help="what data.py wrote; else the library at hand")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--out", type=Path, default=FOLDER, help="folder for the results")
    given = parser.parse_args()

    settings = replace(settings_of(given.kind, given.size), seed=given.seed)
    settings = replace(settings, config=replace(settings.config, dropout=given.dropout))
    settings = replace(settings, steps=given.steps or settings.steps)
    torch.set_float32_matmul_precision("high")
    text = data.load(given.text)
    trainer = Trainer(settings, text, given.device)
    name = given.name or given.kind
    checkpoint = given.out / f"{name}.checkpoint"
    if checkpoint.exists():
        trainer.go_on(torch.load(checkpoint, map_location=given.device, weights_only=True))
    trainer.run(given.minutes, given.report)
    _save(checkpoint, trainer.state())
    if trainer.step < settings.steps:
        print(f"{trainer.step} of {settings.steps} steps: run it again")
        return
    torch.set_float32_matmul_precision("highest")
    result = trainer.result(text)
    _save(given.out / f"{name}.pt", result)
    print("done:", json.dumps(result["facts"]))


if __name__ == "__main__":
    main()
