"""What a user of the serverless wing states: experts as functions, the platform, and the promise.

The sets, data and constraints C1 to C8 are those of ``formulations/serverless.md``.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
import numpy as np

from moeopt.core.arrays import FloatArray, IntArray
from moeopt.core.errors import InstanceError
from moeopt.core.wing import Document, Problem
from moeopt.describe.cluster import Bytes, Count, Positive
from moeopt.describe.pricing import PlatformLimits, PriceBook, price_book
from moeopt.popularity.prediction import Prediction

#: Communication designs of a layer: 1 pipelined through storage, 2 through storage, 3 direct.
Design = Literal[1, 2, 3]
DESIGNS: tuple[Design, ...] = (1, 2, 3)

NonNegative = Annotated[float, msgspec.Meta(ge=0)]
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
Replicas = Annotated[int, msgspec.Meta(ge=1, le=1000)]


class VcpuModel(Document, frozen=True, kw_only=True, tag_field="kind", tag="vcpu"):
    """Seconds of a token that fall as the function's share of processors grows.

    Attributes
    ----------
    seconds_per_token
        On one virtual CPU.
    most_vcpus
        Processors beyond which an expert does not run faster.
    """

    seconds_per_token: Positive
    most_vcpus: Positive = 1.0


class MemoryTable(Document, frozen=True, kw_only=True, tag_field="kind", tag="table"):
    """Measured seconds of a token.

    Attributes
    ----------
    seconds_per_token
        One for each entry of the problem's ``memory_mb``.
    """

    seconds_per_token: tuple[Positive, ...]


class ExpertFunction(Document, frozen=True, kw_only=True, omit_defaults=True):
    """An expert as a function.

    Attributes
    ----------
    parameter_bytes
        Parameters, downloaded at every start.
    intermediate_bytes
        Memory it needs beside parameters, inputs and outputs.
    input_bytes_per_token, output_bytes_per_token
        A token's way to the expert and back.
    compute
        Seconds of a token, by memory.
    """

    parameter_bytes: Bytes
    intermediate_bytes: Bytes = 0
    input_bytes_per_token: NonNegative
    output_bytes_per_token: NonNegative
    compute: VcpuModel | MemoryTable


class ServerlessLayer(Document, frozen=True, kw_only=True, omit_defaults=True):
    """One MoE layer, with the non-MoE layer before it.

    Attributes
    ----------
    name
        For tables.
    tokens
        Tokens of a batch that go to each expert, ``(experts,)``, or ``(scenarios, experts)``.
        Left out, they are filled in from the problem's ``prediction``.
    expert
        The layer's experts, if they are not the problem's ``expert``.
    parameter_bytes
        Parameters of each expert, ``(experts,)``, if they differ.
    non_moe_s
        Seconds of the non-MoE layer before it and of its gate.
    next_parameter_bytes
        Parameters of the non-MoE layer after it, which gathers the outputs.
    """

    name: str = ""
    tokens: FloatArray | None = None
    expert: ExpertFunction | None = None
    parameter_bytes: IntArray | None = None
    non_moe_s: NonNegative = 0.0
    next_parameter_bytes: Bytes = 0


class Network(Document, frozen=True, kw_only=True, omit_defaults=True):
    """How fast functions start, and how fast bytes reach them.

    Attributes
    ----------
    storage_bytes_per_s
        Between a function and object storage.
    function_bytes_per_s
        Between two functions.
    access_delay_s
        Of each access to storage.
    warm_start_s
        From the call to the first line of a warm function.
    cold_start_s
        What a cold start takes beyond that.
    """

    storage_bytes_per_s: Positive
    function_bytes_per_s: Positive
    access_delay_s: NonNegative = 0.0
    warm_start_s: NonNegative = 0.0
    cold_start_s: NonNegative = 0.0


class Billing(Document, frozen=True, kw_only=True, omit_defaults=True):
    """What is billed beside the time that expert functions work.

    Attributes
    ----------
    requests
        Calls of functions.
    storage
        Requests to storage, and its traffic where that has a price.
    cold_starts
        Cold starts, as far as the platform bills them.
    waiting
        Seconds in which a started function waits for its input.
    rounding
        Durations rounded up to the platform's step.
    cold_share
        Share of calls that find no warm function.
    used_gb_s
        GB-seconds used this month already: the tier of the prices.
    ephemeral_mb
        Ephemeral storage of each expert function.
    provisioned_s
        Seconds for which provisioned concurrency is held for each batch, as they are billed (AWS
        rounds the whole time up to 5 minutes); left out, there is none. With it no start is cold.
    non_moe_memory_mb
        Memory of the functions of non-MoE layers. If given, they are billed too: one of them
        runs, or waits, at any time.
    """

    requests: bool = True
    storage: bool = True
    cold_starts: bool = True
    waiting: bool = True
    rounding: bool = True
    cold_share: Share = 0.0
    used_gb_s: NonNegative = 0.0
    ephemeral_mb: Bytes = 512
    provisioned_s: NonNegative | None = None
    non_moe_memory_mb: Count | None = None


def paper_costs() -> Billing:
    """Return what arXiv 2501.05313 bills: memory times working time of expert functions alone."""
    return Billing(requests=False, storage=False, cold_starts=False, waiting=False, rounding=False)


class ServerlessProblem(Problem, frozen=True, kw_only=True, tag="serverless"):
    """A model whose experts run as functions: what is to be rented, and how fast it must be.

    Attributes
    ----------
    layers
        The MoE layers, in order.
    expert
        What experts are, in layers that do not state their own.
    network
        Starts and transfers.
    memory_mb
        Memory sizes to choose from.
    max_replicas
        Most functions of one expert that share its tokens.
    designs
        Communication designs to choose from, each layer its own.
    pipeline_degree
        Whether the largest minibatch of design 1 is chosen for each layer, or once for the model.
    slo_s
        Most seconds from end to end; left out, there is no such promise.
    slo_start
        The start with which the promise must hold.
    head_s, tail_s
        Before the first non-MoE layer's function, and after the last MoE layer.
    scenario_weights
        Weight of each scenario in the bill, ``(scenarios,)``; equal if left out. Memory, payload
        and the promise must hold in all of them.
    prediction
        Fills in the tokens of layers that state none, when the problem is made.
    prices
        Price book, or the name of a preset.
    architecture, storage
        Which of its prices.
    payload_bytes
        Bytes of inputs, or of outputs, that fit into one call; left out, what the platform's
        limit leaves of a request when bytes travel as it demands.
    billing
        What is billed.
    """

    version: Literal[1] = 1
    layers: tuple[ServerlessLayer, ...]
    expert: ExpertFunction | None = None
    network: Network
    memory_mb: tuple[Count, ...]
    max_replicas: Replicas = 1
    designs: tuple[Design, ...] = DESIGNS
    pipeline_degree: Literal["layer", "model"] = "layer"
    slo_s: Positive | None = None
    slo_start: Literal["warm", "cold"] = "warm"
    head_s: NonNegative = 0.0
    tail_s: NonNegative = 0.0
    scenario_weights: FloatArray | None = None
    prediction: Prediction | None = None
    prices: PriceBook | str = "aws-lambda"
    architecture: str = "x86"
    storage: str = "s3-standard"
    payload_bytes: Bytes | None = None
    billing: Billing = msgspec.field(default_factory=Billing)

    def __post_init__(self) -> None:
        # Imported here: the checks need this class, and this class runs the checks.
        from moeopt.serverless.validate import validate

        if self.prediction is not None and any(layer.tokens is None for layer in self.layers):
            msgspec.structs.force_setattr(self, "layers", _filled_in(self))
        validate(self)

    @property
    def num_layers(self) -> int:
        """Number of MoE layers."""
        return len(self.layers)

    @property
    def num_experts(self) -> int:
        """Number of experts of the layer that has most."""
        return max(len(self.tokens_of(layer)[0]) for layer in range(self.num_layers))

    @property
    def num_scenarios(self) -> int:
        """Number of scenarios."""
        return len(self.tokens_of(0))

    def book(self) -> PriceBook:
        """Return the prices."""
        return price_book(self.prices)

    def limits(self) -> PlatformLimits:
        """Return what the platform allows."""
        return self.book().limits

    def tensor_payload_bytes(self) -> int:
        """Return the bytes of inputs, or of outputs, that fit into one call."""
        if self.payload_bytes is not None:
            return self.payload_bytes
        return self.limits().tensor_payload_bytes

    def experts(self) -> IntArray:
        """Return the number of experts of each layer, ``(layers,)``."""
        return np.array([self.tokens_of(e).shape[1] for e in range(self.num_layers)])

    def expert_of(self, layer: int) -> ExpertFunction:
        """Return what the experts of a layer are."""
        expert = self.layers[layer].expert or self.expert
        assert expert is not None, "validated"
        return expert

    def tokens_of(self, layer: int) -> FloatArray:
        """Return the tokens of each expert of a layer, ``(scenarios, experts)``."""
        tokens = self.layers[layer].tokens
        assert tokens is not None, "validated"
        return np.atleast_2d(tokens)

    def parameter_bytes_of(self, layer: int) -> FloatArray:
        """Return the parameters of each expert of a layer, ``(experts,)``."""
        own = self.layers[layer].parameter_bytes
        size = self.expert_of(layer).parameter_bytes if own is None else own
        experts = self.tokens_of(layer).shape[1]
        return np.broadcast_to(np.asarray(size, dtype=np.float64), (experts,))

    def seconds_per_token_of(self, layer: int) -> FloatArray:
        """Return the seconds of a token at each memory size, ``(memory sizes,)``."""
        compute = self.expert_of(layer).compute
        if isinstance(compute, MemoryTable):
            return np.array(compute.seconds_per_token)
        vcpus = self.limits().vcpus(np.array(self.memory_mb, dtype=np.float64))
        return compute.seconds_per_token / np.minimum(vcpus, compute.most_vcpus)

    def weights(self) -> FloatArray:
        """Return the scenarios' weights, ``(scenarios,)``, which sum up to 1."""
        if self.scenario_weights is None:
            return np.full(self.num_scenarios, 1.0 / self.num_scenarios)
        weights: FloatArray = self.scenario_weights / self.scenario_weights.sum()
        return weights

    def usd_per_s(self) -> FloatArray:
        """Return the price of a second of an expert function, ``(memory sizes,)``."""
        prices = self.book().function_prices(self.architecture)
        rate = prices.usd_per_gb_s(self.billing.used_gb_s)
        if self.billing.provisioned_s is not None:
            rate = prices.provisioned_running_usd_per_gb_s or 0.0
        return self.memory_gb() * rate + self.book().ephemeral_usd_per_s(self.billing.ephemeral_mb)

    def held_usd(self) -> FloatArray:
        """Return the price of a function held provisioned for a batch, ``(memory sizes,)``."""
        prices = self.book().function_prices(self.architecture)
        rate = prices.provisioned_held_usd_per_gb_s or 0.0
        return self.memory_gb() * rate * (self.billing.provisioned_s or 0.0)

    def waiting_usd_per_s(self) -> float:
        """Return the price of a second of the functions of non-MoE layers; 0 if not billed."""
        if self.billing.non_moe_memory_mb is None:
            return 0.0
        prices = self.book().function_prices(self.architecture)
        rate = prices.usd_per_gb_s(self.billing.used_gb_s)
        return self.billing.non_moe_memory_mb / 1024.0 * rate

    def memory_gb(self) -> FloatArray:
        """Return the memory sizes in the GB that is billed, ``(memory sizes,)``."""
        return np.array(self.memory_mb, dtype=np.float64) / 1024.0


def _filled_in(problem: ServerlessProblem) -> tuple[ServerlessLayer, ...]:
    """Return the layers with the tokens that the prediction gives to those that state none."""
    assert problem.prediction is not None
    predicted = problem.prediction.tokens()
    if len(predicted) != problem.num_layers:
        raise InstanceError(
            "$.prediction",
            f"<{len(predicted)} layers>",
            f"must predict the {problem.num_layers} layers of the problem",
            "give the table of this model",
        )
    return tuple(
        msgspec.structs.replace(layer, tokens=tokens) if layer.tokens is None else layer
        for layer, tokens in zip(problem.layers, predicted, strict=True)
    )
