"""A decision about predictions: the answers, and what they changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from comptool.predictions import Predictions

# A class that takes more than this many times its share is worth a look.
SWALLOWS = 2


@dataclass(frozen=True)
class Decision:
    """Decided predictions, and what the decision changed.

    Parameters
    ----------
    predictions
        The predictions with ``pred`` filled in.
    before, after
        Rows per class of shape (K,), by plain argmax and as decided.
    warnings
        Sentences for the person who asked.
    facts
        What was decided and how, for the record.
    """

    predictions: Predictions
    before: npt.NDArray[np.int64]
    after: npt.NDArray[np.int64]
    warnings: list[str] = field(default_factory=list)
    facts: dict[str, object] = field(default_factory=dict)


def decided(predictions: Predictions, labels: npt.NDArray[np.intp]) -> Decision:
    """Predictions with the class names of ``labels`` as ``pred``, and the counts."""
    num_classes = len(predictions.classes)
    plain = predictions.probabilities.argmax(axis=1)
    names = np.array(predictions.classes, dtype=object)
    return Decision(
        replace(predictions, pred=names[labels]),
        before=np.bincount(plain, minlength=num_classes),
        after=np.bincount(labels, minlength=num_classes),
    )


def swallowed(
    classes: Sequence[str], counts: npt.NDArray[np.int64], shares: npt.NDArray[np.float64]
) -> list[str]:
    """One sentence for each class that takes more than twice its share of the rows.

    Parameters
    ----------
    classes
        Names of the K classes.
    counts
        Rows of each class, of shape (K,).
    shares
        Rows that each class would take if the presumed prior held, of shape (K,).
    """
    excess = np.flatnonzero(counts > SWALLOWS * np.maximum(shares, 1))
    return [_excess(classes[c], int(counts[c]), float(shares[c])) for c in excess.tolist()]


def _excess(name: str, count: int, share: float) -> str:
    shown = f"{round(share, 1):g}"
    if share < 1:
        return f"class '{name}' takes {count} rows; its share is {shown}"
    return f"class '{name}' takes {count} rows, {count / share:.1f} times its share of {shown}"
