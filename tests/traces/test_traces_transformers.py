"""The recorder on models of Hugging Face transformers, small and with random weights."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from moeopt.traces import record_routing

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

SIZES = {
    "vocab_size": 64,
    "hidden_size": 32,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
    "max_position_embeddings": 64,
    "num_experts_per_tok": 2,
}

#: Name of the class, what its configuration has beside the sizes, and its experts.
MODELS = {
    "Mixtral": ({"num_local_experts": 6}, 6),
    "Qwen3Moe": ({"num_experts": 8, "moe_intermediate_size": 16, "head_dim": 8}, 8),
    "DeepseekV3": (
        {
            "num_hidden_layers": 3,
            "first_k_dense_replace": 1,
            "n_routed_experts": 8,
            "n_group": 2,
            "topk_group": 1,
            "moe_intermediate_size": 16,
            "q_lora_rank": 16,
            "kv_lora_rank": 16,
            "qk_rope_head_dim": 8,
            "qk_nope_head_dim": 8,
            "v_head_dim": 8,
        },
        8,
    ),
    "GptOss": ({"num_local_experts": 6, "head_dim": 8, "sliding_window": 16}, 6),
}

#: The first text has three places of padding in front.
MASK = np.array([[0, 0, 0, 1, 1, 1, 1], [1, 1, 1, 1, 1, 1, 1]])


def made(name: str) -> Any:
    import transformers

    torch.manual_seed(0)
    config = getattr(transformers, f"{name}Config")(**{**SIZES, **MODELS[name][0]})
    return getattr(transformers, f"{name}ForCausalLM")(config).eval()


def routers_of(model: Any, into: dict[str, Any]) -> None:
    """Keep what the routers themselves return, weights and experts."""
    for name, module in model.named_modules():
        if type(module).__name__.lower().endswith("topkrouter"):
            module.register_forward_hook(
                lambda _, args, output, name=name: into.__setitem__(name, output[1:])
            )


@pytest.mark.parametrize("name", MODELS)
def test_the_trace_is_what_the_routers_chose(name: str) -> None:
    model, returned = made(name), {}
    routers_of(model, returned)
    ids = torch.arange(1, 15).reshape(2, 7)
    with torch.no_grad(), record_routing(model) as recorder:
        model(input_ids=ids, attention_mask=torch.from_numpy(MASK))
    trace = recorder.trace()
    kept = MASK.reshape(-1) == 1
    assert trace.expert_ids.shape == (11, 2, 2)
    assert trace.num_experts == MODELS[name][1]
    np.testing.assert_array_equal(trace.token_ids, ids.numpy().reshape(-1)[kept])
    np.testing.assert_array_equal(trace.sequence_lengths, [4, 7])
    assert len(returned) == len(recorder.layer_names) == 2
    for layer, (weights, chosen) in enumerate(returned.values()):
        np.testing.assert_array_equal(trace.expert_ids[:, layer], chosen.numpy()[kept])
        assert trace.gate_weights is not None
        np.testing.assert_array_equal(trace.gate_weights[:, layer], weights.numpy()[kept])


def test_generation_makes_sequences() -> None:
    model = made("Qwen3Moe")
    ids, mask = torch.arange(1, 15).reshape(2, 7), torch.from_numpy(MASK)
    with torch.no_grad(), record_routing(model) as recorder:
        out = model.generate(
            input_ids=ids,
            attention_mask=mask,
            max_new_tokens=4,
            min_new_tokens=4,
            do_sample=False,
            pad_token_id=0,
        )
    trace = recorder.trace()
    # The last token that is generated enters no layer.
    np.testing.assert_array_equal(trace.sequence_lengths, [7, 10])
    expected = np.concatenate([out[0, 3:10].numpy(), out[1, :10].numpy()])
    np.testing.assert_array_equal(trace.token_ids, expected)
    # Routing token by token is routing of the whole text.
    with torch.no_grad(), record_routing(model) as again:
        model(input_ids=out[1:, :10])
    np.testing.assert_array_equal(again.trace().expert_ids, trace.expert_ids[7:])
