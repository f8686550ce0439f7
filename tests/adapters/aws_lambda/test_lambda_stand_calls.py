"""Calls on the stand, one by one: what Lambda's documentation says of each kind, is so.

The documented behaviours are those of https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html
and of the pages on limits, on the life of an execution environment, and on billing.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from lambda_small import Small, runs, small, soon, zipped

from moeopt.adapters.aws_lambda.clients import Clients
from moeopt.adapters.aws_lambda.stand.errors import REQUEST_BYTES, RESPONSE_BYTES
from moeopt.adapters.aws_lambda.stand.local import Stand


@pytest.fixture(scope="module")
def function(clients: Clients) -> Iterator[Small]:
    """Make one for all tests that leave it as it is."""
    with small(clients) as made:
        yield made


def refused(function: Small, **given: Any) -> dict[str, Any]:
    """Return what a call is refused with."""
    with pytest.raises(ClientError) as caught:
        function.call(**given)
    return dict(caught.value.response)


def test_lambda_stand_the_first_call_is_cold_and_its_start_is_billed(
    stand: Stand, function: Small
) -> None:
    stand.chill()
    cold, warm = function.call({}), function.call({})
    assert cold.cold
    assert not warm.cold
    assert cold.said["pid"] == warm.said["pid"]
    for called in (cold, warm):
        seconds = called.ms("Duration") + (called.ms("Init Duration") if called.cold else 0.0)
        assert called.ms("Billed Duration") == pytest.approx(math.ceil(seconds), abs=1.0)
        assert called.ms("Billed Duration") == int(called.ms("Billed Duration"))
        assert called.report["Memory Size"] == "1769 MB"
        assert 0 < int(called.report["Max Memory Used"].split()[0]) < 1769


def test_lambda_stand_a_log_begins_and_ends_as_lambdas_do(function: Small) -> None:
    called = function.call({"print": "one line"})
    lines = called.log.splitlines()
    assert lines[0] == f"START RequestId: {called.request_id} Version: $LATEST"
    assert lines[1:3] == ["told ['print']", "one line"]
    assert lines[3] == f"END RequestId: {called.request_id}"
    assert lines[4].startswith(f"REPORT RequestId: {called.request_id}\tDuration: ")
    assert called.response["StatusCode"] == 200
    assert called.response["ExecutedVersion"] == "$LATEST"


def test_lambda_stand_an_answer_carries_the_last_four_kilobytes_of_the_log(function: Small) -> None:
    called = function.call({"print": "y" * 10_000})
    assert len(called.log) == 4096
    assert called.log.splitlines()[0].strip("y") == ""
    assert called.report
    assert "LogResult" not in function.call({}, LogType="None").response


def test_lambda_stand_a_function_is_told_who_it_is(function: Small) -> None:
    called = function.call({"a": [1, None, "x"]})
    said = called.said
    assert said["event"] == {"a": [1, None, "x"]}
    assert said["memory"] == "1769"
    assert said["name"] == "small"
    assert said["arn"] == "arn:aws:lambda:us-east-1:123456789012:function:small"
    assert said["id"] == called.request_id
    assert 0 < said["left_ms"] <= 30_000


def test_lambda_stand_a_function_sees_none_of_the_callers_environment(
    stand: Stand, function: Small
) -> None:
    environment = function.call({}).said["environment"]
    assert environment["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"] == "1769"
    assert environment["AWS_REGION"] == "us-east-1"
    assert environment["AWS_ENDPOINT_URL"] == stand.endpoint
    assert environment["PYTHONPATH"] == ""
    assert environment["OMP_NUM_THREADS"] == "1"
    assert "PYTEST_CURRENT_TEST" not in environment


def test_lambda_stand_a_raised_error_is_an_answer(function: Small) -> None:
    pid = function.call({}).said["pid"]
    called = function.call({"raise": "on purpose"})
    assert called.error == "Unhandled"
    assert called.response["StatusCode"] == 200
    assert (called.said["errorType"], called.said["errorMessage"]) == ("ValueError", "on purpose")
    assert "[ERROR] ValueError: on purpose" in called.log
    assert "Status" not in called.report
    assert function.call({}).said["pid"] == pid


def test_lambda_stand_after_a_crash_the_next_call_is_cold(function: Small) -> None:
    called = function.call({"exit": 3})
    assert called.error == "Unhandled"
    assert called.said["errorType"] == "Runtime.ExitError"
    reason = "Runtime exited with error: exit status 3"
    assert called.said["errorMessage"] == f"RequestId: {called.request_id} Error: {reason}"
    assert called.report["Status"] == "error"
    assert called.report["Error Type"] == "Runtime.ExitError"
    assert function.call({}).cold


def test_lambda_stand_a_call_that_takes_too_long_is_killed_with_all_it_started(
    clients: Clients, tmp_path: Path
) -> None:
    with small(clients, "brief", Timeout=1) as function:
        called = function.call({"child": str(tmp_path / "child"), "seconds": 1.2, "late": 1})
        assert called.error == "Unhandled"
        assert called.said["errorType"] == "Sandbox.Timedout"
        assert called.said["errorMessage"].endswith("Error: Task timed out after 1.00 seconds")
        assert f"{called.request_id} Task timed out after 1.00 seconds" in called.log
        assert called.report["Status"] == "timeout"
        assert called.ms("Duration") == 1000.0
        pids = [int(word) for word in (tmp_path / "child").read_text().split()]
        assert soon(lambda: not any(map(runs, pids)))
        # What the killed call would have answered by now is nobody's answer.
        after = function.call({"seconds": 0.4})
        assert after.cold
        assert after.said["event"] == {"seconds": 0.4}


def test_lambda_stand_more_memory_than_there_is_ends_the_process(clients: Clients) -> None:
    with small(clients, "narrow", MemorySize=128) as function:
        called = function.call({"megabytes": 140})
        assert called.error == "Unhandled"
        assert called.said["errorType"] == "Runtime.ExitError"
        assert called.said["errorMessage"].endswith("Runtime exited with error: signal: killed")
        assert called.report["Max Memory Used"] == called.report["Memory Size"] == "128 MB"
        after = function.call({})
        assert after.cold
        assert after.error is None


@pytest.mark.parametrize(
    "name",
    [
        "small:$LATEST",
        "123456789012:function:small",
        "arn:aws:lambda:us-east-1:123456789012:function:small",
        "arn:aws:lambda:us-east-1:123456789012:function:small:$LATEST",
    ],
)
def test_lambda_stand_a_function_goes_by_its_arn_too(function: Small, name: str) -> None:
    assert function.call({}, FunctionName=name).said["name"] == "small"


def test_lambda_stand_what_is_not_there_is_not_found(function: Small) -> None:
    for given in ({"FunctionName": "nobody"}, {"Qualifier": "7"}):
        response = refused(function, event={}, **given)
        assert response["Error"]["Code"] == "ResourceNotFoundException"
        assert response["Error"]["Message"].startswith("Function not found: arn:aws:lambda:")
        assert response["ResponseMetadata"]["HTTPStatusCode"] == 404


def test_lambda_stand_no_payload_is_an_empty_event_and_nonsense_is_refused(function: Small) -> None:
    assert function.call(None).said["event"] == {}
    response = refused(function, Payload=b"{nonsense")
    assert response["Error"]["Code"] == "InvalidRequestContentException"
    assert response["ResponseMetadata"]["HTTPStatusCode"] == 400


def test_lambda_stand_a_dry_run_runs_nothing(stand: Stand, function: Small) -> None:
    before = stand.statistics().calls
    called = function.call({}, InvocationType="DryRun")
    assert called.response["StatusCode"] == 204
    assert called.said is None
    assert refused(function, event={}, FunctionName="nobody", InvocationType="DryRun")
    assert stand.statistics().calls == before


def test_lambda_stand_a_call_nobody_waits_for_is_tried_three_times(
    stand: Stand, function: Small, tmp_path: Path
) -> None:
    before = stand.statistics().calls
    event = {"line": str(tmp_path / "lines"), "raise": "always"}
    called = function.call(event, InvocationType="Event")
    assert called.response["StatusCode"] == 202
    assert called.said is None
    assert soon(lambda: stand.statistics().calls == before + 3)
    done = {"line": str(tmp_path / "done")}
    function.call(done, InvocationType="Event")
    assert soon(lambda: stand.statistics().calls == before + 4)
    assert len((tmp_path / "lines").read_text().splitlines()) == 3
    assert len((tmp_path / "done").read_text().splitlines()) == 1


def test_lambda_stand_payloads_have_a_largest_size(function: Small) -> None:
    fits = REQUEST_BYTES - len('{"fill": ""}')
    # Back it would be too much, so it is the answer that is refused.
    assert function.call({"fill": "x" * fits}).said["errorType"] == "Function.ResponseSizeTooLarge"
    response = refused(function, event={"fill": "x" * (fits + 1)})
    assert response["Error"]["Code"] == "RequestTooLargeException"
    assert response["ResponseMetadata"]["HTTPStatusCode"] == 413
    response = refused(function, event={"fill": "x" * 2**20}, InvocationType="Event")
    assert response["Error"]["Code"] == "RequestTooLargeException"


def test_lambda_stand_answers_have_a_largest_size(function: Small) -> None:
    quotes = 2
    assert len(function.call({"characters": RESPONSE_BYTES - quotes}).said) == RESPONSE_BYTES - 2
    called = function.call({"characters": RESPONSE_BYTES - quotes + 1})
    assert called.error == "Unhandled"
    assert called.said == {
        "errorType": "Function.ResponseSizeTooLarge",
        "errorMessage": "Response payload size exceeded maximum allowed payload size "
        "(6291556 bytes).",
    }
    assert function.call({}).error is None


@pytest.mark.parametrize(
    ("handler", "files", "kind"),
    [
        ("absent.handle", {"small.py": ""}, "Runtime.ImportModuleError"),
        ("small.handle", {"small.py": "raise KeyError(5)"}, "KeyError"),
        ("small.handle", {"small.py": "import os; os._exit(7)"}, "Runtime.ExitError"),
    ],
)
def test_lambda_stand_a_start_that_fails_is_tried_again_within_the_call(
    clients: Clients, handler: str, files: dict[str, str], kind: str
) -> None:
    with small(clients, "faulty", Handler=handler, Code={"ZipFile": zipped(files)}) as function:
        called = function.call({})
        assert called.error == "Unhandled"
        assert called.said["errorType"] == kind
        assert f"Phase: init\tStatus: error\tError Type: {kind}" in called.log
        assert "Init Duration" not in called.report
        assert called.report["Error Type"] == kind


def test_lambda_stand_requests_to_storage_are_known_by_their_function(
    stand: Stand, clients: Clients, function: Small
) -> None:
    clients.storage.create_bucket(Bucket="seen")
    clients.storage.put_object(Bucket="seen", Key="key", Body=b"content")
    assert function.call({"key": "/seen/key"}).said == "content"
    traffic = stand.statistics().traffic["small"]
    assert (traffic.gets, traffic.puts, traffic.get_bytes) == (1, 0, 7)
    clients.storage.delete_object(Bucket="seen", Key="key")
    clients.storage.delete_bucket(Bucket="seen")
