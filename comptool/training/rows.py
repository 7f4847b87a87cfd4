"""Which rows a run trains on and which it validates on; no torch.

Rows of ``folds.csv`` with the chosen fold are validated, all others are trained on. Rows of
``--extra`` are only ever trained on.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import cast

import numpy as np
import numpy.typing as npt
import pandas as pd

from comptool.competition import Competition
from comptool.errors import InputError, UsageError
from comptool.label_matrix import PRESENT, UNKNOWN
from comptool.samples import Samples, class_names
from comptool.training.config import TrainSettings
from comptool.training.extra import extra_rows, soft_targets
from comptool.training.labelled import (
    FOLD,
    Cells,
    Indices,
    label_indices,
    labelled_rows,
    labels_of,
    published_counts,
)
from comptool.training.stages import dropped_classes, select


@dataclass(frozen=True)
class Rows:
    """Every row that a run may use.

    Parameters
    ----------
    samples
        N rows: the labelled ones, then those of ``--extra``; ``fold`` is an integer column.
    classes
        K class names.
    class_counts
        Rows, or positives, per class of the training table as published, before any balancing.
    targets
        What is trained on: class indices of shape (N,), float class shares of shape (N, K) if
        ``--extra`` has them, or multi-label cells of shape (N, K).
    labels
        What is measured by: class indices of shape (N,); or multi-label cells, int8 of shape
        (N, K): 1 present, 0 absent, -1 not annotated. Where a split has made training take 0 for
        -1, these still have the 0.
    inputs
        Files that were read.
    notes
        What was taken and why, one sentence each.
    """

    samples: Samples
    classes: tuple[str, ...]
    class_counts: dict[str, int]
    targets: Indices | Cells | npt.NDArray[np.float32]
    labels: Indices | Cells
    inputs: tuple[Path, ...]
    notes: tuple[str, ...]

    @property
    def multilabel(self) -> bool:
        """Whether a row may have several classes."""
        return self.labels.ndim == 2

    @property
    def fold(self) -> Indices:
        """Fold of each row, shape (N,)."""
        return self.samples.frame[FOLD].to_numpy(np.int64)

    @property
    def folds(self) -> list[int]:
        """The folds that can be validated on."""
        return sorted({int(fold) for fold in self.fold if fold >= 0})

    def ids(self, rows: Indices) -> list[str]:
        """Ids of some rows."""
        column = self.samples.frame[self.samples.id]
        return [str(value) for value in column.iloc[rows]]

    def take(self, rows: Indices) -> Samples:
        """Some rows as samples."""
        frame = self.samples.frame.iloc[rows].reset_index(drop=True)
        return replace(self.samples, frame=frame)

    def counts(self, rows: Indices) -> dict[str, int]:
        """Rows, or positives, per class among some rows."""
        found = per_class(self.labels[rows], len(self.classes))
        return dict(zip(self.classes, map(int, found), strict=True))

    def known(self, rows: Indices) -> list[int]:
        """Cells per class among some rows that training takes as annotated; all of one label."""
        if not self.multilabel:
            return [len(rows)] * len(self.classes)
        return [int(number) for number in (self.targets[rows] != UNKNOWN).sum(axis=0)]

    def digest(self) -> str:
        """A hash of ids, paths, folds and targets: what a resumed run has to find unchanged."""
        frame = self.samples.frame
        columns = [self.samples.id, *self.samples.paths.values()]
        text = "\n".join("\t".join(row) for row in frame[columns].itertuples(index=False))
        content = hashlib.sha256(text.encode())
        for array in (self.fold, self.targets):
            content.update(np.ascontiguousarray(array).tobytes())
        return content.hexdigest()


def read_rows(
    competition: Competition, settings: TrainSettings, folds: Path | None, extra: Path | None
) -> Rows:
    """The rows of a run, checked.

    Parameters
    ----------
    competition, settings, folds
        See `comptool.training.labelled.labelled_rows`.
    extra
        A table that ``comptool pseudolabel`` made, or None.

    Raises
    ------
    UsageError
        If a modality is unknown.
    InputError
        If a table cannot be used, there is only one class, an image is missing, or an extra row
        is labelled already, would be validated, or is of an unknown class.
    """
    labelled, notes = labelled_rows(competition, settings, folds)
    counts = published_counts(labelled)
    classes = _classes(competition, labelled, counts)
    inputs, parts, soft = [labelled.source], [labelled], None
    if extra is not None:
        more = extra_rows(competition, settings, extra, labelled, classes)
        inputs.append(extra)
        if more is not None:
            parts.append(more)
            soft = soft_targets(more, classes)
        kind = "" if soft is None else " with soft labels"
        notes.append(f"adding {0 if more is None else len(more)} rows{kind} of {extra}")
    samples = replace(labelled, frame=_joined(parts))
    labels = [_labels(part, classes) for part in parts]
    targets = _targets(parts, labels, soft)
    return Rows(samples, classes, counts, targets, _together(labels), tuple(inputs), tuple(notes))


def _classes(
    competition: Competition, labelled: Samples, counts: dict[str, int]
) -> tuple[str, ...]:
    if labelled.labels:
        return labelled.labels
    classes = competition.classes or class_names({*counts, *labels_of(labelled)})
    if len(classes) < 2:
        raise InputError("there is only one class", file=labelled.source, values=classes)
    return classes


def _labels(samples: Samples, classes: Sequence[str]) -> Indices | Cells:
    return samples.label_matrix() if samples.labels else label_indices(samples, classes)


def _together(parts: Sequence[Indices | Cells]) -> Indices | Cells:
    return cast("Indices | Cells", np.concatenate(parts))


def _targets(
    parts: Sequence[Samples],
    labels: Sequence[Indices | Cells],
    soft: npt.NDArray[np.float32] | None,
) -> Indices | Cells | npt.NDArray[np.float32]:
    pairs = zip(parts, labels, strict=True)
    targets = _together(
        [part.training_matrix() if part.zero_is_unknown else own for part, own in pairs]
    )
    if soft is None:
        return targets
    shares: npt.NDArray[np.float32] = np.eye(soft.shape[1], dtype=np.float32)[targets]
    shares[-len(soft) :] = soft
    return shares


def divide(rows: Rows, settings: TrainSettings, fold: int | None) -> tuple[Indices, Indices]:
    """Row numbers that are trained on, as the settings choose and repeat them, and validated on.

    Parameters
    ----------
    rows
        All rows.
    settings
        ``balance``, ``drop_classes``, ``per_class`` and ``seed``.
    fold
        The fold to validate on; None trains on every row.

    Raises
    ------
    UsageError
        If there is no such fold, or no such class to drop.
    InputError
        If a class is validated and never trained on, or there is too little to train on.
    """
    if fold is not None and fold not in rows.folds:
        known = ", ".join(map(str, rows.folds)) or "none"
        raise UsageError(f"there is no fold {fold} in {rows.samples.source}; its folds are {known}")
    validated = np.zeros(len(rows.fold), bool) if fold is None else rows.fold == fold
    valid, train = np.flatnonzero(validated), np.flatnonzero(~validated)
    if rows.multilabel:
        _check_cells(rows, train)
        return train, valid
    unseen = sorted(set(rows.labels[valid].tolist()) - set(rows.labels[train].tolist()))
    if unseen:
        raise InputError(
            f"fold {fold} validates classes that no training row has",
            file=rows.samples.source,
            values=[rows.classes[index] for index in unseen],
            mend="Give such a row the fold -1, or split again with fewer folds",
        )
    if settings.balance == "under":
        names = np.array(rows.classes, dtype=object)[rows.labels[train]]
        draw = import_module("comptool.data.folds").under_sample
        train = train[draw(names, seed=settings.seed)]
    dropped = dropped_classes(settings, rows.classes)
    train = select(rows.labels, train, settings, dropped)
    found = sorted(set(rows.labels[train].tolist()))
    if len(found) < 2:
        raise InputError(
            f"the {len(train)} rows to train on are all of one class; there is nothing to tell "
            "apart"
            if found
            else "no row is left to train on",
            file=rows.samples.source,
            values=[rows.classes[index] for index in found],
        )
    return train, valid


def per_class(labels: Indices | Cells, num_classes: int) -> Indices:
    """Rows, or positives, of each class, shape (K,)."""
    if labels.ndim == 2:
        return np.asarray((labels == PRESENT).sum(axis=0), np.int64)
    return np.bincount(labels, minlength=num_classes)


def _check_cells(rows: Rows, train: Indices) -> None:
    """Refuse to train on rows without a single positive."""
    if not (rows.labels[train] == PRESENT).any():
        raise InputError(
            f"none of the {len(train)} rows to train on has a class"
            if len(train)
            else "no row is left to train on",
            file=rows.samples.source,
        )


def _joined(parts: Sequence[Samples]) -> pd.DataFrame:
    """The rows of all parts with the columns that a run needs."""
    first = parts[0]
    columns = [first.id, *first.paths.values(), FOLD]
    return pd.concat([part.frame[columns] for part in parts], ignore_index=True)
