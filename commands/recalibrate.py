"""``comptool recalibrate``: correct the class shares and the calibration of predictions."""

from __future__ import annotations

from comptool.options import ENSEMBLE, PREDS, PREDS_TTA
from comptool.postprocess.calibration.config import RecalibrateConfig

from .options import give, say


def recalibrate(config: RecalibrateConfig) -> None:
    """Correct the class shares or calibration of predictions.

    Quotas keep frequent classes from swallowing rare ones; they add the column pred and keep the
    probabilities. quota: each head class takes its share of the rows, the most confident ones;
    every other row takes its most probable remaining class. quota-optimal: the same quotas, or
    --target-prior for all classes, at the greatest total log-probability.

    Corrections of the class shares change the probabilities. prior: label shift corrected by Bayes'
    rule, with estimated shares of the test set if not given. logit-adjust: division by a searched
    power of the training shares. sinkhorn: mean probabilities scaled to --target-prior. can:
    uncertain rows normalised against confident ones and a prior.

    context: rows blended with the predictions of their group, --by; the strength is chosen on
    out-of-fold rows. cost: the answer of least expected cost by --cost or --tree decides the column
    pred.

    temperature, vector, isotonic: calibration fitted to out-of-fold rows; with several labels per
    image, for each class independently. thresholds: with several labels per image the threshold of
    best F-score of each class is moved to 0.5; with grades the thresholds on the expected grade
    with the greatest weighted kappa decide the column pred.

    Example: comptool recalibrate --top-k-head 4 --fraction 0.1
    """
    from comptool.io.atomic import refuse_existing
    from comptool.options import part
    from comptool.postprocess import inputs
    from comptool.postprocess.calibration.config import CalibrationConfig
    from comptool.postprocess.calibration.recalibration import recalibrate_file

    if not config.compare:
        refuse_existing(config.output, config.force)
    predictions, reason = config.predictions, f"taking {config.predictions}"
    if predictions is None and not (config.compare and config.oof):
        predictions, reason = inputs.latest_step((ENSEMBLE, PREDS_TTA, PREDS))
    say(reason, config.quiet or predictions is None)
    settings = part(config, CalibrationConfig)
    methods = [config.method] if "method" in config.typed else None
    if config.dry_run:
        settings.check_compare(methods) if config.compare else settings.check()
        writes = "nothing" if config.compare else str(config.output)
        say(f"would read {predictions or config.oof} and write {writes}")
        return
    if config.compare or predictions is None:
        from comptool.postprocess.calibration.compare import compare_file

        text, result = compare_file(
            predictions, settings, methods=methods, competition=config.competition, seed=config.seed
        )
        give(text, result, config.json)
        return
    outcome = recalibrate_file(
        predictions,
        config.output,
        settings,
        competition=config.competition,
        force=config.force,
        seed=config.seed,
    )
    say(outcome.text(), config.quiet)
    give(config.output, outcome.summary(), config.json)
