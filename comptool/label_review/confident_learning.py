"""Confident learning: rows of a single-label table that are probably mislabelled.

Northcutt, Jiang, Chuang 2021, "Confident Learning: Estimating Uncertainty in Dataset Labels",
Journal of Artificial Intelligence Research 70 (arXiv:1911.00068), section 3.1. A row is counted as
the class whose probability reaches its threshold, the mean probability of that class over the rows
labelled so (equation 2); of several such classes as the most probable (equation 1). Counts by label
and class are the confident joint; scaled to the number of rows of each label they estimate how
often each label stands for each class (equation 3).

Differs from the paper: a label without rows counted as itself counts one, as in the authors'
program, so that equation 3 never divides by zero; a threshold is reached within 1e-6; of equally
probable classes the label is counted.

Rows are ranked by `class_doubt`, compared with the paper's rankings in
``benchmarks/class_review.py``. Probabilities have to be out-of-fold: a model repeats the labels it
was trained on.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from comptool.errors import InputError
from comptool.label_review.issues import (
    KINDS,
    SMALLEST,
    Card,
    Doubts,
    Sheet,
    cut_offs,
    measured_text,
    precision_and_recall,
    read_truth,
    self_confidences,
)
from comptool.metrics.metric_registry import Floats as Scores
from comptool.postprocess.oof import Labelled

Floats = npt.NDArray[np.floating]
Integers = npt.NDArray[np.integer]

TOLERANCE = 1e-6
UNCOUNTED = -1


def thresholds(labels: Integers, probabilities: Floats) -> Floats:
    """Mean probability of each class over the rows labelled so, shape (K,); 2 for no rows."""
    counts = np.bincount(labels, minlength=probabilities.shape[1])
    means = self_confidences(_one_hot(labels, probabilities), probabilities)
    # No probability reaches 2: no row is counted as a class without rows.
    return np.where(counts > 0, means, 2.0)


def confident_classes(labels: Integers, probabilities: Floats) -> Integers:
    """The class each row is counted as, shape (N,); -1 for none, of equals first the label."""
    reached = probabilities >= thresholds(labels, probabilities) - TOLERANCE
    # A tie does not speak against the label.
    own = _one_hot(labels, probabilities)
    value = np.where(reached, probabilities, -1.0)
    most = np.where(value == value.max(axis=1, keepdims=True), 1 + own, 0).argmax(axis=1)
    return np.where(reached.any(axis=1), most, UNCOUNTED)


@dataclass(frozen=True)
class ConfidentJoint:
    """How often each label stands for each class."""

    # rows by label (row) and counted class (column), shape (K, K)
    counts: npt.NDArray[np.int64]
    label_counts: npt.NDArray[np.int64]  # rows of each label, shape (K,)

    @property
    def estimated(self) -> Floats:
        """Estimated rows by label and true class, shape (K, K); each row sums to its label's."""
        counts = self.counts.astype(np.float64)
        diagonal = np.maximum(np.diag(counts), self.label_counts > 0)
        np.fill_diagonal(counts, diagonal)
        totals = np.maximum(counts.sum(axis=1), 1)
        scaled: Floats = counts * (self.label_counts / totals)[:, None]
        return scaled

    @property
    def share_of_label(self) -> Floats:
        """Share of the rows of each label (row) that are of each class, shape (K, K)."""
        return _shares(self.estimated, axis=1)

    @property
    def share_of_class(self) -> Floats:
        """Share of the rows of each class (column) that have each label, shape (K, K)."""
        return _shares(self.estimated, axis=0)

    @property
    def wrong(self) -> float:
        """Estimated number of rows whose label is wrong."""
        return float(self.estimated.sum() - np.trace(self.estimated))


def confident_joint(labels: Integers, probabilities: Floats) -> ConfidentJoint:
    """Count rows by label and counted class.

    >>> labels = np.array([0, 0, 0, 1, 1])
    >>> first = np.array([0.9, 0.8, 0.1, 0.2, 0.4])
    >>> joint = confident_joint(labels, np.stack([first, 1 - first], axis=1))
    >>> joint.counts
    array([[2, 1],
           [0, 1]])
    >>> joint.estimated, joint.wrong
    (array([[2., 1.],
           [0., 2.]]), 1.0)
    """
    num_classes = probabilities.shape[1]
    counted = confident_classes(labels, probabilities)
    sure = counted != UNCOUNTED
    cells = np.asarray(labels, np.int64)[sure] * num_classes + counted[sure]
    counts = np.bincount(cells, minlength=num_classes**2).reshape(num_classes, num_classes)
    return ConfidentJoint(counts, np.bincount(labels, minlength=num_classes))


