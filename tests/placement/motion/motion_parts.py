"""Small worlds for the tests of placement in motion."""

import numpy as np
from hypothesis import strategies as st

from moeopt.placement.motion import Costs, World
from moeopt.placement.problem import Timing


def costs(devices=2, *, ports=1.0, speed=1.0, token_s=2.0, gate_s=0.0, expert_bytes=1.0):
    """Costs in small numbers: a byte to the expert and 3 back, a port of a byte a second."""
    timing = Timing(
        seconds_per_token=token_s,
        dispatch_bytes_per_token=1.0,
        combine_bytes_per_token=3.0,
        gate_s=gate_s,
        aggregation_s=2 * gate_s,
    )
    port, fast = (np.broadcast_to(np.asarray(value), (devices,)) for value in (ports, speed))
    return Costs(timing, expert_bytes, port, fast)


class Scripted:
    """Gives the plans of a list, one after each window, and keeps what it was shown."""

    name = "scripted"

    def __init__(self, answers):
        self._answers = answers

    def start(self, world, table):
        self.shown = []
        self._left = list(self._answers)

    def observe(self, loads, table):
        self.shown.append((loads, table))
        return self._left.pop(0)


@st.composite
def plans(draw, *, layers, experts, devices, slots_per_device):
    """Draw a plan with a copy of every expert, maybe two on a device, maybe empty slots."""
    slots = devices * slots_per_device
    rows = []
    for _ in range(layers):
        extra = draw(
            st.lists(
                st.integers(-1, experts - 1), min_size=slots - experts, max_size=slots - experts
            )
        )
        rows.append(draw(st.permutations([*range(experts), *extra])))
    return np.array(rows)


@st.composite
def streams(draw, *, most_windows=3, plans_of=3):
    """Draw windows, plans (the first is in force) and a world that is small and fast to try out."""
    layers, devices = draw(st.integers(1, 2)), draw(st.integers(2, 3))
    experts = draw(st.integers(2, 2 * devices))
    slots_per_device = -(-experts // devices) + draw(st.integers(0, 1))
    shape = (draw(st.integers(1, most_windows)), layers, experts)
    tokens = draw(
        st.lists(st.integers(0, 9), min_size=int(np.prod(shape)), max_size=int(np.prod(shape)))
    )
    tables = [
        draw(
            plans(
                layers=layers, experts=experts, devices=devices, slots_per_device=slots_per_device
            )
        )
        for _ in range(plans_of)
    ]
    speeds = st.sampled_from([1.0, 2.0])
    world = World(
        costs(
            devices,
            ports=[draw(speeds) for _ in range(devices)],
            speed=[draw(speeds) for _ in range(devices)],
            token_s=draw(st.sampled_from([0.0, 0.5, 4.0])),
            gate_s=draw(st.sampled_from([0.0, 0.25])),
            expert_bytes=draw(st.sampled_from([1.0, 10.0, 60.0])),
        ),
        slots_per_device=slots_per_device,
        batches_per_window=draw(st.integers(1, 3)),
        overlapped=draw(st.booleans()),
        batch_tokens=draw(st.sampled_from([None, 12.0])),
    )
    return np.array(tokens, dtype=np.float64).reshape(shape), tables, world
