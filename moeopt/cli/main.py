"""``moeopt``: parse, run one command, turn every outcome into an exit code and a sentence.

The exit codes are those of `moeopt.cli.codes`.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import logging
import os
import signal
import sys
from collections.abc import Iterator, Sequence

from moeopt.cli import (
    aws_lambda,
    bench,
    calibrate,
    check,
    completion,
    export,
    import_,
    instances,
    report,
    schema,
    show,
    solve,
    sweep,
    version,
)
from moeopt.cli import run as run_command
from moeopt.cli.codes import BAD_INPUT, BROKEN_PIPE, INTERRUPTED, OUR_FAULT
from moeopt.core.errors import AdapterError, BackendError, InstanceError

_COMMANDS = (
    solve,
    sweep,
    check,
    show,
    run_command,
    report,
    export,
    import_,
    schema,
    instances,
    bench,
    aws_lambda,
    calibrate,
    completion,
)

_EPILOG = """\
exit codes: 0 done, 1 internal error or failed solver, 2 bad input, 3 no plan exists or none found
example: moeopt solve @placement/deepseek-v2-lite-intent -o plan.json"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; nothing is raised."""
    try:
        args = parser_of_all().parse_args(argv)
    except SystemExit as stop:
        return int(stop.code or 0)
    for stream in (sys.stdout, sys.stderr):
        # A name that the terminal cannot print is no reason to fail.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    with _logging_to_stderr(logging.ERROR if getattr(args, "quiet", False) else logging.NOTSET):
        return _guarded(args)


def run() -> int:
    """Run as a program of its own: standard output belongs to us alone.

    Some solvers write to file descriptor 1 behind Python's back, in the middle of our JSON; what
    they say goes to standard error.
    """
    ours = os.dup(1)
    os.dup2(2, 1)
    sys.stdout = os.fdopen(ours, "w", encoding=sys.stdout.encoding, buffering=1)
    try:
        return main()
    finally:
        # What is done is done: a Ctrl-C on the way out changes no exit code.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        with contextlib.suppress(OSError):
            sys.stdout.flush()


def _guarded(args: argparse.Namespace) -> int:
    """Run the command; every failure becomes one line on standard error."""
    try:
        code = int(args.run(args))
        sys.stdout.flush()
    except InstanceError as error:
        return _fail(_told(error), BAD_INPUT)
    except (BackendError, AdapterError) as error:
        return _fail(_told(error), OUR_FAULT)
    except KeyboardInterrupt:
        return _fail("interrupted", INTERRUPTED)
    except BrokenPipeError:
        # Whatever is still buffered has no reader: keep the interpreter from flushing it.
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    except Exception as error:
        if os.environ.get("MOEOPT_TRACEBACK") == "1":
            import traceback

            traceback.print_exc()
        said = " ".join(_told(error).split())
        return _fail(
            f"internal error: {type(error).__name__}: {said}; please report it"
            " (MOEOPT_TRACEBACK=1 shows where)",
            OUR_FAULT,
        )
    return code


def _told(error: Exception) -> str:
    """Return what an error says, and where in a sweep it was."""
    return ", ".join([str(error), *getattr(error, "__notes__", ())])


def _fail(message: str, code: int) -> int:
    print(f"moeopt: {message}", file=sys.stderr)
    return code


def parser_of_all() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    parser = argparse.ArgumentParser(
        prog="moeopt",
        description="Place and schedule Mixture-of-Experts models, with proofs of quality.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--version", action=version.ShowVersions, help="versions of moeopt and of what it uses"
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for command in _COMMANDS:
        command.add(commands)
    return parser


class _ToStderr(logging.Handler):
    """Writes to what standard error is at the time: over a progress bar, not into it."""

    def emit(self, record: logging.LogRecord) -> None:
        print(self.format(record), file=sys.stderr)


@contextlib.contextmanager
def _logging_to_stderr(level: int) -> Iterator[None]:
    """Show what the library logs from a level on, for as long as the command runs."""
    handler = _ToStderr(level)
    handler.setFormatter(logging.Formatter("moeopt: %(message)s"))
    logger = logging.getLogger("moeopt")
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
