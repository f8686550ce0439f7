"""What a caller makes of everything that Lambda answers, and how long it keeps trying."""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from lambda_round import fleet
from lambda_scripted import REQUEST_ID, Reply, Scripted, failed, refused

from moeopt.adapters.aws_lambda.dispatch.invoke import Caller, Outcome, Target
from moeopt.adapters.aws_lambda.dispatch.patience import Patience
from moeopt.adapters.aws_lambda.worker.protocol import VERSION, Answer, Event, to_text
from moeopt.core.errors import InstanceError

TOKENS = np.arange(6, dtype=np.float32).reshape(3, 2)
QUICK = Patience(attempts=3, first_s=0.001, most_s=0.002, total_s=20.0)

#: Waits that no test outlasts.
ENDLESS = Patience(first_s=1e6, most_s=1e6, total_s=1e9)


def event(tokens: int = 3, **more: Any) -> Event:
    own: Event = {
        "version": VERSION,
        "piece": "batch-1/0-1-0",
        "design": 3,
        "width": 2,
        "minibatches": [tokens],
        "inputs": [],
        "payload": to_text(TOKENS[:tokens]),
        "outputs": [],
        "wait_s": 1.0,
    }
    return {**own, **more}  # type: ignore[typeddict-item]


def answer(**more: Any) -> Answer:
    own: Answer = {
        "version": VERSION,
        "piece": "batch-1/0-1-0",
        "tokens": 3,
        "width": 2,
        "payload": to_text(TOKENS + 1),
        "stages": {
            "load_s": 0.01,
            "load_bytes": 1000,
            "wait_s": 0,
            "read_s": [],
            "read_bytes": [],
            "compute_s": [0.002],
            "write_s": [],
            "write_bytes": [],
            "gets": 1,
            "puts": 0,
        },
    }
    return {**own, **more}  # type: ignore[typeddict-item]


def log(used_mb: int = 40, more: str = "", request_id: str = REQUEST_ID) -> str:
    line = (
        f"REPORT RequestId: {request_id}\tDuration: 20.50 ms\tBilled Duration: 121 ms\t"
        f"Memory Size: 256 MB\tMax Memory Used: {used_mb} MB\t{more}"
    )
    return base64.b64encode(f"END RequestId: {request_id}\n{line}\n".encode()).decode()


def well(**more: Any) -> Reply:
    return Reply(200, answer(**more), {"X-Amz-Log-Result": log()})


@pytest.fixture(scope="module")
def server() -> Iterator[Scripted]:
    scripted = Scripted()
    yield scripted
    scripted.close()


Play = Callable[..., Outcome]


@pytest.fixture(scope="module")
def play(server: Scripted) -> Play:
    """Let the server say these things, and return what one call makes of them."""
    clients = server.clients()

    def call(*replies: Reply, patience: Patience = QUICK, asked: Event | None = None) -> Outcome:
        server.play(replies)
        caller = Caller(clients, fleet(), patience=patience)
        began_s = time.perf_counter()
        return caller.call(Target(0, 1, 1), asked or event(), lambda: time.perf_counter() - began_s)

    return call


