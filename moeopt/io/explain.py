"""A decoder's terse complaint as a sentence: path, value, rule and remedy."""

from __future__ import annotations

import re

import msgspec

from moeopt.core.errors import InstanceError
from moeopt.core.sentences import WRITE_NUMBER, explain_validation
from moeopt.io.locate import JsonText

_BYTE = re.compile(r"^JSON is malformed: (?P<what>.*) \(byte (?P<byte>\d+)\)$", re.DOTALL)


def explain(error: Exception, text: JsonText, document: type) -> InstanceError:
    """Return `error`, raised by decoding `text` as `document`, as an `InstanceError`."""
    if isinstance(error, RecursionError):
        return _too_deep(text)
    if not isinstance(error, msgspec.ValidationError):
        return explain_syntax(error, text)
    return explain_validation(error, text, document)


def explain_syntax(error: Exception, text: JsonText) -> InstanceError:
    """Return what is wrong with a text that is not JSON."""
    match = _BYTE.match(str(error))
    if match is None:
        end = len(text.data.rstrip())
        return InstanceError(
            text.path_at(end),
            "<end of the document>",
            f"must be complete JSON: it breaks off at {text.place(end)}",
            "the file is truncated: write it again",
        )
    byte = int(match["byte"])
    if match["what"].startswith("trailing characters"):
        # The decoder points behind the first of them.
        byte -= 1
    word, path, place = text.word_at(byte), text.path_at(byte), text.place(byte)
    if re.match(r"[-+]?(nan|inf)", word, re.IGNORECASE):
        return InstanceError(path, f"<{word}>", f"must be a finite number at {place}", WRITE_NUMBER)
    rule = f"must be valid JSON: {match['what']} at {place}"
    return InstanceError(path, f"<{word}>", rule, "correct the text there")


def _too_deep(text: JsonText) -> InstanceError:
    return InstanceError(
        text.path_at(len(text.data)),
        "<lists in lists, too many to follow>",
        "must be nested at most as deep as an array has axes",
        "remove the surplus brackets",
    )
