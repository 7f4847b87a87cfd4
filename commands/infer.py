"""``comptool infer``: class probabilities of the test set."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from . import _options
from ._imports import loading_torch
from ._options import (
    BatchSizeOption,
    CompetitionOption,
    DeviceOption,
    DryRunOption,
    ForceOption,
    JsonOption,
    QuietOption,
    WorkersOption,
)


class Missing(StrEnum):
    """What becomes of a sample that lacks an image."""

    error = "error"
    zero = "zero"


RunsArgument = Annotated[
    list[str] | None, typer.Argument(help="Runs to average. [default: the latest]")
]
TestOption = Annotated[
    Path | None, typer.Option("--test", help="Table to predict. [default: the competition's]")
]
PredictionsOption = Annotated[
    Path, typer.Option("--output", "-o", help="Where the probabilities go.")
]
MissingOption = Annotated[
    Missing, typer.Option("--missing-modality", help="A missing image: an error, or a black chip.")
]
Fp32Option = Annotated[bool, typer.Option("--fp32", help="Full precision; the default.")]
Bf16Option = Annotated[bool, typer.Option("--bf16", help="Forward pass in bfloat16.")]
Fp16Option = Annotated[bool, typer.Option("--fp16", help="Forward pass in float16.")]


def precision(fp32: bool, bf16: bool, fp16: bool) -> str:
    """The one precision that was asked for; float32 if none was."""
    from comptool.errors import UsageError

    given = {"fp32": fp32, "bf16": bf16, "fp16": fp16}
    wanted = [name for name, chosen in given.items() if chosen]
    if len(wanted) > 1:
        raise UsageError(f"--{' and --'.join(wanted)} contradict each other; give one")
    return wanted[0] if wanted else "fp32"


def infer(
    runs: RunsArgument = None,
    test: TestOption = None,
    output: PredictionsOption = _options.PREDS,
    missing_modality: MissingOption = Missing.error,
    batch_size: BatchSizeOption = 64,
    workers: WorkersOption = None,
    device: DeviceOption = "auto",
    fp32: Fp32Option = False,
    bf16: Bf16Option = False,
    fp16: Fp16Option = False,
    competition: CompetitionOption = None,
    force: ForceOption = False,
    quiet: QuietOption = False,
    json: JsonOption = False,
    dry_run: DryRunOption = False,
) -> None:
    """Predict the test set with one or several trained runs, averaged.

    Each image is decoded once for all networks. Probabilities are float32 at any precision, and
    the same for any batch size. All-zero and pixel-identical images are named.

    Example: comptool infer mobilenetv2-dual
    """
    arguments = dict(locals())
    from comptool.inference.plan import make_plan

    chosen = precision(fp32, bf16, fp16)
    plan = make_plan(runs or [], output=output, test=test, competition=competition, force=force)
    _options.say(str(plan), quiet)
    if dry_run:
        return
    with loading_torch():
        from comptool.inference.infer import infer as carry_out
        from comptool.inference.predict import Computing

    computing = Computing(device, chosen, batch_size, workers, missing_modality.value, quiet)
    result = carry_out(plan, computing, arguments)
    for finding in result.findings:
        _options.say(f"warning: {finding}", quiet)
    summary = {"output": output, "runs": list(plan.runs), "rows": result.num_rows}
    _options.give(output, {**summary, "warnings": [*plan.notes, *result.findings]}, json)
