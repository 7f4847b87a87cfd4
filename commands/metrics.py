"""``comptool metrics``: the metrics for ``--metric`` and comptool.toml, and their options."""

from __future__ import annotations

from dataclasses import dataclass

import typer

from comptool.options import WithJson, argument, option

from .options import give_entries


@dataclass(frozen=True)
class MetricsConfig(WithJson):
    """The options of ``comptool metrics``."""

    name: str | None = argument(None, help="Metric whose options to list, such as map@5.")
    task: str | None = option(help="Only metrics for this task.")


def metrics(config: MetricsConfig) -> None:
    """List the metrics, one per line: name, tasks, direction, summary and source.

    With a name, say what it reads and list its options for [metric-options] in comptool.toml (init
    --metric-option) and what they have to be. In map@k, accuracy@k and recall@k, k is a number of
    classes, as in map@5; in pauc@tpr, tpr is a true-positive rate, as in pauc@0.8. Instead of a
    name, FILE.py:function is a function of yours.

    Example: comptool metrics --task multilabel
    """
    import json

    from comptool.metrics import entries, listing, options_in_words

    if config.name is None:
        rows = listing(config.task)
        give_entries({"metrics": rows}, config.json, ("tasks", "better", "reads", "takes"))
        return
    options = options_in_words(config.name)
    if config.json:
        typer.echo(json.dumps(options))
        return
    for row in entries(config.name):
        typer.echo(row.in_words)
    for name, words in options.items():
        typer.echo(f"{name}: {words}")
