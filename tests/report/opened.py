"""A page in Chromium, and all that it complains of or asks a network for."""

from __future__ import annotations

from pathlib import Path
from typing import Any


class Opened:
    """A page opened from the file system.

    Attributes
    ----------
    page
        Playwright's page.
    complaints
        Errors and warnings of the console, and errors nobody caught.
    requests
        Everything that was asked for, the file itself left out.
    """

    def __init__(self, browser: Any, file: Path, **options: Any) -> None:
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self._context = browser.new_context(**options)
        self.page = self._context.new_page()
        self.page.on("console", self._hear)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(file.as_uri())
        self.requests.remove(file.as_uri())

    def __enter__(self) -> Opened:
        return self

    def __exit__(self, *_: object) -> None:
        self._context.close()

    def _hear(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(message.text)
