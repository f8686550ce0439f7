"""A backend as data, and the one way a solver's claim becomes a `MipAnswer`."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from moeopt.core.arrays import FloatArray
from moeopt.core.errors import BackendError
from moeopt.core.result import Limit, Status
from moeopt.mip.answer import (
    Claim,
    MipAnswer,
    Verdict,
    checked_start,
    disproved,
    judged,
    least,
    tidy,
    with_start,
)
from moeopt.mip.model import LinearModel
from moeopt.mip.presolve import (
    plainly_infeasible,
    scaled_costs,
    with_fixed_integers,
    without_costs,
)

_log = logging.getLogger(__name__)

#: ``on_incumbent(x, bound)``: a better point or a better bound, or both; ``None`` for the other.
OnIncumbent = Callable[[FloatArray | None, float | None], None]


@dataclass(frozen=True, kw_only=True)
class BackendCapabilities:
    """What a backend can do, as data.

    Attributes
    ----------
    integers
        It takes integer columns.
    continuous
        It takes columns that need not be integers.
    infinite_bounds
        It takes columns without finite bounds.
    bound
        It tells a bound when it is stopped early.
    warm_start
        It starts from the point given as ``warm_start``.
    threads
        It obeys ``threads``.
    seed
        It obeys ``seed``.
    incumbents
        It reports incumbents while it runs.
    hard_deadline
        It stops at the time limit whatever it is doing. No solver does; see `moeopt.mip.guard`.
    """

    integers: bool = True
    continuous: bool = True
    infinite_bounds: bool = True
    bound: bool = True
    warm_start: bool = True
    threads: bool = True
    seed: bool = True
    incumbents: bool = False
    hard_deadline: bool = False


@dataclass(frozen=True, kw_only=True, eq=False)
class Request:
    """What one run of a solver is asked for.

    Attributes
    ----------
    deadline_s
        ``time.perf_counter()`` at which it should stop; ``inf`` for never.
    gap
        It may stop at this relative gap.
    seed
        Seed of its random choices.
    threads
        Threads it may use.
    warm_start
        A feasible point, or ``None``.
    on_incumbent
        Called with better points and bounds, by backends that can; from any thread.
    """

    deadline_s: float = math.inf
    gap: float = 0.0
    seed: int = 0
    threads: int = 1
    warm_start: FloatArray | None = None
    on_incumbent: OnIncumbent | None = None

    def remaining_s(self) -> float | None:
        """Return the seconds left, ``None`` without a limit; solvers reject or misread 0."""
        if math.isinf(self.deadline_s):
            return None
        return max(1e-3, self.deadline_s - time.perf_counter())

    def out_of_time(self) -> bool:
        """Tell whether the deadline has passed."""
        return time.perf_counter() >= self.deadline_s


@dataclass(frozen=True, kw_only=True)
class Backend:
    """A solver behind one interface. Records are picklable: they go to a child process.

    Attributes
    ----------
    name
        The name users write.
    version
        Returns solver and version, such as ``"highs 1.12 (ortools 9.15)"``.
    available
        Tells whether it can run on this machine.
    run
        Hands a model to the solver and translates what it says, nothing more.
    capabilities
        What it can do.
    """

    name: str
    version: Callable[[], str]
    available: Callable[[], bool]
    run: Callable[[LinearModel, Request], Claim]
    capabilities: BackendCapabilities = BackendCapabilities()

    def solve(
        self,
        model: LinearModel,
        *,
        time_limit_s: float | None = None,
        gap: float = 0.0,
        seed: int = 0,
        threads: int = 1,
        warm_start: FloatArray | None = None,
        on_incumbent: OnIncumbent | None = None,
    ) -> MipAnswer:
        """Solve in this process; the solver may overrun its time limit.

        Raises
        ------
        BackendError
            If the solver fails, or claims a point that breaks the model.
        """
        started = time.perf_counter()
        start = checked_start(model, warm_start)
        scaled, factor = scaled_costs(model)
        request = Request(
            deadline_s=math.inf if time_limit_s is None else started + time_limit_s,
            gap=gap,
            seed=seed,
            threads=threads,
            warm_start=start,
            on_incumbent=_unscaled(on_incumbent, model, factor),
        )
        claim = self._claim(scaled, request)
        answer = self._believed(model, scaled, factor, claim, request)
        return replace(
            with_start(answer, model, start),
            build_s=claim.build_s,
            solve_s=time.perf_counter() - started,
            nodes=claim.nodes,
            log=claim.log,
        )

    def _claim(self, scaled: LinearModel, request: Request) -> Claim:
        """Return the solver's claim, with "infeasible or unbounded" decided."""
        if plainly_infeasible(scaled):
            return Claim(verdict=Verdict.INFEASIBLE)
        if request.out_of_time():
            return Claim(verdict=Verdict.UNKNOWN, limit=Limit.TIME)
        if scaled.num_columns == 0:
            return Claim(verdict=Verdict.OPTIMAL, x=np.empty(0), bound=scaled.objective_offset)
        claim = self._ran(scaled, request)
        if claim.verdict not in (Verdict.UNBOUNDED, Verdict.INFEASIBLE_OR_UNBOUNDED):
            return claim
        if claim.verdict is Verdict.UNBOUNDED and math.isfinite(least(scaled)):
            said = "it calls a model unbounded whose costly columns have bounds"
            raise BackendError(self.name, said, "try another backend")
        # Solvers call a model unbounded when its relaxation is, whether or not a point exists.
        if request.out_of_time():
            return Claim(verdict=Verdict.UNKNOWN, limit=Limit.TIME)
        any_point = self._ran(
            without_costs(scaled), replace(request, on_incumbent=None, warm_start=None)
        )
        if any_point.verdict in (Verdict.OPTIMAL, Verdict.FEASIBLE):
            return replace(claim, verdict=Verdict.UNBOUNDED)
        if any_point.verdict is not Verdict.UNKNOWN:  # without costs nothing is unbounded
            return Claim(verdict=Verdict.INFEASIBLE, build_s=claim.build_s)
        return Claim(verdict=Verdict.UNKNOWN, limit=any_point.limit)

    def _ran(self, model: LinearModel, request: Request) -> Claim:
        """Return what the solver claims; whatever it raises is its failure."""
        try:
            return self.run(model, request)
        except BackendError:
            raise
        except Exception as error:
            said = f"{type(error).__name__}: {error}".removesuffix(": ")
            raise BackendError(self.name, said, "try another backend") from error

    def _believed(
        self, model: LinearModel, scaled: LinearModel, factor: float, claim: Claim, request: Request
    ) -> MipAnswer:
        """Return the answer after checking the claimed point against the original model."""
        backend = self.version()
        bound = _finite(claim.bound, factor)
        if claim.verdict is Verdict.OPTIMAL and claim.bound is not None and bound is None:
            said = f"it calls its point optimal, and its bound is {claim.bound}"
            raise BackendError(self.name, said, "try another backend")
        self._check_against(model, claim.verdict, bound, request.warm_start, "warm start")
        if claim.verdict is Verdict.INFEASIBLE:
            return MipAnswer(status=Status.INFEASIBLE, backend=backend)
        if claim.verdict is Verdict.UNBOUNDED:
            return MipAnswer(status=Status.UNBOUNDED, backend=backend)
        x = None if claim.x is None else self._valid(model, scaled, claim.x, request)
        if x is not None:
            self._check_against(model, claim.verdict, bound, x, "own point")
            return judged(
                model, verdict=claim.verdict, limit=claim.limit, x=x, bound=bound,
                gap=request.gap, backend=backend,
            )  # fmt: skip
        if claim.limit is Limit.NONE:
            raise self._refused(model, claim)
        return MipAnswer(
            status=Status.NO_PLAN_FOUND, limit=claim.limit, bound=bound, backend=backend
        )

    def _valid(
        self, model: LinearModel, scaled: LinearModel, x: FloatArray, request: Request
    ) -> FloatArray | None:
        """Return `x` tidied, or ``None`` if it breaks the model and cannot be mended."""
        if not _is_point(model, x):
            return None
        x = tidy(model, x)
        if not model.violations(x):
            return x
        if model.integrality.all() or not model.integrality.any() or request.out_of_time():
            return None
        # An integer at 0.9999999 times a large coefficient: fix the integers, solve for the rest.
        try:
            mended = self._ran(with_fixed_integers(scaled, x), replace(request, on_incumbent=None))
        except BackendError as error:
            _log.debug("could not mend a point: %s", error)
            return None
        if mended.x is None or not _is_point(model, mended.x):
            return None
        x = tidy(model, mended.x)
        return None if model.violations(x) else x

    def _check_against(
        self,
        model: LinearModel,
        verdict: Verdict,
        bound: float | None,
        point: FloatArray | None,
        name: str,
    ) -> None:
        """Raise `BackendError` if a point that was checked disproves the claim."""
        if point is None:
            return
        if verdict is Verdict.INFEASIBLE:
            said = f"it calls a model infeasible whose {name} is feasible"
        elif bound is not None and disproved(model, bound, point):
            objective = model.evaluate(point)
            said = f"its bound {bound:g} is above the objective {objective:g} of its {name}"
        else:
            return
        raise BackendError(self.name, said, "try another backend")

    def _refused(self, model: LinearModel, claim: Claim) -> BackendError:
        if claim.x is None:
            said = f"no answer ({claim.verdict.name.lower()})"
        else:
            point = _is_point(model, claim.x)
            broken = model.violations(tidy(model, claim.x) if point else claim.x)
            said = f"its point breaks {len(broken)} conditions, first: {broken[0].message}"
        return BackendError(
            self.name, said, "try another backend, or units that bring the coefficients closer"
        )


def _is_point(model: LinearModel, x: FloatArray) -> bool:
    return x.shape == (model.num_columns,) and bool(np.isfinite(x).all())


def _finite(bound: float | None, factor: float) -> float | None:
    return bound / factor if bound is not None and math.isfinite(bound) else None


def _unscaled(
    listener: OnIncumbent | None, model: LinearModel, factor: float
) -> OnIncumbent | None:
    """Return a listener for the scaled model that passes on checked points of the original."""
    if listener is None:
        return None

    def listen(x: FloatArray | None, bound: float | None) -> None:
        point = None if x is None else checked_start(model, x)
        if point is not None or bound is not None:
            listener(point, _finite(bound, factor))

    return listen
