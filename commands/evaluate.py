"""``comptool evaluate``: metrics of a run or of predictions, with confidence intervals."""

from __future__ import annotations

from comptool.reports.config import EvaluateConfig

from .options import give, say


def evaluate(config: EvaluateConfig) -> None:
    """Report the metrics of a run or of predictions.

    Accuracy, balanced and per class, macro F1, kappa and calibration; multi-label: mAP; grades: the
    weighted kappa; numbers: RMSE, MAE, R2 and Spearman. Accuracies have Jeffreys' 95 % interval,
    other metrics that of a bootstrap over rows. The expected calibration error (ECE) has 15 bins of
    the top probability and no interval; beside it is what a calibrated model would show. The
    confidence gap is 100 times the mean top probability of correct rows minus that of wrong rows.

    With --like-test each row counts by its weight, for a test set that looks different; the
    interval is then as wide as that of the fewer rows that are like it.

    Example: comptool evaluate resnet18 --pictures pictures
    """
    from dataclasses import replace

    from comptool.options import arguments
    from comptool.reports import evaluate as reports
    from comptool.reports.plots import unwritable

    paths = reports.picture_paths(config.pictures, force=config.force)
    reports.refuse_weighted_answers(config.answers, config.like_test)
    if config.dry_run:
        predictions = reports.evaluated_file(config.source, config.answers)
        read = f"{predictions} and {config.answers or 'the labels of its rows'}"
        read += f" and {config.like_test}" if config.like_test else ""
        writes = f"would write {' and '.join(map(str, paths))}" if paths else "nothing is written"
        say(f"would read {read}; {writes}", config.quiet)
        return
    found = reports.evaluate(
        config.source,
        answers=config.answers,
        competition=config.competition,
        resamples=config.bootstrap,
        seed=config.seed,
        like_test=config.like_test,
    )
    named = config.pictures is not None and found.confusion is not None
    if named and (note := unwritable(found.classes)):
        found = replace(found, notes=(*found.notes, note))
    for note in found.notes:
        say(f"warning: {note}", config.quiet)
    drawn = reports.draw(found, config.pictures, arguments(config), force=config.force)
    for path in drawn:
        say(f"drew {path}", config.quiet)
    give(str(found), {**found.document(), "pictures": drawn}, config.json)
