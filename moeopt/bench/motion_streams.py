"""Streams of windows whose routing changes: recorded tasks in turn, or popularities that wander."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from moeopt.adapters.engines.eplb import rebalance_experts
from moeopt.core.arrays import FloatArray, IntArray
from moeopt.core.errors import InstanceError
from moeopt.describe.presets import preset
from moeopt.io import load_problem

#: DeepSeek-V2-Lite on text of two tasks, counted in windows of 64 tokens; longer ones are sums.
TASKS = ("intent", "translation")
SHORTEST = 64

#: Tokens of a task before the other takes over. Each task has 8,192: no token comes twice.
PART = 4096

MODEL = "deepseek-v2-lite"

#: The made-up stream: tokens of its windows, between changes of popularity, and in all; the spread
#: of the lognormal popularities, and of their step from one window to the next.
MADE_WINDOW, MADE_PART, MADE_TOKENS = 256, 4096, 16_384
MADE_SPREAD, MADE_STEP = 0.8, 0.05


@dataclass(frozen=True, eq=False)
class Stream:
    """Windows in order, and the plans that a stream may start with.

    Attributes
    ----------
    name
        For tables.
    window_tokens
        Tokens of a window.
    windows
        Tokens of each expert, shape ``(windows, layers, experts)``.
    history
        What was seen before, shape ``(layers, experts)``; ``None``: nothing.
    """

    name: str
    window_tokens: int
    windows: FloatArray
    history: FloatArray | None = None

    def start(self, slots: int, devices: int) -> IntArray:
        """Return the plan at the start, shape ``(layers, slots)``.

        EPLB's on the history; without one as vLLM starts: slot i holds expert i modulo experts.

        Parameters
        ----------
        slots, devices
            Of each layer.
        """
        if self.history is not None:
            table: IntArray = rebalance_experts(self.history, slots, 1, 1, devices, method="eplb")[
                0
            ]
            return table
        _, layers, experts = self.windows.shape
        return np.tile(np.arange(slots) % experts, (layers, 1))


def recorded(window_tokens: int, *, planned: bool = False) -> Stream:
    """Return the recorded tasks in turn: intent, translation, intent, translation.

    Parameters
    ----------
    window_tokens
        Tokens of a window, a multiple of `SHORTEST` that divides `PART`.
    planned
        Whether the first part is history, from which the plan at the start is made.
    """
    if window_tokens % SHORTEST or PART % window_tokens:
        rule = f"must be a multiple of {SHORTEST} that divides {PART}"
        raise InstanceError("window_tokens", window_tokens, rule, "256 is usual")
    tasks = []
    for task in TASKS:
        counts = load_problem(f"@placement/{MODEL}-{task}-windows-64").loads_tokens
        joined = counts.reshape(-1, window_tokens // SHORTEST, *counts.shape[1:]).sum(axis=1)
        tasks.append(joined.reshape(-1, PART // window_tokens, *counts.shape[1:]))
    # Parts of the tasks in turn.
    parts = np.stack(tasks, axis=1).reshape(-1, *tasks[0].shape[1:])
    name = "recorded, planned start" if planned else "recorded"
    history = parts[0].sum(axis=0) if planned else None
    return Stream(name, window_tokens, np.concatenate(parts[int(planned) :]), history)


def made_up(tokens: int = MADE_TOKENS, seed: int = 0) -> Stream:
    """Return draws from popularities that wander and, after each part, change to others.

    Two popularities take turns, as tasks do. A window's tokens are drawn independently.

    Parameters
    ----------
    tokens
        In all.
    seed
        Of the popularities and the draws.
    """
    model = preset("model", MODEL)
    rng = np.random.default_rng(seed)
    shape = (model.moe_layers, model.experts)
    tasks = rng.normal(0.0, MADE_SPREAD, (2, *shape))
    windows = []
    for number in range(tokens // MADE_WINDOW):
        task = tasks[number * MADE_WINDOW // MADE_PART % 2]
        task += rng.normal(0.0, MADE_STEP, shape)
        share = np.exp(task) / np.exp(task).sum(axis=1, keepdims=True)
        windows.append(rng.multinomial(MADE_WINDOW * model.top_k, share))
    return Stream("made up", MADE_WINDOW, np.stack(windows).astype(np.float64))
