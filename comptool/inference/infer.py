"""``comptool infer``: a plan carried out with every network and one view."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace

import numpy as np

from comptool.competition.bags import Bags, pooled_by_bag
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

    Raises an InputError if an image, a checkpoint or the output cannot be used (nothing is written
    then), a UsageError if the device is missing or out of memory.
    """
    prediction = Prediction(plan.members, plan.samples, [PLAIN], computing)
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
    """Batches joined to parts of enough rows, or of the bags that are complete."""
    samples, bags = plan.samples, plan.bags
    ids, classes = samples.frame[samples.id], tuple(plan.header.classes)
    start, waiting = 0, []
    for (probabilities,) in batches:
        waiting.append(probabilities)
        end = start + sum(map(len, waiting))
        if end - start < ROWS_WRITTEN and end < len(samples):
            continue
        found = np.concatenate(waiting)
        if bags is None:
            part = ids.iloc[start:end].to_numpy(dtype=object)
            yield Predictions(part, classes, found, id_column=samples.id)
            start, waiting = end, []
            continue
        # The bag of the last image may go on in the next batch.
        complete = end if end == len(samples) else int(bags.first[bags.of_row[end - 1]])
        of_row = bags.of_row[start:complete]
        if not of_row.size:
            waiting = [found]
            continue
        here = Bags(bags.names[of_row[0] : of_row[-1] + 1], of_row - of_row[0], of_row[:0])
        pooled = pooled_by_bag(plan.competition.kind, here, found[: len(of_row)], str(plan.pool))
        yield Predictions(here.names, classes, pooled, id_column=str(samples.bag))
        start, waiting = complete, [found[len(of_row) :]]
