"""What an unscheduled all-to-all costs: worked examples, a slow simulation, every rule kept."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from moeopt.core.stop import Context
from moeopt.transfers import contention
from moeopt.transfers.aurora import earliest_fit, printed_order
from moeopt.transfers.contention import (
    ORDERS,
    refuses_all_at_once,
    refuses_unscheduled,
    simulate,
    speedups,
    unscheduled_makespan,
)
from moeopt.transfers.plan import violations
from moeopt.transfers.problem import Busy, Fabric, TransferProblem, Window

RUNS = {
    "all_at_once": contention.run_all_at_once,
    "sjf": contention.run_sjf,
    "random": contention.run_random,
    "shifted": contention.run_shifted,
}

#: Figure 4 of the paper: the first two ports send one token to each other and one to the third.
FIGURE_4 = [[0, 1, 1], [1, 0, 1], [0, 0, 0]]


def problem_of(traffic, rate=1.0, **rules):
    """Return a problem on these ports."""
    return TransferProblem(
        traffic_bytes=np.asarray(traffic, dtype=float), bandwidth_bytes_per_s=rate, **rules
    )


def ends(pieces):
    """Return when each pair's last piece ends, by source and destination."""
    found = {}
    for s, e, start, length in zip(
        pieces.source, pieces.destination, pieces.start_s, pieces.duration_s, strict=True
    ):
        found[int(s), int(e)] = max(found.get((int(s), int(e)), 0.0), float(start + length))
    return found


def slow_rates(flows, send, receive, penalty):
    """Return the max-min fair rate of each active flow, in exact fractions."""
    room = {}
    for s, e in flows:
        room["out", s] = send[s]
        senders = sum(other == e for _, other in flows)
        room["in", e] = receive[e] / (1 + penalty * (senders - 1))
    rate = {}
    while len(rate) < len(flows):
        left = {
            port: (
                room[port]
                - sum(rate[f] for f in rate if f[0 if port[0] == "out" else 1] == port[1]),
                [f for f in flows if f not in rate and f[0 if port[0] == "out" else 1] == port[1]],
            )
            for port in room
        }
        share, members = min(
            ((spare / len(who), who) for spare, who in left.values() if who), key=lambda x: x[0]
        )
        rate.update(dict.fromkeys(members, share))
    return rate


def slow_simulation(traffic, send, receive, queues, penalty):
    """Return when each pair ends if every queue is served one flow at a time."""
    left = {pair: Fraction(int(traffic[pair])) for queue in queues for pair in queue}
    queues = [list(queue) for queue in queues if queue]
    now, ended = Fraction(0), {}
    while queues:
        active = [queue[0] for queue in queues]
        rate = slow_rates(active, send, receive, penalty)
        step = min(left[f] / rate[f] for f in active)
        now += step
        for f in active:
            left[f] -= rate[f] * step
            if left[f] == 0:
                ended[f] = now
        queues = [rest for queue in queues if (rest := [f for f in queue if left[f] > 0])]
    return ended


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_the_simulator_agrees_with_a_slow_one_in_exact_fractions(data):
    """Every pair ends when progressive filling in exact fractions says."""
    n = data.draw(st.integers(2, 5))
    draw = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    traffic = draw.integers(0, 7, (n, n)) * (1 - np.eye(n, dtype=int))
    send, receive = draw.integers(1, 5, n), draw.integers(1, 5, n)
    penalty = data.draw(st.sampled_from([Fraction(0), Fraction(1, 4), Fraction(2)]))
    problem = problem_of(traffic, send, receive_bytes_per_s=receive, incast_penalty=float(penalty))
    pairs = [(int(s), int(e)) for s, e in np.argwhere(traffic)]
    exact = ([Fraction(int(b)) for b in send], [Fraction(int(b)) for b in receive])
    keys = {"sjf": lambda f: (traffic[f], f[1]), "shifted": lambda f: (f[1] - f[0]) % n}
    for order, key in keys.items():
        queues = [sorted([f for f in pairs if f[0] == s], key=key) for s in range(n)]
        slow = slow_simulation(traffic, *exact, queues, penalty)
        assert ends(simulate(problem, order)) == pytest.approx(slow)
    slow = slow_simulation(traffic, *exact, [[f] for f in pairs], penalty)
    assert ends(simulate(problem, "all_at_once")) == pytest.approx(slow)


