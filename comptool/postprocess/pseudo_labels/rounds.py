"""Rounds of pseudo-labels: rows kept, merged with earlier rounds, and written as training rows.

A row labelled in an earlier round and again in this one takes the label, confidence and round of
this one, because the newer model was trained on the older labels; a row that is not confident in
this round keeps its earlier label. Caps and balance apply to all rounds together.

Multi-label: a row is kept if a class is confidently present. Rows with absent classes only would
bias a model towards absence.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import pandas as pd

from comptool.competition.samples import Samples
from comptool.errors import UsageError
from comptool.io.predictions import Predictions
from comptool.io.tables import check_ids, read_table, refuse_rows
from comptool.postprocess.pseudo_labels.config import Rule
from comptool.postprocess.pseudo_labels.rules import (
    NONE,
    PseudoCells,
    confidences,
    limited,
    limited_cells,
    sure,
    sure_cells,
)
from comptool.tasks.labels import (
    ABSENT,
    CONFIDENCE,
    PRESENT,
    ROUND,
    UNKNOWN,
    Matrix,
    matrix_of_columns,
    matrix_of_lists,
)
from comptool.tasks.multilabel_task import ANSWERED

SOFT = "soft:"
FOLD = "fold"


@dataclass(frozen=True)
class Kept:
    """The M of N test rows that a rule keeps; M values in each column."""

    rows: npt.NDArray[np.intp]  # indices
    labels: Mapping[str, npt.NDArray[Any]]
    confidence: npt.NDArray[np.float64]
    round: npt.NDArray[np.int64]
    number: int  # of this round, from 1
    counts: dict[str, list[int]]  # rows or cells of each class, by title
    soft: Mapping[str, npt.NDArray[np.float64]] = field(default_factory=dict)


def table(samples: Samples, kept: Kept) -> pd.DataFrame:
    """The kept rows of the test table with their labels."""
    columns = [samples.id, *samples.paths.values(), *([samples.group] if samples.group else [])]
    own = {CONFIDENCE, ROUND, FOLD}
    clash = (own | set(kept.labels)) & set(columns) or own & set(kept.labels)
    if clash:
        names = ", ".join(sorted(clash))
        raise UsageError(f"the column {names} has the name of a column of pseudo-labels")
    frame = samples.frame.loc[kept.rows, columns].reset_index(drop=True)
    added = {**kept.labels, CONFIDENCE: kept.confidence, ROUND: kept.round, FOLD: -1, **kept.soft}
    # One concatenation; adding 60 columns would copy the table 60 times.
    return pd.concat([frame, pd.DataFrame(added, index=frame.index)], axis=1)


Number = TypeVar("Number", bound=np.number)


@dataclass(frozen=True)
class Labels:
    """Pseudo-labels of the N rows of a test table; the label is -1 for a row without one."""

    label: npt.NDArray[np.intp]
    confidence: npt.NDArray[np.float64]
    round: npt.NDArray[np.int64]
    soft: npt.NDArray[np.float64] | None = None

    def or_else(self, earlier: Labels) -> Labels:
        """These labels, in rows without one the earlier labels."""
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
    """The labels of an earlier table in the order of the test table; the next round's number."""
    columns = [samples.id, label, CONFIDENCE, ROUND]
    columns += [SOFT + name for name in classes] if soft else []
    frame, places = _rows(path, samples, columns)
    codes = pd.Index(list(classes)).get_indexer(pd.Index(frame[label]))
    refuse_rows(path, frame[label], codes < 0, "is not a class of the predictions")
    rounds = _numbers(path, frame, ROUND, 1, np.inf).astype(np.int64)
    if soft:
        probabilities = np.column_stack([_numbers(path, frame, c, 0, 1) for c in columns[4:]])
    labels = Labels(
        _spread(codes, places, len(samples), NONE),
        _spread(_numbers(path, frame, CONFIDENCE, 0, 1), places, len(samples), 0),
        _spread(rounds, places, len(samples), 0),
        _spread(probabilities, places, len(samples), 0) if soft else None,
    )
    return labels, int(rounds.max(initial=0)) + 1


def read_cells(
    path: Path, samples: Samples, label: str, classes: Sequence[str]
) -> tuple[PseudoCells, int]:
    """The multi-label cells of an earlier table, see `read_round`."""
    frame, places = _rows(path, samples, [samples.id, *([label] if label else classes), ROUND])
    if label:
        matrix = matrix_of_lists(path, frame[label], classes)
    else:
        matrix = matrix_of_columns(path, frame, classes)
    rounds = _numbers(path, frame, ROUND, 1, np.inf).astype(np.int64)
    cells = PseudoCells(
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
    """The kept rows, with 1, 0 or -1 for each class or with label lists; see `label_classes`.

    A label list cannot mark a class as not annotated: rows with such a class are left out.
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
    new = PseudoCells(sure, np.where((sure != UNKNOWN).any(axis=1), number, 0))
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
            "predicted": (probabilities > ANSWERED).sum(axis=0).tolist(),
            "sure": (sure == PRESENT).sum(axis=0).tolist(),
            "absent": (kept == ABSENT).sum(axis=0).tolist(),
            "unknown": (kept == UNKNOWN).sum(axis=0).tolist(),
            "kept": (kept == PRESENT).sum(axis=0).tolist(),
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


def label_classes(
    predictions: Predictions,
    samples: Samples,
    label: str,
    rule: Rule,
    *,
    previous: Path | None = None,
    soft: bool = False,
    allowed: npt.NDArray[np.bool_] | None = None,
) -> Kept:
    """The kept rows of the test table ``samples`` with their classes, in the column ``label``.

    ``predictions`` are in the order of ``samples``; ``previous`` is the table of the previous
    round, ``allowed`` a mask (N,) of the rows that may be labelled in this one.
    """
    if rule.lower is not None:
        raise UsageError("--lower is for multi-label predictions; here each row has one class")
    classes = predictions.classes
    earlier, number = None, 1
    if previous is not None:
        earlier, number = read_round(previous, samples, label, classes, soft=soft)
    answers = answers_of(predictions)
    chosen = sure(predictions.probabilities, rule, answers)
    if allowed is not None:
        chosen &= allowed
    probabilities = predictions.probabilities.astype(np.float64)
    num_rows, num_classes = probabilities.shape
    new = Labels(
        np.where(chosen, answers, NONE),
        probabilities[np.arange(num_rows), answers],
        np.full(num_rows, number, dtype=np.int64),
        probabilities if soft else None,
    )
    merged = new if earlier is None else new.or_else(earlier)
    labels = replace(merged, label=limited(merged.label, merged.confidence, rule))
    rows = np.flatnonzero(labels.label != NONE)
    shares = () if labels.soft is None else labels.soft[rows].T
    return Kept(
        rows=rows,
        labels={label: np.array(classes, dtype=object)[labels.label[rows]]},
        confidence=labels.confidence[rows],
        round=labels.round[rows],
        number=number,
        counts={
            "predicted": np.bincount(answers, minlength=num_classes).tolist(),
            "sure": new.counts(num_classes),
            "kept": labels.counts(num_classes),
        },
        soft={SOFT + name: share for name, share in zip(classes, shares, strict=False)},
    )


def answers_of(predictions: Predictions) -> npt.NDArray[np.intp]:
    """Class index of ``pred`` (-1 if it is not a class), else of the most probable class."""
    answers: npt.NDArray[np.intp] = predictions.probabilities.argmax(axis=1)
    if predictions.pred is not None:
        answers = pd.Index(list(predictions.classes)).get_indexer(pd.Index(predictions.pred))
    return answers
