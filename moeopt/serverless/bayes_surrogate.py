"""A Gaussian process over costs, scikit-learn's, loaded on use."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from scipy.optimize import minimize

from moeopt.core.arrays import FloatArray
from moeopt.core.errors import AdapterError

_REMEDY = "pip install 'moeopt[bayes]'"

#: Bounds of the kernel's variance, its length in standardised dimensions, the noise's variance.
_VARIANCES, _LENGTHS, _NOISES = (0.05, 20.0), (0.3, 30.0), (1e-5, 0.3)

#: Steps in which the kernel's parameters are fitted.
_STEPS = 8


class Surrogate:
    """What costs at some points say of those at others: Matérn's kernel 5/2, and some noise.

    Costs of the same point differ a little, because a layer's plan depends on the others'.

    Parameters
    ----------
    points
        ``(points, dimensions)``.
    costs
        ``(points,)``.
    kernel
        With parameters fitted before; fitted to the costs if left out.
    """

    def __init__(self, points: FloatArray, costs: FloatArray, kernel: Any = None) -> None:
        kernels, process = _scikit_learn()
        self._centre, self._scale = points.mean(axis=0), _spread(points.std())
        self._mean, self._deviation = float(costs.mean()), _spread(costs.std())
        first = kernels.ConstantKernel(1.0, _VARIANCES) * kernels.Matern(
            1.0, _LENGTHS, nu=2.5
        ) + kernels.WhiteKernel(1e-2, _NOISES)
        self._process = process.GaussianProcessRegressor(
            first if kernel is None else kernel,
            alpha=1e-8,
            optimizer=_likeliest if kernel is None else None,
        )
        with warnings.catch_warnings():
            # A length at its bound is no harm here.
            warnings.simplefilter("ignore")
            self._process.fit(self._scaled(points), (costs - self._mean) / self._deviation)

    @property
    def kernel(self) -> Any:
        """The kernel with the parameters that it was given, or fitted."""
        return self._process.kernel_

    def at(self, points: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return mean and standard deviation, without the noise, of costs, ``(points,)`` each."""
        mean, deviation = self._process.predict(self._scaled(points), return_std=True)
        noise = self._process.kernel_.k2.noise_level
        known = np.sqrt(np.maximum(deviation**2 - noise, 0.0))
        return self._mean + self._deviation * mean, self._deviation * known

    def _scaled(self, points: FloatArray) -> FloatArray:
        scaled: FloatArray = (points - self._centre) / self._scale
        return scaled


def _likeliest(objective: Any, start: FloatArray, bounds: FloatArray) -> tuple[FloatArray, float]:
    """Return the kernel's parameters of about the largest likelihood, and its negative logarithm.

    A few steps do: the costs of another evaluation will move them anyway.
    """
    found = minimize(
        objective, start, jac=True, bounds=bounds, method="L-BFGS-B", options={"maxiter": _STEPS}
    )
    return found.x, float(found.fun)


def require_scikit_learn() -> None:
    """Raise `AdapterError` if scikit-learn is not installed."""
    _scikit_learn()


def _spread(deviation: float) -> float:
    """Return a standard deviation to divide by: 1 if all values are the same."""
    return float(deviation) if deviation > 0 else 1.0


def _scikit_learn() -> tuple[Any, Any]:
    try:
        from sklearn import gaussian_process
        from sklearn.gaussian_process import kernels
    except ImportError:
        raise AdapterError(
            f"the method gp needs scikit-learn's Gaussian process, not installed here; {_REMEDY}"
        ) from None
    return kernels, gaussian_process
