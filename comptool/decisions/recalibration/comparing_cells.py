"""Which recalibration of several labels would have helped, on test sets drawn from held-out rows.

As :mod:`.comparing` has it: methods are fitted on one half of the out-of-fold rows and scored on
test sets drawn with replacement from the other, then the halves change places, and all is done
again with other halves. Rows are halved within those whose rarest class is the same, so that a rare
class is in both. A test set in which the metric is not defined, having no present cell, is drawn
again. All methods keep the order of the rows within each class, so that none changes a metric that
asks for nothing else: there only doing nothing is scored, and nothing is fitted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from comptool.decisions.label_thresholds import Targets
from comptool.decisions.recalibration.cells import Fitted
from comptool.decisions.recalibration.comparing import (
    NONE,
    SETS,
    Comparison,
    halves,
    ranked,
)
from comptool.decisions.recalibration.known import Doubles, Floats, Indices
from comptool.errors import InputError
from comptool.evaluation import metrics
from comptool.label_matrix import PRESENT

PRIOR = "as frequent as in the out-of-fold rows"
# Decided by the order of the rows within each class alone.
OF_ORDER = ("map", "auc")
# So many test sets in a row without a present cell: the rows say nothing of such small ones.
MOST_DRAWS = 1_000

Fit = Callable[[Targets, Floats], Fitted]


def compare_cells(
    targets: Targets,
    probabilities: Floats,
    methods: Mapping[str, Fit],
    metric: str,
    *,
    num_rows: int,
    num_sets: int = SETS,
    seed: int = 0,
) -> Comparison:
    """Score methods on simulated test sets.

    Parameters
    ----------
    targets
        Out-of-fold cells of shape (M, K): 1 present, 0 absent, -1 unknown.
    probabilities
        Floats of shape (M, K) in [0, 1].
    methods
        By name; doing nothing is among them.
    metric
        A name of `comptool.evaluation.metrics.MULTILABEL_METRICS`.
    num_rows, num_sets, seed
        See :func:`~comptool.decisions.recalibration.comparing.compare`.

    Raises
    ------
    InputError
        If the metric is not defined on the rows, or on nearly all test sets of so few.
    """
    metrics.score(metric, targets, probabilities)
    rng = np.random.default_rng(seed)
    tied = metric in OF_ORDER
    differing = {NONE: methods[NONE]} if tied else methods
    values: dict[str, list[float]] = {name: [] for name in differing}
    pairs = list(halves(_rarest(targets), rng))
    for number, (fit, held) in enumerate(pairs):
        moved = {
            name: method(targets[fit], probabilities[fit]).move(probabilities[held])
            for name, method in differing.items()
        }
        for _ in range(number, num_sets, len(pairs)):
            rows = _drawn(targets[held], moved[NONE], num_rows, metric, rng)
            for name, now in moved.items():
                values[name].append(metrics.score(metric, targets[held[rows]], now[rows]))
    note = ""
    if tied:
        note = f"{metric} asks for the order of the rows of each class, which all of these keep"
        values = dict.fromkeys(methods, values[NONE])
    standings = ranked(values, metrics.MULTILABEL_METRICS.find(metric))
    return Comparison(standings, metric, PRIOR, num_rows, num_sets, len(targets), note)


def _rarest(targets: Targets) -> Indices:
    """The class of each row with the fewest present cells in all, -1 for a row without one."""
    present = targets == PRESENT
    places = np.argsort(present.sum(axis=0), kind="stable")
    first: Indices = places[present[:, places].argmax(axis=1)]
    return np.where(present.any(axis=1), first, -1)


def _drawn(
    targets: Targets, plain: Doubles, num_rows: int, metric: str, rng: np.random.Generator
) -> Indices:
    """Rows of a test set on which the metric is defined."""
    for _ in range(MOST_DRAWS):
        rows = rng.integers(len(targets), size=num_rows)
        try:
            metrics.score(metric, targets[rows], plain[rows])
        except InputError:
            continue
        return rows
    raise InputError(
        f"{metric} is not defined on test sets of {num_rows} rows drawn from the out-of-fold rows: "
        "hardly any has a present cell"
    )
