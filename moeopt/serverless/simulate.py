"""One layer event by event: functions start, links carry, replicas work, the next layer gathers.

Independent of the formulas in `moeopt.serverless.designs`, which are exact in the world that they
describe and optimistic, or pessimistic, in others: a `World` says which.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from itertools import zip_longest

import numpy as np

from moeopt.core.arrays import FloatArray, IntArray
from moeopt.serverless.plan import ServerlessPlan
from moeopt.serverless.problem import ServerlessProblem
from moeopt.serverless.simulate_events import (
    Events,
    Gather,
    Line,
    Pauses,
    Replica,
    SharedLine,
    Stored,
    Way,
)


@dataclass(frozen=True)
class World:
    """What the formulas leave out; by default, nothing of it.

    Attributes
    ----------
    objects
        Each object that the gate writes and the next layer reads has an access delay of its own,
        one after the other; in the formulas each of the two pays it once.
    queueing
        The minibatches of all replicas (design 1), or their payloads and answers (design 3), take
        turns on the gate's one link and the next layer's; in the formulas each replica has links
        of its own. In design 2 the formulas have one link too.
    whole_tokens
        Tokens are whole, and so are minibatches: full ones and a rest.
    eager
        A replica of design 2 reads its inputs, and the next layer any outputs, once they are
        there; in the formulas both wait for all. This one makes the formulas pessimistic.
    sharing
        What the gate uploads to different replicas, and what the next layer reads, goes side by
        side: objects that are on their way at the same time share the link's rate, and each has an
        access delay of its own beside theirs. A replica's own minibatches are uploaded one after
        the other. With it `queueing` asks for one link of all replicas, and `objects` for nothing.
    returning
        The next layer reads a replica's outputs once its call has returned, all of them.
    running
        The next layer's function runs already: it neither starts nor loads parameters.
    pauses
        A replica asks for inputs that are not there again and again, with these pauses; in the
        formulas it is told at once.
    straggling
        Standard deviation of the logarithm of each replica's slowness, whose mean is 1.
    seed
        Of the slownesses.
    """

    objects: bool = False
    queueing: bool = False
    whole_tokens: bool = False
    eager: bool = False
    sharing: bool = False
    returning: bool = False
    running: bool = False
    pauses: Pauses | None = None
    straggling: float = 0.0
    seed: int = 0


#: The world that the formulas describe.
FORMULAS = World()


@dataclass(frozen=True)
class LayerRun:
    """What one run of a layer took; replicas of experts without tokens are not called.

    Attributes
    ----------
    latency_s
        From the gate's first byte to the next layer's last.
    expert
        Whose each replica is, ``(replicas,)``.
    tokens
        Of each replica, ``(replicas,)``.
    replica_s
        From a replica's call to its return, ``(replicas,)``.
    waited_s
        Of it, waiting for input with nothing else to do, ``(replicas,)``.
    vain
        How often a replica asked for input that was not there, ``(replicas,)``: only in a world
        with pauses.
    """

    latency_s: float
    expert: IntArray
    tokens: FloatArray
    replica_s: FloatArray
    waited_s: FloatArray
    vain: IntArray


@dataclass(frozen=True)
class Simulation:
    """What one run of a model took.

    Attributes
    ----------
    layer_s
        Latency of each layer in its slowest scenario, ``(layers,)``.
    latency_s
        End to end.
    duration_usd
        What the durations of expert functions cost, mean over scenarios, by the problem's billing.
    """

    layer_s: FloatArray
    latency_s: float
    duration_usd: float


def simulate(
    problem: ServerlessProblem, plan: ServerlessPlan, world: World = FORMULAS
) -> Simulation:
    """Run all layers of a plan one after the other, in each scenario.

    Parameters
    ----------
    problem, plan
        What to run. Whether the plan keeps the constraints is not looked at.
    world
        What to simulate beyond the formulas.
    """
    slow = problem.slo_start == "cold"
    layer_s = np.empty((problem.num_scenarios, problem.num_layers))
    usd = np.empty_like(layer_s)
    for at, layer in np.ndindex(*layer_s.shape):
        runs = {c: simulate_layer(problem, plan, layer, world, at, cold=c) for c in (False, True)}
        layer_s[at, layer] = runs[slow].latency_s
        usd[at, layer] = _duration_usd(problem, plan, layer, runs)
    slowest = layer_s.max(axis=0)
    others_s = sum(layer.non_moe_s for layer in problem.layers)
    return Simulation(
        layer_s=slowest,
        latency_s=problem.head_s + float(slowest.sum()) + others_s + problem.tail_s,
        duration_usd=float(problem.weights() @ usd.sum(axis=1)),
    )


def simulate_layer(
    problem: ServerlessProblem, plan: ServerlessPlan, layer: int, world: World = FORMULAS,
    scenario: int = 0, *, cold: bool = False,
) -> LayerRun:  # fmt: skip
    """Run one layer of a plan.

    Parameters
    ----------
    problem, plan, layer
        What to run.
    world
        What to simulate beyond the formulas.
    scenario
        Whose tokens.
    cold
        Whether the replicas start cold.
    """
    events = Events()
    expert, replicas = _replicas(problem, plan, layer, world, scenario, cold, events)
    if plan.design[layer] == 3:
        latency_s = _direct(problem, layer, world, replicas, events)
    else:
        latency_s = _through_storage(
            problem, layer, int(plan.design[layer]), world, replicas, events
        )
    return LayerRun(
        latency_s=latency_s,
        expert=np.array(expert, dtype=np.int64),
        tokens=np.array([sum(r.minibatches) for r in replicas], dtype=np.float64),
        replica_s=np.array([r.returned_s - r.called_s for r in replicas], dtype=np.float64),
        waited_s=np.array([r.waited_s for r in replicas], dtype=np.float64),
        vain=np.array([r.vain for r in replicas], dtype=np.int64),
    )


def _duration_usd(
    problem: ServerlessProblem, plan: ServerlessPlan, layer: int, runs: dict[bool, LayerRun]
) -> float:
    """Return what the durations of a layer cost, mean over warm and cold starts."""
    billing, book = problem.billing, problem.book()
    cold_share = 0.0
    if billing.cold_starts and book.init_is_billed and billing.provisioned_s is None:
        cold_share = billing.cold_share
    price = dict(zip(problem.memory_mb, problem.usd_per_s().tolist(), strict=True))
    total = 0.0
    for cold, share in ((False, 1.0 - cold_share), (True, cold_share)):
        run = runs[cold]
        seconds = run.replica_s if billing.waiting else run.replica_s - run.waited_s
        billed_s = book.billed_s(seconds) if billing.rounding else seconds
        rate = np.array([price[int(mb)] for mb in plan.memory_mb[layer, run.expert]])
        total += share * float(billed_s @ rate)
    return total


def _replicas(
    problem: ServerlessProblem, plan: ServerlessPlan, layer: int, world: World, scenario: int,
    cold: bool, events: Events,
) -> tuple[list[int], list[Replica]]:  # fmt: skip
    """Return the replicas of a layer that have tokens, and whose each is."""
    network, expert = problem.network, problem.expert_of(layer)
    design = int(plan.design[layer])
    start_s = network.warm_start_s + (network.cold_start_s if cold else 0.0)
    load_s = problem.parameter_bytes_of(layer) / network.storage_bytes_per_s
    compute_s = dict(
        zip(problem.memory_mb, problem.seconds_per_token_of(layer).tolist(), strict=True)
    )
    # The inputs of design 3 come with the call.
    read_s = (0.0, 0.0)
    write_s = expert.output_bytes_per_token / network.function_bytes_per_s
    if design != 3:
        rate = network.storage_bytes_per_s
        read_s = (network.access_delay_s, expert.input_bytes_per_token / rate)
        write_s = expert.output_bytes_per_token / rate
    degree = int(plan.pipeline_degree[layer]) if design == 1 else 0
    rng = np.random.default_rng([world.seed, layer, scenario])
    whose, made = [], []
    for i, tokens in enumerate(problem.tokens_of(layer)[scenario].tolist()):
        head_s = start_s + network.access_delay_s + float(load_s[i])
        token_s = compute_s[int(plan.memory_mb[layer, i])]
        for share in _shares(tokens, int(plan.replicas[layer, i]), world.whole_tokens):
            slow = _slowness(rng, world.straggling)
            if not share:
                continue
            whose.append(i)
            made.append(
                Replica(
                    events,
                    _minibatches(share, degree, world.whole_tokens),
                    slow * head_s,
                    (slow * read_s[0], slow * read_s[1]),
                    slow * token_s,
                    slow * write_s,
                    world.pauses,
                )
            )
    return whose, made


def _slowness(rng: np.random.Generator, spread: float) -> float:
    """Draw how much slower than planned a replica is, a lognormal factor of mean 1."""
    return float(np.exp(spread * rng.standard_normal() - spread**2 / 2))


def _shares(tokens: float, replicas: int, whole: bool) -> list[float]:
    """Return the tokens of each replica of an expert."""
    if not whole:
        return [tokens / replicas] * replicas
    each, more = divmod(int(np.ceil(tokens)), replicas)
    return [float(each + (k < more)) for k in range(replicas)]


def _minibatches(share: float, degree: int, whole: bool) -> list[float]:
    """Return the minibatches of a replica, none above `degree`; all in one if that is 0."""
    if not degree:
        return [share]
    # A quotient a hair above a whole number is that number.
    number = max(1, int(np.ceil(share / degree - 1e-9)))
    if not whole:
        return [share / number] * number
    return [float(degree)] * (number - 1) + [share - degree * (number - 1)]


def _through_storage(
    problem: ServerlessProblem, layer: int, design: int, world: World, replicas: list[Replica],
    events: Events,
) -> float:  # fmt: skip
    """Run design 1 or 2, and return the layer's latency."""
    network, expert = problem.network, problem.expert_of(layer)
    rate, delay_s = network.storage_bytes_per_s, network.access_delay_s

    def line() -> Way:
        if world.sharing:
            return SharedLine(events, delay_s)
        return Line(events, delay_s, each=world.objects)

    gather = Gather(
        line(),
        expert.output_bytes_per_token / rate,
        sum(len(replica.minibatches) for replica in replicas),
        world.eager,
    )
    events.at(_loaded_s(problem, layer, world), gather.loaded)
    for replica in replicas:
        stored = _all_at_once(replica, gather.stored) if world.returning else gather.stored
        replica.call(Line(events, replica.access_s), stored)
    input_s = expert.input_bytes_per_token / rate
    link = line()
    if design == 2:
        _upload_whole(replicas, link, input_s, world.eager)
    else:
        own = [link if world.queueing else line() for _ in replicas]
        upload = _upload_side_by_side if world.sharing else _upload_in_turn
        upload(replicas, own, input_s)
    return events.run()


