"""``comptool submit``: from predictions to a checked submission file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from . import _options
from ._options import CompetitionOption, DryRunOption, ForceOption, JsonOption, QuietOption


def submit(
    predictions: Annotated[
        Path | None,
        typer.Argument(
            help="Predictions. [default: the last step of the chain that is in submissions/]"
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="Where the CSV goes. [default: submissions/<competition>.csv]"
        ),
    ] = None,
    zipped: Annotated[
        bool, typer.Option("--zip", help="Also write a zip with results.csv at its root.")
    ] = False,
    threshold: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=1,
            help="Multi-label: answer the classes above it; columns of probabilities become 1 and "
            "0. [default: lists 0.5, columns keep their probabilities]",
        ),
    ] = None,
    check_only: Annotated[
        Path | None,
        typer.Option(help="Check this CSV or zip against the sample submission; write nothing."),
    ] = None,
    sample_submission: Annotated[
        Path | None,
        typer.Option(help="The organiser's example. [default: the competition's]"),
    ] = None,
    competition: CompetitionOption = None,
    force: ForceOption = False,
    quiet: QuietOption = False,
    json: JsonOption = False,
    dry_run: DryRunOption = False,
) -> None:
    """Write a submission in the layout of the sample submission, and check it.

    The ids and their order are the sample's. Where it asks for one class, that is the column pred,
    where the predictions have one, and otherwise the most probable class. Where it asks for
    probabilities, pred is left out, and it is said in how many rows it answers otherwise.
    Multi-label: one probability per class, or a list of classes above the threshold, as the sample
    has it. A failed check ends with exit code 4 and writes nothing.

    Example: comptool submit --zip
    """
    from comptool.decisions.sources import latest_step
    from comptool.errors import UsageError
    from comptool.outputs import refuse_existing
    from comptool.submission import delivery

    made_of = (predictions, output, threshold, zipped or None)
    if check_only is not None and any(one is not None for one in made_of):
        raise UsageError(
            "--check-only writes nothing: no predictions, -o, --threshold or --zip with it"
        )
    target = delivery.find_target(competition, sample_submission)
    if check_only is not None:
        passed = delivery.check_file(check_only, target)
        _options.say(passed.text(), quiet)
        _options.give(check_only, {"checked": str(check_only), "rows": passed.rows}, json)
        return
    csv = delivery.csv_output(output, _options.SUBMISSIONS, target)
    archive = csv.with_suffix(".zip") if zipped else None
    for path in filter(None, (csv, archive)):
        refuse_existing(path, force)
    reason = f"taking {predictions}"
    if predictions is None:
        steps = (_options.RECALIBRATED, _options.ENSEMBLE, _options.PREDS_TTA, _options.PREDS)
        predictions, reason = latest_step(steps)
    _options.say("\n".join([reason, *delivery.stale_inputs(predictions)]), quiet)
    _options.say("\n".join([*target.findings, f"layout and ids of {target.sample_path}"]), quiet)
    if dry_run:
        _options.say(f"would write {' and '.join(map(str, filter(None, (csv, archive))))}", quiet)
        return
    made = delivery.submit(predictions, target, csv, archive, threshold=threshold, force=force)
    _options.say(made.text(), quiet)
    result = {"output": str(csv), "zip": archive and str(archive), "rows": made.rows}
    _options.give(archive or csv, result, json)
