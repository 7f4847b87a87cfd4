"""Metrics with row weights, and bootstrap intervals.

Every metric is a function of this package, its name in snake case:
``comptool.metrics.macro_f1(targets, probabilities, weights=None)``, and ``map_at_k(..., k=5)`` for
``map@5``. The targets decide on the task: class indices (N,), 1, 0 and -1 (unknown) (N, K) for
several labels, floats for numbers. Where the task is known, `find` takes it.
"""

from collections.abc import Callable
from functools import partial

from comptool.metrics.metric_registry import (
    METRICS,
    ROWS,
    AnswerColumns,
    Metric,
    by_shape,
    entries,
    find,
    listing,
    names,
    options_in_words,
    score,
)

__all__ = [
    "METRICS",
    "AnswerColumns",
    "Metric",
    "by_shape",
    "entries",
    "find",
    "listing",
    "names",
    "options_in_words",
    "score",
]


def __getattr__(name: str) -> Callable[..., float]:
    for row in ROWS:
        if name == row.name.replace("@", "_at_").replace("-", "_"):
            return partial(score, row.name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
