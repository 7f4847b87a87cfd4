"""Quota recalibration: each head class claims the share of rows it is surest of.

Keeping frequent training classes from swallowing rare ones: the quota.

Source: "Dual-stream Fusion and Data Augmentation for Imbalanced SAR and EO Multi-modal
Classification" (3 February 2023), last section: a tenth of the test set to each of the four
classes with the most training images. A note in its code has it raise the accuracy from 27.36 to
30.75. The text says neither in which order the classes take their rows nor what becomes of ties;
here classes take them in class order and the lower row comes first.

A quota presumes that the classes are nearly equally frequent in the test set. Where they are not,
it makes answers worse, and nothing in the predictions can tell.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from comptool.errors import UsageError, unknown_name
from comptool.io.predictions import Predictions
from comptool.postprocess.answers import Decision, decided, swallowed
from comptool.postprocess.calibration.context import Answer, Apply, CalibrationContext, rows_to_one
from comptool.postprocess.calibration.context import Floats as Probabilities

Floats = npt.NDArray[np.floating]
Indices = npt.NDArray[np.intp]


def quota_size(num_rows: int, fraction: float) -> int:
    """Rows that one head class takes: ``floor(fraction * num_rows)``, safe against rounding.

    Examples
    --------
    >>> quota_size(826, 0.1)
    82
    """
    # 0.07 * 100 is 7.000000000000001 and 0.29 * 100 is 28.999999999999996.
    return int(np.floor(fraction * num_rows + 1e-9))


def quota(probabilities: Floats, head: Sequence[int], fraction: float) -> Indices:
    """Labels in which each head class takes exactly its quota of rows.

    Each head class in turn takes the ``floor(fraction * N)`` rows, of those not yet taken, that
    give it the largest probability; of equal probabilities the lower row comes first. Every other
    row takes its most probable class among the classes that are not head classes. (So with
    ``fraction=0`` no row is given to a head class.) If there is no such class, the rows left over
    take their most probable class of all.

    Parameters
    ----------
    probabilities
        Floats of shape (N, K) in [0, 1].
    head
        Class indices in the order in which they take their rows; the order matters.
    fraction
        Share of the N rows that each head class takes, 0 to 1.

    Returns
    -------
    numpy.ndarray
        Class indices of shape (N,).

    Raises
    ------
    ValueError
        If the probabilities are no probabilities (logits, NaN), a head class is repeated or out
        of range, or the fraction is out of range.

    Examples
    --------
    >>> p = np.array([[0.9, 0.1, 0.0], [0.8, 0.0, 0.2], [0.7, 0.2, 0.1], [0.6, 0.1, 0.3]])
    >>> quota(p, head=[0], fraction=0.25)
    array([0, 2, 1, 2])
    """
    _check(probabilities, head, fraction)
    num_rows, num_classes = probabilities.shape
    size = quota_size(num_rows, fraction)
    labels = np.empty(num_rows, dtype=np.intp)
    left = np.arange(num_rows)
    for index in head:
        taken = largest(probabilities[left, index], size)
        labels[left[taken]] = index
        left = left[~taken]
    tail = np.setdiff1d(np.arange(num_classes), head)
    choices = tail if tail.size else np.arange(num_classes)
    labels[left] = choices[probabilities[np.ix_(left, choices)].argmax(axis=1)]
    return labels


def largest(values: Floats, size: int) -> npt.NDArray[np.bool_]:
    """Mask of the ``size`` largest of ``values``, the earlier first where values are equal.

    Parameters
    ----------
    values
        Floats of shape (N,) without NaN.
    size
        How many; all if there are fewer.
    """
    if size <= 0:
        return np.zeros(len(values), dtype=np.bool_)
    if size >= len(values):
        return np.ones(len(values), dtype=np.bool_)
    # A selection is linear in N; the rows that tie with the last one taken fill up in row order,
    # which is what a stable sort would do.
    least = np.partition(values, len(values) - size)[len(values) - size]
    mask: npt.NDArray[np.bool_] = values > least
    mask[np.flatnonzero(values == least)[: size - np.count_nonzero(mask)]] = True
    return mask


def _check(probabilities: Floats, head: Sequence[int], fraction: float) -> None:
    if probabilities.ndim != 2 or probabilities.shape[1] == 0:
        raise ValueError(f"probabilities must have the shape (N, K), not {probabilities.shape}")
    if not ((probabilities >= 0) & (probabilities <= 1)).all():
        raise ValueError("probabilities must lie in [0, 1]; these are logits, or not numbers")
    if not 0 <= fraction <= 1:
        raise ValueError(f"fraction must lie in [0, 1], not {fraction}")
    if len(set(head)) < len(head) or not all(0 <= c < probabilities.shape[1] for c in head):
        raise ValueError(f"head must hold different class indices below K, not {list(head)}")


def most_frequent(counts: npt.NDArray[np.integer], k: int) -> list[int]:
    """Indices of the ``k`` classes with the largest counts, in class order.

    Of equal counts the class that comes first in class order is the more frequent one.

    Raises
    ------
    UsageError
        If there are fewer than ``k`` classes.

    Examples
    --------
    >>> most_frequent(np.array([5, 9, 9, 7]), 2)
    [1, 2]
    """
    if k > len(counts):
        raise UsageError(f"--top-k-head {k} is more than the {len(counts)} classes there are")
    return sorted(np.argsort(-counts, kind="stable")[:k].tolist())


def named_heads(text: str, classes: Sequence[str]) -> list[int]:
    """Indices of the classes whose names are joined by commas, in the order given.

    Raises
    ------
    UsageError
        As `class_indices`.
    """
    return class_indices([name.strip() for name in text.split(",") if name.strip()], classes)


def class_indices(names: Sequence[str], classes: Sequence[str]) -> list[int]:
    """Index of each name in ``classes``, in the order given.

    Raises
    ------
    UsageError
        If a name is no class (the nearest are named) or is there twice.
    """
    places = {name: index for index, name in enumerate(classes)}
    for name in names:
        if name not in places:
            raise unknown_name("class", name, classes)
    if len(set(names)) < len(names):
        raise UsageError(f"--head-classes names a class twice: {','.join(names)}")
    return [places[name] for name in names]


def by_quota(predictions: Predictions, head: Sequence[int], fraction: float) -> Decision:
    """Decide the class of every row by :func:`quota`, and say what came of it.

    Parameters
    ----------
    predictions
        Predictions of N rows; their probabilities are kept as they are.
    head
        Class indices in the order in which they take their rows.
    fraction
        Share of the rows that each head class takes, 0 to 1.
    """
    labels = quota(predictions.probabilities, head, fraction)
    size = quota_size(len(predictions), fraction)
    result = decided(predictions, labels)
    names = [predictions.classes[index] for index in head]
    facts = {"method": "quota", "head": names, "fraction": fraction, "rows_per_head_class": size}
    return replace(result, warnings=_quota_warnings(result, head, size), facts=facts)


def _quota_warnings(result: Decision, head: Sequence[int], size: int) -> list[str]:
    num_rows, num_classes = len(result.predictions), len(result.after)
    warnings = []
    if head and size == 0:
        warnings.append(
            f"the quota of {num_rows} rows is less than one row: no head class is answered at all"
        )
    if len(head) * size > num_rows:
        warnings.append(
            f"the quotas cannot all be met: {len(head)} head classes of {size} rows need "
            f"{len(head) * size} rows and there are {num_rows}; the last in the order go short"
        )
    left = num_rows - min(len(head) * size, num_rows)
    tail = num_classes - len(head)
    if tail == 0 and left:
        warnings.append(
            f"every class is a head class: the {left} rows over the quotas take their most "
            "probable class of all"
        )
    shares = np.full(num_classes, np.inf if tail == 0 else left / max(tail, 1))
    shares[list(head)] = np.inf
    return warnings + swallowed(result.predictions.classes, result.after, shares)


def quota_method(known: CalibrationContext) -> Apply:
    """Each head class in turn takes the rows that are surest of it; probabilities stay."""
    head, fraction = list(known.head), known.fraction

    def apply(probabilities: Probabilities) -> Answer:
        labels = quota(probabilities, head, fraction)
        return Answer(rows_to_one(probabilities), labels, {"fraction": fraction})

    return apply
