"""``comptool submit``: a checked submission file from predictions."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from comptool.errors import UsageError
from comptool.options import (
    ENSEMBLE,
    PREDS,
    PREDS_TTA,
    RECALIBRATED,
    SUBMISSIONS,
    Output,
    WithCompetition,
    argument,
    option,
)

from .options import give, say


@dataclass(frozen=True)
class SubmitConfig(Output, WithCompetition):
    """The options of ``comptool submit``."""

    predictions: Path | None = argument(
        None, help="Predictions.", shown="the last step of the chain in submissions/"
    )
    output: Path | None = option(
        help="Submission to write.",
        names=("--output", "-o"),
        shown="submissions/<competition>.csv",
    )
    zipped: bool = option(
        False, help="Also write a zip with results.csv at its root.", names=("--zip",)
    )
    form: str | None = option(
        help="Answer form: probabilities, indicators, probability, top-k, list, label or numbers.",
        metavar="NAME",
        shown="the competition's, otherwise by sample submission, metric and task",
    )
    positive_class: str | None = option(
        help="Class whose probability a single column of two classes has.",
        metavar="CLASS",
        shown="the competition's, otherwise by the name of the column",
    )
    threshold: float | None = option(
        help="Multi-label: threshold above which a class is in the list, or its column 1 instead "
        "of a probability.",
        min=0,
        max=1,
        shown="for each class that of the best F-score on out-of-fold rows, otherwise 0.5",
    )
    check_only: Path | None = option(
        help="CSV or zip to check against the sample submission; nothing is written."
    )
    sample_submission: Path | None = option(
        help="The organiser's sample submission.", shown="the competition's"
    )

    def check(self) -> None:
        """Raise a UsageError if a check is combined with options of a submission."""
        made_of = (self.predictions, self.output, self.threshold, self.zipped or None)
        if self.check_only is not None and any(one is not None for one in made_of):
            raise UsageError(
                "--check-only writes nothing: no predictions, -o, --threshold or --zip with it"
            )


def submit(config: SubmitConfig) -> None:
    """Write and check a submission file.

    Columns, ids and their order are those of the sample submission; the answer form follows its
    columns, the metric and the task, and is reported with the reason. Where sample and metric
    contradict each other, --form settles it. One class is the column pred of the predictions,
    otherwise the most probable class. Probabilities ignore pred, and the number of rows it would
    change is reported. Lists and columns of 1 and 0 of several labels have the classes above their
    thresholds. A failed check ends with exit code 4 and writes nothing.

    Example: comptool submit --zip
    """
    from comptool.postprocess.inputs import latest_step
    from comptool.submission import delivery

    quiet = config.quiet
    config.check()
    target = delivery.find_target(
        config.competition, config.sample_submission, config.form, config.positive_class
    )
    if config.check_only is not None:
        passed = delivery.check_file(config.check_only, target)
        say(passed.text(), quiet)
        form = passed.layout.form.name
        result = {"checked": str(config.check_only), "rows": passed.rows, "form": form}
        give(config.check_only, result, config.json)
        return
    csv = delivery.csv_output(config.output, SUBMISSIONS, target)
    archive = csv.with_suffix(".zip") if config.zipped else None
    predictions, reason = config.predictions, f"taking {config.predictions}"
    if predictions is None:
        predictions, reason = latest_step((RECALIBRATED, ENSEMBLE, PREDS_TTA, PREDS))
    written = [path for path in (csv, archive) if path is not None]
    delivery.check_outputs(written, predictions, target, force=config.force)
    say("\n".join([reason, *delivery.stale_inputs(predictions)]), quiet)
    say("\n".join([*target.findings, f"layout and ids of {target.sample_path}"]), quiet)
    if config.dry_run:
        say(f"would write {' and '.join(map(str, written))}", quiet)
        return
    made = delivery.submit(
        predictions, target, csv, archive, threshold=config.threshold, force=config.force
    )
    say(made.text(), quiet)
    summary = {
        "output": str(csv),
        "zip": archive and str(archive),
        "rows": made.rows,
        "form": made.layout.form.name,
    }
    give(archive or csv, summary, config.json)
