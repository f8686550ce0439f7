"""The text: the Python standard library of the interpreter at hand, parted by file.

Run: python examples/reference_moe/data.py [-o text.npz]
"""

from __future__ import annotations

import argparse
import hashlib
import platform
import sysconfig
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

Bytes = npt.NDArray[np.uint8]

#: A file is held out if the first byte of its path's SHA-256 is below this: one in 20.
HELD_OUT_BELOW = 13
#: Ends every file; no source holds it.
END = b"\0"

_NO_PARTS = {"site-packages", "dist-packages", "__pycache__"}


@dataclass(frozen=True)
class Text:
    """Files one after another, each ended by a zero byte."""

    train: Bytes
    held_out: Bytes
    python: str

    @property
    def digests(self) -> dict[str, str]:
        """Return the SHA-256 of each part: the same text, the same figures."""
        parts = {"train": self.train, "held_out": self.held_out}
        return {name: hashlib.sha256(part.tobytes()).hexdigest() for name, part in parts.items()}


def read(root: Path | None = None) -> Text:
    """Return the text of a library: by default that of this interpreter.

    Parameters
    ----------
    root
        Folder with the sources. What is installed beside the library, or written when Python is
        built, is left out. The order is that of the hashes: files of a kind lie scattered.
    """
    root = Path(sysconfig.get_path("stdlib")) if root is None else root
    parts: dict[bool, list[bytes]] = {True: [], False: []}
    for digest, name in sorted(_names(root)):
        source = (root / name).read_bytes().replace(b"\r\n", b"\n").replace(END, b"")
        parts[digest[0] < HELD_OUT_BELOW].append(source + END)
    train, held_out = (np.frombuffer(b"".join(parts[out]), np.uint8) for out in (False, True))
    return Text(train, held_out, platform.python_version())


def load(path: Path | None) -> Text:
    """Return the text of a file that `save` wrote, or the library's if there is no path."""
    if path is None:
        return read()
    with np.load(path, allow_pickle=False) as file:
        return Text(file["train"], file["held_out"], str(file["python"]))


def save(path: Path, text: Text) -> None:
    """Write a text, to train on it where another version of Python is."""
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(path, train=text.train, held_out=text.held_out, python=text.python)


def windows(text: Bytes, count: int, length: int) -> Bytes:
    """Return so many stretches of a text, evenly far apart, ``(count, length)``."""
    count = max(1, min(count, len(text) // length))
    starts = np.linspace(0, len(text) - length, count).astype(np.int64)
    return np.stack([text[start : start + length] for start in starts])


def _names(root: Path) -> list[tuple[bytes, str]]:
    names = []
    for path in root.rglob("*.py"):
        name = path.relative_to(root)
        if _NO_PARTS.isdisjoint(name.parts) and not name.name.startswith("_sysconfigdata"):
            names.append((hashlib.sha256(name.as_posix().encode()).digest(), name.as_posix()))
    return names


def main() -> None:
    """Print what the text is; write it if asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--out", type=Path, help="write the text into this .npz")
    out = parser.parse_args().out
    text = read()
    print(f"Python {text.python}: {len(text.train):,} bytes to train on, ", end="")
    print(f"{len(text.held_out):,} held out")
    print(text.digests)
    if out is not None:
        save(out, text)


if __name__ == "__main__":
    main()
