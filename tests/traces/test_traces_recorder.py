"""The recorder on small models of our own, of every kind of call that it has to bear."""

from __future__ import annotations

import copy
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import pytest

from moeopt.core.errors import InstanceError
from moeopt.traces import record_routing

torch = pytest.importorskip("torch")
nn = torch.nn


class TinyExperts(nn.Module):
    """Called as transformers calls experts."""

    num_experts = 9

    def forward(self, hidden_states: Any, top_k_index: Any, top_k_weights: Any) -> Any:
        return hidden_states


class TinySharedExperts(nn.Module):
    def forward(self, hidden_states: Any) -> Any:
        return hidden_states


class Layer(nn.Module):
    """Sends token t to the experts (t + shift) % 8 and (t + shift + 1) % 8."""

    def __init__(self, shift: int, top_k: int = 2, times: int = 1) -> None:
        super().__init__()
        self.shift, self.top_k, self.times = shift, top_k, times
        self.experts, self.shared = TinyExperts(), TinySharedExperts()

    def forward(self, hidden_states: Any) -> Any:
        rows = hidden_states.reshape(-1, 1)
        ids = (rows.long() + self.shift + torch.arange(self.top_k)) % 8
        weights = (ids + 1).to(torch.bfloat16) / 8
        for _ in range(self.times):
            self.experts(rows, top_k_index=ids, top_k_weights=weights)
        return self.shared(hidden_states)


class Tiny(nn.Module):
    """Two layers with experts and a dense one before them."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.dense = nn.Identity()
        self.layers = nn.ModuleList(layers or (Layer(0), Layer(3)))
        self.skip = 0

    def forward(
        self, input_ids: Any, attention_mask: Any = None, past_key_values: Any = None
    ) -> Any:
        x = self.dense(input_ids.float()[..., None])
        for layer in self.layers[self.skip :]:
            x = layer(x)
        return x


IDS = torch.tensor([[9, 9, 5, 6], [1, 2, 3, 4]])
MASK = torch.tensor([[0, 0, 1, 1], [1, 1, 1, 1]])


def test_padding_is_masked_and_gates_are_kept() -> None:
    model = Tiny()
    with record_routing(model) as recorder:
        model(IDS, attention_mask=MASK)
    trace = recorder.trace()
    tokens = np.array([5, 6, 1, 2, 3, 4])
    np.testing.assert_array_equal(trace.token_ids, tokens)
    first = (tokens[:, None, None] + np.array([0, 3])[:, None] + np.arange(2)) % 8
    np.testing.assert_array_equal(trace.expert_ids, first)
    np.testing.assert_array_equal(trace.gate_weights, (first + 1) / 8)
    np.testing.assert_array_equal(trace.sequence_lengths, [2, 4])
    assert trace.num_experts == 9
    assert recorder.layer_names == ("layers.0.experts", "layers.1.experts")


class Cache:
    """As transformers' caches: there from the first call, and then empty."""

    def __init__(self) -> None:
        self.length = 0

    def get_seq_length(self) -> int:
        return self.length


@pytest.mark.parametrize("past", [Cache, list])
def test_rows_go_on_where_they_were(past: type) -> None:
    model, kept = Tiny(), past()
    with record_routing(model) as recorder:
        model(IDS, attention_mask=MASK, past_key_values=kept)
        if past is Cache:
            kept.length = 4
        else:
            kept.append("keys and values")
        wider = torch.cat((MASK, torch.tensor([[1], [0]])), dim=1)
        model(torch.tensor([[7], [8]]), attention_mask=wider, past_key_values=kept)
        model(IDS)
    trace = recorder.trace()
    assert trace.token_ids is not None
    assert trace.token_ids.tolist() == [5, 6, 7, 1, 2, 3, 4, 9, 9, 5, 6, 1, 2, 3, 4]
    assert trace.sequence_lengths is not None
    assert trace.sequence_lengths.tolist() == [3, 4, 4, 4]


class Says(Tiny):
    """Returns its cache by name, as transformers' models do."""

    def forward(self, input_ids: Any, past_key_values: Any = None) -> Any:
        super().forward(input_ids)
        past = Cache() if past_key_values is None else past_key_values
        past.length += input_ids.shape[1]
        return SimpleNamespace(past_key_values=past)


def test_keys_and_values_of_another_call_are_refused() -> None:
    model = Says()
    with record_routing(model) as recorder:
        first = model(IDS).past_key_values
        second = model(IDS + 1).past_key_values
        model(IDS[:, :1], past_key_values=second)
        model(IDS[:, 1:], past_key_values=second)
        for other in (first, copy.copy(second)):
            with pytest.raises(InstanceError, match="got <those of another>"):
                model(IDS[:, :1], past_key_values=other)
    lengths = recorder.trace().sequence_lengths
    assert lengths is not None
    assert lengths.tolist() == [4, 4, 8, 8]


