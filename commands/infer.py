"""``comptool infer``: class probabilities of the test set."""

from __future__ import annotations

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
)


def infer(
    runs: n.Runs = None,
    test: n.Test = None,
    output: n.Output = _options.PREDS,
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
    """Predict the test set with one or several trained runs, averaged.

    Each image is decoded once for all networks. Probabilities are float32 at any precision, and
    the same for any batch size. All-zero and pixel-identical images are named.

    Example: comptool infer mobilenetv2-dual
    """
    arguments = dict(locals())
    plan, computing = n.settled(arguments)
    _options.say(str(plan), quiet)
    if dry_run:
        return
    from comptool.inference.infer import infer as carry_out

    result = carry_out(plan, computing, arguments)
    for finding in result.findings:
        _options.say(f"warning: {finding}", quiet)
    summary = {"output": output, "runs": list(plan.runs), "rows": result.num_rows}
    _options.give(output, {**summary, "warnings": [*plan.notes, *result.findings]}, json)
