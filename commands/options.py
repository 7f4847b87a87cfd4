"""Typer commands from the dataclasses of their options, and the output of a command."""

from __future__ import annotations

import functools
import inspect
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, Field, fields
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin, get_type_hints

import typer
from typer.core import TyperCommand
from typer.main import get_command

from comptool.errors import visible_lines
from comptool.limits import limit_pixels
from comptool.options import (
    ADVANCED,
    BASIC,
    GENERAL,
    REST,
    Option,
    WithMaxPixels,
    check,
    filled_by,
    kebab,
    options_of,
    run_as,
)
from comptool.registry import Entry

Config = TypeVar("Config")


def command_of(function: Callable[[Any], None]) -> Callable[..., None]:
    """A function of a dataclass as a Typer command with the options of the dataclass."""
    kind = config_class(function)

    @functools.wraps(function)
    def run(ctx: typer.Context, **values: Any) -> None:
        config: Any = _config(kind, ctx, values)
        with run_as(function.__name__.rstrip("_").replace("_", "-"), config):
            function(config)

    return _with_options(run, kind)


def config_class(function: Callable[[Any], None]) -> type:
    """The dataclass of a command."""
    hints = inspect.get_annotations(function, eval_str=True)
    (kind,) = (hint for name, hint in hints.items() if name != "return")
    return kind  # type: ignore[no-any-return]


def parsed(kind: type[Config], name: str, words: Sequence[str]) -> Config:
    """The dataclass of a command line of ``comptool NAME``; exits at an error."""

    def collect(ctx: typer.Context, **values: Any) -> Config:
        return _config(kind, ctx, values)

    app = typer.Typer(
        add_completion=False,
        rich_markup_mode=None,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.command(name, cls=GroupedCommand)(_with_options(collect, kind))
    parser = get_command(app)
    with parser.make_context(f"comptool {name}", list(words)) as context:
        config: Config = parser.invoke(context)
    return config


def _with_options(run: Callable[..., Any], kind: type) -> Callable[..., Any]:
    context = inspect.Parameter("ctx", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context)
    parameters = [context, *_parameters(kind)]
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {one.name: one.annotation for one in parameters}
    return run


def _parameters(kind: type) -> list[inspect.Parameter]:
    hints = get_type_hints(kind)
    return [
        inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=_default(field),
            annotation=Annotated[_typer_hint(hints[field.name], declared), _info(field, declared)],
        )
        for field, declared in options_of(kind)
    ]


def _default(field: Field[Any]) -> Any:
    if field.default is MISSING:
        return inspect.Parameter.empty
    return None if field.default == () else field.default


def _typer_hint(hint: Any, declared: Option) -> Any:
    """The type for Typer: a tuple is an optional list."""
    if get_origin(hint) is tuple:
        return list[get_args(hint)[0]] | None  # type: ignore[misc]
    if declared.choices and not declared.kind:
        words: Any = Literal.__getitem__(declared.choices)
        return words | None if type(None) in get_args(hint) else words
    return hint


def _info(field: Field[Any], declared: Option) -> Any:
    text = _help(field, declared)
    if declared.positional:
        return typer.Argument(help=text, metavar=declared.metavar, show_default=False)
    parser = declared.parse and _reporting(declared.parse)
    return typer.Option(
        *(declared.names or (kebab(field.name),)),
        help=text,
        rich_help_panel=declared.panel,
        metavar=declared.metavar,
        parser=parser,
        show_default=False,
    )


def _reporting(parse: Callable[[str], Any]) -> Callable[[Any], Any]:
    def read(text: Any) -> Any:
        if not isinstance(text, str):
            return text  # the default
        try:
            return parse(text)
        except ValueError as error:
            raise typer.BadParameter(str(error)) from None

    return read


def _help(field: Field[Any], declared: Option) -> str:
    """The text of ``--help``: meaning, default and range."""
    default = declared.shown or _shown(field.default, declared)
    notes = [f"default: {default}" if default else "", "" if declared.parse else declared.range]
    bracket = "; ".join(filter(None, notes))
    return f"{declared.help} [{bracket}]" if bracket else declared.help


def _shown(default: Any, declared: Option) -> str:
    if isinstance(default, bool):
        return declared.names[0].partition("/")[0].lstrip("-") if default else ""
    if isinstance(default, float):
        return f"{default:g}"
    return "" if default in (MISSING, None, ()) else str(default)


def _config(kind: type[Config], ctx: typer.Context, values: Mapping[str, Any]) -> Config:
    """The dataclass of the typed options, with checked ranges."""
    tuples = {field.name for field in fields(kind) if field.default == ()}  # type: ignore[arg-type]
    given: dict[str, Any] = {
        name: tuple(value or ()) if name in tuples else value for name, value in values.items()
    }
    for name, what in filled_by(kind).items():
        given[name] = tuple(ctx.args) if what == REST else _typed(ctx)
    config = kind(**given)
    check(config)
    limit_pixels(config.max_pixels if isinstance(config, WithMaxPixels) else None)
    return config


def _typed(ctx: typer.Context) -> tuple[str, ...]:
    """The names of the typed options, without defaults."""
    sources = {name: ctx.get_parameter_source(name) for name in ctx.params}
    return tuple(
        name
        for name, source in sources.items()
        if source is not None and source.name not in ("DEFAULT", "DEFAULT_MAP")
    )


class GroupedCommand(TyperCommand):
    """A command with an option list by panel, which the plain help of Typer lacks."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the arguments and options, common panels first."""
        sections: dict[str, list[tuple[str, str]]] = {"Arguments": [], BASIC: []}
        last: dict[str, list[tuple[str, str]]] = {ADVANCED: [], GENERAL: []}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is None:
                continue
            is_argument = parameter.param_type_name == "argument"
            panel = getattr(parameter, "rich_help_panel", None) or GENERAL
            title = "Arguments" if is_argument else panel
            names = re.sub(r"<list\[(\w+)\]>", lambda of: f"<{of[1].lower()}>", record[0])
            panels = last if title in last else sections
            panels.setdefault(title, []).append((names, record[1]))
        for title, records in (sections | last).items():
            if records:
                with formatter.section(title):
                    formatter.write_dl(records)


def say(text: str, quiet: bool = False) -> None:
    """Print a message to stderr; with torchrun, only in the first process."""
    if not quiet and os.environ.get("RANK", "0") == "0":
        typer.echo(visible_lines(text), err=True)


def give(path: Path | str, result: Mapping[str, object], as_json: bool) -> None:
    """Print the result to stdout: the written path, or one JSON object."""
    import json

    typer.echo(json.dumps(dict(result), default=str) if as_json else str(path))


def give_entries(
    parts: Mapping[str, Sequence[Entry]], as_json: bool, columns: Sequence[str] = ()
) -> None:
    """Print entries to stdout: a line each, or one JSON object with a list per part.

    ``columns`` are attributes of the entries to show too; lines show the first two.
    """
    import json

    if as_json:
        keys = ("name", "summary", "source", *columns)
        rows = {
            part: [{key: getattr(e, key) for key in keys} for e in entries]
            for part, entries in parts.items()
        }
        typer.echo(json.dumps(rows))
        return
    entries = [entry for part in parts.values() for entry in part]
    shown = [[_cell(getattr(e, key)) for key in ("name", *columns[:2])] for e in entries]
    widths = [max(map(len, column)) for column in zip(*shown, strict=True)]
    for entry, cells in zip(entries, shown, strict=True):
        start = "".join(f"{cell:<{width}}  " for cell, width in zip(cells, widths, strict=True))
        typer.echo(f"{start}{entry.summary} [{entry.source}]")


def _cell(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)