def test_lambda_invoke_an_answer_with_its_report(play: Play) -> None:
    cold = {"X-Amz-Log-Result": log(more="Init Duration: 100.00 ms\t")}
    outcome = play(Reply(200, answer(), cold))
    assert outcome.failure is None
    assert outcome.answer == answer()
    np.testing.assert_array_equal(outcome.outputs, TOKENS + 1)
    (call,) = outcome.calls
    assert (call.function, call.layer, call.expert, call.replica) == ("moeopt-round-0-1", 0, 1, 1)
    assert (call.duration_s, call.billed_s, call.init_s) == (0.0205, 0.121, 0.1)
    assert (call.memory_mb, call.used_mb, call.cold, call.estimated) == (256, 40, True, False)
    assert (call.attempt, call.tokens, call.error) == (1, 3, None)
    assert call.request_bytes > 0
    assert call.response_bytes == len(json.dumps(answer()))
    assert call.seconds is not None
    assert (call.seconds.compute_s, call.seconds.gets) == ((0.002,), 1)
    assert 0 <= call.began_s <= call.ended_s


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"X-Amz-Log-Result": "????"},
        {"X-Amz-Log-Result": log(request_id="other")},
        {"x-amzn-RequestId": ""},
    ],
)
def test_lambda_invoke_a_lost_report_is_estimated_and_marked(
    play: Play, headers: dict[str, str]
) -> None:
    (call,) = play(Reply(200, answer(), headers)).calls
    assert call.estimated
    assert call.error is None
    assert call.memory_mb == 256
    assert call.duration_s == pytest.approx(call.ended_s - call.began_s)
    assert call.duration_s <= call.billed_s + 1e-6 <= call.duration_s + 0.0011


#: What passes: tried again until patience ends. The kind, and whether the function may have run.
PASSING = [
    ("crash", True, failed("Runtime.ExitError", "RequestId: x Error: Runtime exited")),
    ("crash", True, failed("Runtime.ExitError", "Runtime exited: signal: killed", log(80))),
    ("crash", True, failed("Sandbox.Failure", "broken")),
    ("storage", True, failed("StorageError", "GET moeopt/x: SlowDown: Please reduce")),
    ("storage", True, failed("StorageError", "GET x: Task timed out after 3 seconds")),
    ("service", False, refused(500, "ServiceException")),
    ("service", False, refused(502, "EC2ThrottledException")),
    ("service", False, Reply(503, b"<html>Service Unavailable</html>")),
    ("connection", True, Reply(closes=True)),
    ("connection", True, Reply(200, answer(), cut=100)),
    ("answer", True, Reply(200, b"<html></html>")),
    ("answer", True, Reply(200, {"errorMessage": "Task timed out after 5.00 seconds"})),
    ("answer", True, well(piece="batch-1/0-0-0")),
    ("answer", True, well(tokens=2)),
    ("answer", True, well(width=3)),
    ("answer", True, well(version=VERSION + 1)),
    ("answer", True, well(payload=to_text(TOKENS[:2]))),
    ("answer", True, well(payload="not base64")),
    ("answer", True, well(stages={})),
]


@pytest.mark.parametrize(("kind", "ran", "reply"), PASSING)
def test_lambda_invoke_what_passes_is_tried_again(
    play: Play, server: Scripted, kind: str, ran: bool, reply: Reply
) -> None:
    outcome = play(reply, reply, well())
    assert outcome.failure is None
    assert [call.error for call in outcome.calls] == [kind, kind, None]
    assert [call.attempt for call in outcome.calls] == [1, 2, 3]
    assert [call.billed_s > 0 for call in outcome.calls] == [ran, ran, True]
    assert len(server.seen) == 3
    assert len(set(server.seen)) == 1, "the same work each time"

    lost = play(reply)
    assert lost.answer is None
    assert lost.outputs is None
    assert lost.failure is not None
    assert (lost.failure.kind, len(lost.calls)) == (kind, QUICK.attempts)
    assert "moeopt-round-0-1: " in lost.failure.message
    assert "call 3" in lost.failure.message


