"""``comptool simulate``: a practice competition, with its answers kept apart."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from comptool.simulation import SIMULATIONS

from . import _options
from ._options import DryRunOption, ForceOption, JsonOption, QuietOption


def simulate(
    name: Annotated[
        str,
        typer.Argument(help="; ".join(f"{row.name}: {row.summary}" for row in SIMULATIONS)),
    ],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="The folder to make. [default: the name]"),
    ] = None,
    scale: Annotated[
        float,
        typer.Option(help="Share of the real training counts, above 0 and at most 1."),
    ] = 0.1,
    looks: Annotated[
        int | None,
        typer.Option(min=1, help="mavoc, ntire: looks averaged in a SAR image. [default: 4]"),
    ] = None,
    deleted: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=0.9,
            help="aicoss: share of the positives missing from the training labels. [default: 0.2]",
        ),
    ] = None,
    seed: _options.SeedOption = 0,
    processes: Annotated[
        int | None,
        typer.Option("--workers", "-j", min=1, help="Processes that draw. [default: all cores]"),
    ] = None,
    force: ForceOption = False,
    quiet: QuietOption = False,
    json: JsonOption = False,
    dry_run: DryRunOption = False,
) -> None:
    """Write a practice competition as an organiser would hand it out.

    The folder holds images, train.csv, test.csv and sample_submission.csv. Its answers.csv is
    read by 'comptool score' alone. Same name, scale and seed: same bytes.

    Example: comptool simulate mavoc -o data --scale 0.1
    """
    from comptool.memory import keep_freed_memory
    from comptool.simulation.making import make

    keep_freed_memory()
    folder = output or Path(name)
    asked = {"looks": looks, "deleted": deleted}
    given = {option: value for option, value in asked.items() if value is not None}
    made = make(
        name,
        folder,
        scale=scale,
        seed=seed,
        options=given,
        processes=processes,
        force=force,
        dry_run=dry_run,
        quiet=quiet,
        say=lambda text: _options.say(text, quiet),
    )
    if not dry_run:
        _options.give(folder, {"folder": str(folder), **made}, json)
