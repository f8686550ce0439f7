"""The solver-neutral linear model and the backends that solve it; no solver is imported yet."""

from moeopt.mip.answer import MipAnswer
from moeopt.mip.backends import available_backends, backend_named, default_order
from moeopt.mip.backends.record import Backend, BackendCapabilities
from moeopt.mip.builder import ModelBuilder
from moeopt.mip.children import warm_up
from moeopt.mip.export import read_mps, write_lp, write_mps
from moeopt.mip.guard import solve_guarded
from moeopt.mip.model import LinearModel
from moeopt.mip.solve import solve_model, using_backend

__all__ = [
    "Backend",
    "BackendCapabilities",
    "LinearModel",
    "MipAnswer",
    "ModelBuilder",
    "available_backends",
    "backend_named",
    "default_order",
    "read_mps",
    "solve_guarded",
    "solve_model",
    "using_backend",
    "warm_up",
    "write_lp",
    "write_mps",
]
