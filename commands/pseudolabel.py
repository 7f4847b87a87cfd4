"""``comptool pseudolabel``: the test rows that a model is sure of, as training rows."""

from __future__ import annotations

from . import _options, _pseudolabel_options
from ._options import CompetitionOption, DryRunOption, ForceOption, JsonOption, QuietOption


def pseudolabel(
    predictions: _pseudolabel_options.PredictionsArgument = None,
    output: _pseudolabel_options.OutputOption = _options.PSEUDO,
    test: _pseudolabel_options.TestOption = None,
    threshold: _pseudolabel_options.ThresholdOption = None,
    lower: _pseudolabel_options.LowerOption = None,
    quantile: _pseudolabel_options.QuantileOption = None,
    per_class_cap: _pseudolabel_options.CapOption = None,
    balance: _pseudolabel_options.BalanceOption = False,
    soft: _pseudolabel_options.SoftOption = False,
    previous: _pseudolabel_options.PreviousOption = None,
    allow_empty: _pseudolabel_options.AllowEmptyOption = False,
    precision: _pseudolabel_options.PrecisionOption = None,
    per_class: _pseudolabel_options.PerClassOption = False,
    oof: _pseudolabel_options.OofOption = None,
    agree: _pseudolabel_options.AgreeOption = None,
    competition: CompetitionOption = None,
    force: ForceOption = False,
    quiet: QuietOption = False,
    json: JsonOption = False,
    dry_run: DryRunOption = False,
) -> None:
    """Keep the test rows whose class the predictions are sure of, to train on.

    The class is the most probable one or, where predictions have been recalibrated, that of their
    column pred; its probability is what has to pass the threshold. The fold of the rows is -1: they
    are trained on and never validated. Ids of labelled training rows are refused. Multi-label: rows
    with a class that is surely present are kept; classes that are neither surely present nor surely
    absent are -1, which losses and metrics leave out. How many labels will be right is told by the
    out-of-fold rows of the run that made the predictions.

    Example: comptool pseudolabel --threshold 0.96
    """
    from comptool.competition import load
    from comptool.decisions import sources
    from comptool.decisions.promises import Wanted
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
    rule = Rule(threshold, quantile, per_class_cap, balance, lower)
    wanted = Wanted(precision, per_class, oof)
    wanted.check(rule)
    if dry_run:
        read = [predictions, test or facts.test or facts.sample_submission, facts.train, previous]
        named = ", ".join(str(path) for path in read if path is not None)
        _options.say(f"would read {named} and write {output}")
        return
    made = pseudolabel_file(
        predictions,
        output,
        facts,
        rule,
        test=test,
        soft=soft,
        previous=previous,
        wanted=wanted,
        agree=agree or (),
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
        **({"expected": made.expected} if made.expected else {}),
    }
    _options.give(output, summary, json)
