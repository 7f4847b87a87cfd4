"""``comptool prior``: frequency of each class, estimated by a trained run."""

from __future__ import annotations

from comptool.training.config import PriorConfig

from .options import give, say


def prior(config: PriorConfig) -> None:
    """Estimate the frequency of each class.

    The prior, for train --loss partial-asl --prior, is the mean probability of each class over the
    training rows of the run. The run should ignore cells without a label: --loss partial-asl
    --loss-option mode=ignore.

    Example: comptool prior resnet34
    """
    from comptool.io.atomic import refuse_existing
    from comptool.io.provenance import PriorFacts
    from comptool.lazy_torch import loading_torch
    from comptool.options import arguments
    from comptool.training.class_prior import carry_out, doubts, plan_estimate
    from comptool.training.data import write_prior

    output = config.output
    refuse_existing(output, config.force)
    estimate = plan_estimate(config.run)
    count = sum(len(part.samples) for part in estimate.parts)
    what = f"the prior of {len(estimate.classes)} classes by {estimate.run}, into {output}"
    for note in (*estimate.notes, f"{what}, from the {count} rows it was trained on"):
        say(note, config.quiet)
    if config.dry_run:
        return
    with loading_torch():
        found = carry_out(
            estimate,
            batch_size=config.batch_size,
            workers=config.workers,
            device=config.device,
            say=lambda text: say(text, config.quiet),
        )
    if found is None:
        return
    for doubt in doubts(found):
        say(doubt, config.quiet)
    write_prior(
        output,
        estimate.classes,
        found,
        arguments=arguments(config),
        inputs=estimate.inputs,
        facts=PriorFacts(run=str(estimate.run), rows=count),
        force=config.force,
    )
    result = dict(zip(estimate.classes, found.tolist(), strict=True))
    give(output, {"output": output, "prior": result}, config.json)
