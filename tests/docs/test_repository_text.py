"""What must not stand in any file of the repository."""

from __future__ import annotations

import re
import subprocess

from doc_blocks import ROOT

#: In pieces, so that this file does not contain what it looks for.
FORBIDDEN = {
    "a path of one machine": r"(?<![\w.\])}'\"])/(?:ho" + r"me|ro" + r"ot|Us" + r"ers)/\w",
    "a working folder": r"(?<![\w./])/(?:wo" + r"rk|t" + r"mp/ve" + r"nv)\b",
    "a package registry": r"py" + r"pi\.org|pythonh" + r"osted|anac" + r"onda\.org|npm" + r"js\.",
    "an index of packages": r"index-" + r"url|find-" + r"links",
    "who wrote it": r"(?i)\b(?:clau" + r"de|anthro" + r"pic|chat" + r"gpt|co" + r"pilot)\b",
}

_LEFT_OUT = {".git", ".venv", "build", "dist", "_build", "generated", "__pycache__"}


def _files() -> list[str]:
    """Return the files that are, or would be, in the repository."""
    asked = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    try:
        done = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True, check=True)
        return done.stdout.splitlines()
    except (OSError, subprocess.CalledProcessError):
        # An unpacked archive: everything in it.
        every = (path.relative_to(ROOT) for path in ROOT.rglob("*") if path.is_file())
        return [
            str(path)
            for path in every
            if not any(part in _LEFT_OUT or part.startswith(".") for part in path.parts)
        ]


def test_nothing_of_the_place_where_it_was_made() -> None:
    found = []
    for name in _files():
        try:
            text = (ROOT / name).read_text(encoding="utf-8")
        except (UnicodeDecodeError, FileNotFoundError):
            continue  # data, or deleted and not yet committed
        for what, pattern in FORBIDDEN.items():
            match = re.search(pattern, text)
            if match:
                line = text.count("\n", 0, match.start()) + 1
                found.append(f"{name}:{line}: {what}: {match.group()!r}")
    assert not found, "\n".join(found)
