"""Answers decided from probabilities, and a histogram of what they changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from comptool.io.predictions import Predictions

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


SHOWN_CLASSES = 40


def count_table(classes: Sequence[str], columns: Mapping[str, Sequence[int | str]]) -> str:
    """One line per class, one right-aligned column per count, and a line with the sums.

    Parameters
    ----------
    classes
        Names of the K classes.
    columns
        Title of each column and its K values: numbers, or notes, which are not summed.

    Returns
    -------
    str
        The table. Of more than 40 classes those whose counts differ most between the first
        column and the last column of numbers are shown, and the last line says so.

    Examples
    --------
    >>> print(count_table(["sedan", "bus"], {"before": [90, 10], "after": [50, 50]}))
    class  before  after
    sedan      90     50
    bus        10     50
    sum       100    100
    """
    numbers = {title: values for title, values in columns.items() if _is_count(values)}
    rows = [(name, *values) for name, *values in zip(classes, *columns.values(), strict=True)]
    total = ("sum", *(sum(map(int, v)) if t in numbers else "" for t, v in columns.items()))
    kept = _most_changed(list(numbers.values()), len(rows))
    lines = [("class", *columns), *(rows[index] for index in kept), total]
    widths = [max(len(str(line[place])) for line in lines) for place in range(len(lines[0]))]
    text = [
        "  ".join([f"{line[0]!s:<{widths[0]}}", *map(_right, line[1:], widths[1:])]).rstrip()
        for line in lines
    ]
    if len(kept) < len(rows):
        text.append(f"({len(rows) - len(kept)} classes that changed less are not shown)")
    return "\n".join(text)


def _is_count(values: Sequence[int | str]) -> bool:
    return not any(isinstance(value, str) for value in values)


def _right(value: object, width: int) -> str:
    return f"{value!s:>{width}}"


def _most_changed(counts: Sequence[Sequence[int | str]], num_classes: int) -> list[int]:
    if num_classes <= SHOWN_CLASSES or not counts:
        return list(range(num_classes))
    change = [abs(int(a) - int(b)) for a, b in zip(counts[0], counts[-1], strict=True)]
    order = sorted(range(num_classes), key=lambda index: (-change[index], index))
    return sorted(order[:SHOWN_CLASSES])
