"""The errors a user can meet, each a sentence that says what to do."""

from __future__ import annotations

_SHOWN_CHARACTERS = 60

#: Longest path, rule and remedy of a sentence: keys of a hostile file may stand in each of them.
_LONGEST_PART = 300


class MoeoptError(Exception):
    """Base of every error that moeopt raises on purpose."""


class InstanceError(MoeoptError, ValueError):
    """Bad input: where it is, what stands there, the rule it breaks and the remedy.

    Parameters
    ----------
    path
        JSON path of the offending value (``$`` is the whole document).
    value
        What stands there; shown shortened.
    rule
        The rule it breaks, as "must be ..." or "must not ...".
    remedy
        What the user can do about it.
    """

    def __init__(self, path: str, value: object, rule: str, remedy: str) -> None:
        self.path = path
        self.value = value
        self.rule = rule
        self.remedy = remedy
        super().__init__(f"{_part(path)}: {_part(rule)}, got {shorten(value)}; {_part(remedy)}")

    def under(self, prefix: str) -> InstanceError:
        """Return the same error seen from a document that holds this one at `prefix`."""
        path = prefix + self.path.removeprefix("$")
        return InstanceError(path, self.value, self.rule, self.remedy)

    def __reduce__(self) -> tuple[type[InstanceError], tuple[str, object, str, str]]:
        return InstanceError, (self.path, self.value, self.rule, self.remedy)


class BackendError(MoeoptError, RuntimeError):
    """A solver failed: which one, what it said and what to try.

    Parameters
    ----------
    backend
        Name of the backend.
    said
        The solver's own message.
    remedy
        What to try instead.
    """

    def __init__(self, backend: str, said: str, remedy: str) -> None:
        self.backend = backend
        self.said = said
        self.remedy = remedy
        super().__init__(f"backend {backend} failed: {said}; {remedy}")

    def __reduce__(self) -> tuple[type[BackendError], tuple[str, str, str]]:
        return BackendError, (self.backend, self.said, self.remedy)


class AdapterError(MoeoptError, RuntimeError):
    """Something outside moeopt failed: an engine, a cloud, a worker."""


class InternalError(MoeoptError, AssertionError):
    """A method broke its contract: our fault, never the user's."""


def shorten(value: object) -> str:
    """Return `value` as one short line for an error message."""
    try:
        text = value if isinstance(value, str) and value.startswith("<") else repr(value)
    except (ValueError, RecursionError):
        # Python prints no integer of more than 4300 digits, and no list that is nested too deeply.
        text = f"<{type(value).__name__}>"
    text = _printable(" ".join(text.split()))
    return text if len(text) <= _SHOWN_CHARACTERS else text[: _SHOWN_CHARACTERS - 3] + "..."


def _part(text: str) -> str:
    """Return a part of a sentence as one line of bounded length, cut in its middle."""
    text = _printable(text)
    half = _LONGEST_PART // 2
    return text if len(text) <= _LONGEST_PART else f"{text[: half - 2]}...{text[2 - half :]}"


def _printable(text: str) -> str:
    """Return a text that can move no terminal's cursor: what is not printed is escaped."""
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else ascii(one)[1:-1] for one in text)
