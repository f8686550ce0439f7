"""Options that say where the MoE layers stand in a model."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from moeopt.cli.numbers import numbers_of

if TYPE_CHECKING:
    from moeopt.adapters.engines.placements import ModelLayers


def add_options(group: Any) -> None:
    """Add ``--model``, or what it stands for."""
    group.add_argument("--model", metavar="NAME", help="of the model, such as deepseek-v3")
    group.add_argument(
        "--layer-ids",
        metavar="LIST",
        help="numbers of its MoE layers, such as 3-60, if it is no model that we know",
    )
    group.add_argument(
        "--model-layers",
        type=int,
        metavar="N",
        help="its layers, dense ones too (up to the last MoE layer)",
    )


def layers_of(args: argparse.Namespace) -> ModelLayers | None:
    """Return the layers that the options name; ``None`` if they name none.

    Raises
    ------
    InstanceError
        If they contradict each other, or there is no such model.
    """
    from moeopt.adapters.engines.placements import ModelLayers
    from moeopt.core.errors import InstanceError

    if args.model is not None:
        for option in ("layer_ids", "model_layers"):
            own = getattr(args, option)
            if own is not None:
                rule = "must not be given with --model"
                name = "--" + option.replace("_", "-")
                raise InstanceError(name, own, rule, "leave one of them out")
        try:
            return ModelLayers.of_model(args.model)
        except InstanceError as error:
            raise InstanceError("--model", error.value, error.rule, error.remedy) from None
    if args.layer_ids is None:
        if args.model_layers is None:
            return None
        rule = "must be given with --layer-ids"
        raise InstanceError("--model-layers", args.model_layers, rule, "say which have experts")
    ids = numbers_of(args.layer_ids, "--layer-ids")
    try:
        return ModelLayers(ids, ids[-1] + 1 if args.model_layers is None else args.model_layers)
    except InstanceError as error:
        option = "--" + error.path.partition("[")[0].replace("_", "-")
        raise InstanceError(option, error.value, error.rule, error.remedy) from None
