"""Recording what a PyTorch model's routers choose, whatever the model is.

Hugging Face transformers calls the experts of every model with the tokens, the chosen experts and
their weights, from a module whose class name ends in ``Experts``. That call is all that is looked
at; neither torch nor transformers is imported.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

from moeopt.core.errors import InstanceError
from moeopt.traces.archive import Array
from moeopt.traces.model_call import ModelCall, chosen
from moeopt.traces.trace import RoutingTrace


@contextmanager
def record_routing(model: Any) -> Iterator[Recorder]:
    """Record the routing of a model while the block runs.

    Call the model with ``input_ids`` (or ``tokens``, ``inputs_embeds``, ``hidden_states``) and,
    if there is padding, ``attention_mask``, or let ``generate`` do so; then take
    `Recorder.trace`. A call begins new sequences, unless it is handed the keys and values of the
    call before: then each row goes on where it was; those of another call are refused. Padded
    positions are left out, and so are calls that raise, experts called from outside of a call of
    the model (a backward pass that computes again), and replays of a CUDA graph, where no hook
    runs. Beam search moves rows unseen: there a sequence is a place in the batch. Speculative
    decoding routes tokens that it then drops: they are recorded too.

    Parameters
    ----------
    model
        A ``torch.nn.Module``, or a part of one that is called with tokens, such as its decoder.

    Yields
    ------
    Recorder
        What was recorded up to now.

    Raises
    ------
    InstanceError
        If the model has no experts; and, from a call of the model, if that call cannot be
        recorded, as where layers see different tokens.
    """
    recorder = Recorder()
    handles: list[Any] = []
    try:
        for name, module in _experts_of(model):
            hook = recorder.hook_of(name, module)
            handles.append(module.register_forward_pre_hook(hook, with_kwargs=True))
        handles.append(model.register_forward_pre_hook(recorder.begin, with_kwargs=True))
        handles.append(model.register_forward_hook(recorder.end))
        yield recorder
    finally:
        for handle in handles:
            handle.remove()


class Recorder:
    """The choices of a model's routers, call by call.

    Attributes
    ----------
    layer_names
        Names of the layers' experts in the model, in the order in which they run; empty before
        the first call. Layers without experts have none.
    """

    def __init__(self) -> None:
        self.layer_names: tuple[str, ...] = ()
        self._calls: list[ModelCall] = []
        self._open: ModelCall | None = None
        self._experts = 0

    def trace(self) -> RoutingTrace:
        """Return what was recorded: sequence by sequence, in the order in which they began.

        Raises
        ------
        InstanceError
            If nothing was, or it makes no trace, as where a token has an expert twice.
        """
        if not any(call.kept.any() for call in self._calls):
            raise InstanceError(
                "recorder",
                f"<{len(self._calls)} calls>",
                "must have recorded a token",
                "call the model itself within the block",
            )
        sequence = np.concatenate([call.sequence[call.kept] for call in self._calls])
        order = np.argsort(sequence, kind="stable")
        lengths = np.bincount(sequence)

        def joined(parts: list[Array | None]) -> Array | None:
            known = [part for part in parts if part is not None]
            return np.concatenate(known)[order] if len(known) == len(parts) else None

        expert_ids = joined([call.expert_ids for call in self._calls])
        assert expert_ids is not None
        return RoutingTrace(
            expert_ids,
            gate_weights=joined([call.gate_weights for call in self._calls]),
            sequence_lengths=lengths[lengths > 0],
            token_ids=joined([call.token_ids for call in self._calls]),
            experts=max(self._experts, int(expert_ids.max()) + 1),
        )

    def hook_of(self, name: str, module: Any) -> Any:
        """Return what is to run before a layer's experts do."""
        stated = getattr(module, "num_experts", None)

        def hook(_: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
            if self._open is not None:
                self._experts = max(self._experts, stated if type(stated) is int else 0)
                self._open.add(name, chosen((*args, *kwargs.values()), name))

        return hook

    def begin(self, model: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        """Open a call of the model; one that was left open has raised."""
        self._open = None
        last = self._calls[-1] if self._calls else None
        self._open = ModelCall(model, args, kwargs, last)

    def end(self, model: Any, args: tuple[Any, ...], output: Any) -> None:
        """Close a call of the model and keep it."""
        call, self._open = self._open, None
        if call is not None:
            call.close(self.layer_names)
            call.keep_past(output)
            self.layer_names = call.layer_names
            self._calls.append(call)


def _experts_of(model: Any) -> list[tuple[str, Any]]:
    """Return the modules that are called with the chosen experts, with their names."""
    modules = model.named_modules() if hasattr(model, "named_modules") else ()
    found: list[tuple[str, Any]] = []
    for name, module in modules:
        kind = type(module).__name__
        # Shared experts get every token: nothing is chosen. Experts within others are what these
        # run: they come after them.
        inner = any(name.startswith(f"{outer}.") for outer, _ in found[-1:])
        if kind.endswith("Experts") and not kind.endswith("SharedExperts") and not inner:
            found.append((name, module))
    if not found:
        raise InstanceError(
            "model",
            f"<{type(model).__name__}>",
            'must have modules whose class name ends in "Experts"',
            "is it a Mixture-of-Experts model, of transformers 5 or later?",
        )
    return found
