"""Loads estimated from few windows: a short history drawn towards what was known before.

The plan that is best for the counts of a few windows balances their noise too. The estimate here is
that of a Dirichlet prior under counts of a Dirichlet-multinomial kind, with both concentrations
taken from the data (empirical Bayes). They are found by moments, because no likelihood holds for
real routing: its tokens come in runs, and the experts of a token are drawn without replacement.

Let p be the experts' shares in the history, q those of the prior, and V the variance of p around
what it was drawn from, summed over experts. The squared distance D of p and q holds V of noise on
average, and the rest is what the prior does not know. The prior gets the weight min(1, V / D): what
the posterior mean gives it if its concentration explains D - V, and James and Stein's weight. Noise
of the prior itself is in D too, so that a prior of few windows is trusted less. The ratio of a
single layer is itself uncertain, and layers differ: each takes the middle of its own and of the
ratio of the sums over all layers.

V comes from the differences between windows, so that runs of alike tokens (counts spread wider than
a multinomial's) and draws without replacement (narrower) both count as they are. One window has no
differences: its tokens are taken as independent, each with `top_k` distinct experts, unless the
dispersion of earlier windows is given.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from moeopt.core.arguments import whole
from moeopt.core.arrays import FloatArray, own_array, require_finite_nonnegative
from moeopt.core.errors import InstanceError
from moeopt.placement.robust.windows import windows_of


@dataclass(frozen=True, eq=False)
class Shrinkage:
    """Loads after shrinkage, and how far each layer was drawn to its prior.

    Attributes
    ----------
    loads
        Tokens of each expert in a window, ``(layers, experts)``; a layer's sum is its mean over
        the windows.
    prior
        What the loads were drawn to, ``(layers, experts)``, with the same sums.
    weight
        Of the prior, ``(layers,)``: 0 leaves the mean of the windows, 1 takes the prior alone.
    dispersion
        Variance of the windows' counts over that of independent tokens, ``(layers,)``: above 1
        where tokens come in runs. 1 where one window tells nothing of it.
    mix
        Share of each given prior in `prior`, ``(priors,)``; empty where none was given.
    """

    loads: FloatArray
    prior: FloatArray
    weight: FloatArray
    dispersion: FloatArray
    mix: FloatArray


def shrunk(
    windows: object, prior: object = None, *, top_k: int = 1, dispersion: object = None
) -> FloatArray:
    """Return the loads of `shrinkage`, shape ``(layers, experts)``, in tokens of a window.

    Parameters
    ----------
    windows, prior, top_k, dispersion
        As for `shrinkage`.
    """
    return shrinkage(windows, prior, top_k=top_k, dispersion=dispersion).loads


def shrinkage(
    windows: object, prior: object = None, *, top_k: int = 1, dispersion: object = None
) -> Shrinkage:
    """Estimate the loads that a few windows were drawn from.

    Parameters
    ----------
    windows
        Tokens of each expert, ``(windows, layers, experts)``: the history. One window must count
        tokens; of several, any multiple does.
    prior
        Loads known before in any unit, such as yesterday's or another task's, ``(layers,
        experts)``; or several, ``(priors, layers, experts)``, of which one mix for all layers that
        fits the history best is taken. Left out, every expert of a layer alike.
    top_k
        Distinct experts of each token, for the variance of independent tokens, which
        `Shrinkage.dispersion` is relative to; where dispersion is measured it changes nothing else.
    dispersion
        As earlier windows of these tokens had it (`Shrinkage.dispersion`, found with the same
        `top_k`), one number or ``(layers,)``; the windows must then count tokens. Left out, it is
        measured, and 1 for a single window.

    Raises
    ------
    InstanceError
        If sizes do not fit, or an expert has more tokens than `top_k` allows.
    """
    history = windows_of(windows)
    counts = history.sum(axis=0)
    total = counts.sum(axis=1)
    share = _shares(counts)
    before, mix = _prior(prior, share, total > 0)
    independent = _independent(share, total, top_k)
    noise = _measured(history, share, total)
    if dispersion is not None or len(history) == 1:
        noise = independent * _stated(dispersion, len(total))
    distance = ((share - before) ** 2).sum(axis=1)
    # Where history and prior agree, either is the answer; a layer without tokens knows nothing.
    told = total > 0
    alone = _ratio(noise, distance)
    together = float(_ratio(noise[told].sum(), distance[told].sum()))
    weight = np.where(told, 0.5 * (alone + together), 1.0)
    mean = total[:, None] / len(history)
    spread = told & (independent > 0)
    return Shrinkage(
        loads=(share + weight[:, None] * (before - share)) * mean,
        prior=before * mean,
        weight=weight,
        dispersion=np.where(spread, noise / np.where(spread, independent, 1.0), 1.0),
        mix=mix,
    )


def _ratio(noise: FloatArray, distance: FloatArray) -> FloatArray:
    """Return the noise in the distance from the prior, at most 1."""
    known = distance > noise
    return np.where(known, noise / np.where(known, distance, 1.0), 1.0)


def _shares(loads: FloatArray) -> FloatArray:
    """Return the shares of the experts, ``(..., experts)``; even ones where a layer has no load."""
    total = loads.sum(axis=-1, keepdims=True)
    return np.where(total > 0, loads / np.where(total > 0, total, 1.0), 1.0 / loads.shape[-1])


def _prior(prior: object, share: FloatArray, known: np.ndarray) -> tuple[FloatArray, FloatArray]:
    """Return the shares of the prior, and the mix of the given ones that it is."""
    if prior is None:
        return np.full(share.shape, 1.0 / share.shape[1]), np.empty(0)
    given: FloatArray = own_array(prior, "prior", np.float64)
    several = given if given.ndim == 3 else given[None]
    if several.shape[1:] != share.shape or len(several) == 0:
        layers, experts = share.shape
        raise InstanceError(
            "prior",
            f"<shape {given.shape}>",
            f"must have the history's ({layers} layers, {experts} experts), or several such",
            "count the same layers and experts",
        )
    require_finite_nonnegative(given, "prior")
    shares = _shares(several)
    mix = _mix(shares[:, known], share[known])
    return np.tensordot(mix, shares, axes=1), mix


def _mix(priors: FloatArray, share: FloatArray) -> FloatArray:
    """Return the mix of priors nearest to the history, summing to 1."""
    from scipy.optimize import nnls

    if len(priors) == 1:
        return np.ones(1)
    found, _ = nnls(priors.reshape(len(priors), -1).T, share.ravel())
    if found.sum() == 0:
        return np.full(len(priors), 1.0 / len(priors))
    return np.asarray(found / found.sum())


def _independent(share: FloatArray, total: FloatArray, top_k: int) -> FloatArray:
    """Return the variance of a layer's shares if tokens are independent, ``(layers,)``.

    Summed over experts. A token has expert e with the probability ``top_k * share``, at most once,
    which makes the variance of a share of n counts ``share * (1 - top_k * share) / n``: a
    multinomial's where `top_k` is 1.
    """
    chance = whole("top_k", top_k) * share
    _check_top_k(chance, total, top_k)
    spread: FloatArray = (share * np.maximum(0.0, 1.0 - chance)).sum(axis=1)
    return np.asarray(spread / np.where(total > 0, total, 1.0))


def _measured(history: FloatArray, share: FloatArray, total: FloatArray) -> FloatArray:
    """Return the variance of a layer's shares by the differences between windows, ``(layers,)``."""
    # The residuals of a ratio: windows may differ in their tokens.
    residual = history - history.sum(axis=2, keepdims=True) * share
    squares: FloatArray = (residual**2).sum(axis=(0, 2))
    windows = len(history)
    variance: FloatArray = squares / np.where(total > 0, total, 1.0) ** 2
    return variance * (windows / max(1, windows - 1))


def _stated(dispersion: object, layers: int) -> FloatArray:
    """Return the given dispersion of each layer."""
    given: FloatArray = own_array(
        1.0 if dispersion is None else dispersion, "dispersion", np.float64
    )
    if given.shape not in ((), (layers,)):
        raise InstanceError(
            "dispersion",
            f"<shape {given.shape}>",
            f"must be one number, or one for each of the {layers} layers",
            "take that of a Shrinkage",
        )
    require_finite_nonnegative(np.atleast_1d(given), "dispersion")
    return given


def _check_top_k(chance: FloatArray, total: FloatArray, top_k: int) -> None:
    if top_k < 1:
        raise InstanceError("top_k", top_k, "must be at least 1", "the experts of each token")
    if (chance[total > 0] > 1.0 + 1e-9).any():
        raise InstanceError(
            "top_k",
            top_k,
            "no expert may have more tokens than there are: a layer's counts over top_k",
            "give the experts of each token, or leave it out",
        )
