"""``comptool evaluate``: what a run or predictions are worth, with intervals and pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from . import _options
from ._options import DryRunOption, ForceOption, JsonOption, QuietOption


def evaluate(
    source: Annotated[
        str | None,
        typer.Argument(
            metavar="RUN|PREDS",
            help="A run, its oof.csv or, with --answers, predictions. [default: the latest run]",
        ),
    ] = None,
    answers: Annotated[
        Path | None,
        typer.Option(help="Ids with the truth. [default: the labels of the held-out rows]"),
    ] = None,
    pictures: Annotated[
        Path | None,
        typer.Option(help="A folder for confusion.png and reliability.png. [default: none]"),
    ] = None,
    bootstrap: Annotated[
        int, typer.Option(min=0, help="Resamples of the rows for the 95 % intervals; 0: none.")
    ] = 1000,
    seed: _options.SeedOption = 0,
    competition: _options.CompetitionOption = None,
    force: ForceOption = False,
    quiet: QuietOption = False,
    json: JsonOption = False,
    dry_run: DryRunOption = False,
) -> None:
    """Accuracy, balanced and per class, macro F1, kappa, calibration; several labels: mAP.

    Each with a 95 % bootstrap interval: what it might be on other rows, as many as these. ECE has
    15 bins of the answer's probability; the confidence gap is 100 times (its mean where the answer
    is right - where it is wrong).

    Example: comptool evaluate resnet18 --pictures pictures
    """
    arguments = dict(locals())
    from comptool.evaluation import evaluating, reporting

    paths = reporting.picture_paths(pictures, force=force)
    if dry_run:
        predictions = evaluating.evaluated_file(source, answers)
        read = f"{predictions} and {answers or 'the labels of its rows'}"
        writes = f"would write {' and '.join(map(str, paths))}" if paths else "nothing is written"
        _options.say(f"would read {read}; {writes}", quiet)
        return
    found = evaluating.evaluate(
        source, answers=answers, competition=competition, resamples=bootstrap, seed=seed
    )
    for note in found.notes:
        _options.say(f"warning: {note}", quiet)
    drawn = reporting.draw(found, pictures, arguments, force=force)
    for path in drawn:
        _options.say(f"drew {path}", quiet)
    _options.give(str(found), {**found.document(), "pictures": drawn}, json)