def _loaded_s(problem: ServerlessProblem, layer: int, world: World) -> float:
    """Return how long the next layer's function starts and loads."""
    if world.running:
        return 0.0
    network = problem.network
    loaded_s = problem.layers[layer].next_parameter_bytes / network.storage_bytes_per_s
    return loaded_s + network.access_delay_s + network.warm_start_s


def _all_at_once(replica: Replica, stored: Stored) -> Stored:
    """Return what hears of a replica's outputs, and says so once all of them are there."""
    there: list[float] = []

    def one(tokens: float) -> None:
        there.append(tokens)
        if len(there) == len(replica.minibatches):
            for each in there:
                stored(each)

    return one


def _upload_whole(replicas: list[Replica], link: Way, input_s: float, eager: bool) -> None:
    """Upload each replica's inputs by the gate's link, and tell each, or all after the last."""
    missing = len(replicas)

    def uploaded(replica: Replica) -> None:
        nonlocal missing
        missing -= 1
        if eager:
            replica.arrive()
        elif not missing:
            for each in replicas:
                each.arrive()

    for replica in replicas:
        link.carry(replica.minibatches[0] * input_s, partial(uploaded, replica))


def _upload_in_turn(replicas: list[Replica], links: list[Way], input_s: float) -> None:
    """Upload the first minibatch of every replica, then the second ones, and so on."""
    for turn in zip_longest(*(replica.minibatches for replica in replicas)):
        for replica, link, tokens in zip(replicas, links, turn, strict=True):
            if tokens is not None:
                link.carry(tokens * input_s, replica.arrive)


