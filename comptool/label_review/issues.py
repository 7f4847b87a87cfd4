"""Label issues: doubtful cells of a multi-label table, and the cards of a review.

Each class is reviewed one-vs-rest. Its mean probability t over the cells marked present is the
threshold of confident learning (Northcutt, Jiang, Chuang 2021, "Confident Learning: Estimating
Uncertainty in Dataset Labels", arXiv:1911.00068, section 3.1), and also the estimate of the share
of present cells that are marked so (Elkan, Noto 2008, "Learning Classifiers from Only Positive and
Unlabeled Data", KDD, section 2). If t was low only where labels are missing, the odds that an
unmarked cell is present would be p / (1 - p) over t / (1 - t) up to a common factor; if t was low
only where a class is hard, p / (1 - p). The score takes the geometric mean of both:

    logit r = logit p - logit t / 2

and is r for a cell marked absent, 1 - r for one marked present; above 0.5 the predictions speak
against the label. On real images with deleted and added labels (``benchmarks/label_review.py``) it
finds more of the deleted ones than the bare probability, and as many of the added; the
class-adjusted margin of confident learning finds a few more of the deleted ones and far fewer of
the added.

Probabilities have to be out-of-fold: a model repeats the labels it was trained on.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from comptool.errors import InputError
from comptool.io.tables import check_ids, read_table
from comptool.metrics.metric_registry import Floats, Targets
from comptool.postprocess.oof import Labelled
from comptool.tasks.labels import ABSENT, PRESENT, UNKNOWN, matrix_of_columns

AT = (10, 20, 50, 100, 200, 500, 1000, 2000, 5000)


@dataclass(frozen=True)
class Card:
    """A doubtful label on the page."""

    id: str  # of the image
    # filters of the page
    of_class: str
    kind: str
    # texts: class, doubt, meaning of a tick, confidence
    heading: str
    verdict: str
    change: str
    numbers: str
    suggested: str  # the label that a tick exports


@dataclass(frozen=True)
class Sheet:
    """Content of a page of cards."""

    noun: str  # unit of a card: ``cells`` or ``rows``
    order: str  # in which order they come, the end of a sentence
    filters: tuple[str, str]  # the names of the two filters, by class and by kind
    # columns of the corrections by card attribute
    exported: Mapping[str, str]
    # names of kinds in the second filter, by default the kind
    kinds: Mapping[str, str] = field(default_factory=dict)
    # tables under the heading, by title
    tables: Mapping[str, pd.DataFrame] = field(default_factory=dict)


@dataclass(frozen=True)
class Doubts:
    """The doubtful labels."""

    table: pd.DataFrame  # one row each, the most doubtful first
    cards: Sequence[Card]  # the same in the order of the page
    sheet: Sheet
    lines: tuple[str, ...]  # sentences and tables
    facts: Mapping[str, object]  # the same for a program
    # how often each label stands for each class; None for multi-label tasks
    pairs: pd.DataFrame | None = None


def cut_offs(length: int) -> list[int]:
    """Lengths of the list at which it is measured: round ones, and the whole.

    >>> cut_offs(60)
    [10, 20, 50, 60]
    """
    return [k for k in AT if k < length] + [length]


def read_truth(path: Path, ids: Sequence[str]) -> tuple[pd.DataFrame, npt.NDArray[np.intp]]:
    """A table of true labels, ids in its first column, and its row for each of ``ids``."""
    frame = read_table(path)
    column = str(frame.columns[0])
    check_ids(path, column, frame[column].to_numpy(dtype=object))
    rows = pd.Index(frame[column]).get_indexer(pd.Index(ids))
    missing = [name for name, row in zip(ids, rows, strict=True) if row < 0]
    if missing:
        raise InputError(f"lacks {len(missing)} of the ids", file=path, values=missing)
    return frame, rows


def measured_text(kind: str, found: Sequence[Mapping[str, float]]) -> str:
    """Precision and recall as text."""
    table = pd.DataFrame(found).astype({"k": int})
    shown = table.to_string(index=False, float_format=lambda value: f"{value:.3f}")
    return f"{kind} labels against the truth\n{shown}"


KINDS = ("missing", "extra")
# Below the resolution of float32 near 1, so that distinct probabilities stay distinct.
SMALLEST = 1e-9


def self_confidences(targets: Targets, probabilities: Floats) -> Floats:
    """Mean probability of present cells, shape (K,); else the mean over classes, else 0.5."""
    present = targets == 1
    counts = present.sum(axis=0)
    sums = np.where(present, probabilities, 0).sum(axis=0, dtype=np.float64)
    overall = sums.sum() / counts.sum() if counts.any() else 0.5
    return np.where(counts > 0, sums / np.maximum(counts, 1), overall)


def doubt(targets: Targets, probabilities: Floats) -> Floats:
    """The score of every cell, shape (N, K); 0 for unknown labels.

    >>> targets = np.array([[1], [1], [0], [0], [-1]])
    >>> probabilities = np.array([[0.9], [0.7], [0.8], [0.1], [0.9]])
    >>> doubt(targets, probabilities).ravel().round(2)
    array([0.18, 0.46, 0.67, 0.05, 0.  ])
    """
    logits = _logit(probabilities) - _logit(self_confidences(targets, probabilities)) / 2
    against = np.where(targets == 1, -logits, logits)
    return np.where(targets == -1, 0.0, 1 / (1 + np.exp(-against)))


def _logit(probabilities: Floats) -> Floats:
    inside = np.clip(probabilities.astype(np.float64), SMALLEST, 1 - SMALLEST)
    return np.log(inside / (1 - inside))


def review(
    ids: Sequence[str],
    classes: Sequence[str],
    targets: Targets,
    probabilities: Floats,
    *,
    kinds: Collection[str] = KINDS,
    limit: int | None = None,
) -> pd.DataFrame:
    """The doubtful cells, the most doubtful first."""
    if not set(kinds) <= set(KINDS):
        raise ValueError(f"kinds must be of {KINDS}, not {tuple(kinds)}")
    scores = doubt(targets, probabilities)
    wanted = (targets == 0) & ("missing" in kinds) | (targets == 1) & ("extra" in kinds)
    rows, columns = np.nonzero(wanted & (scores > 0.5))
    found = scores[rows, columns]
    order = np.argsort(-found, kind="stable")[:limit]
    rows, columns = rows[order], columns[order]
    labels = targets[rows, columns].astype(np.int64)
    return pd.DataFrame(
        {
            "id": np.asarray(ids, dtype=object)[rows],
            "class": np.asarray(classes, dtype=object)[columns],
            "label": labels,
            "suggested": 1 - labels,
            "probability": probabilities[rows, columns].astype(np.float64),
            "score": found[order],
        }
    )


def precision_and_recall(
    table: pd.DataFrame, wrong: Collection[tuple[str, str]], at: Sequence[int]
) -> list[dict[str, float]]:
    """Number of wrong labels among the first k cells of a review, for several k."""
    truth = set(wrong)
    hits = np.array(
        [cell in truth for cell in zip(table["id"], table["class"], strict=True)], dtype=np.int64
    )
    found = [int(hits[:k].sum()) for k in at]
    return [
        {"k": k, "precision": n / max(min(k, len(hits)), 1), "recall": n / max(len(truth), 1)}
        for k, n in zip(at, found, strict=True)
    ]


SHOWN_CLASSES = 10
VERDICTS = {
    "missing": ("marked absent, probably present", "change to present"),
    "extra": ("marked present, probably absent", "change to absent"),
}
SHEET = Sheet(
    noun="cells",
    order="of each kind the most doubtful first",
    filters=("Class", "Kind"),
    exported={"id": "id", "class": "class", "label": "suggested"},
    kinds={"missing": "missing labels", "extra": "extra labels"},
)


def review_cells(
    labelled: Labelled,
    kinds: Collection[str] = KINDS,
    truth: Path | None = None,
    *,
    label: str = "",
) -> Doubts:
    """Cells, int8 of shape (N, K), with doubtful labels; ``kinds`` as in `review`.

    ``truth`` is a table with the true labels, to measure the list by; InputError if it cannot be
    used. ``label`` has no effect: each class is a column.
    """
    predictions = labelled.predictions
    ids, classes = predictions.ids.tolist(), predictions.classes
    table = review(ids, classes, labelled.targets, predictions.probabilities, kinds=kinds)
    measured = {} if truth is None else _measured(truth, labelled, kinds)
    lines = [*_in_words(table, labelled), *(measured_text(*found) for found in measured.items())]
    cards = cell_cards(in_turn(table))
    return Doubts(table, cards, SHEET, tuple(lines), {"cells": len(table), "measured": measured})


def in_turn(table: pd.DataFrame) -> pd.DataFrame:
    """Cells of the two kinds in turn, each kind the most doubtful first.

    The scores of the kinds are not comparable: for a hard class most present cells are doubtful.
    """
    place = table.groupby("suggested").cumcount()
    order = np.lexsort((-table["suggested"].to_numpy(), place.to_numpy()))
    return table.iloc[order].reset_index(drop=True)


def _in_words(table: pd.DataFrame, labelled: Labelled) -> list[str]:
    missing = table["suggested"] == PRESENT
    lines = [
        f"{len(labelled)} images by {len(labelled.predictions.classes)} classes of "
        f"{labelled.table}: "
        f"{int(missing.sum())} cells marked absent that are probably present, "
        f"{int((~missing).sum())} marked present that are probably absent"
    ]
    counts = table["class"].value_counts()
    if len(counts):
        most = [f"{name} {count}" for name, count in counts.head(SHOWN_CLASSES).items()]
        lines.append("most in: " + "; ".join(most))
    return lines


def cell_cards(table: pd.DataFrame) -> list[Card]:
    """One card for each cell of a review, in order."""
    return [_card(row) for row in table.to_dict("records")]


def _card(row: Mapping[Any, Any]) -> Card:
    kind = "missing" if row["suggested"] == PRESENT else "extra"
    verdict, change = VERDICTS[kind]
    return Card(
        id=row["id"],
        of_class=row["class"],
        kind=kind,
        heading=row["class"],
        verdict=verdict,
        change=change,
        numbers=f"probability {row['probability']:.3f}, score {row['score']:.3f}",
        suggested=str(row["suggested"]),
    )


def _measured(
    truth: Path, labelled: Labelled, kinds: Collection[str]
) -> dict[str, list[dict[str, float]]]:
    """Precision and recall of each kind at several lengths; ``chance`` is the base rate."""
    predictions = labelled.predictions
    ids, classes = predictions.ids.tolist(), predictions.classes
    frame, rows = read_truth(truth, ids)
    known = matrix_of_columns(truth, frame, classes)[rows]
    # Rows of unknown truth are left out.
    labels = np.where(known == UNKNOWN, UNKNOWN, labelled.targets).astype(np.int8)
    found = {}
    for kind, marked in (("missing", ABSENT), ("extra", PRESENT)):
        looked_at = labels == marked
        wrong = looked_at & (known != marked)
        if kind not in kinds or not wrong.any():
            continue
        table = review(ids, classes, labels, predictions.probabilities, kinds=[kind])
        places = {(ids[row], classes[column]) for row, column in np.argwhere(wrong).tolist()}
        chance = float(wrong.sum() / looked_at.sum())
        measured = precision_and_recall(table, places, cut_offs(len(table)))
        found[kind] = [{**one, "chance": chance} for one in measured]
    return found
