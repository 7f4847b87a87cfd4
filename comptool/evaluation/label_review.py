"""Cells of a multi-label table, image by class, whose label the predictions doubt.

Each class is looked at for itself, one against the rest. Its mean probability t over the cells
marked present is the threshold of confident learning (Northcutt, Jiang, Chuang 2021, "Confident
Learning: Estimating Uncertainty in Dataset Labels", arXiv:1911.00068, section 3.1), and also the
estimate of the share of present cells that are marked so (Elkan, Noto 2008, "Learning Classifiers
from Only Positive and Unlabeled Data", KDD, section 2): a model of labels of which some are missing
answers low. If all classes were equally hard and t was low only where labels are missing, the odds
that an unmarked cell is present would be p / (1 - p) over t / (1 - t) but for a common factor; if t
was low only where a class is hard, p / (1 - p) alone. The score takes the geometric mean of both:

    logit r = logit p - logit t / 2

and is r for a cell marked absent, 1 - r for one marked present. It lies between 0 and 1; above 0.5
the predictions side against the label. On real images with labels deleted and added on purpose
(``benchmarks/label_review.py``) it finds more of the deleted ones than the bare probability does,
and as many of the added; the class-adjusted margin of confident learning finds a few more of the
deleted ones and far fewer of the added.

Probabilities have to be out-of-fold ones: a model repeats the labels that it was trained on.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
import pandas as pd

from comptool.evaluation.ranking import Floats, Targets

KINDS = ("missing", "extra")
# Below the resolution of float32 near 1, so that no two probabilities of a model become one.
SMALLEST = 1e-9


def self_confidences(targets: Targets, probabilities: Floats) -> Floats:
    """Mean probability of the cells marked present, by class; shape (K,).

    A class without such a cell takes the mean over all classes; if there is none at all, 0.5.

    Parameters
    ----------
    targets
        Integers of shape (N, K): 1 present, 0 absent, -1 unknown.
    probabilities
        Floats of shape (N, K) in [0, 1].
    """
    present = targets == 1
    counts = present.sum(axis=0)
    sums = np.where(present, probabilities, 0).sum(axis=0, dtype=np.float64)
    overall = sums.sum() / counts.sum() if counts.any() else 0.5
    return np.where(counts > 0, sums / np.maximum(counts, 1), overall)


def doubt(targets: Targets, probabilities: Floats) -> Floats:
    """The score of every cell, shape (N, K); 0 where the label is unknown.

    Parameters
    ----------
    targets
        As for `self_confidences`.
    probabilities
        Out-of-fold floats of shape (N, K) in [0, 1].

    Examples
    --------
    >>> targets = np.array([[1], [1], [0], [0], [-1]])
    >>> probabilities = np.array([[0.9], [0.7], [0.8], [0.1], [0.9]])
    >>> doubt(targets, probabilities).ravel().round(2)
    array([0.18, 0.46, 0.67, 0.05, 0.  ])
    """
    logits = _logit(probabilities) - _logit(self_confidences(targets, probabilities)) / 2
    against = np.where(targets == 1, -logits, logits)
    scores: Floats = np.where(targets == -1, 0.0, 1 / (1 + np.exp(-against)))
    return scores


def _logit(probabilities: Floats) -> Floats:
    inside = np.clip(probabilities.astype(np.float64), SMALLEST, 1 - SMALLEST)
    logits: Floats = np.log(inside / (1 - inside))
    return logits


def review(
    ids: Sequence[str],
    classes: Sequence[str],
    targets: Targets,
    probabilities: Floats,
    *,
    kinds: Collection[str] = KINDS,
    limit: int | None = None,
) -> pd.DataFrame:
    """The doubtful cells, the most doubtful first.

    Parameters
    ----------
    ids
        The N image ids.
    classes
        The K class names.
    targets
        Integers of shape (N, K): 1 present, 0 absent, -1 unknown; unknown cells are never listed.
    probabilities
        Out-of-fold floats of shape (N, K) in [0, 1].
    kinds
        ``"missing"`` for cells marked absent that are probably present, ``"extra"`` for the
        reverse.
    limit
        How many to list; by default all with a score above 0.5.

    Returns
    -------
    pandas.DataFrame
        Columns ``id``, ``class``, ``label`` and ``suggested`` (1 or 0), ``probability`` (of
        present) and ``score``. Of equal scores the cell that comes first in the table is first.

    Raises
    ------
    ValueError
        If there is no such kind.
    """
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
    """How many of the first k cells of a review are really wrong, for several k.

    Parameters
    ----------
    table
        From `review`.
    wrong
        The cells, (id, class), whose label is known to be wrong, as in a practice competition.
    at
        The k to look at; a review with fewer cells is taken whole.

    Returns
    -------
    list of dict
        ``k``, ``precision`` (share of the first k that are wrong) and ``recall`` (share of the
        wrong ones among the first k).
    """
    truth = set(wrong)
    hits = np.array(
        [cell in truth for cell in zip(table["id"], table["class"], strict=True)], dtype=np.int64
    )
    found = [int(hits[:k].sum()) for k in at]
    return [
        {"k": k, "precision": n / max(min(k, len(hits)), 1), "recall": n / max(len(truth), 1)}
        for k, n in zip(at, found, strict=True)
    ]
