"""What is known of loads: averages, changes, regimes that return, and false alarms."""

import numpy as np
import pytest

from moeopt import InstanceError
from moeopt.placement.motion.alarm import Seen, distance
from moeopt.placement.motion.estimate import Estimate

LAYERS, EXPERTS, TOKENS = 4, 32, 1536


def shares(seed, layers=LAYERS, experts=EXPERTS):
    return np.random.default_rng(seed).dirichlet(np.full(experts, 0.7), layers)


def windows(share, count, seed, bunched=None):
    """Windows of independent tokens, or of shares that scatter around the given ones."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(count):
        rows = share if bunched is None else [rng.dirichlet(bunched * row + 1e-9) for row in share]
        found.append([rng.multinomial(TOKENS, row) for row in rows])
    return np.array(found, dtype=np.float64)


def told(stream, **options):
    """Return the estimate after a stream, and what was known after each window."""
    estimate = Estimate(*stream.shape[1:], **options)
    return estimate, [estimate.add(window) for window in stream]


def test_distance_by_hand():
    """One layer, two experts: G of (6, 2) against (4, 4), one degree of freedom."""
    seen = Seen(np.array([[6.0, 2.0]]), 8.0, 1.0)
    wanted = 2 * (6 * np.log(6 / 5) + 2 * np.log(2 / 3) + 4 * np.log(4 / 5) + 4 * np.log(4 / 3))
    assert distance(seen, np.array([[0.5, 0.5]]), 8.0) == pytest.approx(wanted)
    assert distance(seen, np.array([[0.75, 0.25]]), 8.0) == pytest.approx(0.0, abs=1e-5)


@pytest.mark.parametrize("evidence", [1e14, 1e17])
def test_a_window_counts_however_much_was_seen_before(evidence):
    """Against shares that are as good as certain, it is the G statistic of one sample."""
    seen = Seen(np.array([[480.0, 310.0, 210.0, 0.0]]), 1000.0, 1.0)
    wanted = 480 * np.log(480 / 500) + 310 * np.log(310 / 300) + 210 * np.log(210 / 200)
    found = distance(seen, np.array([[0.5, 0.3, 0.2, 0.0]]), evidence)
    assert found == pytest.approx(2 * wanted / 2)
    # An expert that was as good as forgotten, and one that was forgotten, are back.
    shares = np.array([[0.5, 0.5 - 1e-25, 1e-25, 0.0]])
    assert distance(seen, shares, evidence) > 1e3


def test_windows_without_change_are_averaged():
    """Where nothing drifts, nothing is forgotten, and the error is that of the whole sum."""
    share = shares(0)
    stream = windows(share, 200, 1)
    estimate, known = told(stream)
    assert known[-1].changes == 0
    assert known[-1].evidence_windows > 150
    assert known[-1].gain < 0.01
    assert known[-1].overdispersion == pytest.approx(1.0, abs=0.1)
    mean = stream.mean(axis=0)
    np.testing.assert_allclose(estimate.loads(), mean, rtol=0.05, atol=1.0)


@pytest.mark.parametrize("bunched", [None, 300.0])
def test_false_alarms_are_as_rare_as_stated(bunched):
    """At most 2 % of windows are called a change where 1 % was asked for, bunched or not."""
    changes = 0
    for seed in range(6):
        stream = windows(shares(seed), 250, 100 + seed, bunched)
        changes += told(stream, false_alarms=0.01)[1][-1].changes
    assert changes <= 0.02 * 6 * 250


def test_bunched_windows_are_known_to_be():
    """Tokens of a text are alike: counts scatter more, and the estimate claims less."""
    loose = told(windows(shares(0), 60, 1, bunched=300.0))[1][-1]
    # Shares that scatter as Dirichlet's of 300 make counts vary by 1 + 1535 / 301.
    assert loose.overdispersion == pytest.approx(6.1, rel=0.25)


@pytest.mark.parametrize("after", [4, 12, 40])
def test_another_task_is_noticed_in_its_first_window(after):
    """And the loads are at once those of the new one."""
    old, new = shares(1), shares(2)
    estimate, known = told(np.concatenate([windows(old, after, 3), windows(new, 1, 4)]))
    assert [k.changes for k in known] == [0] * after + [1]
    assert known[-1].since_change == 1
    assert abs(estimate.shares() - new).sum() < 0.3 * abs(old - new).sum()


def test_a_small_change_is_noticed_in_a_few_windows():
    """All shares change by a factor of about 1.1: too little for one window, not for 16."""
    old = shares(1)
    new = old * np.random.default_rng(5).lognormal(0.0, 0.1, old.shape)
    new /= new.sum(axis=1, keepdims=True)
    # The change comes when a test of 16 windows begins.
    stream = np.concatenate([windows(old, 81, 6), windows(new, 40, 7)])
    known = told(stream)[1]
    assert known[80].changes == 0
    assert known[81].changes == 0
    assert known[81 + 16].changes == 1


def test_a_task_that_returns_is_known_at_once():
    """Its first window back brings all that was known of it."""
    tasks = [shares(seed) for seed in (1, 2)]
    parts = [windows(tasks[i % 2], 10, 10 + i) for i in range(4)]
    estimate, known = told(np.concatenate([*parts, windows(tasks[0], 1, 20)]))
    assert [k.regime for k in known[::10]] == [1, 2, 1, 2, 1]
    assert [k.returned for k in known[::10]] == [False, False, True, True, True]
    assert known[-1].changes == 4
    assert known[-1].evidence_windows > 15
    np.testing.assert_allclose(estimate.loads(), TOKENS * tasks[0], rtol=0.2, atol=3.0)


def test_a_window_between_two_tasks_is_no_task():
    """Half of one and half of the other: one change, and the next window is known again."""
    old, new = shares(1), shares(2)
    there = np.concatenate([windows(old, 10, 3), windows((old + new) / 2, 1, 4)])
    back = np.concatenate([windows(new, 10, 5), windows((old + new) / 2, 1, 6)])
    known = told(np.concatenate([there, back, windows(old, 5, 7)]))[1]
    assert known[10].changes == known[20].changes == 1
    assert known[-1].changes == 2
    assert (known[-1].regime, known[-1].returned) == (1, True)


def test_only_so_many_regimes_are_remembered():
    """The one longest away is forgotten: its return is news."""
    stream = [windows(shares(seed), 6, 30 + seed) for seed in (1, 2, 3, 1)]
    many = told(np.concatenate(stream))[1]
    assert (many[-1].regime, many[-1].regimes) == (1, 2)
    few = told(np.concatenate(stream), remembered=1)[1]
    assert (few[-1].regime, few[-1].regimes) == (4, 1)


def test_drift_shortens_the_memory():
    """The faster loads drift, the fewer windows they rest on, and the nearer they are for it."""
    evidence = []
    for step in (0.0, 0.03, 0.15):
        rng = np.random.default_rng(8)
        share, stream = shares(3), []
        for _ in range(120):
            share = share * rng.lognormal(0.0, step, share.shape)
            share /= share.sum(axis=1, keepdims=True)
            stream.append(windows(share, 1, rng)[0])
        estimate, known = told(np.array(stream))
        evidence.append(known[-1].evidence_windows)
        mean, last = (abs(x / TOKENS - share).sum() for x in (np.mean(stream, axis=0), stream[-1]))
        assert abs(estimate.shares() - share).sum() < 1.02 * min(mean, last)
    assert evidence[0] > 3 * evidence[1] > 6 * evidence[2]


def test_little_is_drawn_to_what_is_known():
    """One short window of nearly even loads: nearer to them drawn to even ones than as it is."""
    rng = np.random.default_rng(9)
    share = np.full((LAYERS, EXPERTS), 1.0 / EXPERTS)
    window = np.array([rng.multinomial(100, row) for row in share], dtype=np.float64)
    estimate, _ = told(window[None])
    assert abs(estimate.shares() - share).sum() < 0.5 * abs(window / 100 - share).sum()


def test_draws_scatter_as_windows_do():
    """Mean and variance of the drawn windows are those of the coming ones."""
    share = shares(4)
    estimate, known = told(windows(share, 50, 11))
    draws = estimate.draws(np.zeros(400))
    wanted = estimate.loads()
    np.testing.assert_allclose(draws.mean(axis=0), wanted, rtol=0.1, atol=2.0)
    expected = (wanted * (1 - wanted / TOKENS)).sum() * known[-1].overdispersion
    assert draws.var(axis=0).sum() == pytest.approx(expected, rel=0.1)
    np.testing.assert_array_equal(draws, estimate.draws(np.zeros(400)))


def test_a_long_stream_leaves_no_trace_in_memory_or_sums():
    """After 1,000 windows in tenths of tokens the average is still that of them all."""
    one = np.array([[0.1, 0.2, 0.7], [0.3, 0.3, 0.4]])
    estimate = Estimate(2, 3)
    for _ in range(1_000):
        estimate.add(one)
    np.testing.assert_allclose(estimate.shares()[0], one[0], rtol=1e-9)
    assert estimate.known.windows == 1_000
    assert estimate.known.changes == 0


def test_what_cannot_be_a_window_is_refused():
    """Wrong shapes and numbers are named; an idle window says nothing."""
    estimate = Estimate(2, 3)
    with pytest.raises(InstanceError, match="layers, experts"):
        estimate.add(np.ones((3, 2)))
    with pytest.raises(InstanceError, match="finite number >= 0"):
        estimate.add(np.array([[1.0, 2.0, np.nan], [1.0, 1.0, 1.0]]))
    assert estimate.add(np.zeros((2, 3))).windows == 0
    with pytest.raises(InstanceError, match="false_alarms"):
        Estimate(2, 3, false_alarms=0.0)
    with pytest.raises(InstanceError, match="remembered"):
        Estimate(2, 3, remembered=-1)
