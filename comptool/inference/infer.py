"""``comptool infer``: a plan carried out with every network and one view."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace

import numpy as np

from comptool.inference.config import Computing
from comptool.inference.plan import InferencePlan
from comptool.inference.predict import Prediction, Probabilities
from comptool.inference.tta.policies import PLAIN
from comptool.io import provenance
from comptool.io.atomic import together
from comptool.io.predictions import Predictions, write_parts
from comptool.io.provenance import PredictionFacts

ROWS_WRITTEN = 4096  # at a time at least


def infer(plan: InferencePlan, computing: Computing, arguments: Mapping[str, object]) -> list[str]:
    """Predict the plan's samples and write its output and record; returns warnings about images.

    Raises an AlreadyDoneError if this command made the output before; an InputError if an image, a
    checkpoint or the output cannot be used (nothing is written then); a UsageError if the device is
    missing or out of memory.
    """
    provenance.stop_if_done(plan.output, plan.inputs, plan.facts, force=plan.force)
    prediction = Prediction(plan.members, plan.samples, [PLAIN], computing, plan.pool)
    write(plan, prediction, command="infer", arguments=arguments, facts=plan.facts)
    return prediction.findings()


def write(
    plan: InferencePlan,
    prediction: Prediction,
    *,
    command: str,
    arguments: Mapping[str, object],
    facts: PredictionFacts,
) -> None:
    """Compute a prediction under its one scheme and write the output, with its record."""
    with together(), closing(prediction.batches()) as batches:
        write_parts(plan.output, _parts(plan, batches), force=plan.force)
        provenance.record(
            plan.output,
            command=command,
            arguments=arguments,
            inputs=plan.inputs,
            facts=replace(facts, computed=prediction.computed),
        )


def _parts(
    plan: InferencePlan, batches: Iterable[Sequence[Probabilities]]
) -> Iterator[Predictions]:
    """Batches joined to parts of enough rows."""
    samples, bags = plan.samples, plan.bags
    ids = samples.frame[samples.id].to_numpy(dtype=object) if bags is None else bags.names
    column = samples.id if bags is None else str(samples.bag)
    start, waiting = 0, []
    for (probabilities,) in batches:
        waiting.append(probabilities)
        end = start + sum(map(len, waiting))
        if end - start < ROWS_WRITTEN and end < len(ids):
            continue
        found, classes = np.concatenate(waiting), tuple(plan.header.classes)
        yield Predictions(ids[start:end], classes, found, id_column=column)
        start, waiting = end, []
