"""One piece of work called until it is done, or has failed for good."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import msgspec
import numpy as np

from moeopt.adapters.aws_lambda.calls import Call, Seconds
from moeopt.adapters.aws_lambda.clients import Clients
from moeopt.adapters.aws_lambda.dispatch.failures import (
    Failure,
    failure_of_exception,
    failure_of_function,
)
from moeopt.adapters.aws_lambda.dispatch.patience import Patience
from moeopt.adapters.aws_lambda.dispatch.report_line import Report, report_of
from moeopt.adapters.aws_lambda.fleet import Fleet
from moeopt.adapters.aws_lambda.worker.protocol import VERSION, Answer, Event, Tensor, from_text


@dataclass(frozen=True)
class Target:
    """Whose tokens a call computes; replicas count from 0."""

    layer: int
    expert: int
    replica: int


@dataclass(frozen=True)
class Outcome:
    """How a piece of work ended.

    Attributes
    ----------
    answer
        The function's, ``None`` if it failed for good.
    outputs
        ``(tokens, width)``, if the answer carries them (design 3).
    calls
        Every attempt.
    failure
        The last one's, ``None`` if it ended well.
    """

    answer: Answer | None
    outputs: Tensor | None
    calls: tuple[Call, ...]
    failure: Failure | None


@dataclass(frozen=True)
class _Reply:
    """What came of one call: an answer or a failure, and the platform's report if it is there."""

    payload: bytes = b""
    report: Report | None = None
    answer: Answer | None = None
    outputs: Tensor | None = None
    failure: Failure | None = None


