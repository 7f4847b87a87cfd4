"""``comptool tta``: class probabilities of the test set, averaged over views of each image."""

from __future__ import annotations

from comptool.inference.config import TtaConfig

from .options import give, say


def tta(config: TtaConfig) -> None:
    """Predict the test set by test-time augmentation.

    Averages several views of each image. All images of a sample are transformed alike. If the run
    has out-of-fold rows, the metric on them is printed without and with the views: do not submit a
    TTA that hurts. --search selects the views on those rows, and scores the selection on rows not
    used for it (nested); it may keep only the plain image.

    Example: comptool tta --transforms d4 --search greedy
    """
    from comptool.inference.plan import plan_prediction
    from comptool.inference.tta import policies
    from comptool.options import arguments

    scheme = policies.read_scheme(config.transforms, config.merge)
    computing = config.computing()
    plan = plan_prediction(config)
    say(str(plan), config.quiet)
    if config.dry_run:
        written = policies.further_outputs(config.output, config.search)
        return say(f"would also write {', '.join(written)}", config.quiet)
    from comptool.inference.tta.predict_tta import tta as carry_out

    result = carry_out(
        plan, scheme, computing, arguments(config), search=config.search, seed=config.seed
    )
    for finding in result.findings:
        say(f"warning: {finding}", config.quiet)
    say(result.verdict, config.quiet)
    summary = {
        "output": config.output,
        "runs": list(plan.runs),
        "rows": len(plan.samples),
        "views": list(result.scheme.views),
        "weights": list(result.scheme.weights),
        "warnings": [*plan.notes, *result.findings],
        "evidence": result.evidence,
    }
    give(config.output, summary, config.json)
