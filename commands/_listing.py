"""How a command lists the entries of a registry."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import typer

from comptool.registry import Entry


def give_entries(parts: Mapping[str, Sequence[Entry]], as_json: bool) -> None:
    """The entries on stdout: a line each, or one JSON object with a list per part."""
    import json

    if as_json:
        rows = {
            part: [{"name": e.name, "summary": e.summary, "source": e.source} for e in entries]
            for part, entries in parts.items()
        }
        typer.echo(json.dumps(rows))
        return
    entries = [entry for part in parts.values() for entry in part]
    width = max(len(entry.name) for entry in entries)
    for entry in entries:
        typer.echo(f"{entry.name:<{width}}  {entry.summary} [{entry.source}]")


def give_options(options: Mapping[str, object], as_json: bool) -> None:
    """The options on stdout with their defaults: a line each, or one JSON object."""
    import json

    if as_json:
        typer.echo(json.dumps(options))
        return
    for name, default in options.items():
        typer.echo(f"{name}={'none' if default is None else default}")