class Caller:
    """Calls functions of a fleet. Threads may share it.

    Parameters
    ----------
    clients
        Doors to AWS.
    fleet
        Whose functions.
    patience
        How long to keep trying; `Patience`'s own if left out.
    """

    def __init__(self, clients: Clients, fleet: Fleet, *, patience: Patience | None = None) -> None:
        self._clients = clients
        self._fleet = fleet
        self._patience = patience or Patience()

    def call(
        self, target: Target, event: Event, clock: Callable[[], float],
        stop: threading.Event | None = None,
    ) -> Outcome:  # fmt: skip
        """Return how a piece of work ended.

        Failures that pass are tried again with the same event, so that the same objects are
        written again. One that fewer tokens may avoid is handed back at once, but for the first
        time-out of a single token.

        Parameters
        ----------
        target
            Whose tokens.
        event
            What is asked for.
        clock
            Seconds since the batch's start.
        stop
            Set when nobody wants the answer any more: no further call is begun.
        """
        patience, body = self._patience, msgspec.json.encode(event)
        calls: list[Call] = []
        tried, wait_s, waited_s, first_s = 0, 0.0, 0.0, clock()
        stop = threading.Event() if stop is None else stop
        while not stop.wait(wait_s):
            began_s = clock()
            reply = self._reply(target, event, body)
            ended_s = clock()
            calls.append(self._call(target, event, body, len(calls) + 1, reply, began_s, ended_s))
            failure = reply.failure
            if failure is None:
                return Outcome(reply.answer, reply.outputs, tuple(calls), None)
            tried += not failure.waits
            wait_s = max(patience.wait_s(event["piece"], len(calls)), failure.after_s)
            waited_s += wait_s
            hopeless = tried >= patience.attempts or waited_s > patience.total_s
            if hopeless or not _worth_another(failure, calls):
                failure = _last(failure, calls[-1], ended_s - first_s)
                return Outcome(None, None, tuple(calls), failure)
        stopped = Failure("stopped", "given up before it was done", ran=False)
        return Outcome(None, None, tuple(calls), stopped)

    def _reply(self, target: Target, event: Event, body: bytes) -> _Reply:
        """Return what comes of one call."""
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            response = self._clients.calls.invoke(
                FunctionName=self._fleet.function(target.layer, target.expert),
                Payload=body,
                LogType="Tail",
            )
            payload = response["Payload"].read()
        except (ClientError, BotoCoreError) as error:
            limit = self._fleet.problem.limits().payload_bytes
            return _Reply(failure=failure_of_exception(error, too_large=len(body) > limit))
        report = report_of(response.get("LogResult"), response["ResponseMetadata"].get("RequestId"))
        if response.get("FunctionError"):
            memory_mb = self._fleet.memory_mb(target.layer, target.expert)
            return _Reply(payload, report, failure=failure_of_function(payload, report, memory_mb))
        try:
            answer, outputs = self._answer(target, event, payload)
        except ValueError as error:
            failure = Failure("answer", f"what came back is no answer to this call: {error}")
            return _Reply(payload, report, failure=failure)
        return _Reply(payload, report, answer, outputs)

    def _answer(self, target: Target, event: Event, payload: bytes) -> tuple[Answer, Tensor | None]:
        """Return the answer to an event, and its outputs.

        Raises
        ------
        ValueError
            If it is no answer, or one to another event.
        """
        answer = msgspec.json.decode(payload, type=Answer)
        width = self._fleet.widths(target.layer)[1]
        due = (VERSION, event["piece"], sum(event["minibatches"]), width)
        got = (answer["version"], answer["piece"], answer["tokens"], answer["width"])
        if got != due:
            raise ValueError(f"version, piece, tokens and width are {got}, not {due}")
        if event["design"] != 3:
            return answer, None
        outputs = from_text(answer["payload"], width)
        if len(outputs) != answer["tokens"]:
            raise ValueError(f"{len(outputs)} outputs for {answer['tokens']} tokens")
        return answer, outputs

    def _call(
        self, target: Target, event: Event, body: bytes, attempt: int, reply: _Reply,
        began_s: float, ended_s: float,
    ) -> Call:  # fmt: skip
        """Return the record of one call."""
        failure, report = reply.failure, reply.report
        memory_mb = self._fleet.memory_mb(target.layer, target.expert)
        estimated = report is None and (failure is None or failure.ran)
        if report is None:
            seconds = ended_s - began_s if estimated else 0.0
            # Adding 0.0 makes the -0.0 that rounding up gives a 0.0.
            billed_s = float(self._fleet.problem.book().billed_s(np.array(seconds))) + 0.0
            report = Report(seconds, billed_s, memory_mb, used_mb=None, init_s=None)
        stages = None if reply.answer is None else reply.answer["stages"]
        return Call(
            function=self._fleet.function(target.layer, target.expert),
            layer=target.layer,
            expert=target.expert,
            replica=target.replica,
            design=event["design"],
            memory_mb=report.memory_mb,
            piece=event["piece"],
            attempt=attempt,
            minibatches=tuple(event["minibatches"]),
            began_s=began_s,
            ended_s=ended_s,
            duration_s=report.duration_s,
            billed_s=report.billed_s,
            init_s=report.init_s,
            used_mb=report.used_mb,
            request_bytes=len(body),
            response_bytes=len(reply.payload),
            error=None if failure is None else failure.kind,
            message="" if failure is None else failure.message,
            seconds=None if stages is None else msgspec.convert(stages, Seconds),
            estimated=estimated,
        )


def _worth_another(failure: Failure, calls: Sequence[Call]) -> bool:
    """Tell whether the same call may end otherwise, and no smaller ones would do better."""
    if failure.kind == "timeout" and calls[-1].tokens == 1:
        # It cannot be halved, and storage may just have been slow. The whole time is billed.
        return sum(call.error == "timeout" for call in calls) == 1
    return failure.again


def _last(failure: Failure, call: Call, spent_s: float) -> Failure:
    """Return the failure that ended it all, told with whom and how often we called."""
    often = f" (call {call.attempt}, after {spent_s:.1f} s)" if call.attempt > 1 else ""
    return replace(failure, message=f"{call.function}: {failure.message}{often}")
