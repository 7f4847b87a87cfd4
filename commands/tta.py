"""``comptool tta``: class probabilities of the test set, averaged over views of each image."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from . import _inference_options as n
from . import _options
from ._options import (
    BatchSizeOption,
    CompetitionOption,
    DeviceOption,
    DryRunOption,
    ForceOption,
    JsonOption,
    QuietOption,
    Search,
    SeedOption,
)


class Merge(StrEnum):
    """How the predictions of the views become one."""

    mean = "mean"
    gmean = "gmean"
    max = "max"


def tta(
    runs: n.Runs = None,
    transforms: Annotated[
        str,
        typer.Option(
            help="flips (3 views), d4 (8 flips and turns), 5crop (corners and centre, 7/8 of the "
            "side), multiscale (0.75, 1, 1.25 times the size), several joined by commas, or a JSON "
            "or TOML file of views and, if wanted, weights, such as a search writes."
        ),
    ] = "flips",
    merge: Annotated[
        Merge, typer.Option(help="How the views become one prediction; gmean is geometric.")
    ] = Merge.mean,
    search: Annotated[
        Search | None,
        typer.Option(
            help="Choose views by out-of-fold rows, the plain image where none helps; writes .json."
        ),
    ] = None,
    seed: SeedOption = 0,
    test: n.Test = None,
    output: n.Output = _options.PREDS_TTA,
    missing_modality: n.MissingModality = n.Missing.error,
    batch_size: BatchSizeOption = 64,
    workers: n.Workers = None,
    device: DeviceOption = "auto",
    fp32: n.Fp32 = False,
    bf16: n.Bf16 = False,
    fp16: n.Fp16 = False,
    backend: n.BackendChoice = n.Backend.auto,
    competition: CompetitionOption = None,
    force: ForceOption = False,
    quiet: QuietOption = False,
    json: JsonOption = False,
    dry_run: DryRunOption = False,
) -> None:
    """Predict the test set from several views of each image, averaged.

    All images of a sample are turned alike. Where the run has out-of-fold rows, the metric on
    them is printed without and with the views: a TTA that hurts should not be submitted. With
    --search the views themselves are chosen on those rows, and the choice is scored on rows that
    it has not seen; the plain image alone is taken where that is best.

    Example: comptool tta --transforms d4 --search greedy
    """
    arguments = dict(locals())
    from comptool.inference import schemes

    scheme = schemes.read_scheme(transforms, merge.value)
    plan, computing = n.settled(arguments)
    _options.say(str(plan), quiet)
    if dry_run:
        return _options.say(f"beside it: {', '.join(schemes.beside(output, search))}", quiet)
    from comptool.inference.tta import tta as carry_out

    result = carry_out(plan, scheme, computing, arguments, search=search, seed=seed)
    for finding in result.findings:
        _options.say(f"warning: {finding}", quiet)
    _options.say(result.verdict, quiet)
    summary = {
        "output": output,
        "runs": list(plan.runs),
        "rows": result.num_rows,
        "views": list(result.scheme.views),
        "weights": list(result.scheme.weights),
        "warnings": [*plan.notes, *result.findings],
        "evidence": result.evidence,
    }
    _options.give(output, summary, json)
