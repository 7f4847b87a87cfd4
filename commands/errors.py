"""Messages and exit codes of exceptions, and the end of the process."""

from __future__ import annotations

import atexit
import functools
import json
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ParamSpec, TypeVar

import typer

from comptool.errors import AlreadyDoneError, ComptoolError, SubmissionError, UsageError

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
            with _shown_warnings(quiet=bool(kwargs.get("quiet"))):
                return command(*args, **kwargs)
        except AlreadyDoneError as done:
            _give_done(name, done, kwargs)
            raise typer.Exit(0) from None
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


def _give_done(name: str, done: AlreadyDoneError, options: Mapping[str, Any]) -> None:
    """Print the result of the command that made the outputs before."""
    if not options.get("quiet"):
        typer.echo(f"comptool {name}: {done}", err=True)
    # Of several outputs the result is a zip, or the one that the command is given.
    given = options.get("output")
    path = min(map(str, done.paths), key=lambda one: (not one.endswith(".zip"), one != str(given)))
    result = json.dumps({"output": path, "already_done": True})
    typer.echo(result if options.get("json") else path)


@contextmanager
def _shown_warnings(quiet: bool) -> Iterator[None]:
    """Print each warning of the library once; with torchrun, only in the first process."""
    log, handler = logging.getLogger("comptool"), _Shown()
    if quiet or os.environ.get("RANK", "0") != "0":
        handler.setLevel(logging.ERROR)
    before, log.propagate = log.propagate, False
    log.addHandler(handler)
    try:
        yield
    finally:
        log.removeHandler(handler)
        log.propagate = before


class _Shown(logging.Handler):
    """Distinct messages as lines on stderr."""

    def __init__(self) -> None:
        super().__init__()
        self._seen: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        """Print a message that is new."""
        text = record.getMessage()
        if text not in self._seen:
            self._seen.add(text)
            typer.echo(f"warning: {text}", err=True)


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
