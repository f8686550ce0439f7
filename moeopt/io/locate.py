"""Where in a JSON text something stands: for messages only, so nothing here runs on good input."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import msgspec

from moeopt.core.sentences import MISSING

#: Beyond this many bytes a message names line and column only: following paths takes too long.
_FOLLOWED_BYTES = 8 * 2**20

#: Deeper than this nothing is followed: no document of ours is.
_FOLLOWED_DEPTH = 8

_TOKENS = re.compile(rb'"(?:[^"\\]|\\.)*"?|[\[\]{},:]')
_TOO_LARGE = re.compile(r"-?\d+(?:\.\d+)?[eE]\+?\d+|-?\d{300,}")
_STEPS = re.compile(r"\.([^.\[\]]+)|\[(\d+)\]")


@dataclass(frozen=True)
class JsonText:
    """The bytes of a JSON document, valid or not."""

    data: bytes

    def place(self, byte: int) -> str:
        """Return ``line 3, column 14 (byte 120)`` for people, counted from 1, 1 and 0."""
        before = self.data[:byte]
        line = before.count(b"\n") + 1
        column = len(before[before.rfind(b"\n") + 1 :].decode("utf-8", "replace")) + 1
        return f"line {line}, column {column} (byte {byte})"

    def path_at(self, byte: int) -> str:
        """Return the JSON path of the value that holds `byte`, as far as it can be followed."""
        if byte > _FOLLOWED_BYTES:
            return "$"
        # Each open container: [step, waiting for a key]; the step of a list is its index.
        stack: list[list[Any]] = []
        for match in _TOKENS.finditer(self.data, 0, byte):
            token = match.group()
            if token in b"[{":
                if len(stack) == _FOLLOWED_DEPTH:
                    break
                stack.append([0, False] if token == b"[" else ["", True])
            elif not stack:
                continue
            elif token in b"]}":
                stack.pop()
            elif token == b",":
                top = stack[-1]
                stack[-1] = ["", True] if isinstance(top[0], str) else [top[0] + 1, False]
            elif token == b":":
                stack[-1][1] = False
            elif stack[-1][1]:
                stack[-1][0] = token.strip(b'"').decode("utf-8", "replace")
        steps = [step for step, _ in stack]
        return "$" + "".join(
            f"[{s}]" if isinstance(s, int) else f".{s}" if s else "" for s in steps
        )

    def value_at(self, path: str) -> object:
        """Return what stands at `path`, `MISSING` if nothing does."""
        try:
            value = msgspec.json.decode(self.data)
        except (msgspec.DecodeError, RecursionError):
            return self.too_large_number()
        for key, index in _STEPS.findall(path):
            try:
                value = value[key] if key else value[int(index)]
            except (KeyError, IndexError, TypeError):
                return MISSING
        return value

    def too_large_number(self) -> str:
        """Return the first number that no double can hold."""
        for match in _TOO_LARGE.finditer(self.data.decode("utf-8", "replace")):
            if abs(float(match.group())) == float("inf"):
                return f"<{match.group()}>"
        return "<a number out of range>"

    def word_at(self, byte: int) -> str:
        """Return the few characters at `byte`, from the start of the word that it lies in."""
        while byte > 0 and (self.data[byte - 1 : byte].isalnum() or self.data[byte - 1] == 0x2D):
            byte -= 1
        text = self.data[byte : byte + 24].decode("utf-8", "replace").strip()
        word = re.match(r"[-+]?\w+", text)
        return word.group() if word else text
