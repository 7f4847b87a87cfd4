"""``comptool probe``: classes learnt from frozen features."""

from __future__ import annotations

from comptool.training.config import ProbeConfig

from .options import give, say


def probe(config: ProbeConfig) -> None:
    """Learn the classes from features of a frozen network, out of fold, in seconds.

    Each fold has a classifier of the other rows, whose strength is chosen among these alone. Writes
    the out-of-fold rows, and predictions of the test set like those of infer: evaluate, ensemble,
    recalibrate and submit take both.

    Example: comptool probe embeddings.npy --method linear
    """
    from comptool.options import arguments
    from comptool.postprocess.oof import rows_path
    from comptool.training.probe import plan_probe
    from comptool.training.probe import probe as carry_out

    plan = plan_probe(config)
    say(str(plan), config.quiet)
    if config.dry_run:
        say(f"would write {config.output} and {rows_path(config.output)}", config.quiet)
        return
    found = carry_out(plan, config, arguments(config))
    say(str(found), config.quiet)
    summary = {"outputs": list(found.outputs), "metric": found.metric, "score": found.score}
    give(found.outputs[0], {**summary, "rows": found.num_rows}, config.json)