def _upload_side_by_side(replicas: list[Replica], links: list[Way], input_s: float) -> None:
    """Upload to all replicas at once, to each its minibatches one after the other."""

    def upload(replica: Replica, link: Way, number: int) -> None:
        def uploaded() -> None:
            replica.arrive()
            if number + 1 < len(replica.minibatches):
                upload(replica, link, number + 1)

        link.carry(replica.minibatches[number] * input_s, uploaded)

    for replica, link in zip(replicas, links, strict=True):
        upload(replica, link, 0)


def _direct(
    problem: ServerlessProblem, layer: int, world: World, replicas: list[Replica], events: Events
) -> float:
    """Run design 3, and return the layer's latency: the next layer starts after all answers."""
    network, expert = problem.network, problem.expert_of(layer)
    input_s = expert.input_bytes_per_token / network.function_bytes_per_s
    there, back = Line(events), Line(events)

    def call(replica: Replica) -> None:
        replica.call(back if world.queueing else Line(events), _answered)
        replica.arrive()

    for replica in replicas:
        line = there if world.queueing else Line(events)
        line.carry(sum(replica.minibatches) * input_s, partial(call, replica))
    return events.run() + _loaded_s(problem, layer, world)


def _answered(tokens: float) -> None:
    """Take an answer, of as many `tokens` as may be: it has been carried already."""
