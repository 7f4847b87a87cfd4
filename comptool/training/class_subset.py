"""Class subset: which classes and how many rows of each a training stage sees; no torch.

Stages for a long tail, each starting from the run before: all classes; without the dominant one;
the same number of rows of each.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from comptool.competition.classes import named_classes
from comptool.errors import UsageError, quoted
from comptool.metrics import Metric
from comptool.training.config import TrainSettings

Indices = npt.NDArray[np.int64]
Labels = npt.NDArray[np.integer]


def dropped_classes(settings: TrainSettings, classes: Sequence[str]) -> tuple[int, ...]:
    """Indices of the classes in ``--drop-classes``, ascending."""
    dropped = named_classes(settings.drop_classes, classes)
    left = [name for place, name in enumerate(classes) if place not in dropped]
    if dropped and len(left) < 2:
        what = f"only the class {quoted(left)}" if left else "no class"
        names = ",".join(classes[place] for place in dropped)
        raise UsageError(
            f"--drop-classes {names} leaves {what} to train on; it has to leave two or more"
        )
    return dropped


def select(
    labels: Labels, train: Indices, settings: TrainSettings, dropped: Sequence[int]
) -> Indices:
    """Training rows of a stage, perhaps with repeats."""
    train = train[~np.isin(labels[train], dropped)]
    if settings.per_class is None:
        return train
    return train[balanced_subset(labels[train], settings.per_class, settings.seed)]


def balanced_subset(labels: Labels, per_class: int, seed: int) -> Indices:
    """The same number of rows per class: a random subset of large ones, repeats of small ones.

    Within a class, the numbers of repeats differ by at most one.

    Examples
    --------
    >>> balanced_subset(np.array([0, 0, 0, 1]), 2, seed=0).tolist()
    [0, 2, 3, 3]
    """
    rng = np.random.default_rng([seed, per_class])
    taken = []
    for index in np.unique(labels):
        members = np.flatnonzero(labels == index)
        repeats, rest = divmod(per_class, len(members))
        taken += [np.repeat(members, repeats), rng.choice(members, rest, replace=False)]
    return np.sort(np.concatenate(taken)) if taken else np.empty(0, np.int64)


def check_shares(labels: Labels, targets: npt.NDArray[Any], settings: TrainSettings) -> None:
    """Raise a UsageError for soft labels of classes with dropped logits."""
    shares = labels.ndim == 1 and targets.ndim == 2
    if shares and settings.drop_classes and not settings.keep_dropped_logits:
        raise UsageError(
            "the soft labels of --extra share out every class; --drop-classes needs "
            "--keep-dropped-logits with them, or pseudo-labels without --soft"
        )


def measured(labels: Labels, dropped: Sequence[int]) -> npt.NDArray[np.bool_]:
    """Whether each validation row counts, shape (N,): not those of dropped classes."""
    if not dropped:
        return np.ones(len(labels), bool)
    return ~np.isin(labels, dropped)


def kept_score(
    metric: Metric,
    labels: Labels,
    probabilities: npt.NDArray[np.floating],
    dropped: Sequence[int],
) -> float:
    """The metric over the classes that are trained on.

    Rows of dropped classes do not count, and the probabilities of the others are rescaled to a sum
    of one.
    """
    if not dropped:
        return metric.score(labels, probabilities)
    rows = measured(labels, dropped)
    kept = np.setdiff1d(np.arange(probabilities.shape[1]), dropped)
    shares = probabilities[rows][:, kept].astype(np.float64)
    shares += np.finfo(np.float64).tiny  # uniform if all is in dropped classes
    shares /= shares.sum(axis=1, keepdims=True)
    return metric.subset(kept.tolist()).score(np.searchsorted(kept, labels[rows]), shares)


def stage_notes(
    settings: TrainSettings,
    classes: Sequence[str],
    dropped: Sequence[int],
    labels: Labels,
    train: Indices,
) -> list[str]:
    """Notes on dropped classes and repeated rows, one sentence each."""
    notes, what = [], "rows" if settings.bag_size is None else "bags"
    if dropped:
        named = quoted([classes[index] for index in dropped])
        logits = "count" if settings.keep_dropped_logits else "do not count"
        notes.append(
            f"rows of {named} are left out of training and of the score, and the logits of such "
            f"classes {logits} in the loss; oof.csv has every validated row"
        )
    if settings.per_class is not None:
        different = len(np.unique(train))
        notes.append(
            f"{settings.per_class} {what} of each of {len(np.unique(labels[train]))} classes: "
            f"{different} different ones, {len(train) - different} repeats"
        )
        alike = settings.augment == "none" and settings.bag_size is None
        if alike and different < len(train):
            notes.append("WARNING: with --augment none every repeat is the same image")
    return notes
