"""Faults on the way: outputs are right, or an error says what failed and a second run completes."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lambda_cases import mini, plan_of
from lambda_deployed import Deployed, deployed

from moeopt.adapters.aws_lambda.clients import Clients
from moeopt.adapters.aws_lambda.dispatch.batch import LayerError, LayerResult
from moeopt.adapters.aws_lambda.dispatch.patience import Patience
from moeopt.adapters.aws_lambda.stand.faults import Fault
from moeopt.adapters.aws_lambda.stand.local import Stand

#: A layer of each design.
DESIGNS = (1, 2, 3)


@pytest.fixture(scope="module")
def here(clients: Clients) -> Iterator[Deployed]:
    """Return three layers of two experts, of which one has two replicas."""
    problem = mini(((6, 3),) * 3)
    plan = plan_of(problem, DESIGNS, memory_mb=1769)
    plan = msgspec.structs.replace(plan, replicas=np.array([[2, 1], [1, 1], [1, 1]]))
    with deployed("faults", problem, plan, clients) as fleet:
        yield fleet


def errors_of(result: LayerResult) -> list[str]:
    return sorted(call.error for call in result.record.calls if call.error is not None)


#: A fault that passes, and the failed calls that it leaves behind.
PASSING = {
    "crash": (Fault("crash"), ["crash"]),
    "throttle": (Fault("throttle", times=6), ["throttled"] * 6),
    "service": (Fault("service", times=2), ["service", "service"]),
    "disconnect": (Fault("disconnect", times=2), ["connection", "connection"]),
    "lost-answer": (Fault("lost-answer", times=2), ["connection", "connection"]),
    "s3-slow": (Fault("s3-slow", times=4, seconds=0.1), []),
    "s3-error": (Fault("s3-error", times=1, key="weights/"), []),
    "weights-missing": (Fault("s3-missing", times=1, key="weights/"), ["storage"]),
    "inputs-missing": (Fault("s3-missing", times=3, key="/in-"), []),
    "outputs-missing": (Fault("s3-missing", times=2, key="/out-"), []),
}


@pytest.mark.parametrize("name", PASSING)
def test_lambda_faults_that_pass_leave_outputs_right(
    stand: Stand, here: Deployed, name: str
) -> None:
    fault, errors = PASSING[name]
    with here.gate() as gate:
        for layer in range(len(DESIGNS)):
            stand.inject(fault)
            result = here.batch(gate, layer, seed=layer).run()
            stand.clear()
            here.require_right(layer, result, seed=layer)
            assert errors_of(result) == errors
            ran = {c.error: c.billed_s > 0 for c in result.record.calls}
            for error, billed in ran.items():
                assert billed == (error not in ("throttled", "service"))


def test_lambda_faults_parameters_that_are_gone_are_named_and_deployed_again(
    stand: Stand, here: Deployed
) -> None:
    storage, place = here.clients.storage, {"Bucket": here.fleet.bucket}
    found = storage.list_objects_v2(**place, Prefix=here.fleet.names.prefix)["Contents"]
    for key in (each["Key"] for each in found if "/weights/" in each["Key"]):
        storage.delete_object(**place, Key=key)
    with here.gate() as gate:
        batches = [here.batch(gate, layer) for layer in range(len(DESIGNS))]
        for batch in batches:
            with pytest.raises(LayerError, match=r"9 of 9 .*storage.*weights/.*no such object"):
                batch.run()
        changed = {change.action for change in here.again().changes}
        assert changed == {"create", "keep"}
        for layer, batch in enumerate(batches):
            here.require_right(layer, batch.run())


def test_lambda_faults_a_function_that_is_gone_is_deployed_again(
    stand: Stand, here: Deployed
) -> None:
    function = here.fleet.function(2, 0)
    here.clients.functions.delete_function(FunctionName=function)
    with here.gate() as gate:
        batch = here.batch(gate, 2)
        with pytest.raises(LayerError, match=f"{function}.*deploy the plan first") as caught:
            batch.run()
        assert {one.failure.kind for one in caught.value.lost} == {"missing"}
        here.again()
        here.require_right(2, batch.run())


def test_lambda_faults_throttled_for_good_says_why(stand: Stand, here: Deployed) -> None:
    function, control = here.fleet.function(0, 0), here.clients.functions
    control.put_function_concurrency(FunctionName=function, ReservedConcurrentExecutions=0)
    impatient = Patience(first_s=0.01, most_s=0.02, total_s=0.1)
    with here.gate(impatient) as gate:
        batch = here.batch(gate, 0)
        with pytest.raises(LayerError, match=r"throttled.*ReservedFunction.*more concurrency"):
            batch.run()
        control.delete_function_concurrency(FunctionName=function)
        here.require_right(0, batch.run())


def test_lambda_faults_one_call_at_a_time_only_takes_longer(stand: Stand, here: Deployed) -> None:
    function, control = here.fleet.function(0, 0), here.clients.functions
    control.put_function_concurrency(FunctionName=function, ReservedConcurrentExecutions=1)
    stand.inject(Fault("s3-slow", times=1, function=function, seconds=0.3))
    with here.gate() as gate:
        result = here.batch(gate, 0).run()
    control.delete_function_concurrency(FunctionName=function)
    here.require_right(0, result)
    # None at all, should a busy machine call one after the other by itself.
    assert set(errors_of(result)) <= {"throttled"}


def test_lambda_faults_a_time_out_is_met_by_halves(stand: Stand, here: Deployed) -> None:
    control, function = here.clients.functions, here.fleet.function(0, 1)
    control.update_function_configuration(FunctionName=function, Timeout=1)
    control.get_waiter("function_updated_v2").wait(FunctionName=function)
    stand.inject(Fault("s3-slow", function=function, key="weights/", seconds=1.5))
    with here.gate() as gate:
        result = here.batch(gate, 0).run()
    here.require_right(0, result)
    calls = [call for call in result.record.calls if call.expert == 1]
    first = min(calls, key=lambda call: call.began_s)
    assert (first.tokens, first.error) == (3, "timeout")
    assert first.billed_s >= 1.0
    # On a busy machine another one may be late.
    assert set(errors_of(result)) == {"timeout"}
    assert sum(call.tokens for call in calls if call.error is None) == 3
    # The time-out is the plan's again once it is deployed again.
    assert {change.action for change in here.again().changes} == {"update", "keep"}


_FAULTS = st.builds(
    Fault,
    kind=st.sampled_from(["crash", "throttle", "service", "disconnect", "lost-answer"]),
    times=st.integers(1, 4),
    function=st.sampled_from(["", "-0", "-1"]),
) | st.builds(
    Fault,
    kind=st.sampled_from(["s3-slow", "s3-missing"]),
    times=st.integers(1, 6),
    key=st.sampled_from(["", "weights/", "/in-", "/out-"]),
    seconds=st.sampled_from([0.0, 0.05, 0.2]),
)


@settings(
    max_examples=5,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    layer=st.integers(0, len(DESIGNS) - 1),
    faults=st.lists(_FAULTS, min_size=1, max_size=3),
    attempts=st.integers(1, 4),
    seed=st.integers(0, 3),
)
def test_lambda_faults_drawn_give_right_outputs_or_an_error_and_a_second_run(
    stand: Stand, here: Deployed, layer: int, faults: list[Fault], attempts: int, seed: int
) -> None:
    patience = Patience(attempts=attempts, first_s=0.005, most_s=0.02, total_s=10.0)
    stand.clear()
    stand.inject(*faults)
    with here.gate(patience, wait_s=1.0) as gate:
        batch = here.batch(gate, layer, seed)
        error, result = None, None
        try:
            result = batch.run()
        except LayerError as raised:
            error = raised
        if result is None:
            assert error is not None
            assert {one.piece.name for one in error.lost} == {p.name for p in batch.missing}
            assert str(error.lost[0].failure.kind) in str(error)
            stand.clear()
            result = batch.run()
    here.require_right(layer, result, seed)
