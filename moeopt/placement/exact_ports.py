"""What the ports of devices send and receive, for ``layer_time``: the rows D9, D12 and V3."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from moeopt.core.arrays import FloatArray, IntArray
from moeopt.placement.exact_rules import Frame, copies_domain, sum_rows
from moeopt.placement.exact_terms import Shares, token_unit, tokens_served, with_term
from moeopt.placement.plan import port_bytes_per_s, scenario_loads
from moeopt.placement.problem import PlacementProblem
from moeopt.placement.rules import fixed_seconds, layers_joined

#: Most columns ``p`` of a model: beyond these no backend gets anywhere in reasonable time.
MOST_PRODUCTS = 20_000


@dataclass(frozen=True, eq=False)
class _Flow:
    """Tokens that a port sends or receives: a constant and a sum over columns.

    Attributes
    ----------
    columns, weights
        Shape ``(scenarios, layers, devices, terms)``.
    constant
        Shape ``(scenarios, layers, devices)``.
    """

    columns: IntArray
    weights: FloatArray
    constant: FloatArray


def add_network(frame: Frame, served: Shares) -> None:
    """Add the seconds of both all-to-alls, and those that no plan changes."""
    problem = frame.problem
    frame.builder.objective_offset += fixed_seconds(problem) * problem.num_layers
    if problem.expert_traffic_tokens is None:
        ports(frame, *_flows_of_devices(problem, served))
    else:
        ports(frame, *_flows_of_experts(frame, served, problem.expert_traffic_tokens))


def products_refused(problem: PlacementProblem) -> str | None:
    """Return why the products of two experts on one device are no linear model's, or ``None``."""
    if problem.expert_traffic_tokens is None or int(problem.slots().max()) < 2:
        return None
    if int(copies_domain(problem, tighten=True)[1].max()) > 1:
        return (
            "experts on one device exchange tokens without the network, and the product of two"
            " copies of one with another is not linear: state max_copies_per_device = 1"
        )
    needed = num_products(problem)
    if needed > MOST_PRODUCTS:
        return (
            f"experts on one device exchange tokens without the network: that takes {needed}"
            f" products in one model, more than {MOST_PRODUCTS}"
        )
    return None


def num_products(problem: PlacementProblem) -> int:
    """Return an upper limit of the columns ``p`` of one of the problem's models."""
    if problem.expert_traffic_tokens is None:
        return 0
    layers = problem.num_layers if layers_joined(problem) else 1
    slots = int(problem.slots()[problem.live()].sum())
    counts = min(problem.copies_limit(), max(1, slots - problem.num_experts + 1))
    pairs = problem.num_experts * (problem.num_experts - 1) // 2
    return layers * pairs * int((problem.slots() > 1).sum()) * counts**2


def ports(frame: Frame, sent: _Flow, received: _Flow) -> None:
    """D9: the busiest port sends and receives what is not served where it comes from.

    Column ``b`` counts tokens at the rate of the slowest port; dispatch and combine keep the same
    ports busy, so their times add up to one cost.
    """
    problem, builder = frame.problem, frame.builder
    assert problem.timing is not None
    loads, weights = scenario_loads(problem)
    unit, rate = token_unit(problem), port_bytes_per_s(problem)
    there_and_back = (
        problem.timing.dispatch_bytes_per_token + problem.timing.combine_bytes_per_token
    )
    seconds = unit * there_and_back / rate.min()
    busiest = builder.add_columns("b", loads.shape[:2], objective=seconds * weights[:, None])
    for flow in (received, sent):
        columns = with_term(flow.columns, busiest[..., None])
        pace = np.broadcast_to(-rate / rate.min(), columns.shape[:3])
        entries = with_term(flow.weights, pace)
        sum_rows(builder, "D9", columns, entries, upper=0.0 - flow.constant.ravel())


def both_present(frame: Frame, served: Shares, products: IntArray) -> None:
    """D12: two experts are together where both are, ``p <= z`` of the one and of the other.

    Of all numbers of copies one counts, so ``p`` may be summed over the other expert's. No row
    pulls ``p`` down to less: it only lowers what ports send and receive.
    """
    first, second = _pairs(frame.problem)
    here = served.columns[0][:, :, _shared_devices(frame.problem)]
    for expert, together in ((first, products), (second, products.swapaxes(-1, -2))):
        columns = with_term(together, here[:, expert])
        weights = np.ones(columns.shape)
        weights[..., -1] = -1
        sum_rows(frame.builder, "D12", columns, weights, upper=0)


