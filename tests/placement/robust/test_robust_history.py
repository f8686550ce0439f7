"""Shrinkage of short histories: by hand, its properties, and a truth that is known."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from moeopt.core.errors import InstanceError
from moeopt.placement.robust import shrinkage, shrunk

SEEDS = st.integers(0, 2**32 - 1)


def _windows(seed, windows=4, layers=3, experts=6):
    rng = np.random.default_rng(seed)
    shares = rng.dirichlet(np.ones(experts), layers)
    counts = [[rng.multinomial(40, share) for share in shares] for _ in range(windows)]
    prior = rng.dirichlet(np.ones(experts), layers)
    return np.array(counts, dtype=float), prior


def test_two_windows_by_hand():
    windows = np.array([[[6.0, 4.0]], [[8.0, 2.0]]])
    # p = (0.7, 0.3); residuals -1, 1 and 1, -1: V = (4 / 20^2) * 2 / 1 = 0.02.
    # q = (0.5, 0.5): D = 0.04 + 0.04 = 0.08; the weight is a quarter.
    found = shrinkage(windows)
    assert found.weight == pytest.approx([0.25])
    assert found.loads == pytest.approx(np.array([[6.5, 3.5]]))
    assert found.prior == pytest.approx(np.array([[5.0, 5.0]]))
    # Independent tokens: (0.7 * 0.3 + 0.3 * 0.7) / 20 = 0.021.
    assert found.dispersion == pytest.approx([0.02 / 0.021])
    assert found.mix.size == 0


def test_layers_take_the_middle_of_their_own_weight_and_of_all():
    # Layer 0 as above; in layer 1, p = (0.9, 0.1) without noise, D = 0.16 + 0.16 = 0.32.
    windows = np.array([[[6.0, 4.0], [9.0, 1.0]], [[8.0, 2.0], [9.0, 1.0]]])
    together = 0.02 / (0.08 + 0.32)
    expected = [(0.25 + together) / 2, together / 2]
    assert shrinkage(windows).weight == pytest.approx(expected)


def test_one_window_takes_tokens_as_independent():
    window = np.array([[[8.0, 6.0, 4.0, 2.0]]])
    # p = (.4, .3, .2, .1), D = .0225 + .0025 + .0025 + .0225 = .05, sum p^2 = .3.
    multinomial = shrinkage(window)
    assert multinomial.weight == pytest.approx([(1 - 0.3) / 20 / 0.05])
    # 10 tokens with 2 distinct experts each: V = (1 - 2 * .3) / 20, less than a multinomial's.
    distinct = shrinkage(window, top_k=2)
    assert distinct.weight == pytest.approx([(1 - 0.6) / 20 / 0.05])
    assert (distinct.dispersion == 1.0).all()


def test_a_dispersion_that_is_known():
    window = np.array([[[8.0, 6.0, 4.0, 2.0]]])
    found = shrinkage(window, dispersion=1.25)
    assert found.weight == pytest.approx([1.25 * (1 - 0.3) / 20 / 0.05])
    assert found.dispersion == pytest.approx([1.25])
    # What windows say of themselves is what is measured of them.
    windows, prior = _windows(3)
    measured = shrinkage(windows, prior)
    again = shrinkage(windows, prior, dispersion=measured.dispersion)
    np.testing.assert_allclose(again.loads, measured.loads)


def test_alike_windows_have_no_noise():
    windows = np.repeat(_windows(0, windows=1)[0], 3, axis=0)
    found = shrinkage(windows)
    assert (found.weight == 0).all()
    np.testing.assert_allclose(found.loads, windows[0])


def test_a_near_prior_is_taken_and_a_far_one_is_not():
    rng = np.random.default_rng(1)
    share = rng.dirichlet(np.ones(16))
    windows = rng.multinomial(60, share, size=(4, 1)).astype(float)
    near, far = shrinkage(windows, share[None]), shrinkage(windows, np.roll(share, 5)[None])
    assert near.weight[0] > 0.5
    assert far.weight[0] < 0.1


def test_the_mix_of_priors_is_found():
    rng = np.random.default_rng(2)
    priors = rng.dirichlet(np.full(16, 0.3), (3, 8))
    share = 0.75 * priors[0] + 0.25 * priors[2]
    windows = np.array([[rng.multinomial(500, one) for one in share] for _ in range(4)])
    found = shrinkage(windows, priors)
    assert found.mix == pytest.approx([0.75, 0.0, 0.25], abs=0.03)
    np.testing.assert_allclose(found.prior.sum(axis=1), 500)
    # Units of a prior do not matter.
    scaled = shrinkage(windows, priors * np.array([1.0, 7.0, 100.0])[:, None, None])
    np.testing.assert_allclose(scaled.loads, found.loads)


def test_unequal_windows_count_by_their_tokens():
    # Equal shares in windows of 10 and of 1000 tokens: no noise, and the mean window.
    found = shrinkage([[[7.0, 3.0]], [[700.0, 300.0]]])
    assert found.weight == pytest.approx([0.0])
    assert found.loads == pytest.approx(np.array([[353.5, 151.5]]))


def test_layers_without_tokens():
    windows = np.zeros((2, 2, 4))
    windows[:, 0] = [[4, 3, 2, 1], [1, 2, 3, 4]]
    found = shrinkage(windows, np.zeros((2, 4)))
    np.testing.assert_allclose(found.loads, [[2.5] * 4, [0.0] * 4])
    assert found.weight[1] == 1.0
    assert found.dispersion[1] == 1.0


@given(SEEDS, st.integers(1, 5))
@settings(max_examples=30, deadline=None)
def test_between_the_windows_and_the_prior(seed, windows):
    counts, prior = _windows(seed, windows)
    found = shrinkage(counts, prior)
    ends = np.stack([counts.mean(axis=0), found.prior])
    slack = 1e-9 * counts.max()
    assert (found.loads >= ends.min(axis=0) - slack).all()
    assert (found.loads <= ends.max(axis=0) + slack).all()
    np.testing.assert_allclose(found.loads.sum(axis=1), counts.sum(axis=(0, 2)) / windows)
    assert ((found.weight >= 0) & (found.weight <= 1)).all()


@given(SEEDS, st.integers(2, 5))
@settings(max_examples=30, deadline=None)
def test_more_of_the_same_shrinks_less(seed, times):
    counts, prior = _windows(seed)
    once, often = shrinkage(counts, prior), shrinkage(np.tile(counts, (times, 1, 1)), prior)
    assert (often.weight <= once.weight).all()
    assert (often.weight < once.weight)[(once.weight > 0) & (once.weight < 1)].all()


@given(SEEDS, st.floats(1e-3, 1e3))
@settings(max_examples=30, deadline=None)
def test_scaled_loads_give_scaled_estimates(seed, factor):
    counts, prior = _windows(seed)
    np.testing.assert_allclose(shrunk(factor * counts, prior), factor * shrunk(counts, prior))


@given(SEEDS)
@settings(max_examples=30, deadline=None)
def test_names_of_experts_and_order_of_windows_do_not_matter(seed):
    counts, prior = _windows(seed)
    order = np.random.default_rng(seed).permutation(counts.shape[2])
    found = shrunk(counts[::-1][:, :, order], prior[:, order])
    np.testing.assert_allclose(found, shrunk(counts, prior)[:, order])


def _tokens_without_replacement(rng, weight, tokens, top_k):
    """Return the counts of tokens that each draw `top_k` distinct experts (Gumbel's trick)."""
    keys = np.log(weight) + rng.gumbel(size=(tokens, len(weight)))
    chosen = np.argsort(keys, axis=1)[:, -top_k:]
    return np.bincount(chosen.ravel(), minlength=len(weight)).astype(float)


def test_dispersion_of_draws_without_replacement_and_of_runs():
    rng = np.random.default_rng(3)
    weight = rng.lognormal(0.0, 1.5, 8)
    single = [_tokens_without_replacement(rng, weight, 64, 3) for _ in range(400)]
    windows = np.array(single)[:, None]
    # Against a multinomial, distinct experts spread too little; against themselves, they do not.
    assert shrinkage(windows).dispersion[0] < 0.8
    assert shrinkage(windows, top_k=3).dispersion[0] == pytest.approx(1.0, abs=0.1)
    # Runs of four alike tokens: four times the variance.
    runs = 4.0 * rng.multinomial(48, weight / weight.sum(), size=(400, 1))
    assert shrinkage(runs).dispersion[0] == pytest.approx(4.0, abs=0.4)


def test_nearer_to_a_known_truth_than_history_or_prior():
    """Bursty windows of a truth that moved away from yesterday's: the estimate is nearest."""
    rng = np.random.default_rng(4)
    layers, experts, windows = 40, 32, 4
    yesterday = rng.dirichlet(np.ones(experts), layers)
    truth = np.array([rng.dirichlet(300 * share + 1e-3) for share in yesterday])
    bursts = [[rng.dirichlet(100 * share + 1e-3) for share in truth] for _ in range(windows)]
    counts = np.array([[rng.multinomial(256, share) for share in one] for one in bursts])

    def error(loads):
        shares = loads / loads.sum(axis=1, keepdims=True)
        return ((shares - truth) ** 2).sum()

    found = shrinkage(counts, yesterday)
    raw = error(counts.sum(axis=0))
    assert error(found.loads) < 0.75 * min(raw, error(yesterday))
    # The best that any one weight could do.
    grid = [error(w * found.prior + (1 - w) * counts.mean(axis=0)) for w in np.linspace(0, 1, 101)]
    assert error(found.loads) < 1.05 * min(grid)
    # Counting tokens as independent would trust the bursts too much.
    assert found.dispersion.mean() > 2
    assert error(shrunk(counts)) <= raw


@pytest.mark.parametrize(
    ("windows", "prior", "more", "where"),
    [
        (np.ones((2, 3)), None, {}, "windows"),
        (np.ones((0, 2, 3)), None, {}, "windows"),
        (-np.ones((1, 2, 3)), None, {}, r"windows\[0\]\[0\]\[0\]"),
        (np.ones((1, 2, 3)), np.ones((2, 4)), {}, "prior"),
        (np.ones((1, 2, 3)), np.ones((0, 2, 3)), {}, "prior"),
        (np.ones((1, 2, 3)), np.full((2, 3), np.nan), {}, "prior"),
        (np.ones((1, 2, 3)), None, {"top_k": 0}, "top_k"),
        (np.array([[[2.0, 1.0, 1.0]]]), None, {"top_k": 3}, "top_k"),
        (np.ones((1, 2, 3)), None, {"dispersion": np.ones(3)}, "dispersion"),
        (np.ones((1, 2, 3)), None, {"dispersion": -1.0}, "dispersion"),
    ],
)
def test_refusals(windows, prior, more, where):
    with pytest.raises(InstanceError, match=where):
        shrinkage(windows, prior, **more)
