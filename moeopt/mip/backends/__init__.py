"""One module per solver; each is found here by name and loaded when it runs."""

from __future__ import annotations

from moeopt.core.errors import BackendError
from moeopt.mip.backends.cpsat import CPSAT
from moeopt.mip.backends.mathopt import HIGHS, SCIP
from moeopt.mip.backends.pulp_ import CBC, installed_solvers, pulp_backend
from moeopt.mip.backends.record import Backend
from moeopt.mip.backends.scipy_ import SCIPY
from moeopt.mip.model import LinearModel

_BUILT_IN = {backend.name: backend for backend in (HIGHS, CPSAT, SCIP, SCIPY, CBC)}

_PULP = "pulp:"


def backend_named(name: str) -> Backend:
    """Return the backend with this name: ``"highs"``, ``"cbc"``, ``"pulp:GUROBI_CMD"``, ...

    Raises
    ------
    BackendError
        If there is none, or it cannot run on this machine.
    """
    backend = _BUILT_IN.get(name)
    if backend is None and name.startswith(_PULP):
        backend = pulp_backend(name.removeprefix(_PULP))
    if backend is None:
        known = ", ".join(_BUILT_IN)
        raise BackendError(name, "there is no such backend", f"choose from {known}, pulp:<solver>")
    if not backend.available():
        raise BackendError(name, "it is not installed here", "install it, or use highs")
    return backend


def available_backends() -> tuple[str, ...]:
    """Return the names of the backends that this machine can run, those of PuLP last."""
    own = [name for name, backend in _BUILT_IN.items() if backend.available()]
    bundled = {"PULP_CBC_CMD"}
    return (*own, *(f"{_PULP}{name}" for name in installed_solvers() if name not in bundled))


def default_order(model: LinearModel) -> tuple[str, ...]:
    """Return the backends that ``"auto"`` tries for `model`, one after another's failure."""
    whole = bool(model.integrality.all()) and bool((model.A.data % 1.0 == 0.0).all())
    names = ("highs", "cpsat", "scip", "scipy") if whole else ("highs", "scip", "scipy")
    return tuple(name for name in names if _BUILT_IN[name].available())
