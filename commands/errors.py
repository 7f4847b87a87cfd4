"""Messages and exit codes of exceptions."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import typer

from comptool.errors import ComptoolError, SubmissionError, UsageError, visible_lines

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
            result = command(*args, **kwargs)
            interruptions.end()
        except BaseException as error:
            interruptions.end()
            # What it is after a signal, a package may have made of the KeyboardInterrupt.
            if isinstance(error, KeyboardInterrupt) or interruptions.heard:
                raise _interrupted(error) from None
            if isinstance(error, ComptoolError):
                typer.echo(visible_lines(f"comptool {name}: {error}"), err=True)
                raise typer.Exit(exit_code(error)) from None
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
