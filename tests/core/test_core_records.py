"""Results, contexts, errors, documents and arrays: the small records that everything uses."""

import json
import math
import pickle
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from moeopt.core.arrays import (
    array_from_lists,
    own_array,
    require_finite_nonnegative,
    require_shape,
)
from moeopt.core.errors import (
    AdapterError,
    BackendError,
    InstanceError,
    InternalError,
    MoeoptError,
    shorten,
)
from moeopt.core.result import Limit, Result, Status, relative_gap
from moeopt.core.stop import Context
from moeopt.core.wing import Document, Violation

NUMBERS = st.floats(0.001, 1e9)


class Record(Document, frozen=True, kw_only=True):
    name: str = ""
    values: np.ndarray | None = None


class Other(Document, frozen=True, kw_only=True):
    name: str = ""
    values: np.ndarray | None = None


def test_the_gap_is_none_while_anything_is_unknown():
    assert relative_gap(None, 1.0) is None
    assert relative_gap(1.0, None) is None
    assert Result(status=Status.NO_PLAN_FOUND, method="m").gap is None
    assert Result(status=Status.FEASIBLE, method="m", objective=0.0).gap is None


@given(NUMBERS, NUMBERS)
def test_the_gap_is_relative_to_the_objective(objective, bound):
    gap = relative_gap(objective, bound)
    assert gap == pytest.approx(max(0.0, objective - bound) / objective)
    assert relative_gap(objective * 4.0, bound * 4.0) == gap


def test_the_gap_at_zero():
    assert relative_gap(0.0, 0.0) == 0.0
    assert relative_gap(0.0, -1.0) > 1.0
    assert relative_gap(-2.0, -4.0) == 1.0


def test_a_result_is_plain_json():
    violation = Violation(constraint="C1", path="$", message="no", amount=1.0)
    result = Result(status=Status.INFEASIBLE, limit=Limit.TIME, method="m", violations=(violation,))
    record = json.loads(json.dumps(result.to_dict()))
    assert record["status"] == "infeasible"
    assert record["limit"] == "time"
    assert record["objective"] is None
    assert record["gap"] is None
    assert record["violations"] == [
        {"constraint": "C1", "path": "$", "message": "no", "amount": 1.0}
    ]
    assert "plan" not in record


def test_a_context_without_limit_never_ends():
    context = Context()
    assert context.remaining_s() == math.inf
    assert not context.out_of_time()


def test_a_context_counts_from_the_start_of_the_solve():
    context = Context(time_limit_s=10.0, started_s=time.perf_counter() - 4.0)
    assert context.elapsed_s() == pytest.approx(4.0, abs=0.5)
    assert context.remaining_s() == pytest.approx(6.0, abs=0.5)
    assert not context.out_of_time()


def test_a_late_context_has_nothing_left():
    context = Context(time_limit_s=1.0, started_s=time.perf_counter() - 4.0)
    assert context.remaining_s() == 0.0
    assert context.out_of_time()


@pytest.mark.parametrize(
    ("objective", "bound", "enough"),
    [(2.0, 1.9, True), (2.0, 1.0, False), (None, 1.0, False), (2.0, None, False)],
)
def test_close_enough_needs_both_numbers(objective, bound, enough):
    assert Context(gap=0.1).close_enough(objective, bound) is enough


def test_progress_reaches_the_listener():
    events = []
    Context(progress=events.append).report(2.0, None, "warming up")
    Context().report(2.0, None, "nobody listens")
    assert [(e.objective, e.bound, e.note) for e in events] == [(2.0, None, "warming up")]
    assert events[0].elapsed_s >= 0.0


@pytest.mark.parametrize(
    "error",
    [
        InstanceError("$.slots", -1, "must be >= 0", "correct it"),
        BackendError("scip", "out of memory", "use highs"),
        AdapterError("the cloud said no"),
        InternalError("our fault"),
    ],
)
def test_errors_survive_pickling(error):
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error)
    assert str(again) == str(error)
    assert vars(again) == vars(error)
    assert isinstance(again, MoeoptError)


def test_an_instance_error_names_all_four_parts():
    error = InstanceError("$.slots", -1, "must be >= 0", "correct it")
    assert str(error) == "$.slots: must be >= 0, got -1; correct it"
    assert isinstance(error, ValueError)
    assert error.under("$.nodes[2]").path == "$.nodes[2].slots"
    assert InstanceError("$", 0, "r", "m").under("$.a").path == "$.a"


