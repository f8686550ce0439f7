"""What a wing is: typed problem and plan documents, their checker, and methods that solve."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import msgspec
import numpy as np

from moeopt.core.fields import settle

if TYPE_CHECKING:
    from moeopt.core.result import Limit
    from moeopt.core.stop import Context


class Document(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, eq=False):
    """A frozen, typed record that may hold arrays; equality compares arrays by value.

    However it is made, by its constructor, `msgspec.structs.replace` or from a file, its fields
    are checked against their annotations, and its arrays are copies that nobody can write to. A
    subclass's own ``__post_init__`` runs after that.
    """

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        own = cls.__dict__.get("__post_init__")
        if own is not None:
            cls.__post_init__ = _settled_first(own)  # type: ignore[assignment,method-assign]

    def __post_init__(self) -> None:
        settle(self)

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return all(_same(getattr(self, f), getattr(other, f)) for f in self.__struct_fields__)

    # Python's own, the opposite of `__eq__`: msgspec's compares records without `eq` as objects.
    __ne__ = object.__ne__

    __hash__ = None  # type: ignore[assignment]  # records with arrays are compared, not hashed


class Problem(Document, frozen=True, kw_only=True, tag_field="problem", omit_defaults=True):
    """What a user states. Subclasses carry the wing's name as their tag.

    Attributes
    ----------
    version
        Version of the document's schema; a wing's own type narrows it to ``Literal[1]``.
    name
        Name of the instance, for tables and files.
    source
        Where the data come from.
    generator
        The call that made the instance, when one did (name, seed and parameters).
    """

    version: int = 1
    name: str = ""
    source: str = ""
    generator: dict[str, str | int | float] | None = None

    def sizes(self) -> dict[str, int]:
        """Return what the problem counts, by name: every property ``num_...``."""
        names = [name for name in dir(type(self)) if name.startswith("num_")]
        return {name.removeprefix("num_"): getattr(self, name) for name in names}

    def __repr__(self) -> str:
        parts = [repr(self.name)] if self.name else []
        parts += [f"{count} {what}" for what, count in self.sizes().items()]
        return f"<{type(self).__name__} {', '.join(parts)}>".replace(" >", ">")


class Plan(Document, frozen=True, kw_only=True, tag_field="plan"):
    """What a user gets. Subclasses carry the wing's name as their tag.

    Attributes
    ----------
    version
        Version of the document's schema; a wing's own type narrows it to ``Literal[1]``.
    """

    version: int = 1


class Violation(msgspec.Struct, frozen=True, kw_only=True):
    """One constraint that a plan breaks, or that a problem makes impossible.

    Attributes
    ----------
    constraint
        Label on the formulation page (``"C2"``), or ``"shape"`` for a plan that cannot be read.
    path
        JSON path of what breaks it: in the plan, or in the problem if it is infeasible.
    message
        Value, rule and remedy, in one sentence.
    amount
        By how much, in the constraint's own unit.
    """

    constraint: str
    path: str
    message: str
    amount: float

    def __str__(self) -> str:
        return f"{self.constraint} at {self.path}: {self.message}"

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain JSON types."""
        return msgspec.structs.asdict(self)


class Evaluation(Protocol):
    """What a wing's ``evaluate`` returns: at least the objective of a plan."""

    @property
    def objective(self) -> float:
        """Return the value that methods minimise."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a method hands back; `moeopt.solve` checks it and makes the `Result` from it.

    Attributes
    ----------
    plan
        The incumbent, or ``None``.
    bound
        Proven lower bound of the objective, or ``None``.
    limit
        What stopped the method, or ``None`` if it ran to its end.
    infeasible
        The constraints that were proven impossible together; empty if nothing was proven.
    backend
        Solver and version, if one was used.
    build_s
        Seconds spent building models.
    statistics
        Anything worth telling, as plain JSON types.
    """

    plan: Plan | None = None
    bound: float | None = None
    limit: Limit | None = None
    infeasible: tuple[Violation, ...] = ()
    backend: str | None = None
    build_s: float = 0.0
    statistics: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Capabilities:
    """What a method can do, as data: the conformance suite holds it to this.

    Attributes
    ----------
    exact
        Given time, it proves its plan optimal or the problem infeasible.
    anytime
        It keeps the best plan so far and returns it at the deadline.
    bounds
        It always returns a bound.
    warm_start
        It uses the plan given as ``warm_start``.
    complete
        It finds a plan whenever one exists (given time). A method without it may fail.
    """

    exact: bool = False
    anytime: bool = False
    bounds: bool = False
    warm_start: bool = False
    complete: bool = False


def accepts_everything(problem: Any) -> str | None:
    """Accept any problem of the wing (the default of `Method.refuses`)."""
    del problem
    return None


@dataclass(frozen=True, kw_only=True)
class Method:
    """A named way to solve a wing's problems.

    Attributes
    ----------
    name
        The name users write.
    summary
        One line for ``moeopt solve --list-methods`` and the docs.
    run
        ``run(problem, context, warm_start)`` returns an `Outcome`.
    capabilities
        What it can do.
    refuses
        Returns why this method cannot take a problem, or ``None`` if it can.
    """

    name: str
    summary: str
    run: Callable[[Any, Context, Any], Outcome]
    capabilities: Capabilities = Capabilities()
    refuses: Callable[[Any], str | None] = accepts_everything


@dataclass(frozen=True, kw_only=True)
class Wing:
    """A family of problems: its documents, its checker and its methods.

    Attributes
    ----------
    name
        Name of the wing, the documents' tag and the package ``moeopt.<name>``.
    problem_type, plan_type
        The documents.
    violations
        ``violations(problem, plan)``: every constraint the plan breaks. Knows no method.
    evaluate
        ``evaluate(problem, plan)``: objective and figures of a valid plan. Knows no method.
    impossible
        ``impossible(problem)``: constraints that cannot hold, found without search.
    methods
        The methods by name; ``"auto"`` is among them.
    build
        ``build(problem)``: the list of exact models of the problem, for export.
    summarise
        ``summarise(problem, plan, result)``: tables for people, as `moeopt.core.table.Table`.
    picture
        ``picture(plan)``: tables of what a plan says without its problem, ``None`` if nothing.
    version
        Version of the schema of its documents, the only one that is read.
    """

    name: str
    problem_type: type[Problem]
    plan_type: type[Plan]
    violations: Callable[[Any, Any], list[Violation]]
    evaluate: Callable[[Any, Any], Evaluation]
    impossible: Callable[[Any], list[Violation]]
    methods: Mapping[str, Method]
    build: Callable[[Any], Any]
    summarise: Callable[..., Any]
    picture: Callable[[Any], Any] | None = None
    version: int = 1


def _settled_first(own: Callable[[Any], None]) -> Callable[[Any], None]:
    @functools.wraps(own)
    def post_init(self: Any) -> None:
        settle(self)
        own(self)

    return post_init


def _same(one: object, other: object) -> bool:
    if isinstance(one, np.ndarray) or isinstance(other, np.ndarray):
        return np.array_equal(one, other)  # type: ignore[arg-type]
    return one == other
