"""Pictures of a placement plan: what each device has to do, and where each expert is served."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from moeopt.placement.plan import PlacementPlan
from moeopt.placement.problem import PlacementProblem
from moeopt.report.drawing import draw
from moeopt.report.placement import pictures, steps, summary, tables
from moeopt.report.placement.pictures import (
    device_loads_picture,
    expert_device_map_picture,
    layer_imbalance_picture,
    replicas_picture,
    scenario_imbalance_picture,
)
from moeopt.report.wings import WingReport

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def device_loads(
    problem: PlacementProblem,
    plan: PlacementPlan,
    *,
    layer: int | None = None,
    result: Any = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw each device's load before and after (`device_loads_picture`).

    Parameters
    ----------
    problem, plan
        A plan of this problem.
    layer
        Which; all layers together if left out.
    result
        The `Result` of the solve, whose bound may be closer.
    ax
        Where; on axes of its own if left out.

    Returns
    -------
    Axes
        Where it was drawn.
    """
    return draw(device_loads_picture(problem, plan, layer, result), ax)


def layer_imbalance(
    problem: PlacementProblem, plan: PlacementPlan, *, result: Any = None, ax: Axes | None = None
) -> Axes:
    """Draw each layer before and after, against its bound (`layer_imbalance_picture`)."""
    return draw(layer_imbalance_picture(problem, plan, result), ax)


def expert_device_map(
    problem: PlacementProblem, plan: PlacementPlan, *, layer: int = 0, ax: Axes | None = None
) -> Axes:
    """Draw where each expert of a layer is served (`expert_device_map_picture`)."""
    return draw(expert_device_map_picture(problem, plan, layer), ax)


def replicas(
    problem: PlacementProblem, plan: PlacementPlan, *, layer: int = 0, ax: Axes | None = None
) -> Axes:
    """Draw what copies take off the hottest experts of a layer (`replicas_picture`)."""
    return draw(replicas_picture(problem, plan, layer), ax)


def scenario_imbalance(
    problem: PlacementProblem, plan: PlacementPlan, *, ax: Axes | None = None
) -> Axes:
    """Draw how even the devices are in each scenario (`scenario_imbalance_picture`)."""
    return draw(scenario_imbalance_picture(problem, plan), ax)


#: How placement plans are told.
REPORT = WingReport(
    summary=summary.summary, pictures=pictures.pictures, tables=tables.tables, steps=steps.steps
)
