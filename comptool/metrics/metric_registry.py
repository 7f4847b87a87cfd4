"""Registry of the metrics, and metrics by name."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import wraps
from typing import Any, Protocol, cast

import numpy as np
import numpy.typing as npt

from comptool import tasks
from comptool.errors import InputError
from comptool.registry import Entry, Registry, is_user_object
from comptool.tasks import Task

Targets = npt.NDArray[np.integer]
Floats = npt.NDArray[np.floating]
Weights = npt.NDArray[np.floating]

MULTICLASS, MULTILABEL = "multiclass", "multilabel"
PROBABILITIES, CLASSES, RANKING, NUMBERS = "probabilities", "classes", "ranking", "numbers"


class Weighted(Protocol):
    """A metric of fixed predictions as a function of row weights."""

    def __call__(self, weights: Weights | None = None) -> float:
        """The value with ``weights`` of the N rows, (N,); None: 1."""


class WeightedMetric(Protocol):
    """A metric and its `prepare` step."""

    prepare: Callable[..., Weighted]

    def __call__(
        self,
        targets: Targets,
        probabilities: Floats,
        weights: Weights | None = None,
        **options: Any,
    ) -> float:
        """Value of the metric."""


def weighted(prepare: Callable[..., Weighted]) -> WeightedMetric:
    """Turn ``prepare(targets, probabilities, **options)`` into a metric.

    A bootstrap weights the same predictions a thousand times, so ``prepare`` computes all that does
    not depend on the weights and returns a function of the weights. The metric itself is called as
    ``metric(targets, probabilities, weights=None, **options)``.
    """

    @wraps(prepare)
    def metric(
        targets: Targets, probabilities: Floats, weights: Weights | None = None, **options: Any
    ) -> float:
        return prepare(targets, probabilities, **options)(weights)

    made = cast("WeightedMetric", metric)
    made.prepare = prepare
    return made


@dataclass(frozen=True)
class Metric(Entry):
    """An entry of the registry."""

    tasks: tuple[str, ...] = (MULTICLASS, MULTILABEL)
    greater_is_better: bool = True
    reads: str = PROBABILITIES  # what it reads of the predictions
    of_order: bool = False  # whether only the order of the rows within each class matters
    per_class: str = ""  # ``"package.module:function"`` of the K values of which it is the mean
    k: int = 0  # classes in a row's list that it reads, of a ranking

    @property
    def of_decisions(self) -> bool:
        """Whether only the predicted class matters, not its probability."""
        return self.reads == CLASSES

    @property
    def sign(self) -> int:
        """1 if higher values are better, else -1."""
        return 1 if self.greater_is_better else -1

    def load_per_class(self) -> Callable[..., Floats]:
        """The function ``per_class``: (targets, probabilities, weights=None) -> (K,)."""
        function: Callable[..., Floats] = replace(self, target=self.per_class).load()
        return function

    def prepare(self, targets: Targets, probabilities: Floats) -> Weighted:
        """The metric of these predictions as a function of row weights.

        For a user's function without weights rows are repeated, so weights have to be whole
        numbers.
        """
        function = self.load()
        if hasattr(function, "prepare"):
            prepared: Weighted = function.prepare(targets, probabilities)
            return prepared
        if "weights" in inspect.signature(function).parameters:
            return lambda weights=None: float(function(targets, probabilities, weights=weights))

        def repeated(weights: Weights | None = None) -> float:
            if weights is None:
                return float(function(targets, probabilities))
            rows = np.repeat(np.arange(len(targets)), weights.astype(np.intp))
            return float(function(targets[rows], probabilities[rows]))

        return repeated


def _both(
    name: str, summary: str, source: str, per_class: str = "", **properties: Any
) -> tuple[Metric, Metric]:
    """Entries of a metric with functions in ``multiclass`` and ``multilabel``."""
    function = name.replace("-", "_")
    one, several = (
        Metric(name, f"comptool.metrics.{task}:{function}", text, source, (task,), **properties)
        for task, text in zip((MULTICLASS, MULTILABEL), summary.split(" | "), strict=True)
    )
    return one, replace(several, per_class=per_class)


# fmt: off
ROWS = (
    Metric("accuracy", "comptool.metrics.multiclass:accuracy",
        "Share of correctly classified rows.",
        "top-1", (MULTICLASS,), reads=CLASSES),
    Metric("balanced-accuracy", "comptool.metrics.multiclass:balanced_accuracy",
        "Mean over classes of the recall.",
        "macro recall", (MULTICLASS,), reads=CLASSES),
    Metric("kappa", "comptool.metrics.multiclass:kappa",
        "Agreement beyond chance.",
        "Cohen 1960, doi:10.1177/001316446002000104", (MULTICLASS,), reads=CLASSES),
    Metric("map", "comptool.metrics.ranking:macro_average_precision",
        "Mean over classes of the average precision.",
        "scikit-learn's average_precision_score", (MULTILABEL,), of_order=True,
        per_class="comptool.metrics.ranking:average_precisions"),
    Metric("micro-map", "comptool.metrics.ranking:micro_average_precision",
        "Average precision of all cells ranked together.",
        "scikit-learn's average_precision_score", (MULTILABEL,)),
    Metric("auc", "comptool.metrics.ranking:macro_roc_area",
        "Mean over classes of the ROC area, each against the rest.",
        "Hanley & McNeil 1982", of_order=True, per_class="comptool.metrics.ranking:roc_areas"),
    *_both("macro-f1",
        "Mean over classes of the F1 score. | Mean over classes of the F1 score at 0.5.",
        "van Rijsbergen 1979", reads=CLASSES,
        per_class="comptool.metrics.multilabel:f1_of_classes"),
    Metric("micro-f1", "comptool.metrics.multilabel:micro_f_beta",
        "F1 score of all cells at 0.5.",
        "van Rijsbergen 1979", (MULTILABEL,), reads=CLASSES),
    Metric("f-beta", "comptool.metrics.multilabel:sample_f_beta",
        "Mean over images of the F2 score at 0.5.",
        "van Rijsbergen 1979", (MULTILABEL,), reads=CLASSES),
    *_both("logloss",
        "Mean of -log p of the true class; lower is better. | "
        "Mean binary cross-entropy; lower is better.",
        "-", greater_is_better=False),
)
# fmt: on


def _registry(task: Task) -> Registry[Metric]:
    kind = "multi-label metric" if task.cells else "metric"
    return Registry(kind, *(row for row in ROWS if task.takes(row.tasks)), plugins="metric")


# By task. Metrics of a user's file or a plugin support every task.
METRICS: Mapping[str, Registry[Metric]] = {
    name: _registry(tasks.find(name)) for name in tasks.names()
}


def names() -> list[str]:
    """The names of all metrics."""
    return list(dict.fromkeys(row.name for row in ROWS))


def is_metric(name: object) -> bool:
    """Whether it is the name of a metric, ``FILE.py:function`` or a plugin; executes no file."""
    if not isinstance(name, str):
        return False
    return (
        name in names()
        or is_user_object(name)
        or any(name == plugin.name for plugin in METRICS[tasks.DEFAULT_TASK].plugins())
    )


def find(name: str, targets: Targets) -> Metric:
    """The metric by name for targets of this shape; a UsageError names the nearest."""
    return METRICS[tasks.of_targets(targets).name].find(name)


def prepare(
    name: str, targets: Targets, probabilities: Floats, *, pred: Targets | None = None
) -> Weighted:
    """The metric by name as a function of row weights."""
    targets, probabilities = np.asarray(targets), np.asarray(probabilities)
    metric = find(name, targets)
    if len(targets) == 0:
        raise InputError(f"there are no rows to compute {name} of")
    if pred is not None and metric.of_decisions and targets.ndim == 1:
        probabilities = np.eye(probabilities.shape[1])[pred]
    return metric.prepare(targets, probabilities)


def score(
    name: str,
    targets: Targets,
    probabilities: Floats,
    weights: Weights | None = None,
    *,
    pred: Targets | None = None,
) -> float:
    """Value of the metric by name; see :func:`prepare` for the parameters.

    Raises
    ------
    UsageError
        If the metric is unknown; names the nearest.
    InputError
        If there are no rows, or the metric is undefined on them (``auc`` of one class).
    """
    return prepare(name, targets, probabilities, pred=pred)(weights)