#: What does not: the kind, whether smaller pieces may do, and a word of the message.
FINAL = [
    ("memory", True, "256 MB", failed("Runtime.ExitError", "error: signal: killed", log(256))),
    ("memory", True, "killed", failed("Runtime.ExitError", "error: signal: killed")),
    ("memory", True, "256 MB", failed("Runtime.OutOfMemory", "gone")),
    ("memory", True, "allocate", failed("MemoryError", "cannot allocate")),
    ("memory", True, "256 MB", failed("_ArrayMemoryError", "Unable to allocate 9 GiB")),
    ("timeout", True, "5.00", failed("Sandbox.Timedout", "Task timed out after 5.00 seconds")),
    ("timeout", True, "5.00", failed("", "2026 x Task timed out after 5.00 seconds")),
    ("payload", True, "exceeded", failed("Function.ResponseSizeTooLarge", "size exceeded")),
    ("payload", True, "6291456", refused(413, "RequestTooLargeException", "over 6291456 bytes")),
    ("payload", True, "413", Reply(413, b"")),
    ("function", False, "numpy", failed("Runtime.ImportModuleError", "No module named 'numpy'")),
    ("function", False, "KeyError", failed("KeyError", "'width'", handled=True)),
    ("function", False, "a text", Reply(200, b"a text", {"X-Amz-Function-Error": "Unhandled"})),
    ("function", False, "a word", Reply(200, b"", {"X-Amz-Function-Error": "Unhandled"})),
    ("missing", False, "deploy", refused(404, "ResourceNotFoundException", "Function not found")),
    ("denied", False, "policy", refused(403, "AccessDeniedException", "not authorized")),
    ("denied", False, "credentials", refused(403, "ExpiredTokenException")),
    ("denied", False, "KMS", refused(502, "KMSAccessDeniedException")),
    ("refused", False, "zip", refused(502, "InvalidZipFileException", "bad zip")),
    ("refused", False, "JSON", refused(400, "InvalidRequestContentException", "no JSON")),
]


@pytest.mark.parametrize(("kind", "splits", "word", "reply"), FINAL)
def test_lambda_invoke_what_does_not_pass_is_handed_back_at_once(
    play: Play, kind: str, splits: bool, word: str, reply: Reply
) -> None:
    outcome = play(reply, well())
    assert outcome.failure is not None
    assert (outcome.failure.kind, outcome.failure.splits) == (kind, splits)
    assert word in outcome.failure.message
    (call,) = outcome.calls
    assert (call.error, call.seconds) == (kind, None)
    assert call.message in outcome.failure.message
    assert (call.billed_s > 0) == ("X-Amz-Function-Error" in reply.headers)


#: What has not begun: only time counts.
WAITING = [
    ("throttled", refused(429, "TooManyRequestsException", Reason="CallerRateLimitExceeded")),
    ("updating", refused(409, "ResourceConflictException", "is in state: Pending")),
    ("updating", refused(502, "ResourceNotReadyException")),
    ("updating", refused(409, "CodeArtifactUserPendingException")),
]


@pytest.mark.parametrize(("kind", "reply"), WAITING)
def test_lambda_invoke_what_has_not_begun_costs_no_attempt(
    play: Play, kind: str, reply: Reply
) -> None:
    outcome = play(*[reply] * (2 * QUICK.attempts), well())
    assert outcome.failure is None
    assert len(outcome.calls) == 2 * QUICK.attempts + 1
    # Nor is it "-0.0", which rounding up gives.
    assert {str(call.billed_s) for call in outcome.calls[:-1]} == {"0.0"}
    impatient = Patience(first_s=0.01, most_s=0.01, total_s=0.03)
    lost = play(reply, patience=impatient)
    assert lost.failure is not None
    assert lost.failure.kind == kind
    if kind == "throttled":
        assert "CallerRateLimitExceeded" in lost.failure.message


def test_lambda_invoke_the_platforms_wish_to_wait_is_kept(play: Play) -> None:
    soon = refused(429, "TooManyRequestsException", retry_after="0.05")
    first, second = play(soon, well()).calls
    assert second.began_s - first.ended_s >= 0.05
    late = refused(429, "TooManyRequestsException", retry_after="3600")
    assert len(play(late, well()).calls) == 1


def test_lambda_invoke_a_time_out_of_one_token_gets_one_more_chance(play: Play) -> None:
    late = failed("Sandbox.Timedout", "Task timed out after 5.00 seconds")
    one = well(tokens=1, payload=to_text(TOKENS[:1]))
    outcome = play(late, one, asked=event(tokens=1))
    assert [call.error for call in outcome.calls] == ["timeout", None]
    lost = play(late, asked=event(tokens=1))
    assert [call.error for call in lost.calls] == ["timeout", "timeout"]


