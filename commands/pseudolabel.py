"""``comptool pseudolabel``: the test rows that a model is sure of, as training rows."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from . import _options
from ._options import CompetitionOption, DryRunOption, ForceOption, JsonOption, QuietOption


def pseudolabel(
    predictions: Annotated[
        Path | None,
        typer.Argument(help="Predictions. [default: ensemble.csv, preds_tta.csv or preds.csv]"),
    ] = None,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Where the labelled rows go.")
    ] = _options.PSEUDO,
    test: Annotated[
        Path | None, typer.Option(help="The predicted table. [default: the competition's]")
    ] = None,
    threshold: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=1,
            help="Keep rows strictly above it; multi-label: a class is present above it. "
            "[default: 0.96, or none with --quantile]",
        ),
    ] = None,
    lower: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=1,
            help="Multi-label: a class is absent strictly below it, not known between the two. "
            "[default: 1 - threshold]",
        ),
    ] = None,
    quantile: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="Keep each class's rows from this quantile on."),
    ] = None,
    per_class_cap: Annotated[
        int | None, typer.Option(min=1, help="At most so many rows per class, the surest.")
    ] = None,
    balance: Annotated[
        bool, typer.Option("--balance", help="Cut every class to the smallest kept count.")
    ] = False,
    soft: Annotated[
        bool, typer.Option("--soft", help="Write class probabilities too, as soft:<class>.")
    ] = False,
    previous: Annotated[
        Path | None,
        typer.Option(help="The table of the round before; of a row in both, this round's stays."),
    ] = None,
    allow_empty: Annotated[
        bool, typer.Option("--allow-empty", help="Write a table without rows, not exit code 3.")
    ] = False,
    competition: CompetitionOption = None,
    force: ForceOption = False,
    quiet: QuietOption = False,
    json: JsonOption = False,
    dry_run: DryRunOption = False,
) -> None:
    """Keep the test rows whose class the predictions are sure of, to train on.

    The class is the most probable one or, where predictions have been recalibrated, that of their
    column pred; its probability is what has to pass the threshold. The fold of the rows is -1: they
    are trained on and never validated. Ids of labelled training rows are
    refused. Multi-label: rows with a class that is surely present are kept; classes that are
    neither surely present nor surely absent are -1, which losses and metrics leave out.

    Example: comptool pseudolabel --threshold 0.96
    """
    from comptool.competition import load
    from comptool.decisions import sources
    from comptool.decisions.pseudolabel import Rule
    from comptool.decisions.pseudotable import pseudolabel_file
    from comptool.outputs import refuse_existing

    refuse_existing(output, force)
    reason = f"taking {predictions}"
    if predictions is None:
        steps = (_options.ENSEMBLE, _options.PREDS_TTA, _options.PREDS)
        predictions, reason = sources.latest_step(steps)
    _options.say(reason, quiet)
    facts = load(competition)
    if dry_run:
        read = [predictions, test or facts.test or facts.sample_submission, facts.train, previous]
        named = ", ".join(str(path) for path in read if path is not None)
        _options.say(f"would read {named} and write {output}")
        return
    rule = Rule(threshold, quantile, per_class_cap, balance, lower)
    made = pseudolabel_file(
        predictions,
        output,
        facts,
        rule,
        test=test,
        soft=soft,
        previous=previous,
        allow_empty=allow_empty,
        force=force,
    )
    _options.say(made.text(), quiet)
    summary = {
        "output": output,
        "input": predictions,
        "round": made.round,
        "rows": made.rows,
        **{title: dict(zip(made.classes, n, strict=True)) for title, n in made.counts.items()},
        "notes": made.notes,
    }
    _options.give(output, summary, json)
