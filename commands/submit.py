"""``comptool submit``: a checked submission file from predictions."""

from __future__ import annotations

from comptool.options import ENSEMBLE, PREDS, PREDS_TTA, RECALIBRATED, SUBMISSIONS
from comptool.submission.config import SubmitConfig

from .options import give, say


def submit(config: SubmitConfig) -> None:
    """Write and check a submission file.

    The layout, the ids and their order are those of the sample submission. For one class per row,
    writes the column pred of the predictions, otherwise the most probable class. For probabilities,
    ignores pred and reports the number of rows it would change. Multi-label: one probability per
    class, or a list of classes above the threshold, as in the sample. A failed check ends with exit
    code 4 and writes nothing.

    Example: comptool submit --zip
    """
    from comptool.io.atomic import refuse_existing
    from comptool.postprocess.inputs import latest_step
    from comptool.submission import delivery

    quiet = config.quiet
    config.check()
    target = delivery.find_target(config.competition, config.sample_submission)
    if config.check_only is not None:
        passed = delivery.check_file(config.check_only, target)
        say(passed.text(), quiet)
        result = {"checked": str(config.check_only), "rows": passed.rows}
        give(config.check_only, result, config.json)
        return
    csv = delivery.csv_output(config.output, SUBMISSIONS, target)
    archive = csv.with_suffix(".zip") if config.zipped else None
    for path in filter(None, (csv, archive)):
        refuse_existing(path, config.force)
    predictions, reason = config.predictions, f"taking {config.predictions}"
    if predictions is None:
        predictions, reason = latest_step((RECALIBRATED, ENSEMBLE, PREDS_TTA, PREDS))
    say("\n".join([reason, *delivery.stale_inputs(predictions)]), quiet)
    say("\n".join([*target.findings, f"layout and ids of {target.sample_path}"]), quiet)
    if config.dry_run:
        say(f"would write {' and '.join(map(str, filter(None, (csv, archive))))}", quiet)
        return
    made = delivery.submit(
        predictions, target, csv, archive, threshold=config.threshold, force=config.force
    )
    say(made.text(), quiet)
    summary = {"output": str(csv), "zip": archive and str(archive), "rows": made.rows}
    give(archive or csv, summary, config.json)
