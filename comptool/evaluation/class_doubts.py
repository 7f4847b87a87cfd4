"""The doubted rows of a table of one class each, by confident learning."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from comptool.errors import InputError
from comptool.evaluation.confident_learning import (
    UNCOUNTED,
    ConfidentJoint,
    Integers,
    class_doubt,
    confident_classes,
    confident_joint,
)
from comptool.evaluation.doubts import Card, Doubts, Sheet, cut_offs, measured_text, read_truth
from comptool.evaluation.label_review import precision_and_recall
from comptool.evaluation.out_of_fold import Labelled
from comptool.evaluation.ranking import Floats

SHOWN_PAIRS = 10
PAIR_COLUMNS = ("label", "suggested", "counted", "estimated", "of_label", "of_class")


def doubt_rows(labelled: Labelled, truth: Path | None = None, label: str = "label") -> Doubts:
    """The rows whose label the predictions doubt, and how often each label stands for each class.

    Parameters
    ----------
    labelled
        Out-of-fold predictions with class indices, shape (N,).
    truth
        A table with the true labels, to measure the list by, or None.
    label
        The column of ``truth`` with the labels.

    Raises
    ------
    InputError
        If the truth cannot be used.
    """
    predictions, targets = labelled.predictions, labelled.targets
    classes, p = predictions.classes, predictions.probabilities
    table = review_rows(predictions.ids.tolist(), classes, targets, p)
    joint = confident_joint(targets, p)
    pairs = class_pairs(joint, classes)
    measured = [] if truth is None else _measured(truth, label, labelled, table)
    found = {"wrong": measured} if measured else {}
    lines = [*_told(table, joint, pairs, labelled), *(measured_text(*one) for one in found.items())]
    cards = [_card(row) for row in table.to_dict("records")]
    facts = {
        "doubted": len(table),
        "counted": int(table["confident"].sum()),
        "estimated_wrong": joint.wrong,
        "classes": list(classes),
        "confident_joint": joint.counts.tolist(),
        "pairs": pairs.to_dict("records"),
        "measured": found,
    }
    sheet = Sheet(
        noun="rows",
        order="the most doubtful first",
        filters=("Label", "Suggested"),
        exported={"id": "id", "label": "suggested"},
        tables={"Confident joint": _shown(pairs)} if len(pairs) else {},
    )
    return Doubts(table, cards, sheet, tuple(lines), facts, pairs)


def review_rows(
    ids: Sequence[str], classes: Sequence[str], labels: Integers, probabilities: Floats
) -> pd.DataFrame:
    """The doubtful rows, the most doubtful first.

    They are those with a score above 0.5, and those that the confident joint counts as another
    class than their label's.

    Parameters
    ----------
    ids
        The N image ids.
    classes
        The K class names.
    labels
        Class indices of shape (N,).
    probabilities
        Out-of-fold floats of shape (N, K) in [0, 1].

    Returns
    -------
    pandas.DataFrame
        Columns ``id``, ``label``, ``suggested`` (class names), ``confident`` (1 where the
        confident joint counts the row as the suggested class, else 0), ``self_confidence`` and
        ``probability`` (of the label and of the suggested class) and ``score``. Of equal scores
        the row that comes first in the table is first.
    """
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
    """The off-diagonal cells of the confident joint that count a row, the most rows first.

    Returns
    -------
    pandas.DataFrame
        Columns ``label`` and ``suggested`` (class names), ``counted`` (rows counted), ``estimated``
        (rows of the scaled joint), and the noise rates ``of_label`` (share of the rows with that
        label that are of the suggested class) and ``of_class`` (share of the rows of the suggested
        class that have that label), both 0 to 1.
    """
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


def _told(
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
    """Class pairs to be read."""
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
    """Precision and recall of the list at several lengths, where the truth is known.

    ``mended`` is the share of the first k whose suggestion is the true class, ``chance`` the share
    of all labels that are wrong.
    """
    ids, classes = labelled.predictions.ids.tolist(), labelled.predictions.classes
    frame, places = read_truth(truth, ids)
    if label not in frame.columns:
        raise InputError(f"no column is called '{label}'", file=truth, values=list(frame.columns))
    true = dict(zip(ids, frame[label].iloc[places], strict=True))
    given = {name: classes[index] for name, index in zip(ids, labelled.targets, strict=True)}
    # What nobody knows the truth of is not listed.
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
