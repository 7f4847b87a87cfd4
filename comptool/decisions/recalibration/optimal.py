"""Quotas as the best assignment of all rows to classes that meets them."""

from __future__ import annotations

import numpy as np

from comptool.decisions.quotas import quota_size
from comptool.decisions.recalibration.assignment import assign
from comptool.decisions.recalibration.known import (
    Answer,
    Apply,
    Doubles,
    Floats,
    Indices,
    Known,
    rows_to_one,
)
from comptool.errors import UsageError

TINY = float(np.finfo(np.float64).tiny)


def quota_optimal(known: Known) -> Apply:
    """The assignment of rows that meets the quotas at the greatest total log-probability.

    With presumed class shares every class has a quota, its share of the rows. Without, head
    classes have theirs and no other row is given to them, as in `quota`; the difference is that
    the result does not depend on the order of the head classes.

    Raises
    ------
    UsageError
        If neither shares nor head classes are known, or the quotas are more than the rows.
    """
    if known.target is None and not known.head:
        raise UsageError("no class has a quota: --target-prior or --head-classes says which")
    if known.target is None and len(known.head) * known.fraction > 1 + 1e-9:
        raise UsageError(
            f"{len(known.head)} quotas of {known.fraction} are more than all rows; lower --fraction"
        )

    def apply(probabilities: Floats) -> Answer:
        # Smaller than the least probability of float32, so that nothing else is levelled.
        scores = np.log(np.maximum(probabilities, TINY, dtype=np.float64))
        if known.target is not None:
            sizes = whole_sizes(known.target, len(scores))
            labels = assign(scores, sizes)
        else:
            labels = _head_only(scores, np.array(known.head), known.fraction)
            sizes = np.bincount(labels, minlength=scores.shape[1])
        return Answer(rows_to_one(probabilities), labels, {"sizes": sizes.tolist()})

    return apply


def _head_only(scores: Doubles, head: Indices, fraction: float) -> Indices:
    """Quotas for the head classes; the others are one class, as good as the best of them."""
    size = quota_size(len(scores), fraction)
    tail = np.setdiff1d(np.arange(scores.shape[1]), head)
    left = len(scores) - size * len(head)
    if not tail.size and left:
        raise UsageError(
            f"every class has a quota of {size} rows, which leaves {left} of {len(scores)} without "
            "one; say the shares: --target-prior"
        )
    if not tail.size:
        return head[assign(scores[:, head], np.full(len(head), size))]
    best = tail[scores[:, tail].argmax(axis=1)]
    merged = np.column_stack([scores[:, head], scores[np.arange(len(scores)), best]])
    places = assign(merged, np.append(np.full(len(head), size), left))
    return np.where(places == len(head), best, np.append(head, -1)[places])


def whole_sizes(shares: Doubles, num_rows: int) -> Indices:
    """Whole numbers in these shares that sum to the rows: the largest remainders are rounded up.

    Of equal remainders the first class in class order is rounded up.

    Examples
    --------
    >>> whole_sizes(np.array([0.5, 0.25, 0.25]), 5).tolist()
    [3, 1, 1]
    """
    exact = shares * num_rows
    sizes = np.floor(exact + 1e-9).astype(np.int64)
    order = np.argsort(-(exact - sizes), kind="stable")
    sizes[order[: num_rows - sizes.sum()]] += 1
    return sizes
