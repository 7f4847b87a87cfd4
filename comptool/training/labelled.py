"""The labelled rows of a run, from ``folds.csv`` or held out here; no torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import numpy as np
import numpy.typing as npt

from comptool.competition import Competition
from comptool.data.files import ImageFiles, drop_missing
from comptool.errors import InputError
from comptool.label_matrix import positive_counts
from comptool.provenance import facts
from comptool.samples import Samples, class_counts, read_samples, training_samples
from comptool.training.config import TrainSettings

FOLD = "fold"

Indices = npt.NDArray[np.int64]
Cells = npt.NDArray[np.int8]


def labelled_rows(
    competition: Competition, settings: TrainSettings, folds: Path | None
) -> tuple[Samples, list[str]]:
    """The labelled samples with a column ``fold``, and what to say of them.

    Parameters
    ----------
    competition
        Says what the columns mean; its training table is taken where there are no folds.
    settings
        Modalities, what a missing image is, and the seed of a hold-out.
    folds
        A table that ``comptool split`` made, or None to make the split that it would make.

    Raises
    ------
    InputError
        If the table cannot be used, has only one class, or an image is missing.
    """
    if folds is None:
        samples, dropped = with_images(training_samples(competition), settings)
        # Only here: its folds are scikit-learn's, whose import takes two seconds.
        made = import_module("comptool.data.splitting").make_folds(samples, seed=settings.seed)
        note = f"no folds.csv here: {made.strategy} of {samples.source}, seed {settings.seed}"
        samples = replace(samples, frame=made.frame)
        return samples, [f"{note} ('comptool split' makes others)", *made.warnings, *dropped]
    samples = read_samples(folds, competition, labelled=True)
    if FOLD not in samples.frame.columns:
        raise InputError(
            "no column is called 'fold'",
            file=folds,
            values=list(samples.frame.columns),
            mend="Make the folds: comptool split",
        )
    samples, dropped = with_images(samples, settings)
    return samples, [f"taking the folds of {folds}", *dropped]


def with_images(samples: Samples, settings: TrainSettings) -> tuple[Samples, list[str]]:
    """The samples with the modalities that are wanted, and how many rows lacked an image.

    Raises
    ------
    InputError
        If an image is missing and may not be.
    """
    names = settings.modality or tuple(samples.paths)
    samples = replace(samples, paths={name: samples.paths[name] for name in names})
    if settings.missing_modality == "drop":
        if samples.labels:
            samples.label_matrix()  # while a wrong cell's row is the table's
        whole, dropped = drop_missing(samples)
        note = (
            f"leaving out {dropped} of {len(samples)} rows of {samples.source}: an image is missing"
        )
        return whole, [note] if dropped else []
    ImageFiles(samples, settings.missing_modality or "error", may_drop=True)
    return samples, []


def published_counts(samples: Samples) -> dict[str, int]:
    """Rows, or positives, per class before any balancing: as a split recorded them, or counted."""
    recorded = facts(samples.source).get("class_counts")
    if isinstance(recorded, dict) and recorded:
        return {str(name): int(count) for name, count in recorded.items()}
    if samples.labels:
        return positive_counts(samples.label_matrix(), samples.labels)
    return class_counts(labels_of(samples))


def labels_of(samples: Samples) -> list[str]:
    """The label of each row."""
    return [str(label) for label in samples.frame[str(samples.label)]]


def label_indices(samples: Samples, classes: Sequence[str]) -> Indices:
    """Index of each row's label in ``classes``, shape (N,).

    Raises
    ------
    InputError
        If a label is not among them; names the row and up to three such labels.
    """
    index = {name: number for number, name in enumerate(classes)}
    labels = labels_of(samples)
    unknown = [row for row, label in enumerate(labels) if label not in index]
    if unknown:
        raise InputError(
            f"this label is not one of the {len(classes)} classes that are trained",
            file=samples.source,
            row=unknown[0] + 1,
            column=samples.label,
            values=list(dict.fromkeys(labels[row] for row in unknown)),
        )
    return np.array([index[label] for label in labels], np.int64)
