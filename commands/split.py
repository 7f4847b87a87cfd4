"""``comptool split``: from a training table to folds."""

from __future__ import annotations

from . import _options
from . import _split_options as opts
from ._options import (
    CompetitionOption,
    DryRunOption,
    ForceOption,
    JsonOption,
    QuietOption,
    SeedOption,
)


def split(
    table: opts.Table = None,
    output: opts.Output = _options.FOLDS,
    val: opts.Val = None,
    folds: opts.Folds = None,
    from_column: opts.FromColumn = None,
    balance: opts.BalanceOption = opts.Balance.none,
    cap: opts.Cap = None,
    seeds: opts.Seeds = None,
    strategy: opts.Strategy = None,
    refine: opts.Refine = True,
    map_zero_to_unknown: opts.MapZeroToUnknown = False,
    corrections: opts.Corrections = None,
    findings: opts.Findings = None,
    exclude: opts.Exclude = None,
    mask: opts.Mask = None,
    seed: SeedOption = 0,
    competition: CompetitionOption = None,
    force: ForceOption = False,
    quiet: QuietOption = False,
    json: JsonOption = False,
    dry_run: DryRunOption = False,
) -> None:
    """Decide which rows are validated, and when.

    Every class keeps its share in every part. Where the competition has a group column, no group
    is torn apart. Of a class of n rows, n x VAL rounded down are held out, at least one of two; a
    class of one row is always trained on. Adds the column fold: 0 to K-1 is validated then (a
    hold-out is fold 0), -1 always trained on. Rows that balancing removes are absent, as are those
    of which corrections (id, label) say no class.

    With several labels per row, the seed is kept whose class shares differ least between training
    and validation (their standard deviation over the classes), and rows are then exchanged.

    With the findings of inspect, copies of one another are validated together.

    Example: comptool split --balance under --val 0.2
    """
    from comptool.data import fold_tables, splitting
    from comptool.data.split_options import SplitOptions
    from comptool.outputs import refuse_existing

    options = SplitOptions(
        val, folds, from_column, balance.value, cap, seed, seeds,
        strategy, refine, map_zero_to_unknown, corrections,
        findings, tuple(exclude or ()), tuple(mask or ()),
    )  # fmt: skip
    options.check()
    refuse_existing(output, force)
    facts, samples = splitting.samples_to_split(table, competition)
    _options.say("\n".join([*facts.findings, f"splitting {samples.source}"]), quiet)
    made = splitting.split_samples(samples, options)
    _options.say(fold_tables.report(made), quiet)
    if dry_run:
        _options.say(f"would write {output}", quiet)
        return
    arguments = {"table": table, "output": output, **options.arguments()}
    fold_tables.write_folds(
        output, made, samples, options=options, arguments=arguments, force=force
    )
    _options.give(output, fold_tables.summary(output, made), json)