def test_lambda_invoke_an_answer_that_does_not_come(server: Scripted) -> None:
    server.play([Reply(hangs=True)])
    caller = Caller(server.clients(read_s=0.05), fleet(), patience=Patience(attempts=1))
    outcome = caller.call(Target(0, 1, 0), event(), time.monotonic)
    assert outcome.failure is not None
    assert outcome.failure.kind == "connection"
    assert outcome.calls[0].billed_s >= 0.05
    assert outcome.calls[0].estimated


def test_lambda_invoke_what_nobody_wants_any_more_is_not_called(server: Scripted) -> None:
    caller = Caller(server.clients(), fleet(), patience=ENDLESS)
    stop, target = threading.Event(), Target(0, 1, 0)
    server.play([refused(500, "ServiceException")])
    with ThreadPoolExecutor(1) as thread:
        calling = thread.submit(caller.call, target, event(), time.monotonic, stop)
        server.await_calls(1)
        stop.set()
        outcome = calling.result()
    assert outcome.failure is not None
    assert outcome.failure.kind == "stopped"
    assert [call.error for call in outcome.calls] == ["service"]
    assert caller.call(target, event(), time.monotonic, stop).calls == ()
    assert len(server.seen) == 1


def test_lambda_invoke_nobody_there() -> None:
    gone = Scripted()
    clients = gone.clients()
    gone.close()
    outcome = Caller(clients, fleet(), patience=QUICK).call(
        Target(0, 1, 0), event(), time.monotonic
    )
    assert [call.error for call in outcome.calls] == ["connection"] * QUICK.attempts
    assert {call.billed_s for call in outcome.calls} == {0.0}


def test_lambda_invoke_a_broken_connection_under_a_large_request_is_the_payload(
    play: Play,
) -> None:
    large = event(payload="A" * 30_000)
    outcome = play(Reply(closes=True), asked=large)
    assert outcome.failure is not None
    assert (outcome.failure.kind, len(outcome.calls)) == ("payload", 1)


def test_lambda_invoke_through_storage_the_answer_carries_no_outputs(server: Scripted) -> None:
    server.play([well(payload="")])
    stored = event(design=2, payload="", inputs=["in"], outputs=["out"])
    outcome = Caller(server.clients(), fleet(2)).call(Target(0, 1, 0), stored, time.monotonic)
    assert outcome.failure is None
    assert outcome.answer is not None
    assert outcome.outputs is None


def test_lambda_invoke_waits_are_drawn_by_piece_and_attempt_below_a_growing_ceiling() -> None:
    patience = Patience(first_s=0.1, most_s=1.0, seed=7)
    waits = [[patience.wait_s(f"p{k}", attempt) for k in range(200)] for attempt in (1, 2, 3, 9)]
    for drawn, ceiling in zip(waits, (0.1, 0.2, 0.4, 1.0), strict=True):
        assert 0.0 <= min(drawn) < 0.1 * ceiling
        assert 0.9 * ceiling < max(drawn) <= ceiling
    assert patience.wait_s("p", 3) == Patience(first_s=0.1, most_s=1.0, seed=7).wait_s("p", 3)
    assert patience.wait_s("p", 3) != Patience(first_s=0.1, most_s=1.0, seed=8).wait_s("p", 3)
    assert patience.wait_s("p", 10_000) <= 1.0


@pytest.mark.parametrize(
    "wrong",
    [
        {"attempts": 0},
        {"attempts": float("nan")},
        {"halvings": -1},
        {"total_s": -1.0},
        {"first_s": float("inf")},
    ],
)
def test_lambda_invoke_patience_of_wrong_numbers(wrong: dict[str, Any]) -> None:
    with pytest.raises(InstanceError, match=next(iter(wrong))):
        Patience(**wrong)
