"""Rounds of pseudo-labels: the labels of the round before, under those of this one.

A row labelled in an earlier round and again in this one takes this round's label, confidence and
round, because the newer model has learnt from the older labels; a row that this round is not sure
of keeps its earlier label. Caps and balance then hold for all rounds together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import pandas as pd

from comptool.decisions.kept import SOFT
from comptool.decisions.pseudocells import Cells
from comptool.decisions.pseudolabel import NONE
from comptool.label_matrix import UNKNOWN, matrix_of_columns, matrix_of_lists
from comptool.labels import CONFIDENCE, ROUND
from comptool.samples import Samples
from comptool.tables import check_ids, read_table, refuse_rows

Number = TypeVar("Number", bound=np.number)


@dataclass(frozen=True)
class Labels:
    """Pseudo-labels of the N rows of a test table.

    Parameters
    ----------
    label
        Class indices of shape (N,), -1 for a row without one.
    confidence
        Floats of shape (N,) in [0, 1].
    round
        Integers of shape (N,), from 1.
    soft
        Class probabilities of shape (N, K), or None.
    """

    label: npt.NDArray[np.intp]
    confidence: npt.NDArray[np.float64]
    round: npt.NDArray[np.int64]
    soft: npt.NDArray[np.float64] | None = None

    def or_else(self, earlier: Labels) -> Labels:
        """These labels and, in rows that have none, the earlier ones."""
        own = self.label != NONE
        soft = self.soft
        if soft is not None and earlier.soft is not None:
            soft = np.where(own[:, None], soft, earlier.soft)
        return Labels(
            np.where(own, self.label, earlier.label),
            np.where(own, self.confidence, earlier.confidence),
            np.where(own, self.round, earlier.round),
            soft,
        )

    def counts(self, num_classes: int) -> list[int]:
        """Labelled rows of each class."""
        found: list[int] = np.bincount(
            self.label[self.label != NONE], minlength=num_classes
        ).tolist()
        return found


def read_round(
    path: Path, samples: Samples, label: str, classes: Sequence[str], *, soft: bool
) -> tuple[Labels, int]:
    """The labels of an earlier table, in the order of the test table, and the next round's number.

    Parameters
    ----------
    path
        A table written by ``comptool pseudolabel``.
    samples
        The N rows of the test table.
    label
        Name of the label column.
    classes
        The K class names of the predictions.
    soft
        Whether its class probabilities are needed.

    Raises
    ------
    InputError
        If a column is missing, an id is not in the test table, a label is no class, or a number is
        out of range.
    """
    columns = [samples.id, label, CONFIDENCE, ROUND]
    columns += [SOFT + name for name in classes] if soft else []
    frame, places = _rows(path, samples, columns)
    codes = pd.Index(list(classes)).get_indexer(pd.Index(frame[label]))
    refuse_rows(path, frame[label], codes < 0, "is no class of the predictions")
    rounds = _numbers(path, frame, ROUND, 1, np.inf).astype(np.int64)
    labels = Labels(
        _spread(codes, places, len(samples), NONE),
        _spread(_numbers(path, frame, CONFIDENCE, 0, 1), places, len(samples), 0),
        _spread(rounds, places, len(samples), 0),
        _soft(path, frame, columns[4:], places, len(samples)) if soft else None,
    )
    return labels, int(rounds.max(initial=0)) + 1


def read_cells(
    path: Path, samples: Samples, label: str, classes: Sequence[str]
) -> tuple[Cells, int]:
    """The multi-label cells of an earlier table, as `read_round` reads the classes of one.

    Parameters
    ----------
    path, samples, classes
        As for `read_round`.
    label
        Name of the column of joined label lists; empty for one column per class.

    Raises
    ------
    InputError
        As `read_round`; also for a cell that is none of 0, 1, -1 and blank.
    """
    frame, places = _rows(path, samples, [samples.id, *([label] if label else classes), ROUND])
    if label:
        matrix = matrix_of_lists(path, frame[label], classes)
    else:
        matrix = matrix_of_columns(path, frame, classes)
    rounds = _numbers(path, frame, ROUND, 1, np.inf).astype(np.int64)
    cells = Cells(
        _spread(matrix, places, len(samples), UNKNOWN), _spread(rounds, places, len(samples), 0)
    )
    return cells, int(rounds.max(initial=0)) + 1


def _rows(
    path: Path, samples: Samples, columns: list[str]
) -> tuple[pd.DataFrame, npt.NDArray[np.intp]]:
    """An earlier table, and where its ids are in the test table."""
    frame = read_table(path, required=columns, allow_empty=True)
    check_ids(path, samples.id, frame[samples.id].to_numpy(dtype=object))
    places = pd.Index(samples.frame[samples.id]).get_indexer(pd.Index(frame[samples.id]))
    refuse_rows(path, frame[samples.id], places < 0, f"the id is not in {samples.source}")
    return frame, places


def _soft(
    path: Path, frame: pd.DataFrame, columns: list[str], places: npt.NDArray[np.intp], size: int
) -> npt.NDArray[np.float64]:
    values = np.column_stack([_numbers(path, frame, name, 0, 1) for name in columns])
    return _spread(values, places, size, 0)


def _spread(
    values: npt.NDArray[Number], places: npt.NDArray[np.intp], size: int, blank: int
) -> npt.NDArray[Number]:
    spread = np.full((size, *values.shape[1:]), blank, dtype=values.dtype)
    spread[places] = values
    return spread


def _numbers(
    path: Path, frame: pd.DataFrame, column: str, low: float, high: float
) -> npt.NDArray[np.float64]:
    values = pd.to_numeric(frame[column], errors="coerce").to_numpy(dtype=np.float64)
    refuse_rows(path, frame[column], ~((values >= low) & (values <= high)), "is out of range")
    return values
