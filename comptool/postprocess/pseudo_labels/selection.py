"""Pseudo-labels of a round: selected by a rule, merged with earlier rounds, as training rows.

Rows: D.-H. Lee, "Pseudo-Label: The Simple and Efficient Semi-Supervised Learning Method for Deep
Neural Networks" (ICML workshop, 2013); the threshold of 0.96 on the largest softmax probability is
that of "Dual-stream Fusion and Data Augmentation for Imbalanced SAR and EO Multi-modal
Classification" (2023). Quantiles per class follow the class-balanced self-training of Y. Zou et al.
(ECCV 2018, arXiv 1810.07911): a single threshold would leave out rare classes, which are rarely
predicted with confidence.

Cells, image by class: M. N. Rizve, K. Duarte, Y. S. Rawat, M. Shah, "In Defense of Pseudo-Labeling:
An Uncertainty-Aware Pseudo-label Selection Framework for Semi-Supervised Learning" (ICLR 2021,
arXiv 2101.06329), section 3: a class is present above one threshold, absent below a lower one, and
not annotated in between. Differs from the paper: no uncertainty, only the thresholds. A row is kept
if a class is confidently present: rows with absent classes only would bias a model towards absence.

Rounds: a row labelled in an earlier round and again in this one takes the label, confidence and
round of this one, because the newer model was trained on the older labels; a row that is not
confident in this round keeps its earlier label. Caps and balance apply to all rounds together.
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
from comptool.io.verification import recall
from comptool.postprocess.calibration.quota import largest
from comptool.postprocess.pseudo_labels.config import Rule
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

Floats = npt.NDArray[np.floating]
Indices = npt.NDArray[np.intp]
Mask = npt.NDArray[np.bool_]

NONE = -1


def sure(probabilities: Floats, rule: Rule, answers: Indices | None = None) -> Mask:
    """Mask of the rows above the thresholds and the quantile; by default of the likeliest class."""
    if answers is None:
        answers = probabilities.argmax(axis=1)
    confidence = probabilities[np.arange(len(answers)), answers]
    mask = np.ones(len(confidence), dtype=np.bool_)
    if rule.bound is not None:
        mask &= confidence > rule.bound
    if rule.class_thresholds is not None:
        mask &= confidence > np.array(rule.class_thresholds)[answers]
    if rule.quantile is not None:
        for answer in np.unique(answers):
            rows = answers == answer
            mask[rows] &= confidence[rows] >= np.quantile(confidence[rows], rule.quantile)
    return mask


def limited(labels: Indices, confidence: Floats, rule: Rule) -> Indices:
    """Labels after the cap and the balance; removed rows become -1, ties keep the earlier row."""
    sizes = [] if rule.per_class_cap is None else [rule.per_class_cap]
    if rule.balance and (labels != NONE).any():
        sizes.append(int(np.unique(labels[labels != NONE], return_counts=True)[1].min()))
    if not sizes:
        return labels
    kept = np.full_like(labels, NONE)
    for label in np.unique(labels[labels != NONE]):
        rows = np.flatnonzero(labels == label)
        kept[rows[largest(confidence[rows], min(sizes))]] = label
    return kept


Bound = float | npt.NDArray[np.float64]


@dataclass(frozen=True)
class PseudoCells:
    """Multi-label pseudo-labels of the N rows of a test table."""

    labels: Matrix  # (N, K): 1 present, 0 absent, -1 not annotated
    round: npt.NDArray[np.int64]  # (N,): latest round that labelled a cell, from 1; 0 without

    def or_else(self, earlier: PseudoCells) -> PseudoCells:
        """These labels, in cells without one the earlier labels."""
        own = self.labels != UNKNOWN
        return PseudoCells(
            np.where(own, self.labels, earlier.labels),
            np.where(own.any(axis=1), self.round, earlier.round),
        )


def bounds(rule: Rule) -> tuple[Bound, Bound]:
    """The thresholds below which a class is absent and above which it is present, or K of each."""
    if rule.quantile is not None:
        raise UsageError(
            "--quantile is for one class per image; multi-label cells take --threshold and --lower"
        )
    if rule.class_thresholds is not None and rule.class_lowers is not None:
        return np.array(rule.class_lowers), np.array(rule.class_thresholds)
    upper = rule.bound
    assert upper is not None
    lower = min(round(1 - upper, 12), upper) if rule.lower is None else rule.lower
    if lower > upper:
        raise UsageError(f"--lower is {lower:g}, above --threshold, which is {upper:g}")
    return lower, upper


def sure_cells(probabilities: Floats, rule: Rule) -> Matrix:
    """Labels of cells strictly outside the thresholds; others are -1."""
    lower, upper = bounds(rule)
    labels = np.full(probabilities.shape, UNKNOWN, dtype=np.int8)
    labels[probabilities < lower] = ABSENT
    labels[probabilities > upper] = PRESENT
    return labels


def limited_cells(labels: Matrix, probabilities: Floats, rule: Rule) -> Matrix:
    """Labels after the cap and the balance; removed present cells become -1, not absent."""
    counts = (labels == PRESENT).sum(axis=0)
    sizes = [] if rule.per_class_cap is None else [rule.per_class_cap]
    if rule.balance and counts.any():
        sizes.append(int(counts[counts > 0].min()))
    if not sizes:
        return labels
    kept = labels.copy()
    for column in np.flatnonzero(counts > min(sizes)).tolist():
        rows = np.flatnonzero(labels[:, column] == PRESENT)
        kept[rows, column] = UNKNOWN
        kept[rows[largest(probabilities[rows, column], min(sizes))], column] = PRESENT
    return kept


def confidences(labels: Matrix, probabilities: Floats) -> npt.NDArray[np.float64]:
    """Mean probability of the labels of each row's annotated cells, shape (N,); 0 without one."""
    known = labels != UNKNOWN
    of_label = np.where(labels == PRESENT, probabilities, 1 - probabilities.astype(np.float64))
    sums = np.where(known, of_label, 0.0).sum(axis=1)
    means: npt.NDArray[np.float64] = sums / np.maximum(known.sum(axis=1), 1)
    return means


