"""Messages and exit codes of exceptions, and the end of the process."""

from __future__ import annotations

import atexit
import functools
import os
import signal
import sys
import threading
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import typer

from comptool.errors import ComptoolError, SubmissionError, UsageError

P = ParamSpec("P")
R = TypeVar("R")

BUG = 1
BAD_USAGE = 2
BAD_INPUT = 3
CHECK_FAILED = 4
INTERRUPTED = 130


def exit_code(error: ComptoolError) -> int:
    """The exit code for an error."""
    if isinstance(error, UsageError):
        return BAD_USAGE
    if isinstance(error, SubmissionError):
        return CHECK_FAILED
    return BAD_INPUT


def reports_errors(command: Callable[P, R]) -> Callable[P, R]:
    """Wrap a command so that an error of the user is one line on stderr, without a traceback."""

    @functools.wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        name = command.__name__.rstrip("_").replace("_", "-")
        try:
            return command(*args, **kwargs)
        except ComptoolError as error:
            typer.echo(f"comptool {name}: {error}", err=True)
            raise typer.Exit(exit_code(error)) from None
        except KeyboardInterrupt as interrupt:
            # A resumable command says so in the text of the exception.
            reason = str(interrupt) or "interrupted; nothing was half-written"
            typer.echo(f"comptool {name}: {reason}", err=True)
            raise typer.Exit(INTERRUPTED) from None
        except BrokenPipeError:
            # The reader of stdout is gone (`comptool models | head`); Python would report it again
            # when flushing stdout at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(0) from None

    return run


def end_process(code: int) -> None:
    """End the process at once if torch was imported or a thread is running; otherwise return.

    Python would first free 600,000 objects of torch, which takes a second, and join the thread,
    which may wait for a hanging disk. Exit handlers still run.
    """
    if "torch" not in sys.modules and threading.active_count() == 1:
        return
    _end_workers()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _end_workers() -> None:
    """Kill the processes that load images; Python would terminate them and wait forever."""
    processes = sys.modules.get("multiprocessing")
    if processes is None:
        return
    if hasattr(signal, "SIGCHLD"):
        # The handler of torch would raise for each.
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for worker in processes.active_children():
        worker.kill()
