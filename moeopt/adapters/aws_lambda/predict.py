"""What a layer should take and cost: by the wing's formulas, and event by event.

Experts alone are functions here: the gate gathers what they answer and runs already, so that no
next layer's function starts and loads. Event by event a layer goes as the gate and its functions
really go about it: all uploads at once over one link, inputs asked for until they are there,
outputs read once a call has returned. Left out are the gate's own work, its limit of threads, and
functions that keep their parameters.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import msgspec
import numpy as np

from moeopt.adapters.aws_lambda.calibration.network import Beyond
from moeopt.adapters.aws_lambda.dispatch.pieces import cut
from moeopt.adapters.aws_lambda.fleet import Fleet
from moeopt.adapters.aws_lambda.worker.protocol import FIRST_PAUSE_S, LONGER, LONGEST_PAUSE_S
from moeopt.core.arrays import FloatArray, IntArray
from moeopt.serverless.plan import ServerlessPlan, clock_of, layer_calls
from moeopt.serverless.problem import MemoryTable, Network, ServerlessProblem
from moeopt.serverless.simulate import LayerRun, World, simulate_layer
from moeopt.serverless.simulate_events import Pauses

#: Draws of calls' slowness that a forecast is the mean of.
_DRAWS = 32

#: The world of the gate and its functions, through storage; direct calls have links of their own.
WORLD = World(
    queueing=True,
    eager=True,
    sharing=True,
    returning=True,
    running=True,
    pauses=Pauses(FIRST_PAUSE_S, LONGER, LONGEST_PAUSE_S),
)


@dataclass(frozen=True, kw_only=True)
class LayerForecast:
    """What a layer should take and cost.

    Attributes
    ----------
    layer, design
        Which layer, and its design.
    calls
        Of functions.
    seconds
        By the wing's formulas, without the next function's start.
    billed_gb_s
        By the wing's formulas, which count a warm start and the way of a direct answer as billed.
    usd
        Of these seconds and of fees, by the wing's formulas: what of them the problem counts.
    simulated_s, simulated_gb_s, simulated_usd
        The same event by event. Billed is what a function's own platform sees of a call, and
        requests for inputs that were not there yet are paid.
    """

    layer: int
    design: int
    calls: int
    seconds: float
    billed_gb_s: float
    usd: float
    simulated_s: float
    simulated_gb_s: float
    simulated_usd: float


def predicted(
    fleet: Fleet,
    layer: int,
    tokens: IntArray,
    *,
    cold: bool = False,
    beyond: Beyond | None = None,
) -> LayerForecast:
    """Return what a layer with these tokens should take and cost.

    Parameters
    ----------
    fleet
        Problem and plan.
    layer
        Which.
    tokens
        Whole tokens of each expert that really come, ``(experts,)``.
    cold
        Whether all functions start cold.
    beyond
        What a calibration found that an instance has no constant for. If left out, the warm start
        and the way of a direct call's inputs are not billed, and no call is slower than another.
    """
    called = _Called.of(fleet, layer, tokens, cold)
    if beyond is None:
        network = fleet.problem.network
        beyond = Beyond(
            unbilled_s=network.warm_start_s,
            unbilled_s_per_byte=1.0 / network.function_bytes_per_s,
        )
    problem, plan, design = called.problem, called.plan, int(called.plan.design[0])
    formulas = layer_calls(problem, plan)[0]
    size = np.searchsorted(problem.memory_mb, plan.memory_mb[0])
    gb, usd_per_s = problem.memory_gb()[size], problem.usd_per_s()[size]
    used = formulas.share > 0
    billed_s = np.where(used, formulas.billed_s - called.free_s, 0.0)[0] * formulas.replicas
    fees_usd = float((formulas.fees_usd[0] * formulas.replicas).sum())
    clock = replace(clock_of(problem, 0), load_s=0.0)
    total = np.array(float(np.sum(tokens)))
    done_s = np.array(float(formulas.done_s.max()))

    seconds, gb_s, usd = _simulated(called, beyond)
    return LayerForecast(
        layer=layer,
        design=design,
        calls=int((formulas.replicas * used[0]).sum()),
        seconds=float(clock.layer_s(design, done_s, total)) if used.any() else 0.0,
        billed_gb_s=float(billed_s @ gb),
        usd=float(billed_s @ usd_per_s) + fees_usd,
        simulated_s=seconds if used.any() else 0.0,
        simulated_gb_s=gb_s,
        simulated_usd=usd + fees_usd,
    )


@dataclass(frozen=True)
class _Called:
    """A layer alone, with the tokens that come and a replica for each call.

    Attributes
    ----------
    problem, plan
        Of one layer.
    free_s
        Of each start, not billed: a cold one, where the platform does not bill it.
    """

    problem: ServerlessProblem
    plan: ServerlessPlan
    free_s: float

    @staticmethod
    def of(fleet: Fleet, layer: int, tokens: IntArray, cold: bool) -> _Called:
        """Return a layer of a fleet so."""
        problem, plan = fleet.problem, fleet.plan
        network, billing = problem.network, problem.billing
        # Functions that are held start warm.
        cold_s = network.cold_start_s if cold and billing.provisioned_s is None else 0.0
        own = msgspec.structs.replace(
            problem.layers[layer], tokens=np.asarray(tokens, dtype=np.float64)
        )
        alone = msgspec.structs.replace(
            problem,
            layers=(own,),
            # A cold start is a longer one.
            network=msgspec.structs.replace(network, warm_start_s=network.warm_start_s + cold_s),
            billing=msgspec.structs.replace(billing, cold_share=0.0),
            slo_start="warm",
            prediction=None,
            scenario_weights=None,
        )
        pieces = [piece.expert for piece in cut(fleet, layer, np.asarray(tokens))]
        calls = np.bincount(pieces, minlength=len(tokens))
        return _Called(
            problem=alone,
            plan=ServerlessPlan(
                design=plan.design[layer : layer + 1],
                pipeline_degree=plan.pipeline_degree[layer : layer + 1],
                memory_mb=plan.memory_mb[layer : layer + 1, : len(tokens)],
                replicas=np.maximum(1, calls)[None, :],
            ),
            free_s=0.0 if billing.cold_starts and problem.book().init_is_billed else cold_s,
        )


def _simulated(called: _Called, beyond: Beyond) -> tuple[float, float, float]:
    """Return seconds, billed GB-seconds, and dollars of these and of requests in vain.

    Means over draws of slow calls, if some are slower than others.
    """
    problem, plan = called.problem, called.plan
    size = np.searchsorted(problem.memory_mb, plan.memory_mb[0])
    gb, usd_per_s = problem.memory_gb()[size], problem.usd_per_s()[size]
    slowed = _with_text(problem, beyond) if int(plan.design[0]) == 3 else problem
    prices = problem.book().storage_prices(problem.storage)
    vain_usd = prices.usd_per_get if problem.billing.storage else 0.0
    direct = int(plan.design[0]) == 3
    found = []
    for seed in range(_DRAWS if beyond.straggling else 1):
        world = replace(WORLD, queueing=not direct, straggling=beyond.straggling, seed=seed)
        run = simulate_layer(slowed, plan, 0, world)
        billed_s = _billed_s(called, slowed.network, run, beyond)
        usd = float(billed_s @ usd_per_s[run.expert]) + float(run.vain.sum()) * vain_usd
        found.append((run.latency_s, float(billed_s @ gb[run.expert]), usd))
    seconds, gb_s, usd = np.mean(found, axis=0).tolist()
    return seconds, gb_s, usd


def _with_text(problem: ServerlessProblem, beyond: Beyond) -> ServerlessProblem:
    """Return a layer whose direct calls go as fast as with the best memory size.

    What smaller ones take longer is the function's own work.
    """
    if not beyond.call_s_per_byte:
        return problem
    by_size, expert = np.array(beyond.call_s_per_byte), problem.expert_of(0)
    both = expert.input_bytes_per_token + expert.output_bytes_per_token
    token_s = problem.seconds_per_token_of(0) + both * (by_size - by_size.min())
    compute = MemoryTable(seconds_per_token=tuple(token_s.tolist()))
    own = msgspec.structs.replace(expert, compute=compute)
    rate = 1.0 / float(by_size.min())
    return msgspec.structs.replace(
        problem,
        layers=(msgspec.structs.replace(problem.layers[0], expert=own),),
        expert=None,
        network=msgspec.structs.replace(problem.network, function_bytes_per_s=rate),
    )


def _billed_s(called: _Called, network: Network, run: LayerRun, beyond: Beyond) -> FloatArray:
    """Return the billed seconds of each simulated call.

    The simulation has the way of a direct call's inputs before the call, and that of its outputs
    in it.
    """
    problem, seconds = called.problem, run.replica_s - beyond.unbilled_s - called.free_s
    if int(called.plan.design[0]) == 3:
        expert = problem.expert_of(0)
        inside_s = 1.0 / network.function_bytes_per_s - beyond.unbilled_s_per_byte
        seconds = seconds + run.tokens * expert.input_bytes_per_token * inside_s
    seconds = np.maximum(0.0, seconds)
    return problem.book().billed_s(seconds) if problem.billing.rounding else seconds