def test_figure_4_depends_on_who_sends_to_the_third_port_last():
    """With "3 last" for both senders the two tokens meet and take 3 units; in turn they take 2."""
    problem = problem_of(FIGURE_4)
    both_last = np.array([[0, 1, 2], [1, 0, 2], [0, 0, 0]])
    second_first = np.array([[0, 1, 2], [2, 0, 1], [0, 0, 0]])
    assert unscheduled_makespan(problem, both_last) == pytest.approx(3)
    assert unscheduled_makespan(problem, second_first) == pytest.approx(2)


def test_a_senders_spare_rate_goes_to_its_other_messages():
    """Ports 0 and 1 send to 2, and 0 to 3 as well: when 1 has half of 2, 0 has the other half."""
    traffic = np.zeros((4, 4))
    traffic[0, 2], traffic[1, 2], traffic[0, 3] = 1, 1, 1
    pieces = simulate(problem_of(traffic, [1, 1, 1, 0.25]), "all_at_once")
    # 0 -> 3 runs at a quarter for 4 s; 0 -> 2 and 1 -> 2 share port 2 for 2 s.
    assert ends(pieces) == pytest.approx({(0, 2): 2, (1, 2): 2, (0, 3): 4})


def test_an_incast_penalty_slows_a_receiver_by_its_further_senders():
    """Two senders, penalty 0.5: two bytes take 2 * 1.5 s; one sender alone pays nothing."""
    two = [[0, 0, 1], [0, 0, 1], [0, 0, 0]]
    assert unscheduled_makespan(problem_of(two, incast_penalty=0.5), "shifted") == pytest.approx(3)
    one = [[0, 2], [0, 0]]
    assert unscheduled_makespan(problem_of(one, incast_penalty=0.5), "shifted") == pytest.approx(2)


def test_equal_messages_shifted_meet_nowhere():
    """Sizes that are all the same go round in step: no port ever waits."""
    pieces = simulate(problem_of(np.ones((5, 5))), "shifted")
    assert pieces.makespan_s == pytest.approx(4)
    np.testing.assert_allclose(pieces.duration_s, 1)


def test_a_lone_message_pays_its_start_up_once():
    """Start-up 2 s, then 6 bytes at 3 bytes/s: 4 s; by round it starts after 2 s."""
    lone = [[0, 6], [0, 0]]
    by_message = simulate(problem_of(lone, 3.0, startup_s=2.0), "shifted")
    assert (by_message.start_s[0], by_message.duration_s[0]) == pytest.approx((0, 4))
    by_round = simulate(problem_of(lone, 3.0, startup_s=2.0, startup_per="round"), "shifted")
    assert (by_round.start_s[0], by_round.duration_s[0]) == pytest.approx((2, 2))


def test_start_ups_of_messages_that_share_a_port_add_up():
    """Three messages of one sender hold it for three start-ups, whatever their order."""
    problem = problem_of([[0, 1, 2, 3]] + [[0] * 4] * 3, startup_s=0.5)
    for order in ORDERS:
        assert unscheduled_makespan(problem, order) == pytest.approx(7.5)


def test_a_message_that_is_not_released_is_passed_over():
    """The first destination's message comes at 3 s: the second's goes before, then a pause."""
    problem = problem_of(
        [[0, 1, 2], [0, 0, 0], [0, 0, 0]], windows=(Window(destination=1, release_s=3.0),)
    )
    assert ends(simulate(problem, "shifted")) == pytest.approx({(0, 2): 2, (0, 1): 4})


def test_waves_of_a_pair_go_one_after_another():
    """Two waves of one pair: the first, then the second when it is released."""
    problem = problem_of(
        [[[0, 2], [0, 0]], [[0, 1], [0, 0]]], windows=(Window(wave=1, release_s=5),)
    )
    plan = contention.run_all_at_once(problem, Context(), None).plan
    assert violations(problem, plan) == []
    assert plan.wave.tolist() == [0, 1]
    assert plan.start_s.tolist() == [0, 5]


