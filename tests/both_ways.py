"""What a script prints when kernels are compiled, and when they are interpreted."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys


def compiled_and_interpreted(script: str) -> tuple[list[str], list[str]]:
    """Return the lines printed here, where kernels are compiled already, and without the JIT."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        exec(compile(script, "script", "exec"), {"__name__": "script"})
    other = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "NUMBA_DISABLE_JIT": "1"},
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    return said.getvalue().splitlines(), other.stdout.splitlines()
