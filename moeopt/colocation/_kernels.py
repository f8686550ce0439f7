"""Local search over who shares a device, and the time of several models that take turns."""

from __future__ import annotations

from typing import Any

import numpy as np

from moeopt.core.jit import kernel

Array = Any

TIME, BOTTLENECK, COMMUNICATION = 0, 1, 2


@kernel
def line(
    sent: Array, received: Array, factor: Array, first: int, last: int, low: int, high: int
) -> float:
    """Return the seconds of the busiest port of ``low`` to ``high`` for some models together."""
    most = 0.0
    for g in range(low, high):
        out, into = 0.0, 0.0
        for k in range(first, last + 1):
            out += factor[k] * sent[k, g]
            into += factor[k] * received[k, g]
        most = max(most, out, into)
    return most


@kernel
def turns(
    gate: Array, dispatch: Array, received: Array, compute: Array, aggregation: Array,
    there: Array, back: Array, low: int, high: int, end: Array,
) -> float:  # fmt: skip
    """Return the time of one layer of all models that take turns (Aurora, Table 2 and eq. 4).

    The slowest of the devices ``low`` to ``high`` sets the pace of each phase.

    Parameters
    ----------
    gate, dispatch, received, compute, aggregation
        Seconds, ``(models, devices)``; of `dispatch` and `received`, a port's two directions,
        seconds for each byte of a token.
    there, back
        Bytes of a token to its expert and back, ``(models,)``.
    low, high
        The devices that count.
    end
        Room for ``(4, models)`` times.
    """
    models = gate.shape[0]
    # Releases and ends of the dispatches, then ends of the computations.
    release, sent, done, returned = end[0], end[1], end[2], end[3]
    clock = 0.0
    for k in range(models):
        if k:
            slowest = 0.0
            for g in range(low, high):
                slowest = max(slowest, gate[k, g])
            clock += slowest
        release[k] = clock
        sent[k] = 0.0
        for j in range(k + 1):
            sent[k] = max(sent[k], release[j] + line(dispatch, received, there, j, k, low, high))
    clock = max(clock, sent[0])
    for k in range(models):
        slowest = 0.0
        for g in range(low, high):
            slowest = max(slowest, compute[k, g])
        clock = max(clock, sent[k]) + slowest
        done[k] = clock
    base = sent[models - 1]
    for k in range(models):
        returned[k] = 0.0
        for j in range(k + 1):
            start = max(done[j], base)
            returned[k] = max(returned[k], start + line(received, dispatch, back, j, k, low, high))
    for k in range(models):
        slowest = 0.0
        for g in range(low, high):
            slowest = max(slowest, aggregation[k, g])
        clock = max(clock, returned[k]) + slowest
    slowest = 0.0
    for g in range(low, high):
        slowest = max(slowest, gate[0, g])
    return float(clock + slowest)


@kernel
def _load(
    m: int, g: int, at: Array, traffic: Array, rows: Array, columns: Array, tokens: Array,
    seconds: Array, fixed: Array, port: Array, speed: Array, phases: Array,
) -> None:  # fmt: skip
    """Write the phases of model `m` on device `g` to ``phases[:, m, g]``."""
    out, into, work, held = 0.0, 0.0, 0.0, 0
    places = at.shape[2]
    for s in range(places):
        e = at[m, g, s]
        if e < 0:
            continue
        held += 1
        out += rows[m, e]
        into += columns[m, e]
        work += tokens[m, e]
        for r in range(places):
            f = at[m, g, r]
            if f >= 0 and r != s:
                out -= traffic[m, e, f]
                into -= traffic[m, f, e]
    phases[0, m, g] = fixed[m, 0] / speed[g] if held else 0.0
    phases[1, m, g] = max(out, 0.0) / port[g]
    phases[2, m, g] = max(into, 0.0) / port[g]
    phases[3, m, g] = work * seconds[m] / speed[g]
    phases[4, m, g] = fixed[m, 1] / speed[g] if held else 0.0


@kernel
def _value(
    objective: int, phases: Array, there: Array, back: Array, by_device: Array, end: Array
) -> tuple[float, float]:
    """Return the objective, and the mean over devices of their own values, which guides on."""
    devices = phases.shape[2]
    total = 0.0
    most = 0.0
    for g in range(devices):
        most = max(most, by_device[g])
        total += by_device[g]
    if objective == TIME:
        most = turns(phases[0], phases[1], phases[2], phases[3], phases[4], there, back, 0, devices,
                     end)  # fmt: skip
    return most, total / devices


@kernel
def _of_device(
    objective: int, g: int, phases: Array, there: Array, back: Array, end: Array
) -> float:
    if objective == COMMUNICATION:
        return float(line(phases[1], phases[2], there, 0, phases.shape[1] - 1, g, g + 1))
    return float(
        turns(phases[0], phases[1], phases[2], phases[3], phases[4], there, back, g, g + 1, end)
    )


