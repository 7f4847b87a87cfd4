"""``comptool features``: scatter plot of the features of each class."""

from __future__ import annotations

from comptool.inference.config import FeaturesConfig

from .options import give, say


def features(config: FeaturesConfig) -> None:
    """Draw the features of each class as points in the plane.

    Projects the features before the classifier. Each network, and each fold of a folded run, has
    its own panel; runs with the same validation rows show the same rows. One class per row only.

    Example: comptool features stage-1 stage-2 stage-3b --highlight 0,1
    """
    from comptool.inference.config import Computing
    from comptool.inference.features import make_feature_plan
    from comptool.lazy_torch import loading_torch
    from comptool.options import arguments

    plan = make_feature_plan(config)
    say(str(plan), config.quiet)
    if config.dry_run:
        say(f"would write {plan.output} and {plan.table}", config.quiet)
        return
    with loading_torch():
        from comptool.inference.features import draw_features

    computing = Computing(
        device=config.device,
        precision="fp32",
        batch_size=config.batch_size,
        workers=config.workers,
        missing=config.missing_modality,
        quiet=config.quiet,
        purpose="features",
    )
    drawn = draw_features(plan, config.method, config.seed, computing, arguments(config))
    fallbacks = dict.fromkeys(note for one in drawn for note in one.computed.fallbacks)
    for note in fallbacks:
        say(f"warning: {note}", config.quiet)
    panels = [one.document() for one in drawn]
    summary = {"output": config.output, "table": plan.table, "panels": panels}
    give(config.output, {**summary, "warnings": [*plan.notes, *fallbacks]}, config.json)