def others_beside(frame: Frame, served: Shares, products: IntArray) -> None:
    """V3: beside an expert a device of c slots has room for c - 1 others.

    The relaxation spreads all experts over all devices, where they would all be together.
    """
    problem = frame.problem
    devices = _shared_devices(problem)
    first, second = _pairs(problem)
    experts = np.arange(problem.num_experts)[:, None]
    with_expert = np.nonzero((first == experts) | (second == experts))[1]
    others = products[:, with_expert.reshape(problem.num_experts, -1)]
    # (layers, experts, devices, pairs x counts x counts)
    others = np.moveaxis(others, 3, 2).reshape(*others.shape[:2], len(devices), -1)
    own = served.columns[0][:, :, devices]
    room = np.broadcast_to((1.0 - problem.slots()[devices])[:, None], own.shape)
    columns = np.concatenate([others, own], axis=-1)
    weights = np.concatenate([np.ones(others.shape), room], axis=-1)
    sum_rows(frame.builder, "V3", columns, weights, upper=0)


def _flows_of_devices(problem: PlacementProblem, served: Shares) -> tuple[_Flow, _Flow]:
    """Return what ports send and receive where every device has tokens of its own."""
    loads, _ = scenario_loads(problem)
    unit = token_unit(problem)
    source = problem.source_shares().transpose(1, 2, 0)
    tokens = loads[..., None] / unit
    columns, factor = tokens_served(served, loads / unit, np.arange(problem.num_devices))
    own = np.repeat(
        np.broadcast_to(source, tokens.shape[:-1] + source.shape[-1:]).transpose(0, 1, 3, 2),
        len(served.weights),
        axis=-1,
    )
    sent = (tokens * source).sum(axis=2)
    return _Flow(columns, -factor * own, sent), _Flow(columns, factor * (1 - own), 0.0 * sent)


def _flows_of_experts(frame: Frame, served: Shares, tokens: FloatArray) -> tuple[_Flow, _Flow]:
    """Return what ports send and receive where tokens move with the experts."""
    problem = frame.problem
    remote = tokens * ~np.eye(problem.num_experts, dtype=np.bool_) / token_unit(problem)
    products, savings = _products(frame, served, remote)
    constant = np.zeros((1, problem.num_layers, problem.num_devices))
    flows = []
    for direction in (2, 1):
        carried = remote.sum(axis=direction)[None]
        columns, factor = tokens_served(served, carried, np.arange(problem.num_devices))
        columns = np.concatenate([columns, products[None]], axis=-1)
        flows.append(_Flow(columns, np.concatenate([factor, -savings[None]], axis=-1), constant))
    return flows[0], flows[1]


def _products(
    frame: Frame, served: Shares, remote: FloatArray
) -> tuple[IntArray, npt.NDArray[Any]]:
    """Add ``p``, 1 where two experts are together, and return what each saves the ports.

    Returns
    -------
    columns, weights
        Shape ``(layers, devices, terms)``; devices without room for two have weights of 0.
    """
    problem = frame.problem
    devices = _shared_devices(problem)
    first, second = _pairs(problem)
    exchanged = (remote + remote.swapaxes(1, 2))[:, first, second]
    shape = (problem.num_layers, problem.num_devices)
    if not len(devices) or not exchanged.any():
        return np.zeros((*shape, 0), dtype=np.int64), np.zeros((*shape, 0))
    counts = len(served.weights)
    size = (*exchanged.shape, len(devices), counts, counts)
    worth = (exchanged > 0).astype(np.float64)[..., None, None, None]
    products = frame.builder.add_columns("p", size, upper=worth)
    both_present(frame, served, products)
    if frame.tighten:
        others_beside(frame, served, products)
    factor = exchanged[..., None, None] * np.multiply.outer(served.weights, served.weights)
    terms = np.prod([exchanged.shape[1], counts, counts], dtype=np.int64)
    columns = np.zeros((*shape, terms), dtype=np.int64)
    weights = np.zeros((*shape, terms))
    columns[:, devices] = np.moveaxis(products, 2, 1).reshape(shape[0], len(devices), -1)
    weights[:, devices] = factor.reshape(shape[0], 1, -1)
    return columns, weights


def _pairs(problem: PlacementProblem) -> tuple[IntArray, IntArray]:
    """Return the experts of each pair, the lower number first."""
    first, second = np.triu_indices(problem.num_experts, k=1)
    return first.astype(np.int64), second.astype(np.int64)


def _shared_devices(problem: PlacementProblem) -> IntArray:
    """Return the devices that may hold two experts."""
    return np.flatnonzero(problem.slots() > 1)