@kernel
def anneal(
    at: Array, traffic: Array, rows: Array, columns: Array, tokens: Array,
    seconds: Array, fixed: Array, there: Array, back: Array, port: Array, speed: Array, size: Array,
    budget: Array, allowed: Array, objective: int, steps: int, warm: float, rng: Any,
) -> tuple[Array, float]:  # fmt: skip
    """Swap experts of one model, or all of two devices, at falling temperature.

    Parameters
    ----------
    at
        Expert in each place, -1 for none, ``(models, devices, places)``; changed.
    traffic, rows, columns, tokens
        Tokens between experts without the diagonal, their sums, and what each expert computes,
        ``(models, experts, experts)`` and ``(models, experts)``.
    seconds, fixed, there, back
        By model: computation of a token, gate and aggregation, bytes of a token there and back.
    port, speed
        Of each device.
    size, budget
        Bytes of each model's experts, and of each device for them.
    allowed
        Whether an expert may sit on a device, ``(models, experts, devices)``.
    objective, steps, warm, rng
        What is minimised, how many swaps are tried, the first temperature as a share of the
        objective, and a ``numpy.random.Generator``.

    Returns
    -------
    at, objective
        The best found.
    """
    models, devices, places = at.shape
    phases = np.zeros((5, models, devices))
    end = np.empty((4, models))
    used = np.zeros(devices)
    for g in range(devices):
        for m in range(models):
            _load(m, g, at, traffic, rows, columns, tokens, seconds, fixed, port, speed,
                  phases)  # fmt: skip
            for s in range(places):
                if at[m, g, s] >= 0:
                    used[g] += size[m]
    by_device = np.empty(devices)
    for g in range(devices):
        by_device[g] = _of_device(objective, g, phases, there, back, end)
    now, mean = _value(objective, phases, there, back, by_device, end)
    cost = now + 0.02 * mean
    best, best_cost = at.copy(), cost
    best_value = now
    kept = np.empty((5, models, 2))
    heat = warm * cost
    cooling = 1e-4 ** (1.0 / max(steps, 1))
    for _ in range(steps):
        heat *= cooling
        g = rng.integers(0, devices)
        if rng.random() < 0.5:
            # A device that is slow now is the likelier to gain.
            for _ in range(2):
                other = rng.integers(0, devices)
                if by_device[other] > by_device[g]:
                    g = other
        h = rng.integers(0, devices)
        if g == h:
            continue
        whole = models > 1 and rng.random() < 0.2
        first = 0 if whole else rng.integers(0, models)
        last = models if whole else first + 1
        s, r = rng.integers(0, places), rng.integers(0, places)
        fits = True
        gain = 0.0
        for m in range(first, last):
            for q in range(places):
                if not whole and q != s:
                    continue
                here = at[m, g, q]
                other = at[m, h, q if whole else r]
                if here >= 0:
                    gain -= size[m]
                    fits = fits and allowed[m, here, h]
                if other >= 0:
                    gain += size[m]
                    fits = fits and allowed[m, other, g]
        if not fits or used[g] + gain > budget[g] or used[h] - gain > budget[h]:
            continue
        if not whole and at[first, g, s] == at[first, h, r]:
            continue
        _swap(at, first, last, g, h, s, r, whole)
        old_g, old_h = by_device[g], by_device[h]
        for m in range(first, last):
            kept[:, m, 0] = phases[:, m, g]
            kept[:, m, 1] = phases[:, m, h]
            _load(m, g, at, traffic, rows, columns, tokens, seconds, fixed, port, speed,
                  phases)  # fmt: skip
            _load(m, h, at, traffic, rows, columns, tokens, seconds, fixed, port, speed,
                  phases)  # fmt: skip
        by_device[g] = _of_device(objective, g, phases, there, back, end)
        by_device[h] = _of_device(objective, h, phases, there, back, end)
        value, mean = _value(objective, phases, there, back, by_device, end)
        new = value + 0.02 * mean
        if new <= cost or rng.random() < np.exp((cost - new) / heat):
            cost = new
            used[g] += gain
            used[h] -= gain
            if value < best_value or (value == best_value and new < best_cost):
                best_value = value
                best_cost = new
                best[:] = at
        else:
            _swap(at, first, last, g, h, s, r, whole)
            by_device[g], by_device[h] = old_g, old_h
            for m in range(first, last):
                phases[:, m, g] = kept[:, m, 0]
                phases[:, m, h] = kept[:, m, 1]
    return best, best_value


@kernel
def _swap(at: Array, first: int, last: int, g: int, h: int, s: int, r: int, whole: bool) -> None:
    """Exchange a place of one model, or every place of all, between two devices."""
    for m in range(first, last):
        if whole:
            for q in range(at.shape[2]):
                at[m, g, q], at[m, h, q] = at[m, h, q], at[m, g, q]
        else:
            at[m, g, s], at[m, h, r] = at[m, h, r], at[m, g, s]


@kernel
def device_values(objective: int, phases: Array, there: Array, back: Array) -> Array:
    """Return what each device comes to by itself, ``(devices,)``, for the objective's own terms."""
    devices = phases.shape[2]
    end = np.empty((4, phases.shape[1]))
    found = np.empty(devices)
    for g in range(devices):
        found[g] = _of_device(objective, g, phases, there, back, end)
    return found
