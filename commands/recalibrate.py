"""``comptool recalibrate``: keep frequent training classes from swallowing rare ones."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from . import _options
from ._options import DryRunOption, ForceOption, JsonOption, QuietOption


class Method(StrEnum):
    """How the answers are recalibrated."""

    quota = "quota"
    can = "can"


class Prior(StrEnum):
    """Which class shares the test set is presumed to have."""

    uniform = "uniform"
    train = "train"


def recalibrate(
    predictions: Annotated[
        Path | None,
        typer.Argument(help="Predictions. [default: ensemble.csv, preds_tta.csv or preds.csv]"),
    ] = None,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Where the decided predictions go.")
    ] = _options.RECALIBRATED,
    method: Annotated[Method, typer.Option(help="Quotas, or alternating normalisation.")] = (
        Method.quota
    ),
    top_k_head: Annotated[
        int | None,
        typer.Option(min=0, help="quota: how many frequent classes are head. [default: 4]"),
    ] = None,
    head_classes: Annotated[
        str | None,
        typer.Option(help="quota: the head classes by name, in the order they take rows: a,b,c."),
    ] = None,
    fraction: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="quota: share of rows of each head class. [default: 0.1]"),
    ] = None,
    alpha: Annotated[
        float | None, typer.Option(help="can: power, above 0; larger sharpens. [default: 1]")
    ] = None,
    entropy_threshold: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="can: entropy of an uncertain row. [default: 0.9]"),
    ] = None,
    top_k: Annotated[
        int | None,
        typer.Option(min=2, help="can: probabilities that the entropy looks at. [default: 3]"),
    ] = None,
    iterations: Annotated[
        int | None,
        typer.Option(min=1, help="can: rounds; each after the first is slow. [default: 1]"),
    ] = None,
    prior: Annotated[
        Prior | None, typer.Option(help="can: presumed class shares. [default: uniform]")
    ] = None,
    force: ForceOption = False,
    quiet: QuietOption = False,
    json: JsonOption = False,
    dry_run: DryRunOption = False,
) -> None:
    """Keep frequent training classes from swallowing rare ones.

    quota: each head class takes the share of the rows that are surest of it; every other row takes
    its most probable class among the rest. Adds the column pred, keeps the probabilities. can:
    uncertain rows are normalised against the confident ones and a prior; writes what they became.

    Example: comptool recalibrate --top-k-head 4 --fraction 0.1
    """
    from comptool.decisions import sources
    from comptool.decisions.recalibrate import Settings, recalibrate_file
    from comptool.outputs import refuse_existing

    refuse_existing(output, force)
    reason = f"taking {predictions}"
    if predictions is None:
        steps = (_options.ENSEMBLE, _options.PREDS_TTA, _options.PREDS)
        predictions, reason = sources.latest_step(steps)
    _options.say(reason, quiet)
    settings = Settings(
        method=method.value,
        top_k_head=top_k_head,
        head_classes=head_classes,
        fraction=fraction,
        alpha=alpha,
        entropy_threshold=entropy_threshold,
        top_k=top_k,
        iterations=iterations,
        prior=prior.value if prior else None,
    )
    if dry_run:
        settings.check()
        _options.say(f"would read {predictions} and write {output}")
        return
    outcome = recalibrate_file(predictions, output, settings, force=force)
    _options.say(outcome.text(), quiet)
    _options.give(output, outcome.summary(), json)