def test_the_networks_of_a_fabric_are_apart():
    """A port sends to its neighbour in the node and to another node, each at its own rate."""
    traffic = np.zeros((4, 4))
    traffic[0, 1], traffic[0, 2] = 10, 1
    fabric = Fabric(ports_per_node=2, bandwidth_bytes_per_s=5.0)
    pieces = simulate(problem_of(traffic, fabric=fabric), "all_at_once")
    assert ends(pieces) == pytest.approx({(0, 1): 2, (0, 2): 1})


def test_half_duplex_ports_share_one_rate():
    """Two ports that send each other 1 byte take 2 s, with full duplex 1 s."""
    both = [[0, 1], [1, 0]]
    assert unscheduled_makespan(problem_of(both, half_duplex=True), "shifted") == pytest.approx(2)
    assert unscheduled_makespan(problem_of(both), "shifted") == pytest.approx(1)


@st.composite
def problems(draw):
    """Return a problem that can be left unscheduled, with any rule that allows it."""
    n, waves = draw(st.integers(1, 5)), draw(st.integers(1, 2))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    sizes = draw(st.sampled_from(["lognormal", "whole", "sparse"]))
    traffic = rng.lognormal(0, 1.5, (waves, n, n))
    if sizes == "whole":
        traffic = rng.integers(0, 4, (waves, n, n)).astype(float)
    elif sizes == "sparse":
        traffic *= rng.random((waves, n, n)) < 0.4
    rates = draw(st.sampled_from([1.0, rng.choice([0.4, 0.5, 0.8, 1.0], n)]))
    startup = draw(st.sampled_from([0.0, 0.01, 1.0, 50.0]))
    startup_per = draw(st.sampled_from(["message", "round"]))
    windows = ()
    if startup == 0 or startup_per == "round":
        releases = st.lists(st.sampled_from([0.5, 1.0, 3.7]), max_size=2)
        windows = tuple(
            Window(source=int(rng.integers(n)), wave=int(rng.integers(waves)), release_s=release)
            for release in draw(releases)
        )
    fabric = Fabric(ports_per_node=2, bandwidth_bytes_per_s=3.0)
    preemptive = draw(st.booleans())
    return problem_of(
        traffic,
        rates,
        startup_s=startup,
        startup_per=startup_per,
        windows=windows,
        half_duplex=draw(st.booleans()),
        preemptive=preemptive,
        chunk_bytes=draw(st.sampled_from([0.0, 0.7])) if preemptive else 0.0,
        incast_penalty=draw(st.sampled_from([0.0, 0.2])),
        fabric=fabric if n % 2 == 0 and draw(st.booleans()) else None,
    )


@settings(max_examples=100, deadline=None)
@given(problems(), st.sampled_from([1, 30, contention.MOST_PIECES]))
def test_every_plan_keeps_every_rule_however_coarsely_it_is_told(problem, most_pieces):
    """The checker accepts what the simulator tells, in exact times or in means over windows."""
    assert refuses_unscheduled(problem) is None
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(contention, "MOST_PIECES", most_pieces)
        for order, run in RUNS.items():
            plan = run(problem, Context(seed=3), None).plan
            assert violations(problem, plan) == []
            expected = unscheduled_makespan(problem, order, seed=3)
            assert plan.makespan_s == pytest.approx(expected, rel=1e-9)


def test_a_long_course_is_told_in_fewer_pieces(monkeypatch):
    """Beyond the limit means over windows are told; the makespan stays the same."""
    problem = problem_of(np.random.default_rng(0).lognormal(0, 1, (12, 12)))
    exact = simulate(problem, "all_at_once")
    monkeypatch.setattr(contention, "MOST_PIECES", 500)
    coarse = simulate(problem, "all_at_once")
    assert len(exact.source) > 2000
    assert len(coarse.source) <= 500 + 2 * problem.num_messages
    assert coarse.makespan_s == pytest.approx(exact.makespan_s, rel=1e-12)


def test_the_seed_decides_the_random_order():
    """The same seed gives the same plan, another one another."""
    problem = problem_of(np.random.default_rng(0).lognormal(0, 1, (6, 6)))
    first, again, other = (
        contention.run_random(problem, Context(seed=seed), None).plan for seed in (1, 1, 2)
    )
    assert first == again
    assert first != other


