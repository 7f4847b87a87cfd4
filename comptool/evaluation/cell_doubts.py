"""The doubted cells of a multi-label table, image by class, and how right the list is."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from comptool.evaluation.doubts import Card, Doubts, Sheet, cut_offs, measured_text, read_truth
from comptool.evaluation.label_review import KINDS, precision_and_recall, review
from comptool.evaluation.out_of_fold import Labelled
from comptool.label_matrix import ABSENT, PRESENT, UNKNOWN, matrix_of_columns

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


def doubt_cells(
    labelled: Labelled, kinds: Collection[str] = KINDS, truth: Path | None = None
) -> Doubts:
    """The cells whose label the predictions doubt.

    Parameters
    ----------
    labelled
        Out-of-fold predictions with cells, int8 of shape (N, K).
    kinds
        See `comptool.evaluation.label_review.review`.
    truth
        A table with the true labels, to measure the list by, or None.

    Raises
    ------
    InputError
        If the truth cannot be used.
    """
    predictions = labelled.predictions
    ids, classes = predictions.ids.tolist(), predictions.classes
    table = review(ids, classes, labelled.targets, predictions.probabilities, kinds=kinds)
    measured = {} if truth is None else _measured(truth, labelled, kinds)
    lines = [*_told(table, labelled), *(measured_text(*found) for found in measured.items())]
    cards = cell_cards(in_turn(table))
    return Doubts(table, cards, SHEET, tuple(lines), {"cells": len(table), "measured": measured})


def in_turn(table: pd.DataFrame) -> pd.DataFrame:
    """The cells of a review, those of the two kinds in turn, each kind the most doubtful first.

    Scores of the two kinds cannot be compared: a model that finds a class hard to see doubts most
    of its present cells.
    """
    place = table.groupby("suggested").cumcount()
    order = np.lexsort((-table["suggested"].to_numpy(), place.to_numpy()))
    return table.iloc[order].reset_index(drop=True)


def _told(table: pd.DataFrame, labelled: Labelled) -> list[str]:
    """What was found, by kind and by class."""
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
    """One card for each cell of a review, in its order."""
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
    """Precision and recall of each kind of cells at several lengths of the list.

    ``chance`` is the precision of a list in no order: the share of all cells with that label that
    are wrong.
    """
    predictions = labelled.predictions
    ids, classes = predictions.ids.tolist(), predictions.classes
    frame, rows = read_truth(truth, ids)
    known = matrix_of_columns(truth, frame, classes)[rows]
    # What nobody knows the truth of is not listed.
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
