"""``comptool prior``: how often each class is there, by a trained run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from . import _options

RunArgument = Annotated[
    str | None, typer.Argument(help="A multi-label run. [default: the latest]", show_default=False)
]
OutputOption = Annotated[Path, typer.Option("--output", "-o", help="Where the prior goes.")]


def prior(
    run: RunArgument = None,
    output: OutputOption = Path("prior.csv"),
    batch_size: _options.BatchSizeOption = 64,
    workers: _options.WorkersOption = None,
    device: _options.DeviceOption = "auto",
    force: _options.ForceOption = False,
    quiet: _options.QuietOption = False,
    json: _options.JsonOption = False,
    dry_run: _options.DryRunOption = False,
) -> None:
    """Estimate how often each class is there, for train --loss partial-asl --prior.

    The prior is the mean probability of each class over the rows that the run was trained on. The
    run should have left cells without a label out: --loss partial-asl --loss-option mode=ignore.

    Example: comptool prior resnet34
    """
    arguments = dict(locals())
    from comptool.outputs import refuse_existing
    from comptool.torch_imports import loading_torch
    from comptool.training.estimation import carry_out, doubts, plan_estimate
    from comptool.training.prior import write_prior

    refuse_existing(output, force)
    estimate = plan_estimate(run)
    count = sum(len(part.samples) for part in estimate.parts)
    what = f"the prior of {len(estimate.classes)} classes by {estimate.run}, into {output}"
    for note in (*estimate.notes, f"{what}, from the {count} rows it was trained on"):
        _options.say(note, quiet)
    if dry_run:
        return
    with loading_torch():
        found = carry_out(estimate, batch_size=batch_size, workers=workers, device=device)
    if found is None:
        return
    for doubt in doubts(found):
        _options.say(doubt, quiet)
    write_prior(
        output,
        estimate.classes,
        found,
        arguments=arguments,
        inputs=estimate.inputs,
        facts={"run": str(estimate.run), "rows": count},
        force=force,
    )
    result = dict(zip(estimate.classes, found.tolist(), strict=True))
    _options.give(output, {"output": output, "prior": result}, json)
