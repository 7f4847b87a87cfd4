"""``comptool ensemble``: several predictions made one."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from comptool.errors import UsageError

from . import _options
from ._options import DryRunOption, ForceOption, JsonOption, QuietOption


class Method(StrEnum):
    """How the members are combined."""

    mean = "mean"
    gmean = "gmean"
    rank_mean = "rank-mean"
    vote = "vote"


def ensemble(
    predictions: Annotated[
        list[Path] | None,
        typer.Argument(help="Prediction files. [default: submissions/preds*.csv]"),
    ] = None,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Where the ensemble goes.")
    ] = _options.ENSEMBLE,
    method: Annotated[
        Method,
        typer.Option(
            help="Mean, geometric mean, mean of per-class ranks, or weighted vote (multi-label: "
            "the share of members that give a class more than one half)."
        ),
    ] = Method.mean,
    weights: Annotated[
        str | None,
        typer.Option(help="One weight per file, in order: 2,1,1. [default: all equal]"),
    ] = None,
    force: ForceOption = False,
    quiet: QuietOption = False,
    json: JsonOption = False,
    dry_run: DryRunOption = False,
) -> None:
    """Average several prediction files into one.

    Rows are matched by id and written in the order of the first file. Files with other ids, other
    classes or another class order are refused. With one class per image, the probabilities of each
    row sum to one again; multi-label, each class stands alone.

    Example: comptool ensemble submissions/preds.csv submissions/preds_tta.csv --weights 1,2
    """
    from comptool.decisions import members
    from comptool.decisions.ensemble import normalised_weights
    from comptool.outputs import refuse_existing

    refuse_existing(output, force)
    paths = predictions or members.found(_options.SUBMISSIONS, output)
    shares = normalised_weights(_numbers(weights), len(paths))
    for path, share in zip(paths, shares, strict=True):
        _options.say(f"member {path}, weight {share:.3f}", quiet)
    if dry_run:
        _options.say(f"would write {output}")
        return
    result = members.ensemble_files(
        paths, output, method=method.value, weights=_numbers(weights), force=force
    )
    for note in result.notes:
        _options.say(note, quiet)
    if len(paths) == 1:
        _options.say("an ensemble of one member is that member", quiet)
    _options.say(result.text(), quiet)
    summary = {
        "output": output,
        "members": [str(path) for path in paths],
        "weights": shares,
        "method": method.value,
        "rows": len(result.predictions),
        "agreement": result.agreement,
        "notes": result.notes,
    }
    _options.give(output, summary, json)


def _numbers(text: str | None) -> list[float] | None:
    try:
        return None if text is None else [float(part) for part in text.split(",")]
    except ValueError:
        raise UsageError(f"--weights must be numbers separated by commas, not '{text}'") from None
