"""An HTTP server for WSGI applications with what werkzeug's lacks: connections that stay open.

boto3 keeps its connections; a server that closes each after one answer makes every request wait
for another.
"""

from __future__ import annotations

import io
import socketserver
import time
import traceback
from collections.abc import Iterable
from typing import Any

from moto.moto_server.werkzeug_app import MotoRequestHandler
from werkzeug.serving import ThreadedWSGIServer

#: Entry of WSGI's environment: when a request's first line was there, by ``time.monotonic``.
ARRIVED = "moeopt.arrived_s"


class HangUp(Exception):
    """Close the connection without an answer."""


class Listener(ThreadedWSGIServer):
    """A server on a free port of this machine.

    Parameters
    ----------
    application
        Of WSGI.
    """

    #: Connections that wait to be accepted: more than there are calls at once.
    request_queue_size = 1024

    def __init__(self, application: Any) -> None:
        super().__init__("127.0.0.1", 0, application, Handler)

    def server_bind(self) -> None:
        """Bind without asking for a host name, as ``http.server`` does."""
        socketserver.TCPServer.server_bind(self)

    @property
    def endpoint(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"


class Handler(MotoRequestHandler):
    """Answers the requests of one connection."""

    protocol_version = "HTTP/1.1"
    #: One packet for each answer, sent at once.
    wbufsize = -1
    disable_nagle_algorithm = True

    def handle_expect_100(self) -> bool:
        """Ask for the body of a request at once: boto3 waits a second for that."""
        self.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        self.wfile.flush()
        return True

    def run_wsgi(self) -> None:
        """Answer a request."""
        arrived_s = time.monotonic()
        environ = self.make_environ()
        # All of it is read, so that the next request begins where this one ends.
        body = environ["wsgi.input"]
        if not environ.get("wsgi.input_terminated"):
            body = io.BytesIO(self.rfile.read(int(environ.get("CONTENT_LENGTH") or 0)))
        else:
            body = io.BytesIO(body.read())
            environ["CONTENT_LENGTH"] = str(len(body.getvalue()))
        environ |= {"wsgi.input": body, ARRIVED: arrived_s}
        try:
            self._answer(environ)
        except HangUp:
            self.close_connection = True

    def _answer(self, environ: dict[str, Any]) -> None:
        said: list[tuple[str, list[tuple[str, str]]]] = []

        def start_response(status: str, headers: list[tuple[str, str]], *_: Any) -> Any:
            said[:] = [(status, list(headers))]
            return None

        parts: Any = ()
        try:
            parts = self.server.app(environ, start_response)
            # Answers of which the length is known are sent as they come, others in one piece.
            if not said or not _has_length(said[0][1]):
                parts = _joined(parts)
            status, headers = said[0]
        except (HangUp, ConnectionError):
            raise
        except Exception:
            traceback.print_exc()
            status, headers, parts = "500 Internal Server Error", [], [b""]
        try:
            self._send(environ["REQUEST_METHOD"], status, headers, parts)
        finally:
            _close(parts)

    def _send(
        self, method: str, status: str, headers: list[tuple[str, str]], parts: Iterable[bytes]
    ) -> None:
        bare = status[:3] in ("204", "304")
        if not bare and not _has_length(headers):
            headers = [*headers, ("Content-Length", str(sum(map(len, parts))))]
        lines = [f"HTTP/1.1 {status}", *(f"{name}: {value}" for name, value in headers), "", ""]
        self.wfile.write("\r\n".join(lines).encode("latin-1"))
        if method != "HEAD" and not bare:
            for part in parts:
                self.wfile.write(part)
        self.wfile.flush()

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Write no line for each request."""


def _has_length(headers: list[tuple[str, str]]) -> bool:
    return any(name.lower() == "content-length" for name, _ in headers)


def _joined(parts: Any) -> list[bytes]:
    try:
        return [b"".join(parts)]
    finally:
        _close(parts)


def _close(parts: Any) -> None:
    if hasattr(parts, "close"):
        parts.close()


def body_of(environ: dict[str, Any]) -> bytes:
    """Return the body of a request, and leave it to be read again."""
    body: bytes = environ["wsgi.input"].getvalue()
    return body
