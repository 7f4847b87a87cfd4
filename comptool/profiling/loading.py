"""What loading takes, measured in this process: that of worker processes is hidden from it."""

from __future__ import annotations

from collections.abc import Sequence
from time import perf_counter

from comptool.data.batches import SampleDataset
from comptool.data.sampling import Draw
from comptool.profiling.report import AUGMENT, COLLATE, DECODE, Loading


def loading_of(
    dataset: SampleDataset, batches: Sequence[Sequence[Draw]], workers: int, per_step: int
) -> Loading:
    """What loading takes of a core in a mean step, from batches that are loaded here and now.

    Parameters
    ----------
    dataset
        What the loader reads.
    batches
        The draws of each, one batch or more.
    workers
        Processes of the loader.
    per_step
        Batches in a step.
    """
    spent = dict.fromkeys((DECODE, AUGMENT, COLLATE), 0.0)
    for draws in batches:
        looks = [perf_counter()]
        for wanted in ([draw.row for draw in draws], [draw.row for draw in draws], draws):
            chips = [dataset[one] for one in wanted]
            looks.append(perf_counter())
        dataset.collate(chips)
        began, decoded, again, augmented = looks
        spent[COLLATE] += perf_counter() - augmented
        spent[DECODE] += decoded - began
        # Both have found their files in the system's memory.
        spent[AUGMENT] += max((augmented - again) - (again - decoded), 0.0)
    steps = len(batches) / per_step
    return Loading({phase: each / steps for phase, each in spent.items()}, workers)
