"""Lambda's Runtime API, one server for each worker: a worker can only ever see its own calls.

https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html
"""

from __future__ import annotations

import contextlib
import queue
import socket
import socketserver
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Literal

from moeopt.adapters.aws_lambda.stand.errors import RESPONSE_BYTES
from moeopt.adapters.aws_lambda.stand.link import wait_until

_PREFIX = "/2018-06-01/runtime/"


@dataclass(frozen=True)
class Invocation:
    """A call, as the worker gets it.

    Attributes
    ----------
    request_id
        Its own.
    event
        JSON.
    arn
        Of the function.
    deadline_ms
        When it will be killed, in milliseconds since 1970.
    answer_s
        Returns what bytes of an answer take on their way.
    """

    request_id: str
    event: bytes
    arn: str
    deadline_ms: int
    answer_s: Callable[[int], float]


@dataclass(frozen=True)
class Happened:
    """What a worker did, in order.

    Attributes
    ----------
    what
        ``"ready"``: it asked for its first call. ``"began"``: it got a call. ``"returned"``,
        ``"raised"``, ``"too-large"``: how that ended. ``"init-error"``: it could not start.
        ``"exit"``: the process ended.
    at_s
        When, by ``time.monotonic``.
    body
        What it sent.
    """

    what: Literal["ready", "began", "returned", "raised", "too-large", "init-error", "exit"]
    at_s: float
    body: bytes = b""


class RuntimeApi(socketserver.ThreadingMixIn, HTTPServer):
    """The server of one worker.

    Parameters
    ----------
    happened
        Where to say what the worker does.
    """

    daemon_threads = True

    def __init__(self, happened: Callable[[Happened], None]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.happened = happened
        self.calls: queue.SimpleQueue[Invocation | None] = queue.SimpleQueue()
        self.current: Invocation | None = None
        self.asked = False
        threading.Thread(target=self._serve, daemon=True).start()

    def server_bind(self) -> None:
        """Bind without asking for a host name, as ``http.server`` does."""
        socketserver.TCPServer.server_bind(self)

    @property
    def address(self) -> str:
        """Host and port, as a worker's environment has it."""
        return f"127.0.0.1:{self.server_address[1]}"

    def give(self, invocation: Invocation) -> None:
        """Hand the worker a call."""
        self.calls.put(invocation)

    def close(self) -> None:
        """Stop serving; a worker that still waits for a call is left without."""
        # Wakes the thread that accepts, which closing alone does not.
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        self.calls.put(None)

    def _serve(self) -> None:
        # Not ``serve_forever``, which looks twice a second whether it should stop.
        with self.socket:
            while True:
                try:
                    request, address = self.socket.accept()
                except OSError:
                    return
                self.process_request(request, address)

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of connections that a killed worker has left."""


class _Handler(BaseHTTPRequestHandler):
    """Requests of a worker: ``next``, ``response``, ``error``, ``init/error``."""

    server: RuntimeApi
    protocol_version = "HTTP/1.1"
    #: One packet for each answer, sent at once.
    wbufsize = -1
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        if self.path != f"{_PREFIX}invocation/next":
            return self._reply(404)
        server = self.server
        if not server.asked:
            server.asked = True
            server.happened(Happened("ready", time.monotonic()))
        call = server.calls.get()
        if call is None:
            self.close_connection = True
            return None
        server.current = call
        server.happened(Happened("began", time.monotonic()))
        headers = {
            "Lambda-Runtime-Aws-Request-Id": call.request_id,
            "Lambda-Runtime-Deadline-Ms": str(call.deadline_ms),
            "Lambda-Runtime-Invoked-Function-Arn": call.arn,
            "Content-Type": "application/json",
        }
        return self._reply(200, call.event, headers)

    def do_POST(self) -> None:
        arrived_s = time.monotonic()
        body = self._body()
        if self.path == f"{_PREFIX}init/error":
            self.server.happened(Happened("init-error", arrived_s, body))
            return self._reply(202)
        call = self.server.current
        if call is None:
            return self._reply(400)
        if self.path == f"{_PREFIX}invocation/{call.request_id}/response":
            if len(body) > RESPONSE_BYTES:
                self._done("too-large", b"")
                return self._reply(413)
            wait_until(arrived_s + call.answer_s(len(body)))
            self._done("returned", body)
            return self._reply(202)
        if self.path == f"{_PREFIX}invocation/{call.request_id}/error":
            self._done("raised", body)
            return self._reply(202)
        # An answer to a call that is not the one being waited for.
        return self._reply(400)

    def _done(self, what: Literal["returned", "raised", "too-large"], body: bytes) -> None:
        self.server.current = None
        self.server.happened(Happened(what, time.monotonic(), body))

    def _body(self) -> bytes:
        if "chunked" not in self.headers.get("Transfer-Encoding", ""):
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        parts = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def _reply(self, status: int, body: bytes = b"", headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()

    def log_message(self, format: str, *args: object) -> None:
        pass
