"""What Linux tells of this process."""

from __future__ import annotations

from pathlib import Path


def status_bytes(field: str) -> int:
    """Return the bytes of a field of the process's status, which Linux tells in KiB.

    Parameters
    ----------
    field
        Such as ``VmRSS``, what is resident, or ``VmHWM``, the most that was.

    Raises
    ------
    OSError
        If this system tells no such thing.
    """
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024
    raise OSError(f"/proc/self/status has no {field}")
