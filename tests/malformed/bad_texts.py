"""Documents that are no documents: not JSON, not there, or not what they say."""

from __future__ import annotations

import json
from pathlib import Path

from bad_instance import BASE, edit, place, raw, replaced, without

_FINITE = "must be a finite number"
_JSON = "must be valid JSON"


def _directory(folder: Path) -> Path:
    (folder / "bad.json").mkdir()
    return folder / "bad.json"


def _link_loop(folder: Path) -> Path:
    (folder / "bad.json").symlink_to("bad.json")
    return folder / "bad.json"


#: The document as bytes.
TEXTS = [
    raw("empty", b"", "bad.json", "<0 bytes>", "must be a JSON document", "fill it"),
    raw("blank", b" \n\t ", "bad.json", "<4 bytes>", "must be a JSON document", "fill it"),
    raw(
        "binary",
        b"\x1f\x8b\x08\x00\xff",
        "<byte 0x8b at position 1>",
        "must be UTF-8",
        "compressed",
    ),
    raw("utf16", json.dumps(BASE).encode("utf-16"), "<byte 0xff at position 0>", "must be UTF-8"),
    raw("list", b"[1, 2]", "$: must be one JSON object", "got '[1, 2]'", "begin with"),
    raw("null", b"null", "$: must be one JSON object", "got 'null'", "begin with"),
    raw(
        "truncated",
        json.dumps(BASE).encode()[:75],
        "$.loads_tokens[0]",
        "must be complete JSON: it breaks off at line 1, column 76",
        "write it again",
    ),
    raw(
        "trailing",
        json.dumps(BASE).encode() + b"}",
        "$: must be valid JSON: trailing characters",
        "got <}>",
        "correct the text",
    ),
    raw(
        "python-repr",
        repr(BASE).encode(),
        f"$: {_JSON}: object keys must be strings at line 1, column 2",
        "got <'problem",
        "correct the text",
    ),
    raw("comment", b"// loads\n" + json.dumps(BASE).encode(), "line 1, column 1", "got <//"),
    raw("brackets", b"[" * 100_000_000, "more than 67108864 bytes", "at most 64 MiB", ".npz"),
    raw(
        "shallow-brackets",
        b'{"problem": "placement", "x": [' + b"[]," * 10_000_000 + b"[]]}",
        "got <10000009 of them>",
        "must have at most 4000000 brackets",
        ".npz",
    ),
    replaced(
        "deep",
        "[[40, 30, 20, 10], [10, 20, 30, 40]]",
        "[" * 50_000 + "]" * 50_000,
        "$.loads_tokens[0]",
        "too many to follow",
        "must be nested at most as deep as",
        "remove the surplus brackets",
    ),
    replaced("nan", "30", "NaN", f"$.loads_tokens[0][1]: {_FINITE}", "got <NaN>", "no NaN"),
    replaced(
        "infinity", "30", "-Infinity", f"$.loads_tokens[0][1]: {_FINITE}", "<-Infinity>", "no NaN"
    ),
    replaced(
        "1e400", "30", "1e400", f"$.loads_tokens[0][1]: {_FINITE}", "got <1e400>", "no infinity"
    ),
    replaced("leading-zero", "30", "030", f"$.loads_tokens[0][1]: {_JSON}", "got <030>", "correct"),
    replaced("hex", "30", "0x1e", f"$.loads_tokens[0][1]: {_JSON}", "got <0x1e>", "correct"),
    replaced(
        "python-true", "30", "True", f"$.loads_tokens[0][1]: {_JSON}", "got <True>", "correct"
    ),
    replaced(
        "comma", "30,", "30,,", f"$.loads_tokens[0][2]: {_JSON}", "invalid character", "correct"
    ),
    replaced(
        "duplicate-key",
        '"name": "base"',
        '"slots_per_device": 2',
        "$.slots_per_device: must stand once in its object",
        "got <twice: again at line 1, column",
        "remove one of the two",
    ),
]

#: Where the document lies.
PLACES = [
    place(
        "absent", lambda folder: folder / "bad.json", "<no such file", "must be a readable", "name"
    ),
    place(
        "directory", _directory, "<is a directory>", "must be a readable file", "name a file in it"
    ),
    place("link-loop", _link_loop, "symbolic links>", "must be a readable file", "check the name"),
    place("nul", lambda folder: Path(f"{folder}/\0bad.json"), "<NUL byte>", "must be a file name"),
    place(
        "library",
        lambda folder: Path("@placement/tiny-nothing-at-all"),
        "@placement/tiny-nothing-at-all: must be an instance of the library",
        "got 'placement/tiny-nothing-at-all'",
    ),
]

#: What the document says it is.
HEADERS = [
    without(
        "no-wing", "problem", "$.problem", "<missing>", "must name the problem's wing", "begin"
    ),
    without("no-version", "version", "$.version: must be 1", "<missing>", 'write "version": 1'),
    edit("version-2", "$.version: must be 1", "got 2", "install a newer moeopt", version=2),
    edit("version-string", "$.version: must be 1", "got '1'", 'write "version": 1', version="1"),
    edit("version-true", "$.version: must be 1", "got True", 'write "version": 1', version=True),
    edit(
        "wing-typo", "$.problem", "got 'placment'", "did you mean 'placement'?", problem="placment"
    ),
    edit("wing-number", "$.problem", "got 7", "must name the problem's wing", problem=7),
    raw(
        "a-plan",
        b'{"plan": "placement", "version": 1, "physical_to_logical": [[0]]}',
        "$.problem: must be a problem document",
        "got <a plan>",
        "give the problem's file",
    ),
]