SOFT = "soft:"
FOLD = "fold"


@dataclass(frozen=True)
class Kept:
    """The M of N test rows that a rule keeps; M values in each column."""

    rows: Indices  # indices
    labels: Mapping[str, npt.NDArray[Any]]
    confidence: npt.NDArray[np.float64]
    round: npt.NDArray[np.int64]
    number: int  # of this round, from 1
    counts: dict[str, list[int]]  # rows or cells of each class, by title
    soft: Mapping[str, npt.NDArray[np.float64]] = field(default_factory=dict)


def table(samples: Samples, kept: Kept, images: Samples) -> pd.DataFrame:
    """The kept rows of the test table with their labels.

    ``samples`` are the rows of the predictions, and ``images`` those of the images: the same ones
    without bags.
    """
    others = [name for name in (images.bag, images.group) if name is not None]
    columns = list(dict.fromkeys([images.id, *images.paths.values(), *others]))
    own = {CONFIDENCE, ROUND, FOLD}
    clash = (own | set(kept.labels)) & set(columns) or own & set(kept.labels)
    if clash:
        names = ", ".join(sorted(clash))
        raise UsageError(f"the column {names} has the name of a column of pseudo-labels")
    ids = samples.frame[samples.id].iloc[kept.rows]
    added = {**kept.labels, CONFIDENCE: kept.confidence, ROUND: kept.round, FOLD: -1, **kept.soft}
    labels = pd.DataFrame(added, index=pd.Index(ids))
    answered = images.frame[images.bag or images.id]
    rows = answered.isin(labels.index)
    frame = images.frame.loc[rows, columns].reset_index(drop=True)
    labels = labels.loc[answered[rows]].reset_index(drop=True)
    # One concatenation; adding 60 columns would copy the table 60 times.
    return pd.concat([frame, labels], axis=1)


Number = TypeVar("Number", bound=np.number)


@dataclass(frozen=True)
class Labels:
    """Pseudo-labels of the N rows of a test table; the label is -1 for a row without one."""

    label: Indices
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


def _rows(path: Path, samples: Samples, columns: list[str]) -> tuple[pd.DataFrame, Indices]:
    """An earlier table, and where its ids are in the test table."""
    recall(path)
    frame = read_table(path, required=columns, allow_empty=True)
    if samples.bag == samples.id:
        frame = frame.drop_duplicates(samples.id).reset_index(drop=True)
    check_ids(path, samples.id, frame[samples.id].to_numpy(dtype=object))
    places = pd.Index(samples.frame[samples.id]).get_indexer(pd.Index(frame[samples.id]))
    refuse_rows(path, frame[samples.id], places < 0, f"the id is not in {samples.source}")
    return frame, places


def _spread(
    values: npt.NDArray[Number], places: Indices, size: int, blank: int
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
    allowed: Mask | None = None,
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
    allowed: Mask | None = None,
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


def answers_of(predictions: Predictions) -> Indices:
    """Class index of ``pred`` (-1 if it is not a class), else of the most probable class."""
    answers: Indices = predictions.probabilities.argmax(axis=1)
    if predictions.pred is not None:
        answers = pd.Index(list(predictions.classes)).get_indexer(pd.Index(predictions.pred))
    return answers
