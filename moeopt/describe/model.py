"""The shape of a Mixture-of-Experts model: what placement and timing need to know of it."""

from __future__ import annotations

from typing import Annotated

import msgspec

from moeopt.core.errors import InstanceError
from moeopt.core.wing import Document
from moeopt.describe.cluster import Count, Positive


class MoEModel(Document, frozen=True, kw_only=True, omit_defaults=True):
    """An MoE model with gated (three-matrix) experts of one size.

    Attributes
    ----------
    name
        Name for tables.
    moe_layers
        Layers that have routed experts.
    dense_layers
        Layers that have none: the first ones of the model.
    experts
        Routed experts of each MoE layer.
    top_k
        Experts each token goes to.
    shared_experts
        Experts that every token goes to, in the size of a routed one.
    hidden_size
        Width of a token.
    expert_hidden_size
        Inner width of an expert.
    groups
        Groups of consecutive experts that the router chooses among first (1: none).
    groups_per_token
        Groups that a token may use.
    bytes_per_parameter
        Of the routed experts' weights as served.
    source
        Where the figures come from.
    """

    name: str
    moe_layers: Count
    dense_layers: Annotated[int, msgspec.Meta(ge=0)] = 0
    experts: Count
    top_k: Count
    shared_experts: Annotated[int, msgspec.Meta(ge=0)] = 0
    hidden_size: Count
    expert_hidden_size: Count
    groups: Count = 1
    groups_per_token: Count = 1
    bytes_per_parameter: Positive = 2.0
    source: str = ""

    def __post_init__(self) -> None:
        if self.top_k > self.experts:
            raise InstanceError(
                "$.top_k", self.top_k, f"must be at most the {self.experts} experts", "lower it"
            )
        if self.experts % self.groups:
            raise InstanceError(
                "$.groups", self.groups, f"must divide the {self.experts} experts", "correct it"
            )
        if self.groups_per_token > self.groups:
            raise InstanceError(
                "$.groups_per_token",
                self.groups_per_token,
                f"must be at most the {self.groups} groups",
                "lower it",
            )

    @property
    def num_layers(self) -> int:
        """Layers of the model, dense ones included."""
        return self.dense_layers + self.moe_layers

    @property
    def moe_layer_ids(self) -> range:
        """Numbers of the MoE layers among all layers, from 0."""
        return range(self.dense_layers, self.num_layers)

    @property
    def expert_parameters(self) -> int:
        """Parameters of one routed expert: gate, up and down projection."""
        return 3 * self.hidden_size * self.expert_hidden_size

    @property
    def expert_bytes(self) -> int:
        """Bytes of one routed expert's weights."""
        return round(self.expert_parameters * self.bytes_per_parameter)

    @property
    def flops_per_token(self) -> int:
        """Floating-point operations of one token in one expert (multiply and add)."""
        return 2 * self.expert_parameters