def test_nothing_to_send_is_an_empty_plan():
    """Neither start-ups nor rounds where there is no message."""
    problem = problem_of(np.eye(3), startup_s=1.0, startup_per="round")
    for run in RUNS.values():
        plan = run(problem, Context(), None).plan
        assert (len(plan.source), plan.makespan_s) == (0, 0.0)
    assert speedups(problem, 0.0) == {}


def test_speedups_are_the_baselines_makespans_over_the_plans():
    """Figure 4 in 2 units: smallest first takes half as long again."""
    found = speedups(problem_of(FIGURE_4), 2.0)
    assert found.keys() == set(ORDERS)
    assert found["sjf"] == pytest.approx(1.5)
    assert found["shifted"] == pytest.approx(1)


def test_speedups_leave_out_what_is_not_cheap(monkeypatch):
    """A baseline with more messages than are cheap for it is not simulated."""
    monkeypatch.setitem(contention.CHEAP_MESSAGES, "all_at_once", 3)
    assert "all_at_once" not in speedups(problem_of(FIGURE_4), 2.0)
    # The baselines share their ports, whatever the plan must keep to.
    alone = speedups(problem_of(FIGURE_4, peers="one"), 2.0)
    assert alone == speedups(problem_of(FIGURE_4), 2.0)
    assert speedups(problem_of(FIGURE_4, objective="rounds"), 2.0) == {}


@pytest.mark.parametrize(
    ("rules", "why"),
    [
        ({"peers": "one"}, "shared"),
        ({"windows": (Window(deadline_s=9.0),)}, "deadlines"),
        ({"busy": (Busy(port=0, start_s=0, end_s=1),)}, "busy"),
        ({"objective": "rounds"}, "rounds"),
        ({"startup_s": 1.0, "windows": (Window(release_s=1.0),)}, "start-ups"),
        ({"fabric": Fabric(ports_per_node=2, bandwidth_bytes_per_s=2.0, rails=True)}, "rails"),
    ],
)
def test_rules_that_unscheduled_messages_cannot_keep_are_refused(rules, why):
    """The refusal says which rule it is."""
    problem = problem_of(np.ones((4, 4)), **rules)
    assert why in refuses_unscheduled(problem)


def test_too_many_messages_at_once_are_refused(monkeypatch):
    """All at once has a limit of its own."""
    monkeypatch.setattr(contention, "MOST_AT_ONCE", 3)
    assert "3 messages" in refuses_all_at_once(problem_of(FIGURE_4))
    assert refuses_unscheduled(problem_of(FIGURE_4)) is None


def uniform_traffic(rng, n):
    """Whole bytes 0 to 20 for every pair."""
    return rng.integers(0, 21, (n, n)) * (1 - np.eye(n))


def zipf_traffic(rng, n):
    """64 tokens of each sender to ports of popularity 1/rank; local ones dropped."""
    popularity = rng.permutation(1 / np.arange(1, n + 1))
    tokens = [rng.multinomial(64, popularity / popularity.sum()) for _ in range(n)]
    return np.array(tokens) * (1 - np.eye(n))


#: Mean makespan over bound of an independent simulation of the same families of traffic.
MEASURED = {
    uniform_traffic: {"sjf": 1.614, "random": 1.626, "shifted": 1.490, "aurora": 1.023},
    zipf_traffic: {"sjf": 1.332, "random": 1.131, "shifted": 1.105, "aurora": 1.000},
}


@pytest.mark.parametrize("draw", MEASURED)
def test_mean_ratios_over_the_bound_are_those_of_another_simulation(draw):
    """8 ports, 200 seeded draws: baselines within 0.06, Algorithm 1 within 0.01."""
    rng = np.random.default_rng(0)
    ratios = {name: [] for name in MEASURED[draw]}
    for seed in range(200):
        traffic = draw(rng, 8)
        problem = problem_of(traffic)
        bound = max(traffic.sum(axis=0).max(), traffic.sum(axis=1).max())
        for order in ("sjf", "random", "shifted"):
            ratios[order].append(unscheduled_makespan(problem, order, seed) / bound)
        greedy = earliest_fit(problem, printed_order(problem, seed)).makespan_s
        ratios["aurora"].append(greedy / bound)
    for name, measured in MEASURED[draw].items():
        within = 0.01 if name == "aurora" else 0.06
        assert np.mean(ratios[name]) == pytest.approx(measured, abs=within)
