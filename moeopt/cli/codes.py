"""The exit codes of every command."""

from __future__ import annotations

#: A plan, or whatever was asked for.
DONE = 0
#: Our fault, or a solver or an outside service that failed.
OUR_FAULT = 1
#: Bad input or usage, an invalid plan included.
BAD_INPUT = 2
#: Proven infeasible, or no plan found within the limits.
NO_PLAN = 3
#: Interrupted from the keyboard.
INTERRUPTED = 130
#: Nobody read the output.
BROKEN_PIPE = 141
