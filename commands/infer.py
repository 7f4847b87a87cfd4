"""``comptool infer``: class probabilities of the test set."""

from __future__ import annotations

from comptool.inference.config import InferConfig

from .options import give, say


def infer(config: InferConfig) -> None:
    """Predict the test set with one or several trained runs.

    Several runs are averaged. Probabilities are float32 at any precision, and independent of the
    batch size. All-zero and pixel-identical images are reported.

    Example: comptool infer mobilenetv2-dual
    """
    from comptool.inference.plan import plan_prediction
    from comptool.options import arguments

    computing = config.computing()
    plan = plan_prediction(config)
    say(str(plan), config.quiet)
    if config.dry_run:
        return
    from comptool.inference.infer import infer as carry_out

    findings = carry_out(plan, computing, arguments(config))
    for finding in findings:
        say(f"warning: {finding}", config.quiet)
    summary = {"output": config.output, "runs": list(plan.runs), "rows": len(plan.samples)}
    give(config.output, {**summary, "warnings": [*plan.notes, *findings]}, config.json)
