"""The rows of ``--extra``: pseudo-labelled, trained on and never validated; no torch."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from comptool.competition import Competition
from comptool.errors import InputError
from comptool.samples import Samples, read_samples
from comptool.tables import read_table
from comptool.training.config import TrainSettings
from comptool.training.labelled import FOLD, label_indices, with_images

SOFT = "soft:"
SUM_TOLERANCE = 1e-3


def extra_rows(
    competition: Competition,
    settings: TrainSettings,
    extra: Path,
    labelled: Samples,
    classes: Sequence[str],
) -> Samples | None:
    """The rows of ``--extra`` as samples below the labelled rows' folder; None if it has none.

    Parameters
    ----------
    competition, settings
        As for :func:`comptool.training.labelled.labelled_rows`.
    extra
        A table that ``comptool pseudolabel`` made.
    labelled
        The rows that are added to.
    classes
        The classes that are trained.

    Raises
    ------
    InputError
        If the table cannot be used, or a row is labelled already, would be validated, is of an
        unknown class, or lacks an image.
    """
    if read_table(extra, allow_empty=True).empty:
        return None
    samples = read_samples(extra, competition, labelled=True)
    _refuse_validated(samples)
    _refuse_labelled(samples, labelled)
    # Before rows without images are left out, so that a message counts rows as the table does.
    if samples.labels:
        samples = replace(samples, labels=tuple(classes))
        samples.label_matrix()
    else:
        label_indices(samples, classes)
    soft_targets(samples, classes)
    samples, _ = with_images(samples, settings)
    prefix = os.path.relpath(samples.folder, labelled.folder)
    frame = samples.frame.assign(**{FOLD: -1})
    for column in samples.paths.values():
        frame[column] = [path and _joined(prefix, path) for path in frame[column]]
    return replace(samples, frame=frame, folder=labelled.folder)


def soft_targets(samples: Samples, classes: Sequence[str]) -> npt.NDArray[np.float32] | None:
    """The ``soft:<class>`` columns of ``--extra`` of shape (N, K), or None if it has none.

    Raises
    ------
    InputError
        If they are of other classes, a row's are no probabilities, or the task is multi-label.
    """
    found = [str(name) for name in samples.frame.columns if str(name).startswith(SOFT)]
    wanted = [SOFT + name for name in classes]
    if not found:
        return None
    if samples.labels:
        raise InputError(
            "soft labels are for one class per image, and the task is multilabel",
            file=samples.source,
            values=found,
        )
    if sorted(found) != sorted(wanted):
        strange = sorted(set(found) ^ set(wanted))
        raise InputError(
            "the soft labels are of other classes than are trained",
            file=samples.source,
            values=[name.removeprefix(SOFT) for name in strange],
        )
    columns = [pd.to_numeric(samples.frame[name], errors="coerce") for name in wanted]
    shares = np.stack([column.to_numpy(np.float64) for column in columns], axis=1)
    sums = shares.sum(axis=1, keepdims=True)
    wrong = ~((shares >= 0).all(axis=1) & (np.abs(sums[:, 0] - 1) < SUM_TOLERANCE))
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise InputError(
            "the soft labels of this row are not probabilities that sum to one",
            file=samples.source,
            row=row + 1,
            values=samples.frame[wanted].iloc[row].tolist(),
        )
    return np.asarray(shares / sums, np.float32)


def _refuse_validated(samples: Samples) -> None:
    if FOLD not in samples.frame.columns:
        return
    validated = samples.frame[FOLD] >= 0
    if validated.any():
        raise InputError(
            "these extra rows would be validated; their fold has to be -1",
            file=samples.source,
            column=samples.id,
            values=samples.frame.loc[validated, samples.id].tolist(),
        )


def _refuse_labelled(samples: Samples, labelled: Samples) -> None:
    twice = samples.frame[samples.id].isin(labelled.frame[labelled.id])
    if twice.any():
        raise InputError(
            f"these extra ids are labelled rows of {labelled.source} already",
            file=samples.source,
            column=samples.id,
            values=samples.frame.loc[twice, samples.id].tolist(),
        )


def _joined(prefix: str, path: str) -> str:
    return os.path.normpath(os.path.join(prefix, path))
