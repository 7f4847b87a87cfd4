"""``comptool pseudolabel``: confidently predicted test rows as training rows."""

from __future__ import annotations

from comptool.options import ENSEMBLE, PREDS, PREDS_TTA
from comptool.postprocess.pseudo_labels.config import PseudolabelConfig

from .options import give, say


def pseudolabel(config: PseudolabelConfig) -> None:
    """Write confidently predicted test rows as pseudo-labels.

    The label is the most probable class or, of recalibrated predictions, the column pred; its
    probability is compared with the threshold. The rows have fold -1: trained on, never validated.
    Ids of training rows are refused. Multi-label: rows with a confidently present class are kept;
    classes neither confidently present nor absent are -1, which losses and metrics ignore. The
    expected precision is estimated from the out-of-fold rows of the run that made the predictions.

    Example: comptool pseudolabel --threshold 0.96
    """
    from comptool.competition.config import load
    from comptool.io.atomic import refuse_existing, refuse_inputs
    from comptool.options import part
    from comptool.postprocess import inputs
    from comptool.postprocess.pseudo_labels.config import PrecisionTarget, Rule
    from comptool.postprocess.pseudo_labels.pseudo_labelling import pseudolabel_file

    refuse_existing(config.output, config.force)
    predictions, reason = config.predictions, f"taking {config.predictions}"
    if predictions is None:
        predictions, reason = inputs.latest_step((ENSEMBLE, PREDS_TTA, PREDS))
    say(reason, config.quiet)
    facts = load(config.competition)
    # The round before may be replaced by its successor, which has its rows.
    refuse_inputs(config.output, [predictions, config.test, *config.agree, *facts.files])
    part(config, PrecisionTarget).check(part(config, Rule))
    if config.dry_run:
        test = config.test or facts.test or facts.sample_submission
        read = [predictions, test, facts.train, config.previous]
        named = ", ".join(str(path) for path in read if path is not None)
        say(f"would read {named} and write {config.output}")
        return
    made = pseudolabel_file(predictions, facts, config)
    say(made.text(), config.quiet)
    summary = {
        "output": config.output,
        "input": predictions,
        "round": made.round,
        "rows": made.rows,
        **{title: dict(zip(made.classes, n, strict=True)) for title, n in made.counts.items()},
        "notes": made.notes,
        **({"expected": made.expected} if made.expected else {}),
    }
    give(config.output, summary, config.json)