def class_doubt(labels: Integers, probabilities: Floats) -> tuple[Floats, Integers]:
    """Doubt of each label, in [0, 1], and the strongest other class.

    With t the mean probability of each class over the rows labelled so (over the own labels of all
    rows if there are none), that class has the largest p / sqrt(t), and

        logit score = (log p - log t / 2) of that class - the same of the label

    so that the score is above 0.5 where that class wins.
    """
    own = _one_hot(labels, probabilities)
    usual = np.maximum(self_confidences(own, probabilities), SMALLEST)
    adjusted = np.log(np.maximum(probabilities, SMALLEST, dtype=np.float64)) - np.log(usual) / 2
    others = np.where(own == 1, -np.inf, adjusted)
    rival = others.argmax(axis=1)
    places = np.arange(len(labels))
    against = others[places, rival] - adjusted[places, labels]
    scores: Floats = 1 / (1 + np.exp(-against))
    return scores, rival


def _one_hot(labels: Integers, probabilities: Floats) -> npt.NDArray[np.int64]:
    return np.eye(probabilities.shape[1], dtype=np.int64)[labels]


def _shares(estimated: Floats, axis: int) -> Floats:
    totals = estimated.sum(axis=axis, keepdims=True)
    shares: Floats = np.divide(estimated, totals, out=np.zeros_like(estimated), where=totals > 0)
    return shares


SHOWN_PAIRS = 10
PAIR_COLUMNS = ("label", "suggested", "counted", "estimated", "of_label", "of_class")


def review_classes(
    labelled: Labelled,
    kinds: Collection[str] = KINDS,
    truth: Path | None = None,
    *,
    label: str = "label",
) -> Doubts:
    """Rows (class indices, (N,)) with doubtful labels, and how often each stands for each class.

    ``truth`` is a table with the true labels, in the column ``label``, to measure the list by;
    InputError if it cannot be used. ``kinds`` have no effect: a row has one kind of doubt.
    """
    predictions, targets = labelled.predictions, labelled.targets
    classes, p = predictions.classes, predictions.probabilities
    table = review_rows(predictions.ids.tolist(), classes, targets, p)
    joint = confident_joint(targets, p)
    confused = class_pairs(joint, classes)
    measured = [] if truth is None else _measured(truth, label, labelled, table)
    found = {"wrong": measured} if measured else {}
    lines = [
        *_in_words(table, joint, confused, labelled),
        *(measured_text(*one) for one in found.items()),
    ]
    cards = [_card(row) for row in table.to_dict("records")]
    facts = {
        "doubted": len(table),
        "counted": int(table["confident"].sum()),
        "estimated_wrong": joint.wrong,
        "classes": list(classes),
        "confident_joint": joint.counts.tolist(),
        "pairs": confused.to_dict("records"),
        "measured": found,
    }
    sheet = Sheet(
        noun="rows",
        order="the most doubtful first",
        filters=("Label", "Suggested"),
        exported={"id": "id", "label": "suggested"},
        tables={"Confident joint": _shown(confused)} if len(confused) else {},
    )
    return Doubts(table, cards, sheet, tuple(lines), facts, confused)


def review_rows(
    ids: Sequence[str], classes: Sequence[str], labels: Integers, probabilities: Scores
) -> pd.DataFrame:
    """Rows with a score above 0.5 or another confident class, the most doubtful first."""
    scores, rival = class_doubt(labels, probabilities)
    counted = confident_classes(labels, probabilities)
    confident = (counted != UNCOUNTED) & (counted != labels)
    suggested = np.where(confident, counted, rival)
    rows = np.flatnonzero(confident | (scores > 0.5))
    rows = rows[np.argsort(-scores[rows], kind="stable")]
    names = np.asarray(classes, dtype=object)
    return pd.DataFrame(
        {
            "id": np.asarray(ids, dtype=object)[rows],
            "label": names[labels[rows]],
            "suggested": names[suggested[rows]],
            "confident": confident[rows].astype(np.int64),
            "self_confidence": probabilities[rows, labels[rows]].astype(np.float64),
            "probability": probabilities[rows, suggested[rows]].astype(np.float64),
            "score": scores[rows],
        }
    )


