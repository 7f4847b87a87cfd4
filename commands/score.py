"""``comptool score``: what a submission is worth on answers that are known."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from . import _options
from ._options import DryRunOption, ForceOption, JsonOption, QuietOption


def score(
    submission: Annotated[
        Path,
        typer.Argument(
            help="Ids with a class each, a list of classes, or one probability per class; "
            "multi-label also an out-of-fold file."
        ),
    ],
    answers: Annotated[
        Path, typer.Option("--answers", help="Ids with the truth; read by no other command.")
    ],
    public: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=1,
            help="Share of the rows in the public part, by id. [default: the answers' column "
            "usage, else 0.3]",
        ),
    ] = None,
    metric: Annotated[
        str | None,
        typer.Option(
            help="[default: the practice competition's or comptool.toml's, else accuracy or map]"
        ),
    ] = None,
    per_class: Annotated[
        Path | None,
        typer.Option(help="Multi-label: write each class's numbers to this CSV, worst first."),
    ] = None,
    thresholds: Annotated[
        str | None,
        typer.Option(help="Multi-label: print macro, micro and sample F1 at these: 0.3,0.5,0.7."),
    ] = None,
    record: Annotated[
        bool, typer.Option("--record", help="Add the scores to submissions/scores.csv (see runs).")
    ] = False,
    force: ForceOption = False,
    quiet: QuietOption = False,
    json: JsonOption = False,
    dry_run: DryRunOption = False,
) -> None:
    """Grade a submission on known answers, as a public and a private leaderboard would.

    Which part a row belongs to follows from its id, so that scores can be compared. Multi-label
    answers that are -1 or blank count nowhere, and classes without a positive are left out.

    Example: comptool score submissions/mavoc.csv --answers data/answers.csv
    """
    from comptool.evaluation.class_report import report
    from comptool.evaluation.scoring import grade
    from comptool.outputs import refuse_existing
    from comptool.tracking import records

    if per_class is not None:
        refuse_existing(per_class, force)
    if dry_run:
        writes = [*([per_class] if per_class else []), *([records.SCORES] if record else [])]
        end = f"would write {' and '.join(map(str, writes))}" if writes else "nothing is written"
        _options.say(f"would read {submission} and {answers}; {end}", quiet)
        return
    graded = grade(submission, answers, public=public, metric=metric)
    told = report(graded, submission, answers, per_class, thresholds, force=force)
    for text in told.texts:
        _options.say(text, quiet)
    if record:
        from comptool.tracking import recording

        made = recording.record_grade(submission, graded)
        _options.say(recording.told(made), quiet)
    summary = {"submission": str(submission), **graded.summary(), **told.facts}
    _options.give(str(graded), summary, json)
