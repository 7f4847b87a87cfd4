"""``comptool split``: from a training table to folds."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from . import _options
from ._options import (
    CompetitionOption,
    DryRunOption,
    ForceOption,
    JsonOption,
    QuietOption,
    SeedOption,
)


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
    balance: Annotated[
        Balance, typer.Option(help="under: cut every class to the size of the smallest.")
    ] = Balance.none,
    cap: Annotated[
        int | None, typer.Option(help="under: at most this many rows of a class, at least 2.")
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
    hold-out is fold 0), -1 always trained on. Rows that balancing removes are absent.

    Example: comptool split --balance under --val 0.2
    """
    from comptool.data import splitting
    from comptool.outputs import refuse_existing

    splitting.check_options(val, folds, balance.value, cap)
    refuse_existing(output, force)
    facts, samples = splitting.samples_to_split(table, competition)
    _options.say("\n".join([*facts.findings, f"splitting {samples.source}"]), quiet)
    made = splitting.make_folds(
        samples, val=val, num_folds=folds, balance=balance.value, cap=cap, seed=seed
    )
    _options.say(splitting.report(made, facts.label), quiet)
    if dry_run:
        _options.say(f"would write {output}", quiet)
        return
    options = {"val": val, "folds": folds, "balance": balance.value, "cap": cap}
    arguments = {"table": table, "output": output, **options, "seed": seed}
    splitting.write_folds(output, made, samples, arguments=arguments, seed=seed, force=force)
    _options.give(output, splitting.summary(output, made, facts.label), json)