def class_pairs(joint: ConfidentJoint, classes: Sequence[str]) -> pd.DataFrame:
    """The non-zero off-diagonal cells of the confident joint, the largest first."""
    off = joint.counts * ~np.eye(len(classes), dtype=np.bool_)
    label, suggested = np.nonzero(off)
    order = np.argsort(-joint.estimated[label, suggested], kind="stable")
    label, suggested = label[order], suggested[order]
    names = np.asarray(classes, dtype=object)
    columns = (
        names[label],
        names[suggested],
        joint.counts[label, suggested],
        joint.estimated[label, suggested],
        joint.share_of_label[label, suggested],
        joint.share_of_class[label, suggested],
    )
    return pd.DataFrame(dict(zip(PAIR_COLUMNS, columns, strict=True)))


def _in_words(
    table: pd.DataFrame, joint: ConfidentJoint, pairs: pd.DataFrame, labelled: Labelled
) -> list[str]:
    counted = int(table["confident"].sum())
    lines = [
        f"{len(labelled)} rows of {len(labelled.predictions.classes)} classes of {labelled.table}: "
        f"{len(table)} labels doubted, {counted} of them counted as another class by the confident "
        "joint",
        f"estimated wrong labels: {joint.wrong:.0f} ({joint.wrong / len(labelled):.1%}); what the "
        "model itself confuses is in this figure too",
    ]
    if len(pairs):
        shown = _shown(pairs.head(SHOWN_PAIRS)).to_string(index=False)
        lines.append(f"most frequent of {len(pairs)} pairs of classes\n{shown}")
    return lines


def _shown(pairs: pd.DataFrame) -> pd.DataFrame:
    shares = {name: pairs[name].map("{:.1%}".format) for name in ("of_label", "of_class")}
    shown = pairs.assign(estimated=pairs["estimated"].map("{:.1f}".format), **shares)
    return shown.rename(columns=lambda name: name.replace("_", " "))


def _card(row: Mapping[Any, Any]) -> Card:
    label, suggested = row["label"], row["suggested"]
    sure = ", confident" if row["confident"] else ""
    return Card(
        id=row["id"],
        of_class=label,
        kind=suggested,
        heading=label,
        verdict=f"labelled so, probably {suggested}",
        change=f"change to {suggested}",
        numbers=f"{suggested} {row['probability']:.3f}, {label} {row['self_confidence']:.3f}, "
        f"score {row['score']:.3f}{sure}",
        suggested=suggested,
    )


def _measured(
    truth: Path, label: str, labelled: Labelled, table: pd.DataFrame
) -> list[dict[str, float]]:
    """Precision and recall of the list at several lengths."""
    ids, classes = labelled.predictions.ids.tolist(), labelled.predictions.classes
    frame, places = read_truth(truth, ids)
    if label not in frame.columns:
        raise InputError(f"no column is called '{label}'", file=truth, values=list(frame.columns))
    true = dict(zip(ids, frame[label].iloc[places], strict=True))
    given = {name: classes[index] for name, index in zip(ids, labelled.targets, strict=True)}
    # Rows of unknown truth are left out.
    known = [name for name in ids if true[name].strip()]
    wrong = {(name, given[name]) for name in known if true[name] != given[name]}
    listed = table[table["id"].isin(known)].rename(columns={"label": "class"})
    if not wrong or listed.empty:
        return []
    mended = np.cumsum(listed["suggested"].to_numpy() == listed["id"].map(true).to_numpy())
    found = precision_and_recall(listed, wrong, cut_offs(len(listed)))
    chance = len(wrong) / max(len(known), 1)
    return [
        {**one, "mended": float(mended[int(one["k"]) - 1] / one["k"]), "chance": chance}
        for one in found
    ]
