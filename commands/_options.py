"""Options that several commands share, the default places, and how a command speaks."""

from __future__ import annotations

import os
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

FOLDS = Path("folds.csv")
PSEUDO = Path("pseudo.csv")
WEIGHTS = Path("weights")
SUBMISSIONS = Path("submissions")
PREDS = SUBMISSIONS / "preds.csv"
PREDS_TTA = SUBMISSIONS / "preds_tta.csv"
ENSEMBLE = SUBMISSIONS / "ensemble.csv"
FINDINGS = Path("findings.csv")
REVIEW = Path("review.csv")
RECALIBRATED = SUBMISSIONS / "recalibrated.csv"

ForceOption = Annotated[bool, typer.Option("--force", help="Replace outputs that exist.")]
QuietOption = Annotated[
    bool, typer.Option("--quiet", "-q", help="No messages; errors and the result only.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the result as one JSON object.")]
DryRunOption = Annotated[
    bool, typer.Option("--dry-run", help="Say what would be read and written; write nothing.")
]
SeedOption = Annotated[int, typer.Option("--seed", min=0, help="Seed of every random choice.")]
CompetitionOption = Annotated[
    Path | None,
    typer.Option(
        "--competition", help="The competition's facts. [default: ./comptool.toml, else detected]"
    ),
]
WorkersOption = Annotated[
    int | None,
    typer.Option("--workers", "-j", min=0, help="Processes that load images. [default: chosen]"),
]
BatchSizeOption = Annotated[int, typer.Option("--batch-size", "-b", min=1, help="Images at once.")]
DeviceOption = Annotated[str, typer.Option("--device", help="auto, cpu, cuda or cuda:N.")]


class Search(StrEnum):
    """How weights are searched."""

    greedy = "greedy"
    continuous = "continuous"


def say(text: str, quiet: bool = False) -> None:
    """A message for the person at the terminal, on stderr; of a torchrun's processes one speaks."""
    if not quiet and os.environ.get("RANK", "0") == "0":
        typer.echo(text, err=True)


def given(ctx: typer.Context) -> dict[str, Any]:
    """The options that somebody typed, by name; defaults are left out."""
    sources = {name: ctx.get_parameter_source(name) for name in ctx.params}
    return {
        name: ctx.params[name]
        for name, source in sources.items()
        if source is not None and source.name not in ("DEFAULT", "DEFAULT_MAP")
    }


def give(path: Path | str, result: Mapping[str, object], as_json: bool) -> None:
    """The result on stdout: the path written, or one JSON object."""
    import json

    typer.echo(json.dumps(dict(result), default=str) if as_json else str(path))
