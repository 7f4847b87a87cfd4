"""Metrics of class probabilities, in numpy.

scikit-learn has all of them and takes two seconds to import, which every command of the chain
would wait for; the tests hold these to its values. A metric is called
``metric(targets, probabilities)``: targets are N class indices, or for multi-label tasks an (N, K)
array of 1, 0 and -1 (unknown); probabilities are an (N, K) array.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from comptool.errors import InputError
from comptool.registry import Entry, Registry

Floats = npt.NDArray[np.floating]
Indices = npt.NDArray[np.integer]

# What scikit-learn clips float64 probabilities to; a sure and wrong answer costs 36 and not inf.
SMALLEST = float(np.finfo(np.float64).eps)


@dataclass(frozen=True)
class Metric(Entry):
    """A row of the table of metrics.

    Parameters
    ----------
    greater_is_better
        Whether a higher value is a better one.
    of_decisions
        Whether the answered class alone matters, and not its probability.
    """

    greater_is_better: bool = True
    of_decisions: bool = False


def _row(name: str, summary: str, source: str, *, up: bool = True, decided: bool = False) -> Metric:
    function = name.replace("-", "_")
    return Metric(name, f"comptool.metrics.multiclass:{function}", summary, source, up, decided)


METRICS: Registry[Metric] = Registry(
    "metric",
    _row("accuracy", "Share of rows answered rightly.", "top-1", decided=True),
    _row("balanced-accuracy", "Mean over classes of the recall.", "macro recall", decided=True),
    _row("macro-f1", "Mean over classes of the F1 score.", "van Rijsbergen 1979", decided=True),
    _row(
        "kappa",
        "Agreement beyond chance.",
        "Cohen 1960, doi:10.1177/001316446002000104",
        decided=True,
    ),
    _row("logloss", "Mean of -log p of the true class; lower is better.", "-", up=False),
    _row("auc", "Mean over classes of the ROC area, one against the rest.", "Hanley & McNeil 1982"),
)

MULTILABEL_METRICS: Registry[Metric] = Registry(
    "multi-label metric",
    Metric(
        "map",
        "comptool.metrics.ranking:macro_average_precision",
        "Mean over classes of the average precision.",
        "scikit-learn's average_precision_score",
    ),
    Metric(
        "micro-map",
        "comptool.metrics.ranking:micro_average_precision",
        "Average precision of all cells ranked together.",
        "scikit-learn's average_precision_score",
    ),
    Metric(
        "auc",
        "comptool.metrics.ranking:macro_roc_area",
        "Mean over classes of the ROC area.",
        "Hanley & McNeil 1982",
    ),
    Metric(
        "macro-f1",
        "comptool.metrics.multilabel:macro_f1",
        "Mean over classes of the F1 score at 0.5.",
        "van Rijsbergen 1979",
        of_decisions=True,
    ),
    Metric(
        "micro-f1",
        "comptool.metrics.multilabel:micro_f1",
        "F1 score of all cells at 0.5.",
        "van Rijsbergen 1979",
        of_decisions=True,
    ),
    Metric(
        "f-beta",
        "comptool.metrics.multilabel:sample_f_beta",
        "Mean over images of the F2 score at 0.5.",
        "van Rijsbergen 1979",
        of_decisions=True,
    ),
    Metric(
        "logloss",
        "comptool.metrics.multilabel:log_loss",
        "Mean binary cross-entropy; lower is better.",
        "-",
        greater_is_better=False,
    ),
)


def table(task: str) -> Registry[Metric]:
    """The metrics of ``"multiclass"`` or ``"multilabel"`` tasks."""
    return MULTILABEL_METRICS if task == "multilabel" else METRICS


def score(
    name: str,
    targets: Indices,
    probabilities: Floats,
    *,
    pred: Indices | None = None,
) -> float:
    """Value of the metric of that name.

    Parameters
    ----------
    name
        A name of `METRICS`, or for multi-label targets of `MULTILABEL_METRICS`.
    targets
        Class indices of shape (N,); or 1, 0 and -1 (unknown) of shape (N, K).
    probabilities
        Floats of shape (N, K).
    pred
        Decided class indices of shape (N,); they replace the most probable class where the metric
        asks for the answered class alone.

    Raises
    ------
    UsageError
        If there is no such metric; names the nearest.
    InputError
        If there are no rows, or the metric is not defined on these (``auc`` of one class).
    """
    targets = np.asarray(targets)
    multilabel = targets.ndim == 2
    metric = table("multilabel" if multilabel else "multiclass").find(name)
    if len(targets) == 0:
        raise InputError(f"there are no rows to compute {name} of")
    if pred is not None and metric.of_decisions and not multilabel:
        probabilities = np.eye(probabilities.shape[1])[pred]
    return float(metric.load()(targets, np.asarray(probabilities)))


def accuracy(targets: Indices, probabilities: Floats) -> float:
    """Share of rows whose most probable class is the true one; the first of equals is answered.

    Examples
    --------
    >>> accuracy(np.array([0, 1]), np.array([[0.9, 0.1], [0.6, 0.4]]))
    0.5
    """
    return float(np.mean(probabilities.argmax(axis=1) == targets))


def balanced_accuracy(targets: Indices, probabilities: Floats) -> float:
    """Mean over the classes that occur in ``targets`` of the share answered rightly, 0 to 1."""
    confusion = confusion_matrix(targets, probabilities)
    support = confusion.sum(axis=1)
    there = support > 0
    return float(np.mean(np.diag(confusion)[there] / support[there]))


def macro_f1(targets: Indices, probabilities: Floats) -> float:
    """Mean of F1 over the classes that occur in ``targets`` or are answered, 0 to 1."""
    confusion = confusion_matrix(targets, probabilities)
    both = confusion.sum(axis=0) + confusion.sum(axis=1)
    there = both > 0
    return float(np.mean(2 * np.diag(confusion)[there] / both[there]))


def kappa(targets: Indices, probabilities: Floats) -> float:
    """Cohen's kappa, (observed - chance agreement) / (1 - chance agreement), -1 to 1.

    Where one class is both the only truth and the only answer, agreement is complete and chance
    explains all of it; the value there is 1 (scikit-learn's is NaN).
    """
    confusion = confusion_matrix(targets, probabilities)
    total = confusion.sum()
    chance = confusion.sum(axis=0) @ confusion.sum(axis=1) / total**2
    observed = np.trace(confusion) / total
    return 1.0 if chance == 1 else float((observed - chance) / (1 - chance))


def logloss(targets: Indices, probabilities: Floats) -> float:
    """Mean of ``-log p`` of the true class, natural logarithm, rows normalised first."""
    rows = probabilities.astype(np.float64)
    rows = rows / rows.sum(axis=1, keepdims=True)
    true = rows[np.arange(len(targets)), targets]
    return float(-np.mean(np.log(np.clip(true, SMALLEST, 1 - SMALLEST))))


def auc(targets: Indices, probabilities: Floats) -> float:
    """Mean over classes of the area under the ROC curve, one class against the rest, 0 to 1.

    Equal probabilities count half. Classes that no row has, or that all rows have, are left out.

    Raises
    ------
    InputError
        If all rows are of one class.
    """
    areas = [
        _area(targets == index, probabilities[:, index])
        for index in range(probabilities.shape[1])
        if 0 < np.count_nonzero(targets == index) < len(targets)
    ]
    if not areas:
        raise InputError("auc is not defined on rows that are all of one class")
    return float(np.mean(areas))


def _area(positive: npt.NDArray[np.bool_], values: Floats) -> float:
    # Mann-Whitney: the mean rank of the positives, ties sharing theirs.
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[place]
    num_positive = np.count_nonzero(positive)
    above = ranks[positive].sum() - num_positive * (num_positive + 1) / 2
    return float(above / (num_positive * (len(values) - num_positive)))


def confusion_matrix(targets: Indices, probabilities: Floats) -> npt.NDArray[np.int64]:
    """Number of rows by true class (row) and most probable class (column), shape (K, K)."""
    num_classes = probabilities.shape[1]
    cells = np.asarray(targets, np.int64) * num_classes + probabilities.argmax(axis=1)
    return np.bincount(cells, minlength=num_classes**2).reshape(num_classes, num_classes)
