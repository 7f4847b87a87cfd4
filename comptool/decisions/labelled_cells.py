"""The classes of test rows, present or absent, that a multi-label model is sure of.

A row is kept if one of its classes is surely present: rows of which only absences are sure would
teach a model to say no.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from comptool.decisions.config import Rule
from comptool.decisions.ensemble import ANSWERED
from comptool.decisions.kept import Kept
from comptool.decisions.pseudocells import (
    Cells,
    confidences,
    limited_cells,
    sure_cells,
)
from comptool.decisions.rounds import read_cells
from comptool.errors import UsageError
from comptool.label_matrix import ABSENT, PRESENT, UNKNOWN, Matrix
from comptool.predictions import Predictions
from comptool.samples import Samples


def label_cells(
    predictions: Predictions,
    samples: Samples,
    label: str,
    rule: Rule,
    *,
    previous: Path | None = None,
    soft: bool = False,
    allowed: npt.NDArray[np.bool_] | None = None,
) -> Kept:
    """The rows that are kept, with 1, 0 or -1 for each class, or their label lists.

    Parameters
    ----------
    predictions, samples
        See :func:`comptool.decisions.labelled_classes.label_classes`.
    label
        Name of the column of joined label lists; empty for one column per class. A list cannot
        say that a class is not known: rows with such a class are then left out.
    rule
        Which cells are sure.
    previous
        The table of the round before, or None; of a cell in both, this round's label stays.
    soft
        Refused.
    allowed
        Cells that may be labelled in this round, shape (N, K); None for all.

    Raises
    ------
    UsageError
        If the rule has a part that is for one class per image, or ``soft`` is on.
    InputError
        If the table of the round before cannot be used.
    """
    if soft:
        raise UsageError("--soft is for one class per image; multi-label cells are 1, 0 or -1")
    probabilities, classes = predictions.probabilities, predictions.classes
    earlier, number = None, 1
    if previous is not None:
        earlier, number = read_cells(previous, samples, label, classes)
    sure = sure_cells(probabilities, rule)
    if allowed is not None:
        sure = np.where(allowed, sure, UNKNOWN).astype(sure.dtype)
    new = Cells(sure, np.where((sure != UNKNOWN).any(axis=1), number, 0))
    merged = new if earlier is None else new.or_else(earlier)
    labels = limited_cells(merged.labels, probabilities, rule)
    wanted = (labels == PRESENT).any(axis=1)
    if label:
        wanted &= (labels != UNKNOWN).all(axis=1)
    rows = np.flatnonzero(wanted)
    kept = labels[rows]
    return Kept(
        rows=rows,
        labels=_columns(kept, label, classes),
        confidence=confidences(kept, probabilities[rows]),
        round=merged.round[rows],
        number=number,
        counts={
            "predicted": _count(probabilities > ANSWERED),
            "sure": _count(sure == PRESENT),
            "absent": _count(kept == ABSENT),
            "unknown": _count(kept == UNKNOWN),
            "kept": _count(kept == PRESENT),
        },
    )


def _columns(labels: Matrix, label: str, classes: tuple[str, ...]) -> dict[str, npt.NDArray[Any]]:
    if not label:
        return dict(zip(classes, labels.T, strict=True))
    separator = "," if any(" " in name for name in classes) else " "
    lists = [
        separator.join(classes[place] for place in np.flatnonzero(row == PRESENT)) for row in labels
    ]
    return {label: np.array(lists, dtype=object)}


def _count(cells: npt.NDArray[np.bool_]) -> list[int]:
    counts: list[int] = cells.sum(axis=0).tolist()
    return counts
