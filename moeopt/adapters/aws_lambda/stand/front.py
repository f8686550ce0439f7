"""The door: calls of functions are answered by workers, all else is handed on to moto."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Iterable
from typing import Any
from urllib.parse import parse_qs

import msgspec

from moeopt.adapters.aws_lambda.stand import errors, report, rules
from moeopt.adapters.aws_lambda.stand.control import Control
from moeopt.adapters.aws_lambda.stand.errors import Refusal, answer
from moeopt.adapters.aws_lambda.stand.faults import Fault, Kind
from moeopt.adapters.aws_lambda.stand.functions import Function
from moeopt.adapters.aws_lambda.stand.invocation import Conditions, Run
from moeopt.adapters.aws_lambda.stand.link import wait_until
from moeopt.adapters.aws_lambda.stand.listener import ARRIVED, HangUp, body_of
from moeopt.adapters.aws_lambda.stand.report import Ran
from moeopt.adapters.aws_lambda.stand.shape import Shape
from moeopt.adapters.aws_lambda.stand.state import State
from moeopt.core.errors import AdapterError

Environ = dict[str, Any]

_CALL = re.compile(r"/2015-03-31/functions/(?P<name>[^/]+)/invocations/?")
_CREATED = re.compile(r"/2015-03-31/functions/?")
_CHANGED = re.compile(r"/20[0-9-]+/functions/(?P<name>[^/]+)(?:/(?P<part>[a-z-]+))?/?")
_ACCOUNT = re.compile(r"/2016-08-19/account-settings/?")

#: Share of a payload's bytes that are a tensor's: base64 takes four for three.
_TENSOR = 3 / 4

#: Seconds until a call that nobody waits for is tried again, a thousandth of Lambda's own: it waits
#: a minute, and then two.
_AGAIN_S = (0.06, 0.12)


class Front:
    """A WSGI application: Lambda's calls, checks of its settings, and moto behind it.

    Parameters
    ----------
    moto
        Answers all that is not answered here.
    state
        Of the stand.
    """

    def __init__(self, moto: Any, state: State) -> None:
        self._moto = moto
        self._state = state
        self._control = Control(state)
        # What calls find is whole: one change at a time, and all of it.
        self._changes = threading.Lock()

    def __call__(self, environ: Environ, start_response: Any) -> Iterable[bytes]:
        """Answer a request."""
        path, method = environ["PATH_INFO"], environ["REQUEST_METHOD"]
        try:
            if path.startswith("/_stand/"):
                return self._control.answer(path.removeprefix("/_stand/"), environ, start_response)
            call = _CALL.fullmatch(path)
            if call and method == "POST":
                return self._call(call["name"], environ, start_response)
            if _ACCOUNT.fullmatch(path):
                account = self._state.functions.account(self._state.shape.concurrency)
                return answer(start_response, 200, json.dumps(account).encode())
            if method == "POST" and _CREATED.fullmatch(path):
                with self._changes:
                    return self._create(environ, start_response)
            changed = _CHANGED.fullmatch(path)
            if changed and method in ("PUT", "DELETE"):
                with self._changes:
                    return self._change(changed["name"], changed["part"], environ, start_response)
        except Refusal as refusal:
            return refusal.answer(start_response)
        except (AdapterError, OSError) as error:
            # The governor has ended, or the machine has no room left.
            return errors.service_failed(f"the stand failed: {error}").answer(start_response)
        return self._hand_on(environ, start_response)

    def _hand_on(self, environ: Environ, start_response: Any) -> Iterable[bytes]:
        response: Iterable[bytes] = self._moto(environ, start_response)
        return response

    # Settings

    def _create(self, environ: Environ, start_response: Any) -> Iterable[bytes]:
        """Answer ``CreateFunction``; the code is unpacked at once, not at the first call."""
        settings = json.loads(body_of(environ))
        name, _ = name_of(settings["FunctionName"])
        rules.check_name(name)
        rules.check_configuration(settings)
        self._unpack(settings.get("Code", {}))
        return self._changed(name, environ, start_response)

    def _unpack(self, code: Any) -> None:
        package = rules.checked_code(code, self._state.functions)
        if package is not None:
            self._state.functions.unpack(package)

    def _changed(self, name: str, environ: Environ, start_response: Any) -> Iterable[bytes]:
        """Let moto change a function; if it does, calls find it as it is then."""
        functions, pool = self._state.functions, self._state.pool
        answered = []

        def heard(status: str, headers: Any, *more: Any) -> Any:
            answered.append(int(status.split()[0]))
            return start_response(status, headers, *more)

        body = list(self._hand_on(environ, heard))
        if answered[0] < 300:
            functions.updated(name)
            there = functions.exists(name)
            pool.update(name, functions.find(name) if there else None)
        return body

    def _change(
        self, text: str, part: str | None, environ: Environ, start_response: Any
    ) -> Iterable[bytes]:
        """Answer a request that changes a function; its idle workers end if it does."""
        state = self._state
        name, _ = name_of(text)
        if environ["REQUEST_METHOD"] == "PUT" and state.functions.exists(name):
            settings = json.loads(body_of(environ) or b"{}")
            if part == "configuration":
                rules.check_configuration(settings)
            elif part == "code":
                self._unpack(settings)
            elif part == "concurrency":
                own = state.functions.find(name).reserved or 0
                others = state.functions.reserved() - own
                wanted = settings["ReservedConcurrentExecutions"]
                rules.check_reserved(wanted, others, state.shape.concurrency)
        if part in (None, "configuration", "code"):
            return self._changed(name, environ, start_response)
        return self._hand_on(environ, start_response)

    # Calls

    def _call(self, text: str, environ: Environ, start_response: Any) -> Iterable[bytes]:
        """Answer ``Invoke``."""
        state = self._state
        name, qualifier = name_of(text)
        query = parse_qs(environ.get("QUERY_STRING", ""))
        qualifier = query.get("Qualifier", [qualifier])[0]
        if self._fault("disconnect", name):
            raise HangUp
        if self._fault("service", name):
            raise errors.service_failed()
        function = state.functions.find(name, qualifier)
        event = body_of(environ)
        how = environ.get("HTTP_X_AMZ_INVOCATION_TYPE", "RequestResponse")
        _check_event(event, how)
        if how == "DryRun":
            return answer(start_response, 204)
        if self._fault("throttle", name):
            raise errors.throttled(reserved=False)
        if how == "Event":
            threading.Thread(target=self._later, args=(name, event), daemon=True).start()
            return answer(start_response, 202)
        ran = self._run(function, event, environ[ARRIVED])
        if self._fault("lost-answer", name):
            raise HangUp
        headers = {"X-Amz-Executed-Version": "$LATEST", "x-amzn-RequestId": ran.request_id}
        if ran.failed:
            headers["X-Amz-Function-Error"] = "Unhandled"
        if environ.get("HTTP_X_AMZ_LOG_TYPE") == "Tail":
            headers["X-Amz-Log-Result"] = report.tail(report.written(ran, function.memory_mb))
        return answer(start_response, 200, ran.body, headers)

    def _run(self, function: Function, event: bytes, arrived_s: float) -> Ran:
        """Run a call, if there is room for it."""
        state, shape = self._state, self._state.shape
        unreserved = shape.concurrency - state.functions.reserved()
        with state.slots.held(function, unreserved):
            crash = self._fault("crash", function.name)
            conditions = Conditions(
                cold_start_s=shape.cold_start_s,
                processors=shape.processors,
                answer_s=lambda size: _direct_s(shape, size),
                crash_after_s=None if crash is None else crash.seconds,
            )
            wait_until(arrived_s + shape.warm_start_s + _direct_s(shape, len(event)))
            ran = Run(state.pool, function, event or b"{}", conditions).run()
        state.ran(cold=ran.init_s is not None)
        return ran

    def _later(self, name: str, event: bytes) -> None:
        """Run a call that nobody waits for; twice more if it fails."""
        for wait_s in (*_AGAIN_S, None):
            try:
                if not self._run(self._state.functions.find(name), event, time.monotonic()).failed:
                    return
            except Refusal:
                # Deleted, or one call too many.
                pass
            if wait_s is not None:
                time.sleep(wait_s)

    def _fault(self, kind: Kind, name: str) -> Fault | None:
        return self._state.faults.take(kind, name)


def _check_event(event: bytes, how: str) -> None:
    """Refuse a payload that is too large, or no JSON."""
    limit = errors.EVENT_BYTES if how == "Event" else errors.REQUEST_BYTES
    if len(event) > limit:
        raise errors.payload_too_large(len(event), limit, how != "Event")
    try:
        if event:
            msgspec.json.decode(event, type=msgspec.Raw)
    except msgspec.DecodeError as error:
        raise errors.not_json(str(error)) from None


def _direct_s(shape: Shape, size: int) -> float:
    """Return what a call's, or an answer's, tensor takes on its way."""
    rate = shape.function_bytes_per_s
    return size * _TENSOR / rate if rate is not None else 0.0


def name_of(text: str) -> tuple[str, str]:
    """Return the name and the version that a function is called by.

    Parameters
    ----------
    text
        A name, an ARN, or a part of one, with a version or without.
    """
    parts = text.split(":")
    if "function" in parts[:-1]:
        parts = parts[parts.index("function") + 1 :]
    return parts[0], parts[1] if len(parts) > 1 else ""