@given(st.text() | st.lists(st.integers()) | st.floats())
def test_shown_values_are_one_short_line(value):
    shown = shorten(value)
    assert len(shown) <= 60
    assert "\n" not in shown


def test_documents_compare_arrays_by_value():
    one, same = Record(values=np.ones((2, 2))), Record(values=np.ones((2, 2)))
    assert one == same
    assert one != Record(values=np.ones((2, 1)))
    assert one != Record(values=np.zeros((2, 2)))
    assert one != Record(values=None)
    assert one != Record(name="other", values=np.ones((2, 2)))
    assert one != Other(values=np.ones((2, 2)))
    assert one != "a string"


class Checked(Record, frozen=True, kw_only=True):
    count: int = 0

    def __post_init__(self):
        assert isinstance(self.values, np.ndarray | None)
        assert type(self.count) is int


def test_every_document_checks_its_fields_before_its_own_checks():
    made = Checked(values=[[1, 2]], count=np.int64(4))
    assert made.values.tolist() == [[1, 2]]
    assert not made.values.flags.writeable
    for fields in ({"count": "1"}, {"values": "x"}, {"name": 3}):
        with pytest.raises(InstanceError) as caught:
            Checked(**fields)
        assert caught.value.path == f"$.{next(iter(fields))}"


def test_integers_too_long_to_print_can_be_shown():
    assert shorten(10**5000) == "<int>"


def test_arrays_are_owned_and_closed():
    loads = np.ones(3, dtype=np.float32)
    own = own_array(loads, "$.a")
    assert (own.dtype, own.flags.writeable) == (np.float64, False)
    assert own_array(own, "$.a") is own
    assert own_array(own[None], "$.a").base is own
    assert own_array(own, "$.a", np.int64).dtype == np.int64
    for odd in ([0.5], [math.nan], [1e300], [math.inf]):
        assert own_array(odd, "$.a", np.int64).dtype == np.float64


def test_documents_are_frozen_and_not_hashed():
    record = Record()
    with pytest.raises(AttributeError):
        record.name = "new"
    with pytest.raises(TypeError, match="unhashable"):
        hash(record)


@given(st.lists(st.lists(st.integers(-5, 5), min_size=2, max_size=2), min_size=1))
def test_integers_stay_integers(rows):
    array = array_from_lists(rows)
    assert array.dtype == np.int64
    assert array.tolist() == rows


def test_one_float_makes_them_all_floats():
    array = array_from_lists([[1, 2], [3, 4.5]])
    assert array.dtype == np.float64
    assert array_from_lists([]).dtype == np.float64


@pytest.mark.parametrize(
    ("value", "path"),
    [
        ("text", "$"),
        (None, "$"),
        ({"a": 1}, "$"),
        ([1, "2"], "$[1]"),
        ([[1], ["2"]], "$[1][0]"),
        ([1, None], "$[1]"),
        ([True, 1], "$[0]"),
        ([[1, 2], [3]], "$"),
        ([1, [2]], "$"),
        ([[1, 2], 3], "$"),
        ([1.0, float("nan")], "$"),
        ([[1.0], [float("inf")]], "$[1]"),
        ([10**30], "$"),
        ([2**63], "$"),
    ],
)
def test_arrays_refuse_what_is_no_array(value, path):
    with pytest.raises(InstanceError) as caught:
        array_from_lists(value)
    assert caught.value.path.startswith(path)


def test_shapes_are_said_in_words():
    require_shape(np.ones((2, 3)), "$.a", (2, 3), "layers, experts")
    with pytest.raises(InstanceError, match="layers, experts"):
        require_shape(np.ones((3, 2)), "$.a", (2, 3), "layers, experts")


@pytest.mark.parametrize("bad", [-1.0, math.nan, math.inf])
def test_the_first_bad_entry_is_named(bad):
    array = np.ones((2, 3))
    require_finite_nonnegative(array, "$.a")
    array[1, 2] = bad
    with pytest.raises(InstanceError) as caught:
        require_finite_nonnegative(array, "$.a")
    assert caught.value.path == "$.a[1][2]"


def test_equal_records_are_not_unequal():
    one, other = Record(values=np.ones(2)), Record(values=np.ones(2))
    assert one == other
    assert (one != other) is False
    assert one != Record(values=np.zeros(2))
    assert one != Other()
    # As for every object: the other side is asked too, an array for each of its entries.
    assert (one != np.ones(2)).tolist() == [True, True]
    with pytest.raises(TypeError, match="unhashable"):
        hash(one)
