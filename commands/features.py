"""``comptool features``: what networks make of each class, in the plane."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from . import _inference_options as n
from . import _options


class Method(StrEnum):
    """How the features become points."""

    pca = "pca"
    tsne = "tsne"


def features(
    runs: Annotated[
        list[str] | None, typer.Argument(help="Runs, a panel each. [default: the latest]")
    ] = None,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The picture; the points go beside it, .csv.")
    ] = Path("features.png"),
    table: Annotated[
        Path | None,
        typer.Option(help="Labelled rows to draw. [default: those that each run validated]"),
    ] = None,
    highlight: Annotated[
        list[str] | None,
        typer.Option(help="Classes that stand out, joined by commas or repeated. [default: none]"),
    ] = None,
    method: Annotated[
        Method, typer.Option(help="Principal components, or t-SNE, which keeps neighbours.")
    ] = Method.pca,
    per_class: Annotated[
        int, typer.Option(min=1, help="Rows of each class, at most, drawn by the seed.")
    ] = 200,
    seed: _options.SeedOption = 0,
    missing_modality: n.MissingModality = n.Missing.error,
    batch_size: _options.BatchSizeOption = 64,
    workers: n.Workers = None,
    device: _options.DeviceOption = "auto",
    competition: _options.CompetitionOption = None,
    force: _options.ForceOption = False,
    quiet: _options.QuietOption = False,
    json: _options.JsonOption = False,
    dry_run: _options.DryRunOption = False,
) -> None:
    """Draw the features before the classifier as points in the plane, coloured by class.

    Every network has a panel of its own, and so has every fold of a folded run; runs that validated
    the same rows show the same rows. One class per row only.

    Example: comptool features stage-1 stage-2 stage-3b --highlight 0,1
    """
    arguments = dict(locals())
    from comptool.inference.computing import Computing
    from comptool.inference.feature_plan import make_feature_plan
    from comptool.torch_imports import loading_torch

    plan = make_feature_plan(
        runs or [],
        output=output,
        table=table,
        highlight=highlight or [],
        per_class=per_class,
        seed=seed,
        competition=competition,
        force=force,
    )
    _options.say(str(plan), quiet)
    if dry_run:
        _options.say(f"would write {plan.output} and {plan.table}", quiet)
        return
    with loading_torch():
        from comptool.inference.features import draw_features

    computing = Computing(
        device, "fp32", batch_size, workers, missing_modality.value, quiet, purpose="features"
    )
    drawn = draw_features(plan, method.value, seed, computing, arguments)
    panels = [one.document() for one in drawn]
    summary = {"output": output, "table": plan.table, "panels": panels, "warnings": plan.notes}
    _options.give(output, summary, json)
