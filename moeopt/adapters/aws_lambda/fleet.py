"""A plan and the functions that carry it out: what is called how, with how much of what."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from moeopt.adapters.aws_lambda.names import Names
from moeopt.adapters.aws_lambda.worker.protocol import NUMBER_BYTES, text_bytes
from moeopt.core.arrays import FloatArray
from moeopt.core.errors import InstanceError
from moeopt.serverless.plan import ServerlessPlan, layer_calls, violations
from moeopt.serverless.problem import ServerlessProblem

#: Bytes of a request, or of an answer, beside its tensor.
ENVELOPE_BYTES = 4096


@dataclass(frozen=True)
class Fleet:
    """A plan under a name, in a bucket.

    Attributes
    ----------
    problem, plan
        A plan of this problem that keeps its rules.
    names
        What everything is called.
    bucket
        Where parameters, inputs and outputs are.

    Raises
    ------
    InstanceError
        If the plan breaks a rule, or asks for what functions here cannot be.
    """

    problem: ServerlessProblem
    plan: ServerlessPlan
    names: Names
    bucket: str

    def __post_init__(self) -> None:
        broken = violations(self.problem, self.plan)
        if broken:
            rule = f"must keep {broken[0].constraint}: {broken[0].message}"
            raise InstanceError(broken[0].path, "<the plan>", rule, "solve the problem again")
        for layer in range(self.problem.num_layers):
            expert = self.problem.expert_of(layer)
            both = (expert.input_bytes_per_token, expert.output_bytes_per_token)
            for name, size in zip(("input", "output"), both, strict=True):
                if size < NUMBER_BYTES or size % NUMBER_BYTES:
                    path = f"$.layers[{layer}].expert.{name}_bytes_per_token"
                    rule = f"must be whole numbers of {NUMBER_BYTES} bytes to run"
                    raise InstanceError(path, size, rule, "give the bytes of float32 tokens")

    @property
    def layers(self) -> int:
        """Number of MoE layers."""
        return self.problem.num_layers

    def experts(self, layer: int) -> int:
        """Return the number of experts of a layer."""
        return int(self.problem.experts()[layer])

    def widths(self, layer: int) -> tuple[int, int]:
        """Return the numbers of an input token and of an output token."""
        expert = self.problem.expert_of(layer)
        both = (expert.input_bytes_per_token, expert.output_bytes_per_token)
        return int(both[0]) // NUMBER_BYTES, int(both[1]) // NUMBER_BYTES

    def function(self, layer: int, expert: int) -> str:
        """Return the name of an expert's function."""
        return self.names.function(layer, expert)

    def memory_mb(self, layer: int, expert: int) -> int:
        """Return the memory of an expert's function."""
        return int(self.plan.memory_mb[layer, expert])

    def shares(self, layer: int, expert: int, tokens: int) -> list[int]:
        """Return the tokens of each replica of an expert that has some; as equal as whole ones are.

        Parameters
        ----------
        layer, expert
            Whose.
        tokens
            That really came.
        """
        replicas = min(int(self.plan.replicas[layer, expert]), tokens)
        each, more = divmod(tokens, max(1, replicas))
        return [each + (k < more) for k in range(replicas)]

    def minibatches(self, layer: int, tokens: int) -> list[int]:
        """Return the minibatches of a replica with so many tokens: one unless pipelined."""
        if int(self.plan.design[layer]) != 1:
            return [tokens]
        degree = int(self.plan.pipeline_degree[layer])
        number = max(1, -(-tokens // degree))
        each, more = divmod(tokens, number)
        return [each + (k < more) for k in range(number)]

    def direct_tokens(self, layer: int) -> int:
        """Return the most tokens of a direct call: what the plan's payload and the platform allow.

        At least one, which the platform may then refuse.
        """
        larger = max(self.widths(layer)) * NUMBER_BYTES
        planned = self.problem.tensor_payload_bytes() // larger
        limit = self.problem.limits().payload_bytes - ENVELOPE_BYTES
        allowed = (limit // 4 * 3 if limit > 0 else 0) // larger
        while allowed and text_bytes(allowed * larger) > limit:
            allowed -= 1
        return max(1, min(int(planned), int(allowed)))

    def timeout_s(self, layer: int) -> int:
        """Return a time-out for a layer's functions: thrice what is planned, and a cold start."""
        longest: FloatArray = layer_calls(self.problem, self.plan)[layer].billed_s
        cold_s = self.problem.network.cold_start_s
        seconds = 3.0 * (float(np.max(longest)) + cold_s) + 10.0
        return math.ceil(min(seconds, self.problem.limits().timeout_s))
