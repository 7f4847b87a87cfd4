"""Metrics with row weights, and bootstrap intervals.

Every metric is a function of this package, its name in snake case:
``comptool.metrics.macro_f1(targets, probabilities, weights=None)``. The shape of the targets
decides on the task: class indices (N,), or 1, 0 and -1 (unknown) (N, K) for several labels.
"""

from collections.abc import Callable
from functools import partial

from comptool.metrics.metric_registry import METRICS, find, names, prepare, score

__all__ = ["METRICS", "find", "names", "prepare", "score"]


def __getattr__(name: str) -> Callable[..., float]:
    if name.replace("_", "-") not in names():
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return partial(score, name.replace("_", "-"))
