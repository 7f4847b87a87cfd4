"""Quota recalibration: each head class claims the share of rows that are most probable for it.

Source: "Dual-stream Fusion and Data Augmentation for Imbalanced SAR and EO Multi-modal
Classification" (3 February 2023), last section: a tenth of the test set for each of the four
classes with the most training images, to keep them from swallowing rare classes; a note in its code
reports an accuracy of 30.75 instead of 27.36. The order of the classes and ties are not specified;
here classes claim rows in class order, and the earlier row wins a tie.

A quota presumes that the classes are nearly equally frequent in the test set. Otherwise it makes
answers worse, which cannot be seen in the predictions. This module does not import scipy, which
takes half a second.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from comptool.errors import ComptoolError, UsageError, unknown_name
from comptool.postprocess.calibration.context import (
    Answer,
    Apply,
    CalibrationContext,
    Floats,
    rows_to_one,
    swallowed,
)

Indices = npt.NDArray[np.intp]

TOP_K_HEAD = 4
FRACTION = 0.1


def quota_method(
    context: CalibrationContext,
    *,
    top_k_head: int | None = None,
    head_classes: str | None = None,
    fraction: float = FRACTION,
) -> Apply:
    """Head classes in turn take their most probable rows; probabilities are unchanged."""
    head, why = choose_heads(context, top_k_head, head_classes)

    def apply(probabilities: Floats) -> Answer:
        labels = in_turn(probabilities, head, fraction)
        classes = context.names(probabilities.shape[1])
        names = [classes[index] for index in head]
        size = quota_size(len(probabilities), fraction)
        counts = np.bincount(labels, minlength=probabilities.shape[1])
        return Answer(
            rows_to_one(probabilities),
            labels,
            {"head": names, "fraction": fraction, "rows_per_head_class": size},
            kept=np.ones(len(probabilities), np.bool_),
            notes=[
                f"head classes in order of priority: {', '.join(names) or 'none'} ({why})",
                f"each takes {size} of {len(probabilities)} rows; this presumes that the test "
                "classes are nearly equally frequent, and does harm otherwise",
            ],
            warnings=_warnings(classes, counts, head, size),
        )

    return apply


def quota_size(num_rows: int, fraction: float) -> int:
    """Rows of one head class: ``floor(fraction * num_rows)``, robust to rounding."""
    # 0.07 * 100 is 7.000000000000001 and 0.29 * 100 is 28.999999999999996.
    return int(np.floor(fraction * num_rows + 1e-9))


def in_turn(probabilities: Floats, head: Sequence[int], fraction: float) -> Indices:
    """Labels by quota, shape (N,); ``head`` are class indices in the order of their claims.

    Each head class in turn takes the ``floor(fraction * N)`` remaining rows with its largest
    probabilities; the earlier row wins a tie. Other rows take their most probable class that is not
    a head class, or, if all are head classes, their most probable class.
    """
    if probabilities.ndim != 2 or probabilities.shape[1] == 0:
        raise ValueError(f"probabilities must have the shape (N, K), not {probabilities.shape}")
    num_rows, num_classes = probabilities.shape
    if not ((probabilities >= 0) & (probabilities <= 1)).all():
        raise ValueError("probabilities must lie in [0, 1]; these are logits or NaN")
    if not 0 <= fraction <= 1:
        raise ValueError(f"fraction must lie in [0, 1], not {fraction}")
    if len(set(head)) < len(head) or not all(0 <= c < num_classes for c in head):
        raise ValueError(f"head must hold distinct class indices below K, not {list(head)}")
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
    """Mask of the ``size`` largest of ``values``; the earlier wins a tie."""
    if size <= 0:
        return np.zeros(len(values), dtype=np.bool_)
    if size >= len(values):
        return np.ones(len(values), dtype=np.bool_)
    # Partition is linear in N; ties are taken in row order, as in a stable sort.
    least = np.partition(values, len(values) - size)[len(values) - size]
    mask: npt.NDArray[np.bool_] = values > least
    mask[np.flatnonzero(values == least)[: size - np.count_nonzero(mask)]] = True
    return mask


def choose_heads(
    context: CalibrationContext, top_k_head: int | None, head_classes: str | None
) -> tuple[list[int], str]:
    """Indices of the head classes in the order of their claims, and the reason in words."""
    if head_classes is not None:
        given = [name.strip() for name in head_classes.split(",") if name.strip()]
        return class_indices(given, context.classes), "as given"
    k = TOP_K_HEAD if top_k_head is None else top_k_head
    if k == 0:
        return [], "--top-k-head 0"
    counted = context.counts("Name the head classes: --head-classes a,b,c,d")
    counts, origin = counted.numbers, counted.origin
    head = most_frequent(counts, k)
    why = f"the {k} with the most training images"
    if origin is not None:
        why += f" in {origin}"
    least = counts[head].min()
    tied = [c for c in np.flatnonzero(counts == least).tolist() if c not in head]
    if tied:
        classes = context.names(len(counts))
        equal = ", ".join(classes[c] for c in tied)
        why += f"; {equal} has as many ({least}) but is later in class order"
    return head, why


def has_heads(
    context: CalibrationContext, top_k_head: int | None, head_classes: str | None
) -> bool:
    """Whether there are head classes: as given, else by known counts of more than four classes."""
    if head_classes is not None:
        return bool(head_classes.strip(" ,"))
    if top_k_head is not None:
        return top_k_head > 0
    try:
        return len(context.counts("").numbers) > TOP_K_HEAD
    except ComptoolError:
        return False


def most_frequent(counts: npt.NDArray[np.integer], k: int) -> list[int]:
    """Indices of the ``k`` classes with the largest counts, in class order, which breaks ties."""
    if k > len(counts):
        raise UsageError(f"--top-k-head {k} is more than the number of classes, {len(counts)}")
    return sorted(np.argsort(-counts, kind="stable")[:k].tolist())


def class_indices(names: Sequence[str], classes: Sequence[str]) -> list[int]:
    """Index of each name in ``classes``."""
    places = {name: index for index, name in enumerate(classes)}
    for name in names:
        if name not in places:
            raise unknown_name("class", name, classes)
    if len(set(names)) < len(names):
        raise UsageError(f"--head-classes names a class twice: {','.join(names)}")
    return [places[name] for name in names]


def _warnings(
    classes: Sequence[str], counts: npt.NDArray[np.int64], head: Sequence[int], size: int
) -> list[str]:
    num_rows, num_classes = int(counts.sum()), len(counts)
    warnings = []
    if head and size == 0:
        warnings.append(
            f"the quota of {num_rows} rows is less than one row: no row gets a head class"
        )
    if len(head) * size > num_rows:
        warnings.append(
            f"the quotas cannot all be met: {len(head)} head classes of {size} rows need "
            f"{len(head) * size} rows, but there are {num_rows}; the last classes get fewer"
        )
    left = num_rows - min(len(head) * size, num_rows)
    tail = num_classes - len(head)
    if tail == 0 and left:
        warnings.append(
            f"every class is a head class: the {left} rows beyond the quotas take their most "
            "probable class"
        )
    shares = np.full(num_classes, np.inf if tail == 0 else left / max(tail, 1))
    shares[list(head)] = np.inf
    return warnings + swallowed(classes, counts, shares)
