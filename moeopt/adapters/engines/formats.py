"""The formats of inference engines by name: writing, reading, and what each cannot hold."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from moeopt.adapters.engines import ascend, omni, sglang, tensorrt, vllm
from moeopt.adapters.engines.files import Known
from moeopt.adapters.engines.placements import EnginePlacement
from moeopt.core.errors import InstanceError
from moeopt.core.files import write_atomically


@dataclass(frozen=True)
class Format:
    """How one engine writes a placement.

    Attributes
    ----------
    name
        As the command line names it.
    engine
        As the engine calls itself.
    suffixes
        How the name of a file must end for the engine to read it.
    refuse
        Raises `InstanceError` if the engine cannot hold a placement.
    encode
        Returns the file of a placement that is not refused.
    reader
        Returns the placement of a file; see `read`.
    usage
        Returns, line by line, what serves the placement of a file.
    """

    name: str
    engine: str
    suffixes: tuple[str, ...]
    refuse: Callable[[EnginePlacement], None]
    encode: Callable[[EnginePlacement], bytes]
    reader: Callable[[str | os.PathLike[str], Known], EnginePlacement]
    usage: Callable[[EnginePlacement, str], list[str]]

    def write(self, placement: EnginePlacement, path: str | os.PathLike[str]) -> None:
        """Write a placement; the file appears whole or not at all.

        Raises
        ------
        InstanceError
            If the engine cannot hold the placement, or would not read a file of this name.
        OSError
            If it cannot be written.
        """
        self.require_suffix(path)
        self.refuse(placement)
        write_atomically(path, self.encode(placement))

    def require_suffix(self, path: str | os.PathLike[str]) -> None:
        """Raise `InstanceError` if the engine would not read a file of this name."""
        if Path(path).suffix not in self.suffixes:
            raise InstanceError(
                "-o",
                os.fspath(path),
                f"must end in {self.suffixes[0]}: {self.engine} goes by the name",
                f"write it to placement{self.suffixes[0]}",
            )

    def read(self, path: str | os.PathLike[str], known: Known | None = None) -> EnginePlacement:
        """Return the placement of a file.

        Parameters
        ----------
        path
            The file.
        known
            What the file leaves out: the ranks for SGLang, TensorRT-LLM and vLLM.

        Raises
        ------
        InstanceError
            If it is no such file, or contradicts what is known.
        """
        return self.reader(path, known or Known())


def _format(name: str, module: ModuleType) -> Format:
    return Format(
        name,
        module.ENGINE,
        module.SUFFIXES,
        module.refuse,
        module.encode,
        module.read,
        module.usage,
    )


#: Every format by name.
FORMATS = {
    name: _format(name, module)
    for name, module in {
        "sglang": sglang,
        "tensorrt-llm": tensorrt,
        "vllm": vllm,
        "vllm-ascend": ascend,
        "omni": omni,
    }.items()
}


def format_of(path: str | os.PathLike[str]) -> Format:
    """Return the format of a placement's file, by its name and, of JSON, by its first key.

    Raises
    ------
    InstanceError
        If it is none of these.
    """
    from moeopt.adapters.engines.files import read_text

    name, suffix = os.fspath(path), Path(path).suffix.lower()
    if suffix in tensorrt.SUFFIXES:
        return FORMATS["tensorrt-llm"]
    if suffix in omni.SUFFIXES:
        return FORMATS["omni"]
    text = read_text(name) if suffix == ".json" else b""
    if text.lstrip().startswith(b"["):
        return FORMATS["vllm"]
    for format_name, key in (
        ("sglang", b'"physical_to_logical_map"'),
        ("vllm-ascend", b'"moe_layer_count"'),
    ):
        if key in text:
            return FORMATS[format_name]
    raise InstanceError(
        name,
        f"<suffix {suffix or 'none'}>",
        f"must be a placement of {', '.join(FORMATS)}",
        "say which by --format, if it is one",
    )
