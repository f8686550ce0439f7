"""A server that answers calls with what a script says, byte for byte as Lambda does.

For what a stand does not do by itself, and AWS only on a bad day.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import boto3
from botocore.config import Config

from moeopt.adapters.aws_lambda.clients import Clients

#: The id of every request.
REQUEST_ID = "4b9be2fd-0000-4000-8000-000000000000"


@dataclass(frozen=True)
class Reply:
    """One answer: `body` is JSON unless it is bytes; `cut` bytes of it are promised but not sent.

    A header without a value is not sent. With `closes` the connection is closed without an answer;
    with `hangs` it waits for its end.
    """

    status: int = 200
    body: Any = b""
    headers: dict[str, str] = field(default_factory=dict)
    cut: int = 0
    closes: bool = False
    hangs: bool = False


def refused(status: int, code: str, message: str = "no", **more: Any) -> Reply:
    """Return an error of the platform's own."""
    headers = {"x-amzn-ErrorType": code}
    if "retry_after" in more:
        headers["Retry-After"] = more.pop("retry_after")
    return Reply(status, {"Type": "User", "Message": message, "message": message} | more, headers)


def failed(type_: str, message: str, log: str = "", handled: bool = False) -> Reply:
    """Return a function's error."""
    headers = {"X-Amz-Function-Error": "Handled" if handled else "Unhandled"}
    if log:
        headers["X-Amz-Log-Result"] = log
    return Reply(200, {"errorType": type_, "errorMessage": message}, headers)


class Scripted:
    """The server.

    Attributes
    ----------
    script
        Replies still to come; the last one stays.
    seen
        Bodies of the requests so far.
    """

    def __init__(self) -> None:
        self.script: list[Reply] = []
        self.seen: list[bytes] = []
        self._ends = threading.Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            # An answer goes out as a whole: in parts, the system would hold the last one back.
            wbufsize = -1

            def do_POST(self) -> None:
                outer.seen.append(self.rfile.read(int(self.headers["Content-Length"])))
                outer._answer(self)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    def clients(self, read_s: float = 10.0) -> Clients:
        """Return clients that call here."""
        address, port = self._server.server_address[:2]
        config = Config(read_timeout=read_s, retries={"total_max_attempts": 1})
        calls = boto3.Session("id", "secret", region_name="us-east-1").client(
            "lambda", endpoint_url=f"http://{address}:{port}", config=config
        )
        return Clients(None, calls, None, None, account="0", region="us-east-1")

    def play(self, replies: Iterable[Reply]) -> None:
        """Begin a script."""
        self.script, self.seen = list(replies), []

    def await_calls(self, number: int) -> None:
        """Wait until so many requests of the script have come."""
        until_s = time.monotonic() + 60.0
        while len(self.seen) < number:
            assert time.monotonic() < until_s
            time.sleep(0.005)

    def close(self) -> None:
        """End it."""
        self._ends.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _answer(self, request: BaseHTTPRequestHandler) -> None:
        reply = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        if reply.hangs:
            self._ends.wait()
        if reply.hangs or reply.closes:
            request.close_connection = True
            return
        body = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
        request.send_response(reply.status)
        for name, value in ({"x-amzn-RequestId": REQUEST_ID} | reply.headers).items():
            if value:
                request.send_header(name, value)
        request.send_header("Content-Length", str(len(body) + reply.cut))
        request.end_headers()
        request.wfile.write(body)
        request.close_connection = reply.cut > 0