class Routing(NamedTuple):
    ids: Any
    weights: Any
    scores: Any


class Own(nn.Module):
    """Not of transformers: tokens by position, and one tuple handed to the experts."""

    def __init__(self) -> None:
        super().__init__()
        self.experts = _Experts()

    def forward(self, tokens: Any, past: Any = None) -> Any:
        scores = torch.nn.functional.one_hot(tokens, 4).float()
        best = scores.topk(2)
        return self.experts(tokens[..., None].float(), Routing(best.indices, best.values, scores))


class _Experts(nn.Module):
    def forward(self, x: Any, routing: Routing) -> Any:
        return x


_Experts.__name__ = "Experts"


def test_a_model_of_ones_own() -> None:
    model = Own()
    with record_routing(model) as recorder:
        model(torch.tensor([[3, 1, 2]]))
    trace = recorder.trace()
    assert trace.expert_ids[:, 0, 0].tolist() == [3, 1, 2]
    assert trace.gate_weights is not None
    assert trace.gate_weights[:, 0].tolist() == [[1, 0]] * 3
    assert trace.num_experts == 4


def test_part_of_a_model_without_token_ids() -> None:
    model = Tiny()
    with record_routing(model.layers[1]) as recorder:
        model(IDS)
    trace = recorder.trace()
    assert (trace.num_tokens, trace.num_layers, trace.token_ids) == (8, 1, None)
    assert recorder.layer_names == ("experts",)


class Fails(Layer):
    def forward(self, hidden_states: Any) -> Any:
        super().forward(hidden_states)
        if hidden_states.max() > 9:
            raise OverflowError
        return hidden_states


def test_what_is_not_recorded() -> None:
    model = Tiny(Layer(0), Fails(3))
    with record_routing(model) as recorder:
        # Experts outside of a call of the model, and a call that raises.
        model.layers[0](IDS.float()[..., None])
        with pytest.raises(OverflowError):
            model(IDS + 5)
        model(IDS[1:])
    model(IDS)
    trace = recorder.trace()
    assert trace.token_ids is not None
    assert trace.token_ids.tolist() == [1, 2, 3, 4]


def test_models_that_cannot_be_recorded() -> None:
    for model in (nn.Linear(2, 2), "model"):
        with (
            pytest.raises(InstanceError, match='class name ends in "Experts"'),
            record_routing(model),
        ):
            pass
    with (
        record_routing(Tiny()) as recorder,
        pytest.raises(InstanceError, match="must have recorded a token"),
    ):
        recorder.trace()


class Half(Layer):
    def forward(self, hidden_states: Any) -> Any:
        super().forward(hidden_states[:, ::2])
        return hidden_states


@pytest.mark.parametrize(
    ("layers", "said"),
    [
        (
            (Layer(0), Half(0)),
            r"layers\.1\.experts: must see the tokens and",
        ),
        ((Layer(0), Layer(0, top_k=3)), r"layers\.1\.experts: must see the tokens and the top_k"),
        ((Half(0), Half(1)), r"layers\.0\.experts: must see the 2 x 4 tokens"),
        ((Layer(0, times=2),), r"layers\.0\.experts: must be called once"),
    ],
)
def test_layers_that_do_not_agree(layers: tuple[nn.Module, ...], said: str) -> None:
    model = Tiny(*layers)
    with record_routing(model), pytest.raises(InstanceError, match=said):
        model(IDS)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        ({"input_ids": IDS[0]}, "input_ids: must have 2 axes"),
        ({"input_ids": IDS, "attention_mask": MASK[:1]}, "attention_mask: must have shape"),
        ({"input_ids": IDS, "attention_mask": MASK[:, :3]}, "attention_mask: must have shape"),
        ({"input_ids": IDS, "attention_mask": MASK[None, None]}, "attention_mask: must have shape"),
        ({"input_ids": IDS[:1], "past_key_values": [1]}, "must go on from the 2 of the call"),
        ({"attention_mask": MASK}, "must be called with one of input_ids"),
    ],
)
def test_calls_that_cannot_be_recorded(call: dict[str, Any], said: str) -> None:
    model = Tiny()
    with record_routing(model):
        model(IDS)
        with pytest.raises(InstanceError, match=said):
            model(**call)


def test_a_layer_that_is_left_out() -> None:
    model = Tiny()
    with record_routing(model):
        model(IDS)
        model.skip = 1
        with pytest.raises(InstanceError, match="must call its 2 layers of experts in every call"):
            model(IDS)


def test_experts_without_choices() -> None:
    class Odd(Layer):
        def forward(self, hidden_states: Any) -> Any:
            self.experts(hidden_states, torch.ones(2, 2, dtype=torch.bool), hidden_states)

    model = Tiny(Odd(0))
    with record_routing(model), pytest.raises(InstanceError, match="with the chosen experts"):
        model(IDS)
