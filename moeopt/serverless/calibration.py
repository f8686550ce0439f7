"""What arXiv 2501.05313 does not publish: its constants, and the bytes and work of its models.

The paper names its models (MLPs of Bert, GPT2 and Bert2Bert turned into experts), 10,240 tokens,
14 memory sizes and 8 replicas, but no bandwidth, delay, start, seconds of a token, bytes or
promise. Those of `Calibration` stand in for them, each with its reason. The paper calls its GPT2 a
model of 12 layers and of 1.5 billion parameters, which contradict each other (E8): here it is that
of 12 layers, with a width of 768. Its largest memory size is 3,072 MB in the list and 3,008 MB in
the text (E9): here it is the list's, and 3,008 MB is what functions of non-MoE layers have.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace

from moeopt.core.errors import InstanceError
from moeopt.serverless.problem import ExpertFunction, Network, VcpuModel

#: The paper's memory sizes, most replicas of an expert, and tokens of a batch.
MEMORY_MB = (128, *range(768, 3073, 192))
REPLICAS, TOKENS = 8, 10_240

#: Memory of a function of a non-MoE layer, and what Lambda counts as one virtual CPU.
NON_MOE_MB, MB_PER_VCPU = 3008, 1769

#: Tokens of a sequence, which attention compares with each other.
SEQUENCE = 512

#: A number takes four bytes: the paper's functions compute on processors, in single precision.
NUMBER_BYTES = 4


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """The constants that the paper does not publish, with the reason for each.

    Attributes
    ----------
    storage_bytes_per_s
        65 MB/s between a function and storage, and
    access_delay_s
        80 ms for each access: what LambdaML's model of Lambda and S3 has (arXiv 2105.07806).
    function_bytes_per_s
        The same network between functions, of which base64 leaves three quarters.
    warm_start_s
        50 ms: a call reaches a warm function in some tens of milliseconds.
    cold_start_s
        5 s: the paper's "at least 5 s" for the first start after a deployment.
    flops_per_s
        Of one virtual CPU, 5 gigaflops a second: with it GPT2 on functions of the largest memory,
        without replicas, serves about as many tokens a second as the paper publishes for such a
        deployment, 22.9. An AVX2 core does some ten times as much at its peak.
    most_vcpus
        1: an expert computes on one thread, so that memory beyond 1,769 MB buys nothing. Only
        then can a plan be as much cheaper than one of the largest memory as the paper's is.
    runtime_bytes
        256 MiB of a function for its interpreter, libraries and intermediate values.
    """

    storage_bytes_per_s: float = 65e6
    access_delay_s: float = 0.08
    function_bytes_per_s: float = 65e6 * 3 / 4
    warm_start_s: float = 0.05
    cold_start_s: float = 5.0
    flops_per_s: float = 5e9
    most_vcpus: float = 1.0
    runtime_bytes: int = 256 * 2**20

    def network(self) -> Network:
        """Return starts and transfers."""
        return Network(
            storage_bytes_per_s=self.storage_bytes_per_s,
            function_bytes_per_s=self.function_bytes_per_s,
            access_delay_s=self.access_delay_s,
            warm_start_s=self.warm_start_s,
            cold_start_s=self.cold_start_s,
        )

    def expert(self, width: int, hidden: int, matrices: int = 2) -> ExpertFunction:
        """Return an expert of `matrices` matrices between a token and its hidden layer.

        Parameters
        ----------
        width
            Numbers of a token.
        hidden
            Numbers of the expert's hidden layer.
        matrices
            2 for an MLP, 3 if it is gated.
        """
        return ExpertFunction(
            parameter_bytes=matrices * width * hidden * NUMBER_BYTES,
            intermediate_bytes=int(self.runtime_bytes),
            input_bytes_per_token=width * NUMBER_BYTES,
            output_bytes_per_token=width * NUMBER_BYTES,
            compute=VcpuModel(
                # A multiplication and an addition for each entry.
                seconds_per_token=2 * matrices * width * hidden / self.flops_per_s,
                most_vcpus=self.most_vcpus,
            ),
        )

    def non_moe_s(self, flops: float) -> float:
        """Return the seconds of so many operations in the function of a non-MoE layer."""
        return flops / (self.flops_per_s * min(NON_MOE_MB / MB_PER_VCPU, self.most_vcpus))

    def start_s(self, parameter_bytes: float) -> float:
        """Return how long a function starts, warm, and loads its parameters."""
        loaded_s = parameter_bytes / self.storage_bytes_per_s
        return self.warm_start_s + self.access_delay_s + loaded_s


def calibrated(**constants: float) -> Calibration:
    """Return the constants with some of them replaced.

    Parameters
    ----------
    constants
        Fields of `Calibration`.

    Raises
    ------
    InstanceError
        If one is no field of it.
    """
    known = [field.name for field in fields(Calibration)]
    for name, value in constants.items():
        if name not in known:
            rule = f"must be one of {', '.join(known)}"
            raise InstanceError(f"$.{name}", value, rule, "choose one of them")
    return replace(Calibration(), **constants)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Model:
    """A dense model whose MLPs become MoE layers.

    Attributes
    ----------
    layers
        MoE layers, one for each block of attention.
    experts
        Of each.
    width, hidden
        Numbers of a token, and of an expert's hidden layer.
    vocabulary
        Tokens that the head knows.
    attentions
        Blocks of attention before each MoE layer. The second half of Bert2Bert also attends to
        the first, which is counted as half a block in every layer.
    matrices
        Of an expert.
    """

    layers: int
    experts: int
    width: int = 768
    hidden: int = 3072
    vocabulary: int = 30_522
    attentions: float = 1.0
    matrices: int = 2

    @property
    def attention_bytes(self) -> int:
        """Parameters of a non-MoE layer."""
        return round(self.attentions * 4 * self.width**2 * NUMBER_BYTES)

    @property
    def attention_flops(self) -> float:
        """Operations of a token in a non-MoE layer: four products, then comparing and mixing."""
        return self.attentions * (2 * 4 * self.width**2 + 2 * 2 * SEQUENCE * self.width)

    @property
    def head_bytes(self) -> int:
        """Parameters of the embedding, and of the head, which is its transpose."""
        return self.vocabulary * self.width * NUMBER_BYTES

    @property
    def head_flops(self) -> float:
        """Operations of a token in the head."""
        return 2.0 * self.width * self.vocabulary


#: The paper's models, and a large one whose experts have the shape of Qwen3-30B-A3B's.
MODELS: Mapping[str, Model] = {
    "bert-moe-4": Model(12, 4),
    "bert-moe-8": Model(12, 8),
    "bert-moe-16": Model(12, 16),
    "gpt2-moe": Model(12, 4, vocabulary=50_257),
    "bert2bert-moe": Model(24, 4, attentions=1.5),
    "large": Model(60, 256, width=2048, hidden=768, vocabulary=151_936, matrices=3),
}
