"""``comptool ensemble``: average of several predictions."""

from __future__ import annotations

from comptool.options import SUBMISSIONS
from comptool.postprocess.ensemble.config import EnsembleConfig

from .options import give, say


def ensemble(config: EnsembleConfig) -> None:
    """Average several prediction files into one.

    A run stands for the only file in submissions with its predictions. Rows are matched by id and
    written in the order of the first file; ids, classes and class order have to agree. With one
    class per image, the probabilities of each row are normalised to sum to one; multi-label, each
    class is averaged independently. Searched weights are reported with two scores: in-sample, and
    nested (on rows not used by the search).

    Example: comptool ensemble submissions/preds.csv submissions/preds_tta.csv --weights 1,2
    """
    from comptool.io.atomic import refuse_existing
    from comptool.postprocess.ensemble.ensembling import carry_out
    from comptool.postprocess.inputs import chosen

    refuse_existing(config.output, config.force)
    config.check()
    paths = chosen(config.predictions, SUBMISSIONS, config.output)
    for line in config.plan(paths):
        say(line, config.quiet)
    if config.dry_run:
        say(f"would write {', '.join(map(str, config.outputs()))}")
        return
    text, summary = carry_out(config, paths)
    say(text, config.quiet)
    give(config.output, {"output": config.output, **summary}, config.json)
