"""The rules and the latency of ``formulations/serverless.md`` as rows."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from moeopt.core.arrays import BoolArray, FloatArray, IntArray
from moeopt.mip import ModelBuilder
from moeopt.serverless.designs import blocks_of
from moeopt.serverless.exact_options import Menu
from moeopt.serverless.options import layer_data
from moeopt.serverless.plan import BYTES_PER_MB
from moeopt.serverless.problem import DESIGNS, ServerlessProblem
from moeopt.serverless.promise import limit_of


@dataclass(frozen=True, eq=False)
class Columns:
    """The columns of a model.

    Attributes
    ----------
    mode, option
        Columns ``z`` and ``x`` of each layer, ``(modes,)`` and ``(options,)``.
    degrees, degree
        The pipeline degrees that the whole model may have, and columns ``w``, ``(degrees,)``;
        none where each layer has its own.
    latency
        Columns ``L``, ``(layers,)``; none if nothing depends on latencies.
    stage
        Columns ``v`` of each layer: it takes at least so long; none without `tighten`,
        ``(stages,)``.
    stage_s
        How long, ascending, the first stage being what the layer takes at least, ``(stages + 1,)``.
    unit_s
        Seconds of one unit of ``L``.
    """

    mode: tuple[IntArray, ...]
    option: tuple[IntArray, ...]
    degrees: IntArray
    degree: IntArray
    latency: IntArray
    stage: tuple[IntArray, ...]
    stage_s: tuple[FloatArray, ...]
    unit_s: float


@dataclass(frozen=True, eq=False)
class Draft:
    """What rows are made from: the builder that takes them, the problem, menus and columns.

    Attributes
    ----------
    builder
        Receives the rows.
    problem
        The problem.
    menus
        What each layer chooses from.
    columns
        The columns.
    """

    builder: ModelBuilder
    problem: ServerlessProblem
    menus: tuple[Menu, ...]
    columns: Columns


def add_rows(
    builder: ModelBuilder, problem: ServerlessProblem, menus: tuple[Menu, ...], columns: Columns,
    *, tighten: bool,
) -> None:  # fmt: skip
    """Add all families; with `tighten` those that the menus keep already are left out."""
    draft = Draft(builder, problem, menus, columns)
    one_mode(draft)
    in_mode(draft, exactly=tighten)
    if not tighten:
        one_size(draft)
        some_replica(draft)
        memory(draft)
        payload(draft)
        timeout(draft)
        designs(draft)
    if columns.degrees.size:
        with_degree(draft)
        one_degree(draft)
    if columns.latency.size:
        promise(draft)
        if tighten:
            slow_options(draft)
            stages_in_order(draft)
            stages(draft)
        else:
            latency(draft)


def one_size(draft: Draft) -> None:
    """C1: every expert runs as one option, and so has one memory size."""
    _add_for_choosers(draft, "C1", lambda _, menu: np.ones(menu.mode.size), lower=1.0, upper=1.0)


def some_replica(draft: Draft) -> None:
    """C2: no expert is left without a function."""
    _add_for_choosers(draft, "C2", lambda _, menu: (menu.replicas == 0) * 1.0, upper=0.0)


def memory(draft: Draft) -> None:
    """C3: parameters, intermediate results and the tokens of a replica fit into its memory."""
    unit = _power_of_two(max(draft.problem.memory_mb) * BYTES_PER_MB)
    _add_for_choosers(
        draft,
        "C3",
        lambda layer, menu: _excess_bytes(draft.problem, layer, menu) / unit,
        upper=0.0,
    )


def payload(draft: Draft) -> None:
    """C4: the inputs, and the outputs, of a replica of design 3 fit into a call; E3."""
    limit = float(draft.problem.tensor_payload_bytes())
    unit = _power_of_two(limit)
    _add_for_choosers(
        draft,
        "C4",
        lambda layer, menu: _message_bytes(draft.problem, layer, menu) / unit,
        upper=limit / unit,
    )


def timeout(draft: Draft) -> None:
    """C5: no call takes longer than the platform allows."""
    limit_s = draft.problem.limits().timeout_s
    unit = _power_of_two(limit_s)
    _add_for_choosers(
        draft,
        "C5",
        lambda layer, menu: _billed_s(draft.problem, layer, menu) / unit,
        upper=limit_s / unit,
    )


def promise(draft: Draft) -> None:
    """C6: the latencies of all layers keep what the promise leaves for them."""
    room = limit_of(draft.problem)
    if math.isfinite(room):
        columns = draft.columns
        row = np.zeros_like(columns.latency)
        draft.builder.add_rows("C6", row, columns.latency, 1.0, upper=[room / columns.unit_s])


def one_degree(draft: Draft) -> None:
    """C7: the model has at most one pipeline degree."""
    column = draft.columns.degree
    draft.builder.add_rows("C7", np.zeros_like(column), column, 1.0, upper=[1.0])


def designs(draft: Draft) -> None:
    """C8: no layer has a design that is not among those to choose from."""
    for menu, columns in zip(draft.menus, draft.columns.mode, strict=True):
        barred = columns[~np.isin(menu.design, draft.problem.designs)]
        if barred.size:
            draft.builder.add_rows("C8", np.zeros_like(barred), barred, 1.0, upper=[0.0])


def one_mode(draft: Draft) -> None:
    """D1: every layer has one mode."""
    for columns in draft.columns.mode:
        row = np.zeros_like(columns)
        draft.builder.add_rows("D1", row, columns, 1.0, lower=[1.0], upper=[1.0])


def in_mode(draft: Draft, *, exactly: bool) -> None:
    """D2: experts run as options of their layer's mode.

    Parameters
    ----------
    draft
        The model.
    exactly
        Whether each expert runs as one option of that mode, and not just at most as one.
    """
    for menu, mode, option in zip(
        draft.menus, draft.columns.mode, draft.columns.option, strict=True
    ):
        rows = np.arange(menu.design.size * menu.kinds)
        row = np.concatenate([menu.mode * menu.kinds + menu.chooser, rows])
        column = np.concatenate([option, np.repeat(mode, menu.kinds)])
        value = np.concatenate([np.ones(option.size), -np.ones(rows.size)])
        draft.builder.add_rows(
            "D2", row, column, value, lower=0.0 if exactly else -np.inf, upper=np.zeros(rows.size)
        )


def latency(draft: Draft) -> None:
    """D3: a layer takes at least as long as each of its experts makes it."""
    unit_s = draft.columns.unit_s
    for menu, option, column in zip(
        draft.menus, draft.columns.option, draft.columns.latency, strict=True
    ):
        rows = np.arange(menu.kinds)
        draft.builder.add_rows(
            "D3",
            np.concatenate([menu.chooser, rows]),
            np.concatenate([option, np.full(menu.kinds, column)]),
            np.concatenate([-menu.latency_s / unit_s, np.ones(menu.kinds)]),
            lower=np.zeros(menu.kinds),
        )


def with_degree(draft: Draft) -> None:
    """D4: a layer has a mode of design 1 only if the model has its degree."""
    columns = draft.columns
    for menu, mode in zip(draft.menus, columns.mode, strict=True):
        pipelined = np.flatnonzero(menu.design == 1)
        if pipelined.size:
            degree = columns.degree[np.searchsorted(columns.degrees, menu.degree[pipelined])]
            draft.builder.add_rows(
                "D4", np.arange(pipelined.size), np.stack([mode[pipelined], degree]),
                np.array([[1.0], [-1.0]]), upper=np.zeros(pipelined.size),
            )  # fmt: skip


def slow_options(draft: Draft) -> None:
    """V1: an expert runs as an option that takes so long only if the layer takes so long."""
    columns = draft.columns
    for menu, option, stage, stage_s in zip(
        draft.menus, columns.option, columns.stage, columns.stage_s, strict=True
    ):
        last = np.searchsorted(stage_s, menu.latency_s)
        for kind in range(menu.kinds):
            mine = np.flatnonzero(menu.chooser == kind)
            own = np.unique(last[mine])
            own = own[own > 0]
            # A row for each stage, over all options that are as slow.
            row, slow = np.nonzero(last[mine] >= own[:, None])
            rows = np.arange(own.size)
            draft.builder.add_rows(
                "V1",
                np.concatenate([row, rows]),
                np.concatenate([option[mine[slow]], stage[own - 1]]),
                np.concatenate([np.ones(row.size), -np.ones(own.size)]),
                upper=np.zeros(own.size),
            )


def stages_in_order(draft: Draft) -> None:
    """V2: a layer that takes so long takes at least as long as all that is shorter."""
    for stage in draft.columns.stage:
        pairs = np.stack([stage[:-1], stage[1:]])
        draft.builder.add_rows(
            "V2", np.arange(pairs.shape[1]), pairs, np.array([[1.0], [-1.0]]),
            lower=np.zeros(pairs.shape[1]),
        )  # fmt: skip


def stages(draft: Draft) -> None:
    """V3: a layer takes as long as its stages; that is stronger than D3."""
    columns = draft.columns
    for stage, stage_s, column in zip(columns.stage, columns.stage_s, columns.latency, strict=True):
        draft.builder.add_rows(
            "V3",
            np.zeros(stage.size + 1, dtype=np.int64),
            np.append(stage, column),
            np.append(-np.diff(stage_s) / columns.unit_s, 1.0),
            lower=[stage_s[0] / columns.unit_s],
        )


def _add_for_choosers(
    draft: Draft,
    group: str,
    weigh: Callable[[int, Menu], FloatArray],
    *,
    lower: float = -np.inf,
    upper: float,
) -> None:
    """Add a row for each expert: a weighted sum of its options within bounds.

    Parameters
    ----------
    draft, group
        The model, and the family.
    weigh
        Returns the weights of a layer's options, ``(options,)``.
    lower, upper
        Of every row.
    """
    for layer, (menu, option) in enumerate(zip(draft.menus, draft.columns.option, strict=True)):
        value = weigh(layer, menu)
        some = np.flatnonzero(value)
        draft.builder.add_rows(
            group, menu.chooser[some], option[some], value[some], lower=lower, upper=upper,
            count=menu.kinds,
        )  # fmt: skip


def _share(problem: ServerlessProblem, layer: int, menu: Menu) -> FloatArray:
    """Return the most tokens of a replica, 0 where there is none, ``(options,)``."""
    most = problem.tokens_of(layer).max(axis=0)[menu.chooser]
    return np.where(menu.replicas > 0, most / np.maximum(menu.replicas, 1), 0.0)


def _excess_bytes(problem: ServerlessProblem, layer: int, menu: Menu) -> FloatArray:
    """Return what a replica needs beyond its memory, 0 where there is none, ``(options,)``."""
    expert = problem.expert_of(layer)
    both = expert.input_bytes_per_token + expert.output_bytes_per_token
    fixed = problem.parameter_bytes_of(layer)[menu.chooser] + expert.intermediate_bytes
    memory_bytes = np.array(problem.memory_mb)[menu.size] * BYTES_PER_MB
    needed = fixed + _share(problem, layer, menu) * both
    return np.where(menu.replicas > 0, needed - memory_bytes, 0.0)


def _message_bytes(problem: ServerlessProblem, layer: int, menu: Menu) -> FloatArray:
    """Return what a replica of design 3 is sent or sends, the larger; 0 elsewhere."""
    expert = problem.expert_of(layer)
    larger = max(expert.input_bytes_per_token, expert.output_bytes_per_token)
    direct: BoolArray = menu.design[menu.mode] == 3
    return np.where(direct, _share(problem, layer, menu) * larger, 0.0)


def _billed_s(problem: ServerlessProblem, layer: int, menu: Menu) -> FloatArray:
    """Return the longest warm call of a replica, over scenarios; 0 where there is none."""
    data, book = layer_data(problem, layer), problem.book()
    head_s, compute_s = data.head_s[menu.chooser], data.compute_s[menu.size]
    upload_s = data.upload_s[:, None]
    share = data.tokens[:, menu.chooser] / np.maximum(menu.replicas, 1)
    blocks = blocks_of(share, menu.degree[menu.mode])
    seconds = np.zeros(share.shape)
    for design in DESIGNS:
        here = np.flatnonzero((menu.design[menu.mode] == design) & (menu.replicas > 0))
        args = head_s[here], share[:, here], blocks[:, here], compute_s[here]
        if problem.billing.waiting and design != 3:
            seconds[:, here] = data.clock.until_stored_s(design, *args, upload_s)
        else:
            seconds[:, here] = data.clock.working_s(design, *args)
    longest: FloatArray = (book.billed_s(seconds) if problem.billing.rounding else seconds).max(
        axis=0
    )
    return longest


def _power_of_two(size: float) -> float:
    """Return the power of two near `size`: a unit of rows, as solvers' tolerances are absolute."""
    return 2.0 ** round(math.log2(size)) if size > 0 else 1.0
