"""Messages and exit codes of exceptions."""

from __future__ import annotations

import errno
import functools
import json
import logging
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ParamSpec, TypeVar

import typer

from comptool.errors import (
    AlreadyDoneError,
    ComptoolError,
    SubmissionError,
    UsageError,
    quoted,
    visible_lines,
)

from .program import INTERRUPTED, interruptions

P = ParamSpec("P")
R = TypeVar("R")

BUG = 1
BAD_USAGE = 2
BAD_INPUT = 3
CHECK_FAILED = 4


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
            interruptions.begin(name)
            with _shown_warnings(quiet=bool(kwargs.get("quiet"))):
                result = command(*args, **kwargs)
            interruptions.end()
        except BaseException as error:
            interruptions.end()
            # What it is after a signal, a package may have made of the KeyboardInterrupt.
            if isinstance(error, KeyboardInterrupt) or interruptions.heard:
                raise _interrupted(error) from None
            if isinstance(error, AlreadyDoneError):
                _give_done(name, error, kwargs)
                raise typer.Exit(0) from None
            if isinstance(error, ComptoolError):
                typer.echo(visible_lines(f"comptool {name}: {error}"), err=True)
                raise typer.Exit(exit_code(error)) from None
            if isinstance(error, OSError) and error.errno == errno.ENAMETOOLONG:
                named = quoted([error.filename or ""])
                told = f"comptool {name}: no file can have so long a name: {named}"
                typer.echo(visible_lines(told), err=True)
                raise typer.Exit(exit_code(UsageError(told))) from None
            if isinstance(error, BrokenPipeError):
                # The reader of stdout is gone (`comptool models | head`); Python would report it
                # again when flushing stdout at exit.
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
                raise typer.Exit(0) from None
            raise
        if interruptions.heard:
            raise _interrupted(None)
        return result

    return run


def _interrupted(error: BaseException | None) -> typer.Exit:
    if isinstance(error, KeyboardInterrupt) and str(error):
        # A resumable command says so in the text of the exception.
        interruptions.reason = str(error)
    if line := interruptions.line():
        typer.echo(line, err=True)
    return typer.Exit(INTERRUPTED)


def _give_done(name: str, done: AlreadyDoneError, options: Mapping[str, Any]) -> None:
    """Print the result of the command that made the outputs before."""
    if not options.get("quiet"):
        typer.echo(visible_lines(f"comptool {name}: {done}"), err=True)
    # Of several outputs the result is a zip, or the one that the command is given.
    given = options.get("output")
    path = min(map(str, done.paths), key=lambda one: (not one.endswith(".zip"), one != str(given)))
    result = json.dumps({"output": path, "already_done": True})
    typer.echo(result if options.get("json") else path)


@contextmanager
def _shown_warnings(quiet: bool) -> Iterator[None]:
    """Print each message of the library once; with torchrun, only in the first process."""
    log, handler = logging.getLogger("comptool"), _Shown()
    if quiet or os.environ.get("RANK", "0") != "0":
        handler.setLevel(logging.ERROR)
    before, log.propagate = log.propagate, False
    level = log.level
    log.setLevel(logging.INFO)
    log.addHandler(handler)
    try:
        yield
    finally:
        log.removeHandler(handler)
        log.propagate = before
        log.setLevel(level)


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
            mark = "warning: " if record.levelno >= logging.WARNING else ""
            typer.echo(visible_lines(mark + text), err=True)
