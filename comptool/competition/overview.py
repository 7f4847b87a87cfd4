"""A first look at the samples of a competition, for ``comptool init``."""

from __future__ import annotations

from collections.abc import Callable

from comptool.competition.classes import against
from comptool.competition.config import Competition
from comptool.competition.samples import Samples, test_samples, training_samples
from comptool.errors import InputError
from comptool.tasks.label_matrix import PRESENT, UNKNOWN, positive_counts
from comptool.tasks.labels import asked_classes, class_counts


def overview(competition: Competition) -> list[str]:
    """How many samples and classes there are, and what is wrong with them, one sentence each."""
    told = []
    if competition.train is not None:
        told.append(_told("training", training_samples, competition))
        told += _unlike_the_sample(competition)
    if competition.test is not None or competition.sample_submission is not None:
        told.append(_told("test", test_samples, competition))
    return told


def _told(role: str, read: Callable[[Competition], Samples], competition: Competition) -> str:
    try:
        return described(role, read(competition))
    except InputError as error:
        # The user needs comptool.toml to mend this, so it is told and not raised.
        return f"problem: {error}"


def described(role: str, samples: Samples) -> str:
    """How many samples of how many classes there are, in a line."""
    if samples.labels:
        return f"{len(samples)} {role} samples of {_positives(samples)}"
    if samples.label is None:
        return f"{len(samples)} {role} samples"
    counts = class_counts(samples.frame[samples.label])
    least, most = min(counts, key=counts.__getitem__), max(counts, key=counts.__getitem__)
    sizes = f"from {counts[least]} ({least}) to {counts[most]} ({most})"
    if counts[least] == counts[most]:
        sizes = f"{counts[least]} of each"
    return f"{len(samples)} {role} samples of {len(counts)} classes, {sizes}"


def _positives(samples: Samples) -> str:
    """The labels of a multi-label table: how frequent they are, and how many cells are unknown."""
    cells = samples.label_matrix()
    counts = positive_counts(cells, samples.labels)
    least, most = min(counts, key=counts.__getitem__), max(counts, key=counts.__getitem__)
    told = (
        f"{len(counts)} labels, positives from {counts[least]} ({least}) to {counts[most]} "
        f"({most}), {(cells == PRESENT).sum() / len(samples):.2f} per sample"
    )
    unknown = (cells == UNKNOWN).mean()
    return f"{told}, {unknown:.1%} of the cells not annotated" if unknown else told


def _unlike_the_sample(competition: Competition) -> list[str]:
    """That the label columns are not those of the sample submission, if so."""
    asked = asked_classes(competition) if competition.labels else ()
    if not asked or set(asked) == set(competition.labels):
        return []
    differ = against(competition.labels, asked)
    return [
        f"problem: the labels are not the classes that the sample submission asks for: {differ}"
    ]
