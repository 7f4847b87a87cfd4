"""Class weights for a long tail, from the counts of the training rows; no torch.

Effective number: Cui, Jia, Lin, Song, Belongie 2019, "Class-Balanced Loss Based on Effective Number
of Samples", arXiv:1901.05555, equation 2 and section 4.2.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from comptool.errors import unknown_name

BETA = 0.9999


def effective_number_weights(counts: Sequence[float], beta: float = BETA) -> list[float]:
    """Class weights (1 - b) / (1 - b^n), of sum K.

    Parameters
    ----------
    counts
        n, the rows of each of K classes; a class without rows counts as one of a single row.
    beta
        b, in [0, 1): 0 weighs all alike, towards 1 the weights come near those of the inverse
        frequency.

    Examples
    --------
    >>> [round(weight, 3) for weight in effective_number_weights([100, 10, 10])]
    [0.143, 1.428, 1.428]
    """
    if not 0 <= beta < 1:
        raise ValueError(f"beta is {beta}; it has to be in [0, 1)")
    return _of_sum_k([(1 - beta) / (1 - beta**count) for count in _at_least_one(counts)])


def inverse_frequency_weights(counts: Sequence[float]) -> list[float]:
    """Class weights 1 / n, of sum K.

    Examples
    --------
    >>> [round(weight, 3) for weight in inverse_frequency_weights([90, 10])]
    [0.2, 1.8]
    """
    return _of_sum_k([1 / count for count in _at_least_one(counts)])


def square_root_weights(counts: Sequence[float]) -> list[float]:
    """Class weights 1 / sqrt(n), of sum K: between the inverse frequency and none at all.

    Examples
    --------
    >>> [round(weight, 3) for weight in square_root_weights([90, 10])]
    [0.5, 1.5]
    """
    return _of_sum_k([count**-0.5 for count in _at_least_one(counts)])


SCHEMES: dict[str, Callable[[Sequence[float]], list[float]]] = {
    "effective": effective_number_weights,
    "inverse": inverse_frequency_weights,
    "sqrt": square_root_weights,
}


def class_weights(scheme: str, counts: Sequence[float]) -> list[float]:
    """The weights of one of :data:`SCHEMES`.

    Parameters
    ----------
    scheme
        ``effective``, ``inverse`` or ``sqrt``.
    counts
        Rows of each of K classes, 0 or more.

    Raises
    ------
    UsageError
        If there is no such scheme; names the nearest.
    """
    if scheme not in SCHEMES:
        raise unknown_name("scheme of class weights", scheme, SCHEMES)
    return SCHEMES[scheme](counts)


def _at_least_one(counts: Sequence[float]) -> list[float]:
    if not len(counts) or min(counts) < 0:
        raise ValueError(f"counts have to be 0 or more, for one class or more; got {list(counts)}")
    return [max(float(count), 1.0) for count in counts]


def _of_sum_k(raw: Sequence[float]) -> list[float]:
    total = sum(raw)
    return [len(raw) * weight / total for weight in raw]
