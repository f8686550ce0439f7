"""Long streams: statistics that stay what they claim to be, whatever has passed."""

import numpy as np

from moeopt.buffering import LearnedCache
from moeopt.committee.rules import RentOrBuy
from moeopt.placement.motion.alarm import Seen, Span
from moeopt.placement.motion.average import MEMORIES, Averages
from moeopt.placement.motion.estimate import Estimate

#: The least number that processors are fast with.
NORMAL = np.finfo(float).tiny


def window(*tokens):
    counts = np.array([tokens], dtype=float)
    return Seen(counts, float(counts.sum()), 1.0)


def test_a_giant_window_leaves_those_before_it_as_they_were():
    """The sum less the giant would be what rounding left of the others: here 8 and 0."""
    span, shares = Span(4, 1e-3), np.array([[0.5, 0.5]])
    for _ in range(3):
        assert span.test(window(2.1, 2.3), shares, 1e6) is None
    before = span.test(window(6e16, 0.0), shares, 1e6)
    assert before.windows == 3
    np.testing.assert_allclose(before.tokens, [[6.3, 6.9]], rtol=1e-15)
    assert before.size == np.sum([4.4, 4.4, 4.4])


def test_averages_of_thousands_of_windows_are_the_sums_they_claim_to_be():
    dice = np.random.default_rng(3)
    stream = dice.multinomial(100, [0.6, 0.3, 0.1], 3000) * 2.0 ** dice.integers(-10, 31, (3000, 1))
    stream[1000] = [2.0**50, 0.0, 2.0**50]
    averages = Averages(1, 3)
    for tokens in stream:
        averages.add(window(*tokens))
    ages = np.arange(len(stream))[::-1, None]
    expected = [(stream * (1.0 - 1.0 / memory) ** ages).sum(axis=0) for memory in MEMORIES]
    np.testing.assert_allclose(averages.tokens[:, 0], expected, rtol=1e-12)


def test_what_an_average_has_forgotten_is_nothing():
    """Tokens of an expert that nobody asks for any more faded to denormal numbers, for ever."""
    averages = Averages(1, 2)
    averages.add(window(1.0, 9.0))
    for _ in range(4000):
        averages.add(window(0.0, 9.0))
    held = averages.tokens[:, 0, 0]
    assert held[:3].tolist() == [0.0, 0.0, 0.0]
    assert (held[3:] > NORMAL).all()
    assert held[-1] == 1.0


def test_the_learned_cache_has_forgotten_what_it_was_once_asked_for():
    cache = LearnedCache(experts=8, slots=2)
    cache.serve([7])
    for turn in range(4000):
        cache.serve([turn % 3])
    for state in cache._state:
        faded = np.abs(np.atleast_1d(state))
        assert not ((faded > 0) & (faded < NORMAL)).any()


def test_committees_have_forgotten_what_weighed_once():
    rule = RentOrBuy(np.array([0.01]), 3)
    rule.observe(np.array([[5.0, 1.0, 1.0]]))
    for _ in range(4000):
        rule.observe(np.array([[0.0, 1.0, 2.0]]))
    for state in (rule._counters, rule._outlook._faded):
        assert not ((state > 0) & (state < NORMAL)).any()
    assert rule._counters[0, 0] == 0.0


def test_draws_of_windows_of_next_to_no_tokens_are_finite():
    """Gammas of so small a shape come to numbers by which nothing can be divided."""
    estimate = Estimate(1, 2)
    estimate.add(np.array([[0.005, 0.005]]))
    drawn = estimate.draws(np.zeros(4000)).sum(axis=2)
    assert set(np.round(drawn.ravel(), 12)) == {0.0, 0.01}
