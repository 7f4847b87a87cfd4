"""``comptool ensemble``: several predictions made one."""

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
    Search,
    SeedOption,
)


class Method(StrEnum):
    """How the members are combined."""

    mean = "mean"
    gmean = "gmean"
    power = "power"
    rank_mean = "rank-mean"
    vote = "vote"


def ensemble(
    predictions: Annotated[
        list[Path] | None,
        typer.Argument(help="Prediction files, or runs. [default: submissions/preds*.csv]"),
    ] = None,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Where the ensemble goes.")
    ] = _options.ENSEMBLE,
    method: Annotated[
        Method | None,
        typer.Option(
            help="Mean, geometric mean, power mean, mean of per-class ranks (no probabilities), or "
            "vote (multi-label: share of members above one half). [default: mean]"
        ),
    ] = None,
    power: Annotated[
        float | None, typer.Option(help="power: 1 is the mean, more heeds the sure. [default: 3]")
    ] = None,
    weights: Annotated[
        str | None,
        typer.Option(
            help="One weight per file, in order: 2,1,1; or the ensemble.json of a search. "
            "[default: all equal]"
        ),
    ] = None,
    search: Annotated[
        Search | None,
        typer.Option(help="Search weights of the mean on out-of-fold rows; writes them as .json."),
    ] = None,
    oof: Annotated[
        list[str] | None,
        typer.Option(help="search: run of each file, in order. [default: the recorded ones]"),
    ] = None,
    per_class: Annotated[
        bool, typer.Option("--per-class", help="search: weights of each class; multi-label.")
    ] = False,
    steps: Annotated[
        int | None, typer.Option(min=1, help="greedy: members added at most. [default: 50]")
    ] = None,
    bags: Annotated[
        int | None,
        typer.Option(min=0, help="greedy: draws of half of the members. [default: 0, no draws]"),
    ] = None,
    seed: SeedOption = 0,
    competition: CompetitionOption = None,
    force: ForceOption = False,
    quiet: QuietOption = False,
    json: JsonOption = False,
    dry_run: DryRunOption = False,
) -> None:
    """Average several prediction files into one.

    A run stands for the one file in submissions that holds its predictions. Rows are matched by id
    and written in the order of the first file. Other ids, classes or class order are refused. With
    one class per image, the probabilities of each row sum to one again; multi-label, each class
    stands alone. Searched weights come with the score of the search on rows that it has not seen
    (nested), beside the one in-sample.

    Example: comptool ensemble submissions/preds.csv submissions/preds_tta.csv --weights 1,2
    """
    from comptool.decisions.ensembles.asking import Asked, carry_out
    from comptool.decisions.prediction_files import chosen
    from comptool.outputs import refuse_existing

    refuse_existing(output, force)
    asked = Asked(
        method=method.value if method else None,
        power=power,
        weights=weights,
        search=search.value if search else None,
        out_of_fold=tuple(oof or ()),
        per_class=per_class,
        steps=steps,
        bags=bags,
        seed=seed,
        competition=competition,
    )
    asked.check()
    paths = chosen(predictions or [], _options.SUBMISSIONS, output)
    for line in asked.plan(paths):
        _options.say(line, quiet)
    if dry_run:
        _options.say(f"would write {', '.join(map(str, asked.outputs(output)))}")
        return
    text, summary = carry_out(asked, paths, output, force=force)
    _options.say(text, quiet)
    _options.give(output, {"output": output, **summary}, json)
