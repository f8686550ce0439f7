"""Tensors and plain values of a ``.pt``, read without running what a pickle may ask for."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass, field
from typing import Any

from moeopt.core.arrays import numbers_of
from moeopt.core.errors import AdapterError, InstanceError, shorten
from moeopt.traces.archive import LONGEST_EMPTY_AXIS, opened_zip
from moeopt.traces.trace import Integers

#: In earlier versions a hostile file gets past ``weights_only`` (CVE-2025-32434, CVE-2026-24747).
OLDEST_TORCH = (2, 10)


@dataclass
class TorchFile:
    """What a ``.pt`` holds.

    Attributes
    ----------
    name
        The file, for errors.
    content
        Its dictionary.
    left_bytes
        How many bytes its tensors may still have: together they are never larger than the file,
        unless one stands in it many times, which is how a small file fills a memory.
    """

    name: str
    content: dict[str, Any]
    left_bytes: int = field(repr=False)

    def integers(self, value: object, path: str, axes: int) -> Integers:
        """Return a tensor of whole numbers as an array.

        Parameters
        ----------
        value
            What should be one.
        path
            Where it stands in the file, for errors.
        axes
            How many axes it has.
        """
        where = f"{self.name}: {path}"
        if not (hasattr(value, "element_size") and hasattr(value, "numpy")):
            raise InstanceError(
                where, shown(value), "must be a tensor", "is it a dump of the recorder?"
            )
        tensor: Any = value
        self.left_bytes -= tensor.numel() * tensor.element_size()
        empty = not tensor.numel() and max(tensor.shape) > LONGEST_EMPTY_AXIS
        if self.left_bytes < 0 or empty:
            raise InstanceError(
                where,
                f"<shape {tuple(tensor.shape)}>",
                "must not be larger than what the file holds",
                "write it again, cloned",
            )
        try:
            array = numbers_of(tensor.detach().numpy(), where)
        except (TypeError, RuntimeError) as error:
            said = " ".join(str(error).split())[:80]
            raise InstanceError(
                where, f"<{said}>", "must be a plain tensor", "write it dense, of integers"
            ) from None
        if array.dtype.kind not in "iu" or array.ndim != axes:
            raise InstanceError(
                where,
                f"<{array.dtype} of shape {array.shape}>",
                f"must be whole numbers with {axes} axes",
                "is it a dump of the recorder?",
            )
        return array


def shown(value: object) -> str:
    """Return what stands in a file, for errors; printing lists of the same list may never end."""
    plain = value is None or isinstance(value, str | int | float)
    return f"<{shorten(value)}>" if plain else f"<a {type(value).__name__}>"


def read_torch(name: str) -> TorchFile:
    """Return what a ``.pt`` holds, on the CPU.

    Only tensors and plain values are made: a pickle that names anything else is refused.

    Parameters
    ----------
    name
        A file that ``torch.save`` wrote, of a dictionary.

    Raises
    ------
    InstanceError
        If it is no such file.
    AdapterError
        If torch is not installed, or so old that reading would not be safe.
    """
    size = _unpacked_bytes(name)
    torch = _torch()
    try:
        content = torch.load(name, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever a malformed pickle makes the unpickler raise
        said = " ".join(str(error).split())[:80] or type(error).__name__
        raise InstanceError(
            name, f"<{said}>", "must be a .pt of tensors and plain values", "write it again"
        ) from None
    if not isinstance(content, dict):
        raise InstanceError(
            name, f"<a {type(content).__name__}>", "must hold a dictionary", "write the whole dump"
        )
    return TorchFile(name, content, size)


def _unpacked_bytes(name: str) -> int:
    try:
        with opened_zip(name) as archive:
            return sum(member.file_size for member in archive.infolist())
    except InstanceError:
        raise
    except (OSError, zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        said = " ".join(str(error).split())[:80]
        raise InstanceError(
            name, f"<{said}>", "must be a file that torch.save wrote", "check the name"
        ) from None


def _torch() -> Any:
    try:
        import torch
    except ImportError:
        raise AdapterError(
            "reading a .pt needs torch, not installed here; pip install 'moeopt[traces]'"
        ) from None
    version = tuple(int(part) for part in torch.__version__.split("+")[0].split(".")[:2])
    if version < OLDEST_TORCH:
        oldest = ".".join(map(str, OLDEST_TORCH))
        raise AdapterError(
            f"reading a .pt needs torch {oldest} or later, this is {torch.__version__}:"
            " it would run what a hostile file says"
        )
    return torch
