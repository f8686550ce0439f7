"""Calls of the control plane: repeated while what hinders them passes, some at once."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from typing import Any, TypeVar

from moeopt.adapters.aws_lambda.clients import code_of, outside

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")

#: Threads that change functions, which Lambda allows some 15 times a second; that look at
#: functions, which it allows 100 times; and that move objects.
CHANGING, LOOKING, MOVING = 4, 8, 8

#: Seconds of the first wait, of the longest, and until a hindrance is one that does not pass.
_FIRST_S, _MOST_S, _TOTAL_S = 0.1, 5.0, 120.0

#: Codes of what passes: something else is just being changed, too much is asked at once, or what
#: was made a moment ago is not known everywhere yet.
_PASSING = frozenset(
    ("ResourceConflictException", "OperationAborted", "DeleteConflict",
     "ConcurrentModification", "ConcurrentModificationException",
     "TooManyRequestsException", "Throttling", "ThrottlingException", "SlowDown",
     "NoSuchEntity", "NoSuchBucket")
)  # fmt: skip

#: What Lambda says of a role that it does not know yet: one code stands for much else too.
_UNKNOWN_ROLE = ("cannot be assumed", "the KMS key is invalid for CreateGrant")


def passes(error: Any) -> bool:
    """Tell whether a ``ClientError`` is of a kind that goes away by itself."""
    if code_of(error) == "InvalidParameterValueException":
        message = str(error.response["Error"].get("Message", ""))
        return any(said in message for said in _UNKNOWN_ROLE)
    return code_of(error) in _PASSING


def patiently(what: str, ask: Callable[[], _Result], *known: str) -> _Result | None:
    """Ask until nothing hinders it any more.

    Parameters
    ----------
    what
        Begins the sentence of an error.
    ask
        The call.
    known
        Codes of errors for which ``None`` is returned: it is not there, or it is done already.

    Raises
    ------
    AdapterError
        If the call fails for good, or for too long.
    """
    from botocore.exceptions import ClientError

    wait_s, until_s = _FIRST_S, time.monotonic() + _TOTAL_S
    with outside(what):
        while True:
            try:
                return ask()
            except ClientError as error:
                if code_of(error) in known:
                    return None
                if not passes(error) or time.monotonic() > until_s:
                    raise
            time.sleep(wait_s)
            wait_s = min(2 * wait_s, _MOST_S)


def side_by_side(
    task: Callable[[_Item], _Result], items: Iterable[_Item], threads: int
) -> list[_Result]:
    """Do a task for each item, some at once, and return what came of each.

    If one fails, those that have not begun do not begin, those that have are waited for, and the
    failure is raised.
    """
    with ThreadPoolExecutor(threads) as pool:
        futures = [pool.submit(task, item) for item in items]
        try:
            done, _ = wait(futures, return_when=FIRST_EXCEPTION)
            for future in done:
                future.result()
            return [future.result() for future in futures]
        finally:
            for future in futures:
                future.cancel()
