"""The ``comptool`` program: its commands in the order of a competition."""

from __future__ import annotations

import gc
import sys
from importlib import import_module
from typing import Annotated

import typer
from typer.main import get_command

from comptool import __version__

from .errors import BUG, reports_errors
from .options import GroupedCommand, command_of
from .program import end_process

app = typer.Typer(
    name="comptool",
    help="From the files of an image-classification competition to a checked submission.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120},
)

ORDER = (
    "init inspect split embed probe train prior review infer tta pseudolabel recalibrate ensemble "
    "submit score runs evaluate features profile doctor simulate models losses metrics"
).split()
for _name in ORDER:
    _module = import_module(f"comptool.commands.{_name}")
    _command = reports_errors(command_of(getattr(_module, _name)))
    _settings = getattr(_module, "CONTEXT_SETTINGS", None)
    app.command(_name, cls=GroupedCommand, context_settings=_settings)(_command)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"comptool {__version__}")
        raise typer.Exit


@app.callback()
def _comptool(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    pass


def main() -> None:
    """Run the command line of this process, and end the process."""
    gc.disable()  # the command objects live until the end
    command = get_command(app)
    gc.enable()
    try:
        command(prog_name="comptool")
    except SystemExit as end:
        if isinstance(end.code, int):
            end_process(end.code)
        raise
    except Exception:
        # A bug; its traceback is what Python itself would print.
        sys.excepthook(*sys.exc_info())
        end_process(BUG)
