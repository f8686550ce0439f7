"""What must not be left to solvers: impossible bounds, empty rows, extreme costs, constants."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from scipy import sparse

from moeopt.core.arrays import FloatArray
from moeopt.core.result import OPTIMALITY_TOLERANCE
from moeopt.mip.answer import least
from moeopt.mip.model import FEASIBILITY_TOLERANCE, LinearModel
from moeopt.mip.names import NameBlock

#: Largest cost a solver sees. Solvers cut off at absolute tolerances near 1e-7 and 1e-6: costs in
#: seconds or dollars are often smaller than that, and every plan would count as optimal.
_LARGEST_COST_EXPONENT = 10


def plainly_infeasible(model: LinearModel) -> bool:
    """Tell whether single bounds contradict themselves; several solvers raise on such a model."""
    lower, upper = integral_bounds(model)
    empty = np.diff(model.A.indptr) == 0
    slack = FEASIBILITY_TOLERANCE
    return bool(
        (lower > upper).any()
        or (model.row_lower > model.row_upper).any()
        or (empty & ((model.row_lower > slack) | (model.row_upper < -slack))).any()
    )


def integral_bounds(model: LinearModel) -> tuple[FloatArray, FloatArray]:
    """Return the column bounds with those of integer columns rounded inwards."""
    lower = np.where(
        model.integrality, np.ceil(model.column_lower - FEASIBILITY_TOLERANCE), model.column_lower
    )
    upper = np.where(
        model.integrality, np.floor(model.column_upper + FEASIBILITY_TOLERANCE), model.column_upper
    )
    return lower, upper


#: Largest exponent of a power of two among floating-point numbers.
_MOST_EXPONENT = 1023


def scaled_costs(model: LinearModel) -> tuple[LinearModel, float]:
    """Return the model as solvers get it, with the factor its costs were multiplied by.

    The factor is a power of two, so nothing is rounded.
    """
    largest = float(np.abs(model.objective).max(initial=0.0))
    factor = 1.0
    if largest > 0.0:
        exponent = _LARGEST_COST_EXPONENT - math.frexp(largest)[1]
        # Costs near the smallest number stay small: a larger factor would not be one.
        factor = 2.0 ** min(exponent, _MOST_EXPONENT)
    lower, upper = integral_bounds(model)
    scaled = replace(
        model,
        objective=model.objective * factor,
        objective_offset=model.objective_offset * factor,
        column_lower=lower,
        column_upper=upper,
    )
    return scaled, factor


def within_reach(model: LinearModel, start: FloatArray) -> LinearModel:
    """Return the model without what alone costs more than a known point: its optimum is the same.

    A solver's tolerances are part of the largest cost, which is no good measure where no plan that
    is any good pays it.

    Parameters
    ----------
    start
        A feasible point.
    """
    room = model.evaluate(start) - least(model)
    free = model.integrality & (model.column_lower == 0.0) & (start == 0.0)
    dear = free & (model.objective > room + OPTIMALITY_TOLERANCE * abs(room))
    if not math.isfinite(room) or not dear.any():
        return model
    return replace(
        model,
        objective=np.where(dear, 0.0, model.objective),
        column_upper=np.where(dear, 0.0, model.column_upper),
    )


def without_costs(model: LinearModel) -> LinearModel:
    """Return the model with a zero objective: feasible or not, and nothing else."""
    return replace(model, objective=np.zeros(model.num_columns), objective_offset=0.0)


def with_fixed_integers(model: LinearModel, x: FloatArray) -> LinearModel:
    """Return the continuous model that is left when the integer columns stay at `x`."""
    return replace(
        model,
        column_lower=np.where(model.integrality, x, model.column_lower),
        column_upper=np.where(model.integrality, x, model.column_upper),
        integrality=np.zeros(model.num_columns, np.bool_),
    )


def offset_as_column(model: LinearModel) -> LinearModel:
    """Return the model with its constant cost on one more column, fixed at 1.

    For solvers that know no constant: they would measure the relative gap without it.
    """
    if model.objective_offset == 0.0:
        return model
    one = np.ones(1)
    return replace(
        model,
        A=sparse.csr_array(sparse.hstack([model.A, np.zeros((model.num_rows, 1))], format="csr")),
        column_lower=np.append(model.column_lower, one),
        column_upper=np.append(model.column_upper, one),
        integrality=np.append(model.integrality, False),
        objective=np.append(model.objective, model.objective_offset),
        objective_offset=0.0,
        column_blocks=(*model.column_blocks, NameBlock("__offset__")),
    )
