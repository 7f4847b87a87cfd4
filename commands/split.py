"""``comptool split``: from a training table to folds."""

from __future__ import annotations

from comptool.splits.config import SplitConfig

from .options import give, say


def split(config: SplitConfig) -> None:
    """Split the training rows into a hold-out or folds, stratified by class.

    Every class keeps its share in every part, and groups stay whole where the competition has a
    group column. Of a class of n rows, n x VAL rounded down are held out, at least one of two; a
    class of one row is always trained on. Adds the column fold: rows of fold 0 to K-1 are validated
    once (a hold-out is fold 0), rows of fold -1 always trained on. Rows removed by balancing, or to
    which corrections (id, label) give no class, are left out.

    With several labels per row, several seeds are tried; kept is the one whose class shares differ
    least between training and validation (standard deviation over the classes), and rows are then
    exchanged. With the findings of inspect, copies of an image are validated together.

    Example: comptool split --balance under --val 0.2
    """
    from comptool.io.atomic import refuse_existing
    from comptool.options import part
    from comptool.splits import splitting
    from comptool.splits import splitting as fold_tables
    from comptool.splits.config import SplitOptions

    options = part(config, SplitOptions)
    options.check()
    refuse_existing(config.output, config.force)
    facts, samples = splitting.samples_to_split(config.table, config.competition)
    say("\n".join([*facts.findings, f"splitting {samples.source}"]), config.quiet)
    made = splitting.split_samples(samples, options)
    say(fold_tables.report(made), config.quiet)
    if config.dry_run:
        say(f"would write {config.output}", config.quiet)
        return
    fold_tables.write_folds(
        config.output,
        made,
        samples,
        options=options,
        arguments={"table": config.table, "output": config.output, **options.arguments()},
        force=config.force,
    )
    give(config.output, fold_tables.summary(config.output, made), config.json)
