"""An order on the wire for a colocation: every all-to-all of a round, byte by byte.

Aurora says when the all-to-alls of colocated models end, not who sends what to whom when. Here the
dispatches and the combines of all models are waves between the devices' ports, each released when
its gate or its experts have ended (a combine also not before the last dispatch), and
`moeopt.transfers` orders them. What the network makes of the releases goes back into Table 2, whose
combines are released by what its dispatches made possible: the timeline asks for the order of the
dispatches, and then for that of the combines.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

import numpy as np

from moeopt.colocation.plan import ColocationPlan, device_phases, violations
from moeopt.colocation.problem import ColocationProblem
from moeopt.colocation.waves import Phase, Rules, followed, shifted, windows_of
from moeopt.core.arrays import FloatArray
from moeopt.core.errors import InstanceError
from moeopt.describe.topology import port_bytes_per_s
from moeopt.timeline import (
    Exchange,
    Interleaved,
    busiest_port,
    interleaved,
    interleaved_phases,
    line_seconds,
    no_idle_total_s,
)
from moeopt.timeline.layer import share_of
from moeopt.transfers.plan import TransferPlan
from moeopt.transfers.problem import Peers, TransferProblem


@dataclass(frozen=True)
class WireOrder:
    """Who sends which bytes to whom when, in one round of colocated models.

    Attributes
    ----------
    problem
        The transfers that were ordered: waves 0 to m - 1 are the models' dispatches, m to 2 m - 1
        their combines. Every wave but the last has its end as its deadline, for what follows is
        built on it.
    plan
        A plan of it.
    interleaved
        The round with these ends of the all-to-alls.
    least_end_s
        When dispatches and combines would have ended by their busiest ports, given this order's
        releases, shape ``(2, models)``.
    busiest_port_s
        The round's time if every all-to-all ended as soon as its busiest port could, as
        `moeopt.colocation.evaluate` has it: no order is faster.
    no_idle_s
        The round's time by the paper's relations, which leave the idle network out, so that it may
        be below any order's; ``None`` for other numbers of models than two.
    proven
        Whether each wave ends as early as the releases and the waves before it allow; without
        `in_turn`, whether the last one does.
    """

    problem: TransferProblem
    plan: TransferPlan
    interleaved: Interleaved
    least_end_s: FloatArray
    busiest_port_s: float
    no_idle_s: float | None
    proven: bool

    @property
    def total_s(self) -> float:
        """Return the round's time with this order."""
        return float(self.interleaved.total_s)

    @property
    def release_s(self) -> FloatArray:
        """Return when dispatches and combines are released, shape ``(2, models)``."""
        return np.stack([self.interleaved.dispatch.start_s, self.interleaved.combine.start_s])

    @property
    def end_s(self) -> FloatArray:
        """Return when dispatches and combines end, shape ``(2, models)``.

        Those of the models before included, as the experts wait for them anyway.
        """
        return np.stack([self.interleaved.dispatch.end_s, self.interleaved.combine.end_s])


def order_on_the_wire(
    problem: ColocationProblem,
    plan: ColocationPlan,
    *,
    in_turn: bool = True,
    peers: Peers = "many",
    time_limit_s: float | None = None,
    seed: int = 0,
) -> WireOrder:
    """Order every all-to-all of one round of a colocation.

    Parameters
    ----------
    problem, plan
        A valid plan of this problem.
    in_turn
        Whether a wave delays none of those before it, and ends as early as they allow. Without it
        only the last arrival of all dispatches counts, and of all combines: if no release binds,
        that is the busiest port's time (Theorem 4.2 for the aggregated matrix), which waves in turn
        may miss.
    peers
        As in `TransferProblem`: with ``"one"`` a port serves one peer at a time, which on unequal
        ports takes longer.
    time_limit_s
        For the linear programs; waves that are not ordered by then follow each other.
    seed
        Of the solvers.

    Raises
    ------
    InstanceError
        If the plan is not valid.
    """
    broken = violations(problem, plan)
    if broken:
        said = f"<breaks {broken[0].constraint}>"
        raise InstanceError(broken[0].path, said, broken[0].message, "repair the plan")
    layers = device_phases(problem, plan)
    until = None if time_limit_s is None else time.perf_counter() + time_limit_s
    rules = Rules(_port_rates(problem), peers, in_turn, until, seed)
    there, back = _waves(problem, plan)
    phases = (
        Phase(rules, there, busiest_port(_lines([layer.dispatch for layer in layers]))),
        Phase(rules, back, busiest_port(_lines([layer.combine for layer in layers]))),
    )
    total = interleaved_phases(
        np.array([layer.gate_s.max() for layer in layers]),
        np.array([layer.compute_s.max() for layer in layers]),
        np.array([layer.aggregation_s.max() for layer in layers]),
        dispatch=phases[0],
        combine=phases[1],
    )
    computing = np.sum([layer.computing_s for layer in layers], axis=0)
    bytes_ = np.concatenate([there, back])
    release = np.append(total.dispatch.start_s, total.combine.start_s)
    end = np.append(total.dispatch.end_s, total.combine.end_s)
    return WireOrder(
        problem=rules.problem(bytes_, windows_of(bytes_, release, end[:-1])),
        plan=followed(phases[0].plan, shifted(phases[1].plan, 0.0, wave=len(layers))),
        interleaved=replace(total, layers=layers, utilisation=share_of(computing, total.total_s)),
        least_end_s=np.stack([phase.least_end_s for phase in phases]),
        busiest_port_s=float(interleaved(layers).total_s),
        no_idle_s=float(no_idle_total_s(layers)) if len(layers) == 2 else None,
        proven=all(phase.proven for phase in phases),
    )


def _waves(problem: ColocationProblem, plan: ColocationPlan) -> tuple[FloatArray, FloatArray]:
    """Return the bytes between devices of dispatches and combines, ``(models, devices, ...)``."""
    devices = problem.num_devices
    tokens = np.zeros((problem.num_models, devices, devices))
    for m, model in enumerate(problem.models):
        device = plan.device[m, : model.num_experts]
        np.add.at(tokens[m], (device[:, None], device[None, :]), model.traffic_tokens)
    tokens *= ~np.eye(devices, dtype=np.bool_)
    there = np.array([model.dispatch_bytes_per_token for model in problem.models])
    back = np.array([model.combine_bytes_per_token for model in problem.models])
    # Combine is dispatch reversed: who sent receives.
    return tokens * there[:, None, None], tokens.transpose(0, 2, 1) * back[:, None, None]


def _port_rates(problem: ColocationProblem) -> FloatArray:
    """Return the ports' rates; any number where none is stated, for there nothing travels."""
    port = port_bytes_per_s(problem.cluster)
    return np.where(np.isfinite(port), port, 1.0)


def _lines(exchanges: list[Exchange]) -> FloatArray:
    lines: FloatArray = line_seconds(exchanges).max(axis=-1)
    return lines
