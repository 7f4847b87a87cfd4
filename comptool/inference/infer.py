"""``comptool infer``: a plan carried out with every network and one view."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from comptool import provenance
from comptool.inference.computing import Computing
from comptool.inference.plan import Plan
from comptool.inference.predict import Probabilities, predict
from comptool.inference.schemes import PLAIN
from comptool.outputs import together
from comptool.predictions import Predictions, write_predictions


@dataclass(frozen=True)
class Inferred:
    """What came of a plan: number of rows, and sentences about odd images."""

    num_rows: int
    findings: list[str] = field(default_factory=list)


def infer(plan: Plan, computing: Computing, arguments: Mapping[str, object]) -> Inferred:
    """Predict the plan's samples and write its output, with its record.

    Parameters
    ----------
    plan
        What to predict, and with which runs.
    computing
        Device, precision and the like.
    arguments
        The command's arguments, for the record.

    Raises
    ------
    InputError
        If an image, a checkpoint or the output cannot be used; nothing is written then.
    UsageError
        If the device is not there or out of memory.
    """
    (probabilities,), findings = predict(plan.members, plan.samples, [PLAIN], computing)
    write(plan, probabilities, command="infer", arguments=arguments)
    return Inferred(len(probabilities), findings)


def write(
    plan: Plan,
    probabilities: Probabilities,
    *,
    command: str,
    arguments: Mapping[str, object],
    facts: Mapping[str, Any] | None = None,
) -> None:
    """Write the plan's output and its record; ``facts`` are added to the plan's own."""
    samples = plan.samples
    predictions = Predictions(
        ids=samples.frame[samples.id].to_numpy(dtype=object),
        classes=tuple(plan.header["classes"]),
        probabilities=np.asarray(probabilities),
        id_column=samples.id,
    )
    with together():
        write_predictions(plan.output, predictions, force=plan.force)
        provenance.record(
            plan.output,
            command=command,
            arguments=arguments,
            inputs=plan.inputs,
            facts={**plan.facts, **(facts or {})},
        )
