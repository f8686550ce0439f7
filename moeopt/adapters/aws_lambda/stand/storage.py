"""S3 as functions meet it: moto's, but slow, counted by who asks, and faulty where that is wanted.

Shaped are the reads and writes of objects. What they take is made up of the access delay and the
bytes; the time that moto itself takes is hidden in that.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any
from xml.sax.saxutils import escape

from moeopt.adapters.aws_lambda.stand.arriving import Arriving
from moeopt.adapters.aws_lambda.stand.asked import Asked, asked_of
from moeopt.adapters.aws_lambda.stand.callers import CALLER, Callers
from moeopt.adapters.aws_lambda.stand.faults import Faults
from moeopt.adapters.aws_lambda.stand.link import Link, Links, Transfer, wait_until
from moeopt.adapters.aws_lambda.stand.listener import ARRIVED
from moeopt.adapters.aws_lambda.stand.traffic import Counts

#: Bytes of an object that are sent at once when they are due.
_PIECE_BYTES = 256 * 1024

Environ = dict[str, Any]


@dataclass(frozen=True)
class _Answer:
    """An answer as a whole.

    Attributes
    ----------
    status
        Such as ``"200 OK"``.
    headers, body
        The rest of it.
    """

    status: str
    headers: list[tuple[str, str]]
    body: bytes

    @property
    def fine(self) -> bool:
        """Whether what was asked for was done."""
        return self.status.startswith("2")


class Shaped:
    """A WSGI application around moto's; what is no request to S3 passes through untouched.

    It stands behind a `moeopt.adapters.aws_lambda.stand.listener.Listener`, which has read all that
    comes with a request, and says when the request began to arrive.

    Parameters
    ----------
    app
        Moto's.
    callers
        Whose the access keys are.
    links
        By access key's id; everyone who is no worker shares that of `CALLER`.
    faults
        Those of kinds that begin with ``s3`` are taken here, by function and key.
    counts
        Where requests are counted, by function.
    """

    def __init__(
        self, app: Any, callers: Callers, links: Links, faults: Faults, counts: Counts
    ) -> None:
        self._app = app
        self._callers = callers
        self._links = links
        self._faults = faults
        self._counts = counts
        self._arriving = Arriving()

    def __call__(self, environ: Environ, start_response: Any) -> Iterable[bytes]:
        """Answer a request."""
        asked = asked_of(environ)
        if asked is None:
            app: Iterable[bytes] = self._app(environ, start_response)
            return app
        began_s = environ[ARRIVED]
        who = self._callers.function_of(asked.access_key)
        link = self._links.of(CALLER if who == CALLER else asked.access_key)
        if asked.kind == "gets":
            answer, coming = self._read(environ, asked, who, link, began_s)
        elif asked.kind == "puts":
            answer, coming = self._write(environ, asked, who, link, began_s), None
        else:
            answer, coming = self._ask(environ, asked), None
        self._count(asked, who, answer)
        start_response(answer.status, answer.headers)
        return [answer.body] if coming is None else _pieces(answer.body, coming)

    def _read(
        self, environ: Environ, asked: Asked, who: str, link: Link, began_s: float
    ) -> tuple[_Answer, Transfer | None]:
        """Read an object: its bytes begin to come after the delay."""
        begins_s = began_s + self._delay_s(asked, who, link)
        answer = self._fault(asked, who) or self._ask(environ, asked)
        wait_until(begins_s)
        return answer, link.down.begin(len(answer.body), begins_s) if answer.fine else None

    def _write(
        self, environ: Environ, asked: Asked, who: str, link: Link, began_s: float
    ) -> _Answer:
        """Write an object: it is not there for others before all of it has come."""
        delay_s = self._delay_s(asked, who, link)
        refused = self._fault(asked, who)
        if refused is not None:
            wait_until(began_s + delay_s)
            return refused
        going = link.up.begin(asked.size, began_s)
        with self._arriving.hidden(asked.bucket, asked.key) as arrived:
            answer = self._ask(environ, asked)
            wait_until(going.wait() + delay_s)
            if answer.fine:
                arrived()
        return answer

    def _delay_s(self, asked: Asked, who: str, link: Link) -> float:
        slow = self._faults.take("s3-slow", who, asked.key)
        return link.delay_s + (slow.seconds if slow else 0.0)

    def _fault(self, asked: Asked, who: str) -> _Answer | None:
        """Return the answer of a fault that a read or write meets, if it meets one."""
        if self._faults.take("s3-error", who, asked.key):
            return _error("503 Slow Down", "SlowDown", "Please reduce your request rate.", asked)
        if asked.kind == "gets" and self._faults.take("s3-missing", who, asked.key):
            return _missing(asked)
        return None

    def _ask(self, environ: Environ, asked: Asked) -> _Answer:
        """Ask moto, unless an object is to be read that is still on its way."""
        reads = asked.kind in ("gets", "heads")
        if reads and self._arriving.hides(asked.bucket, asked.key):
            return _missing(asked)
        said: list[tuple[str, list[tuple[str, str]]]] = []
        parts = self._app(environ, lambda status, headers, *_: said.append((status, headers)))
        try:
            body = b"".join(parts)
        finally:
            if hasattr(parts, "close"):
                parts.close()
        answer = _Answer(*said[-1], body)
        if asked.kind == "deletes" and answer.fine:
            self._arriving.gone(asked.bucket, asked.key)
        return answer

    def _count(self, asked: Asked, who: str, answer: _Answer) -> None:
        if answer.status.startswith("5"):
            self._counts.add(who, errors=1)
            return
        more: dict[str, int] = {asked.kind: 1}
        if asked.kind == "gets" and answer.fine:
            more["get_bytes"] = len(answer.body)
        elif asked.kind == "gets":
            more["missing"] = int(answer.status.startswith("404"))
        elif asked.kind == "puts" and answer.fine:
            more["put_bytes"] = asked.size
        self._counts.add(who, **more)


def _pieces(body: bytes, coming: Transfer) -> Iterator[bytes]:
    """Yield an object's bytes as they come."""
    for start in range(0, len(body), _PIECE_BYTES):
        piece = body[start : start + _PIECE_BYTES]
        coming.wait(start + len(piece))
        yield piece


def _missing(asked: Asked) -> _Answer:
    return _error("404 Not Found", "NoSuchKey", "The specified key does not exist.", asked)


def _error(status: str, code: str, message: str, asked: Asked) -> _Answer:
    """Return an error as S3 words it."""
    text = (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f"<Error><Code>{code}</Code><Message>{message}</Message><Key>{escape(asked.key)}</Key>"
        "<RequestId>0000000000000000</RequestId></Error>"
    )
    # The answer to a HEAD has no body.
    body = b"" if asked.kind == "heads" else text.encode()
    headers = [("Content-Type", "application/xml"), ("Content-Length", str(len(body)))]
    return _Answer(status, headers, body)
