"""``comptool embed``: features of a network with published weights."""

from __future__ import annotations

from comptool.inference.config import EmbedConfig

from .options import give, say


def embed(config: EmbedConfig) -> None:
    """Compute the features of a network for training rows and test set.

    Nothing is trained: the network has published weights, and what it gives before its classifier
    is kept. comptool probe learns the classes from these features in seconds.

    Example: comptool embed --model resnet34 --img-size 128
    """
    from comptool.lazy_torch import loading_torch
    from comptool.options import arguments

    computing = config.computing()
    with loading_torch():
        from comptool.inference.embedding import embed as carry_out
        from comptool.inference.embedding import plan_embedding

    plan = plan_embedding(config)
    say(str(plan), config.quiet)
    if config.dry_run:
        return
    warnings = carry_out(plan, computing, arguments(config), lambda text: say(text, config.quiet))
    for warning in warnings:
        say(f"warning: {warning}", config.quiet)
    outputs = [path for path, _ in plan.rows]
    rows = [len(samples) for _, samples in plan.rows]
    give(config.output, {"outputs": outputs, "rows": rows, "warnings": warnings}, config.json)
