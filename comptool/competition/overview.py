"""Overview of the samples of a competition, for ``comptool init``."""

from __future__ import annotations

from collections.abc import Callable

from comptool.competition.classes import against
from comptool.competition.config import Competition
from comptool.competition.samples import Samples, test_samples, training_samples
from comptool.errors import InputError
from comptool.tasks.labels import PRESENT, UNKNOWN, asked_classes, class_counts, positive_counts


def overview(competition: Competition) -> list[str]:
    """Number of samples and classes, and problems with them, one sentence each."""
    lines = []
    if competition.train is not None:
        lines.append(_described("training", training_samples, competition))
        lines += _unlike_the_sample(competition)
    if competition.test is not None or competition.sample_submission is not None:
        lines.append(_described("test", test_samples, competition))
    return lines


def _described(role: str, read: Callable[[Competition], Samples], competition: Competition) -> str:
    try:
        return described(role, read(competition))
    except InputError as error:
        # Reported, not raised: the user needs comptool.toml to correct it.
        return f"problem: {error}"


def described(role: str, samples: Samples) -> str:
    """Number of samples and classes, in a line."""
    if samples.labels:
        return f"{len(samples)} {role} samples of {_positives(samples)}"
    if samples.numbers:
        return f"{len(samples)} {role} samples of {_numbers(samples)}"
    if samples.label is None:
        return f"{len(samples)} {role} samples"
    counts = class_counts(samples.frame[samples.label])
    least, most = min(counts, key=counts.__getitem__), max(counts, key=counts.__getitem__)
    sizes = f"from {counts[least]} ({least}) to {counts[most]} ({most})"
    if counts[least] == counts[most]:
        sizes = f"{counts[least]} of each"
    return f"{len(samples)} {role} samples of {len(counts)} classes, {sizes}"


def _numbers(samples: Samples) -> str:
    """Range and mean of each number of a table."""
    rows = zip(samples.numbers, samples.number_matrix().T, strict=True)
    ranges = [f"{name} from {n.min():g} to {n.max():g}, mean {n.mean():.4g}" for name, n in rows]
    return f"the number{'s' if len(ranges) > 1 else ''} {'; '.join(ranges)}"


def _positives(samples: Samples) -> str:
    """Frequency of the labels of a multi-label table, and the share of unknown cells."""
    cells = samples.label_matrix()
    counts = positive_counts(cells, samples.labels)
    least, most = min(counts, key=counts.__getitem__), max(counts, key=counts.__getitem__)
    text = (
        f"{len(counts)} labels, positives from {counts[least]} ({least}) to {counts[most]} "
        f"({most}), {(cells == PRESENT).sum() / len(samples):.2f} per sample"
    )
    unknown = (cells == UNKNOWN).mean()
    return f"{text}, {unknown:.1%} of the cells not annotated" if unknown else text


def _unlike_the_sample(competition: Competition) -> list[str]:
    """A sentence if the label columns are not those of the sample submission."""
    asked = asked_classes(competition) if competition.labels else ()
    if not asked or set(asked) == set(competition.labels):
        return []
    differ = against(competition.labels, asked)
    return [f"problem: the labels are not the classes of the sample submission: {differ}"]
