"""The split of a table with one label per row, and what the user should know of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from comptool.data.config import SplitOptions
from comptool.data.folds import TRAINING, Integers, Texts, hold_out, k_folds, share_deviation
from comptool.errors import InputError, quoted
from comptool.samples import Samples, class_counts, class_names


@dataclass(frozen=True)
class ClassSplit:
    """A split of N rows and how it was found.

    Parameters
    ----------
    fold
        Fold of each row, shape (N,); -1 is always trained on, a hold-out is fold 0.
    deviations
        Largest difference of a class's share between a fold and its training rows, in percentage
        points, by the seed that was tried.
    """

    fold: Integers
    deviations: dict[int, float]

    @property
    def best(self) -> int:
        """The seed with the smallest deviation; the first of several."""
        return min(self.deviations, key=self.deviations.__getitem__)

    def text(self) -> str:
        """One line for the person at the terminal."""
        worst = max(self.deviations, key=self.deviations.__getitem__)
        return (
            f"{len(self.deviations)} seeds: a class's share differs by at most "
            f"{self.deviations[self.best]:.2f} percentage points (best, seed {self.best}) to "
            f"{self.deviations[worst]:.2f} (worst, seed {worst}); chosen: seed {self.best}"
        )


def split_classes(samples: Samples, options: SplitOptions) -> ClassSplit:
    """The hold-out or folds of one seed, or the best of several.

    Raises
    ------
    InputError
        If nothing can be validated.
    """
    labels = labels_of(samples)
    seeds = range(options.seed, options.seed + (options.num_seeds or 1))
    folds = [_assigned(samples, options, seed) for seed in seeds]
    deviations = [share_deviation(labels, fold) for fold in folds]
    best = int(np.argmin(deviations))
    return ClassSplit(folds[best], dict(zip(seeds, deviations, strict=True)))


def labels_of(samples: Samples) -> Texts:
    """The one label of each row, shape (N,).

    Raises
    ------
    InputError
        If all rows have the same.
    """
    assert samples.label is not None
    labels = samples.frame[samples.label].to_numpy(dtype=object)
    if len(set(labels)) < 2:
        raise InputError(
            "all rows have one label; there is nothing to tell apart",
            file=samples.source,
            column=samples.label,
            values=labels[:1],
        )
    return labels


def _assigned(samples: Samples, options: SplitOptions, seed: int) -> Integers:
    if options.num_folds is None:
        fold = hold_out(samples, options.share, seed)
    else:
        fold = k_folds(samples, options.num_folds, seed)
    if not (fold != TRAINING).any():
        raise InputError(
            "every class has one sample, or one group, alone; nothing can be validated",
            file=samples.source,
        )
    return fold


def class_warnings(
    labels: Texts, fold: Integers, num_folds: int | None, *, grouped: bool
) -> list[str]:
    """Classes that are not validated, or not in each fold, one sentence each.

    Parameters
    ----------
    labels, fold
        Arrays of shape (N,).
    num_folds
        K that were asked for, or None for a hold-out.
    grouped
        Whether groups were kept whole.
    """
    counts = class_counts(labels)
    validated = class_counts(labels[fold != TRAINING])
    never = [name for name in counts if name not in validated]
    told = []
    if never:
        what = "one group" if grouped else "one sample"
        told.append(f"{_classes(never)} only {what}: always trained on, never validated")
    small = [name for name in validated if num_folds and counts[name] < num_folds]
    if small:
        told.append(f"{_classes(small)} fewer samples than the {num_folds} folds: some lack it")
    return told


def given_warnings(labels: Texts, fold: Integers) -> list[str]:
    """Classes that a given split trains on or validates alone, one sentence each."""
    trained = set(labels[fold == TRAINING])
    validated = set(labels[fold != TRAINING])
    several = {name for name in validated if len(set(fold[labels == name])) > 1}
    told = []
    for names, what in (
        (trained - validated, "training rows only: never validated"),
        (validated - trained - several, "no training row: validated without having been learnt"),
    ):
        if names:
            told.append(f"{_classes(class_names(names))} {what}")
    return told


def _classes(names: Sequence[str]) -> str:
    return f"class {quoted(names)} has" if len(names) == 1 else f"classes {quoted(names)} have"
