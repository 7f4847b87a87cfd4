"""``comptool evaluate``: metrics of a run or of predictions, with intervals and pictures."""

from __future__ import annotations

from comptool.reports.config import EvaluateConfig

from .options import give, say


def evaluate(config: EvaluateConfig) -> None:
    """Accuracy, balanced and per class, macro F1, kappa, calibration; several labels: mAP.

    Each metric has a 95 % bootstrap confidence interval over rows. The expected calibration error
    (ECE) has 15 bins of the answer's probability; the confidence gap is 100 times the mean
    probability of right answers minus that of wrong ones.

    Example: comptool evaluate resnet18 --pictures pictures
    """
    from dataclasses import replace

    from comptool.options import arguments
    from comptool.reports import evaluate as evaluating
    from comptool.reports import evaluate as reporting
    from comptool.reports.fonts import unwritable

    paths = reporting.picture_paths(config.pictures, force=config.force)
    if config.dry_run:
        predictions = evaluating.evaluated_file(config.source, config.answers)
        read = f"{predictions} and {config.answers or 'the labels of its rows'}"
        writes = f"would write {' and '.join(map(str, paths))}" if paths else "nothing is written"
        say(f"would read {read}; {writes}", config.quiet)
        return
    found = evaluating.evaluate(
        config.source,
        answers=config.answers,
        competition=config.competition,
        resamples=config.bootstrap,
        seed=config.seed,
    )
    named = config.pictures is not None and found.confusion is not None
    if named and (note := unwritable(found.classes)):
        found = replace(found, notes=(*found.notes, note))
    for note in found.notes:
        say(f"warning: {note}", config.quiet)
    drawn = reporting.draw(found, config.pictures, arguments(config), force=config.force)
    for path in drawn:
        say(f"drew {path}", config.quiet)
    give(str(found), {**found.document(), "pictures": drawn}, config.json)
