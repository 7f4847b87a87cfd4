"""``comptool split``: from a training table to folds."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from . import _options
from ._help import option
from ._options import (
    CompetitionOption,
    DryRunOption,
    ForceOption,
    JsonOption,
    QuietOption,
    SeedOption,
)

LABELS = "Several labels per row"


class Balance(StrEnum):
    """What is done about classes of different size."""

    none = "none"
    under = "under"


def split(
    table: Annotated[
        Path | None,
        typer.Argument(help="A labelled table. [default: the competition's training data]"),
    ] = None,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Where the table with folds goes.")
    ] = _options.FOLDS,
    val: Annotated[
        float | None,
        typer.Option(help="Share of each class to hold out, 0 to 1. [default: 0.2]"),
    ] = None,
    folds: Annotated[
        int | None, typer.Option(help="K folds instead of a hold-out, at least 2.")
    ] = None,
    from_column: Annotated[
        str | None,
        typer.Option(help="Column with a given split: train, val, test (left out), or folds."),
    ] = None,
    balance: Annotated[
        Balance, typer.Option(help="under: cut every class to the size of the smallest.")
    ] = Balance.none,
    cap: Annotated[
        int | None, typer.Option(help="under: at most this many rows of a class, at least 2.")
    ] = None,
    seeds: Annotated[
        int | None,
        typer.Option(help="Seeds to try; the best is kept. [default: 1; with several labels 100]"),
    ] = None,
    strategy: Annotated[
        str | None, option(LABELS, "iterative or random. [default: iterative]")
    ] = None,
    refine: Annotated[
        bool, option(LABELS, "Exchange rows after the search.", "--refine/--no-refine")
    ] = True,
    map_zero_to_unknown: Annotated[
        bool,
        option(
            LABELS,
            "Train on 0 as not annotated; adds the column zero_is_unknown.",
            "--map-zero-to-unknown",
        ),
    ] = False,
    corrections: Annotated[
        Path | None, typer.Option(help="Label corrections, as the page of review exports them.")
    ] = None,
    seed: SeedOption = 0,
    competition: CompetitionOption = None,
    force: ForceOption = False,
    quiet: QuietOption = False,
    json: JsonOption = False,
    dry_run: DryRunOption = False,
) -> None:
    """Decide which rows are validated, and when.

    Every class keeps its share in every part. Where the competition has a group column, no group
    is torn apart. Of a class of n rows, n x VAL rounded down are held out, at least one of two; a
    class of one row is always trained on. Adds the column fold: 0 to K-1 is validated then (a
    hold-out is fold 0), -1 always trained on. Rows that balancing removes are absent, as are those
    of which corrections (id, label) say no class.

    With several labels per row, the seed is kept whose class shares differ least between training
    and validation (their standard deviation over the classes), and rows are then exchanged.

    Example: comptool split --balance under --val 0.2
    """
    from comptool.data import fold_tables, splitting
    from comptool.data.split_options import SplitOptions
    from comptool.outputs import refuse_existing

    options = SplitOptions(
        val, folds, from_column, balance.value, cap, seed, seeds,
        strategy, refine, map_zero_to_unknown, corrections,
    )  # fmt: skip
    options.check()
    refuse_existing(output, force)
    facts, samples = splitting.samples_to_split(table, competition)
    _options.say("\n".join([*facts.findings, f"splitting {samples.source}"]), quiet)
    made = splitting.split_samples(samples, options)
    _options.say(fold_tables.report(made), quiet)
    if dry_run:
        _options.say(f"would write {output}", quiet)
        return
    arguments = {"table": table, "output": output, **options.arguments()}
    fold_tables.write_folds(
        output, made, samples, options=options, arguments=arguments, force=force
    )
    _options.give(output, fold_tables.summary(output, made), json)
