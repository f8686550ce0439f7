"""The online policy in small odd worlds."""

from hypothesis import given, settings
from motion_parts import streams

from moeopt.placement.motion import simulate
from moeopt.placement.motion.clairvoyant import lower_bound_s
from moeopt.placement.online import Online


@settings(max_examples=40, deadline=None)
@given(streams(most_windows=3, plans_of=1))
def test_every_plan_it_gives_can_serve(drawn):
    """Plans with empty and doubled slots, unequal devices: the simulator takes what comes."""
    windows, tables, world = drawn
    run = simulate(windows, tables[0], Online(), world)
    assert run.total_s >= lower_bound_s(windows, world) * (1 - 1e-9)
