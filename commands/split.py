"""``comptool split``: folds of a training table."""

from __future__ import annotations

from comptool.splits.config import SplitConfig

from .options import give, say


def split(config: SplitConfig) -> None:
    """Split the training rows into a hold-out or folds.

    The split is stratified: every class keeps its share in every part, and groups stay whole if the
    competition has a group column. Of n rows of a class, n x VAL rounded down are held out, at
    least one of two; a single row is always trained on. Adds the column fold: rows of fold 0 to K-1
    are validated once (a hold-out is fold 0), rows of fold -1 always trained on. Leaves out rows
    removed by balancing, and rows without a class after corrections (id, label).

    With several labels per row, the best of several seeds is kept (least standard deviation of the
    differences in class share between training and validation), and improved by exchanging rows.
    With the findings of inspect, copies of an image are validated together; with its shift.csv, the
    hold-out looks like the test set.

    Example: comptool split --balance under --val 0.2
    """
    from comptool.io.atomic import refuse_existing, refuse_inputs
    from comptool.options import part
    from comptool.splits import splitting
    from comptool.splits.config import SplitOptions

    options = part(config, SplitOptions)
    options.check()
    refuse_existing(config.output, config.force)
    facts, samples = splitting.samples_to_split(config.table, config.competition)
    read = [samples.source, options.corrections, options.findings, options.like_test, *facts.files]
    refuse_inputs(config.output, read)
    told = [*facts.findings, *samples.notes, f"splitting {samples.source}"]
    say("\n".join(told), config.quiet)
    made = splitting.split_samples(samples, options)
    say(splitting.report(made), config.quiet)
    if config.dry_run:
        say(f"would write {config.output}", config.quiet)
        return
    splitting.write_folds(made, samples, config)
    give(config.output, splitting.summary(config.output, made), config.json)
