"""Rounds of pseudo-labels: rows kept, merged with earlier rounds, and written as training rows.

Rounds of pseudo-labels: the labels of the round before, under those of this one.

A row labelled in an earlier round and again in this one takes this round's label, confidence and
round, because the newer model has learnt from the older labels; a row that this round is not sure
of keeps its earlier label. Caps and balance then hold for all rounds together.

The classes of test rows, present or absent, that a multi-label model is sure of.

A row is kept if one of its classes is surely present: rows of which only absences are sure would
teach a model to say no.
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
from comptool.tasks.label_matrix import (
    ABSENT,
    PRESENT,
    UNKNOWN,
    Matrix,
    matrix_of_columns,
    matrix_of_lists,
)
from comptool.tasks.labels import CONFIDENCE, ROUND
from comptool.tasks.multilabel_task import ANSWERED

SOFT = "soft:"
FOLD = "fold"


@dataclass(frozen=True)
class Kept:
    """What a rule keeps of N test rows."""

    rows: npt.NDArray[np.intp]
    labels: Mapping[str, npt.NDArray[Any]]
    confidence: npt.NDArray[np.float64]
    round: npt.NDArray[np.int64]
    number: int
    counts: dict[str, list[int]]
    soft: Mapping[str, npt.NDArray[np.float64]] = field(default_factory=dict)


def table(samples: Samples, kept: Kept) -> pd.DataFrame:
    """The rows of the test table that are kept, with their labels."""
    columns = [samples.id, *samples.paths.values(), *([samples.group] if samples.group else [])]
    own = {CONFIDENCE, ROUND, FOLD}
    clash = (own | set(kept.labels)) & set(columns) or own & set(kept.labels)
    if clash:
        names = ", ".join(sorted(clash))
        raise UsageError(f"a column called {names} cannot be told from a pseudo-label's own")
    frame = samples.frame.loc[kept.rows, columns].reset_index(drop=True)
    added = {**kept.labels, CONFIDENCE: kept.confidence, ROUND: kept.round, FOLD: -1, **kept.soft}
    # At once: a table of 60 classes would be copied 60 times.
    return pd.concat([frame, pd.DataFrame(added, index=frame.index)], axis=1)


Number = TypeVar("Number", bound=np.number)


@dataclass(frozen=True)
class Labels:
    """Pseudo-labels of the N rows of a test table."""

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
    """The labels of an earlier table, in the order of the test table, and the next round's number."""
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
) -> tuple[PseudoCells, int]:
    """The multi-label cells of an earlier table, as `read_round` reads the classes of one."""
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
    """The rows that are kept, with 1, 0 or -1 for each class, or their label lists."""
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
    """The rows that are kept, each with its class.

    Parameters
    ----------
    predictions
        In the order of the test table.
    samples
        The test table.
    label
        Name of the label column.
    rule
        Which rows are kept.
    previous
        The table of the round before, or None.
    soft
        Whether the class probabilities are wanted too.
    allowed
        Rows that may be labelled in this round, shape (N,); None for all.

    Raises
    ------
    UsageError
        If the rule has a part that is for multi-label predictions.
    InputError
        If the table of the round before cannot be used.
    """
    if rule.lower is not None:
        raise UsageError("--lower is for multi-label predictions; here one class has a row")
    classes = predictions.classes
    earlier, number = None, 1
    if previous is not None:
        earlier, number = read_round(previous, samples, label, classes, soft=soft)
    labels, counts = decide(predictions, rule, earlier, number, soft, allowed)
    rows = np.flatnonzero(labels.label != NONE)
    shares = () if labels.soft is None else labels.soft[rows].T
    return Kept(
        rows=rows,
        labels={label: np.array(classes, dtype=object)[labels.label[rows]]},
        confidence=labels.confidence[rows],
        round=labels.round[rows],
        number=number,
        counts=counts,
        soft={SOFT + name: share for name, share in zip(classes, shares, strict=False)},
    )


def answers_of(predictions: Predictions) -> npt.NDArray[np.intp]:
    """Class index of each row's ``pred``, else of its most probable class; -1 for no class."""
    answers: npt.NDArray[np.intp] = predictions.probabilities.argmax(axis=1)
    if predictions.pred is not None:
        answers = pd.Index(list(predictions.classes)).get_indexer(pd.Index(predictions.pred))
    return answers


def decide(
    predictions: Predictions,
    rule: Rule,
    earlier: Labels | None,
    number: int,
    soft: bool,
    allowed: npt.NDArray[np.bool_] | None = None,
) -> tuple[Labels, dict[str, list[int]]]:
    """The labels of this round over those of earlier ones, cut to the rule, and the counts."""
    probabilities = predictions.probabilities.astype(np.float64)
    num_rows, num_classes = probabilities.shape
    answers = answers_of(predictions)
    chosen = sure(predictions.probabilities, rule, answers)
    if allowed is not None:
        chosen &= allowed
    new = Labels(
        np.where(chosen, answers, NONE),
        probabilities[np.arange(num_rows), answers],
        np.full(num_rows, number, dtype=np.int64),
        probabilities if soft else None,
    )
    merged = new if earlier is None else new.or_else(earlier)
    kept = replace(merged, label=limited(merged.label, merged.confidence, rule))
    counts = {
        "predicted": np.bincount(answers, minlength=num_classes).tolist(),
        "sure": new.counts(num_classes),
        "kept": kept.counts(num_classes),
    }
    return kept, counts
