"""Summary of the samples of a competition, for ``comptool init``."""

from __future__ import annotations

from dataclasses import dataclass, field

from comptool.competition.classes import against
from comptool.competition.config import Competition
from comptool.competition.samples import Samples, dangling_rows, test_samples, training_samples
from comptool.errors import InputError
from comptool.tasks.labels import (
    MIN_CLASSES,
    PRESENT,
    UNKNOWN,
    asked_classes,
    class_counts,
    positive_counts,
)


@dataclass
class SampleSummary:
    """Sentences about the samples, and the error that training would end with, if any."""

    lines: list[str] = field(default_factory=list)
    obstacle: InputError | None = None


def summarise(competition: Competition) -> SampleSummary:
    """Number of samples and classes, and problems with them, one sentence each."""
    about = SampleSummary()
    if competition.train is None:
        about.obstacle = InputError(
            "no training data was found, neither a table with 'train' or 'labels' in its name nor "
            "class folders",
            file=competition.folder,
            mend="Name it with --train",
        )
    else:
        try:
            samples = training_samples(competition)
            about.lines += [*samples.notes, described("training", samples)]
            about.lines += spellings(samples)
            about.obstacle = _untrainable(competition, samples)
        except InputError as error:
            about.obstacle = error
        about.lines += _unlike_the_sample(competition)
    if competition.test is not None or competition.sample_submission is not None:
        try:
            about.lines.append(described("test", test_samples(competition)))
        except InputError as error:
            # Reported, not raised: nothing keeps a model from being trained.
            about.lines.append(f"problem: {error}")
    return about


def _untrainable(competition: Competition, samples: Samples) -> InputError | None:
    """Error that a training with these samples would end with, or None."""
    if not samples.labels and samples.label is not None and competition.train is not None:
        labels = samples.frame[samples.label]
        if labels.nunique() < MIN_CLASSES:
            return InputError(
                "every training row has the same label",
                file=competition.train,
                column=samples.label,
                values=labels.unique().tolist(),
                mend="Name another label column with --label",
            )
        positive = competition.positive_class
        if positive is not None and positive not in set(labels):
            return InputError(
                f"'positive-class' is '{positive}', which no training row has",
                file=competition.train,
                column=samples.label,
                values=labels.unique().tolist(),
                mend="Name one of the classes with --positive-class",
            )
    lacking = dangling_rows(competition, samples.frame)
    if lacking.any():
        row = int(lacking.argmax())
        paths = [samples.frame[path].iloc[row] for path in samples.paths.values()]
        return InputError(
            f"{int(lacking.sum())} of {len(lacking)} training rows name an image that is not there",
            file=competition.train,
            row=row + 1,
            values=paths,
            mend="Leave such rows out with init --missing-images drop, or complete the images",
        )
    return None


def described(role: str, samples: Samples) -> str:
    """Number of samples and classes, in a line."""
    number = f"{len(samples)} {role} samples"
    if samples.bag is not None:
        number += f" in {samples.frame[samples.bag].nunique()} bags"
    if samples.labels:
        return f"{number} of {_positives(samples)}"
    if samples.numbers:
        return f"{number} of {_numbers(samples)}"
    if samples.label is None:
        return number
    counts = class_counts(samples.frame[samples.label])
    least, most = min(counts, key=counts.__getitem__), max(counts, key=counts.__getitem__)
    sizes = f"from {counts[least]} ({least}) to {counts[most]} ({most})"
    if counts[least] == counts[most]:
        sizes = f"{counts[least]} of each"
    return f"{number} of {len(counts)} classes, {sizes}"


def spellings(samples: Samples) -> list[str]:
    """A sentence per class with several spellings: "Cat", "cat ", "CAT"."""
    if samples.numbers or (samples.label is None and not samples.labels):
        return []
    if samples.labels:
        counts = positive_counts(samples.label_matrix(), samples.labels)
    else:
        counts = class_counts(samples.frame[samples.label])
    alike: dict[str, list[str]] = {}
    for name in counts:
        alike.setdefault(" ".join(name.casefold().split()), []).append(name)
    where = f"column '{samples.label}' of {samples.source}" if samples.label else samples.source
    return [
        "problem: classes that differ by case and blanks alone: "
        + ", ".join(f"'{name}' ({counts[name]})" for name in names)
        + f"; they stay apart. If they are one class, write it one way in {where}"
        for names in alike.values()
        if len(names) > 1
    ]


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
    """A sentence if the labels are not the classes of the sample submission."""
    asked = asked_classes(competition) if competition.labels else ()
    if not asked or set(asked) == set(competition.labels):
        return []
    differ = against(competition.labels, asked)
    return [f"problem: the labels are not the classes of the sample submission: {differ}"]
