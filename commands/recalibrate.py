"""``comptool recalibrate``: keep frequent training classes from swallowing rare ones."""

from __future__ import annotations

from . import _options, _recalibrate_options
from ._options import (
    CompetitionOption,
    DryRunOption,
    ForceOption,
    JsonOption,
    QuietOption,
    SeedOption,
)
from ._recalibrate_options import Method


def recalibrate(
    predictions: _recalibrate_options.PredictionsArgument = None,
    output: _recalibrate_options.OutputOption = _options.RECALIBRATED,
    method: _recalibrate_options.MethodOption = None,
    compare: _recalibrate_options.CompareOption = False,
    oof: _recalibrate_options.OofOption = None,
    target_prior: _recalibrate_options.TargetPriorOption = None,
    top_k_head: _recalibrate_options.TopKHeadOption = None,
    head_classes: _recalibrate_options.HeadClassesOption = None,
    fraction: _recalibrate_options.FractionOption = None,
    alpha: _recalibrate_options.AlphaOption = None,
    entropy_threshold: _recalibrate_options.EntropyOption = None,
    top_k: _recalibrate_options.TopKOption = None,
    iterations: _recalibrate_options.IterationsOption = None,
    prior: _recalibrate_options.PriorOption = None,
    average: _recalibrate_options.AverageOption = None,
    beta: _recalibrate_options.BetaOption = None,
    seed: SeedOption = 0,
    competition: CompetitionOption = None,
    force: ForceOption = False,
    quiet: QuietOption = False,
    json: JsonOption = False,
    dry_run: DryRunOption = False,
) -> None:
    """Keep frequent training classes from swallowing rare ones.

    quota: each head class takes the share of the rows that are surest of it; every other row takes
    its most probable class among the rest. Adds the column pred, keeps the probabilities.
    quota-optimal: the same quotas, or --target-prior for all classes, at the greatest total
    log-probability. prior: class shares exchanged by Bayes' rule, the test set's estimated if not
    given. logit-adjust: divided by a searched power of the training shares. sinkhorn: mean
    probabilities scaled to --target-prior. can: uncertain rows are normalised against the confident
    ones and a prior. temperature, vector, isotonic: fitted to out-of-fold rows. All but the quotas
    write what the probabilities became.

    Several labels per image: thresholds, by which the threshold of best F-score of each class
    becomes one half, and temperature, vector and isotonic, which move each class by itself.

    Example: comptool recalibrate --top-k-head 4 --fraction 0.1
    """
    from comptool.decisions import sources
    from comptool.decisions.recalibrate import Settings, recalibrate_file
    from comptool.outputs import refuse_existing

    if not compare:
        refuse_existing(output, force)
    reason = f"taking {predictions}"
    if predictions is None and not (compare and oof):
        steps = (_options.ENSEMBLE, _options.PREDS_TTA, _options.PREDS)
        predictions, reason = sources.latest_step(steps)
    _options.say(reason, quiet or predictions is None)
    settings = Settings(
        method=(method or Method.quota).value,
        top_k_head=top_k_head,
        head_classes=head_classes,
        fraction=fraction,
        alpha=alpha,
        entropy_threshold=entropy_threshold,
        top_k=top_k,
        iterations=iterations,
        prior=prior.value if prior else None,
        oof=oof,
        target_prior=target_prior,
        average=average.value if average else None,
        beta=beta,
    )
    if dry_run:
        settings.check_compare() if compare else settings.check()
        writes = "nothing" if compare else str(output)
        _options.say(f"would read {predictions or oof} and write {writes}")
        return
    if compare or predictions is None:
        from comptool.decisions.comparison import compare_file

        methods = [method.value] if method else None
        text, result = compare_file(
            predictions, settings, methods=methods, competition=competition, seed=seed
        )
        _options.give(text, result, json)
        return
    outcome = recalibrate_file(predictions, output, settings, competition=competition, force=force)
    _options.say(outcome.text(), quiet)
    _options.give(output, outcome.summary(), json)
