"""Class weights for a long tail, from the counts of the training rows or from a file; no torch.

A file is a table, or a TOML file of ``class = weight``.

Effective number: Cui, Jia, Lin, Song, Belongie 2019, "Class-Balanced Loss Based on Effective Number
of Samples", arXiv:1901.05555, equation 2 and section 4.2.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from comptool.errors import InputError, quoted, unknown_name
from comptool.io.documents import read_toml
from comptool.io.tables import read_table, refuse_missing

BETA = 0.9999
SCHEMES = ("effective", "inverse", "sqrt")
CLASS, WEIGHT = "class", "weight"
TOML = ".toml"
WRONG = "a class weight has to be a positive number"
MEND = "Give every class one weight, and no other"


def effective_number_weights(counts: Sequence[float], beta: float = BETA) -> list[float]:
    """Class weights (1 - b) / (1 - b^n), of sum K, for n rows of a class, at least 1.

    ``beta`` b is in [0, 1): 0 gives equal weights, towards 1 they approach the inverse frequency.

    Examples
    --------
    >>> [round(weight, 3) for weight in effective_number_weights([100, 10, 10])]
    [0.143, 1.428, 1.428]
    """
    if not 0 <= beta < 1:
        raise ValueError(f"beta is {beta}; it has to be in [0, 1)")
    return _of_sum_k([(1 - beta) / (1 - beta**count) for count in _at_least_one(counts)])


def class_weights(scheme: str, counts: Sequence[float]) -> list[float]:
    """Class weights, of sum K, by ``counts``: n rows, 0 or more, of each of K classes.

    ``scheme`` is ``effective``: see :func:`effective_number_weights`; ``inverse``: 1 / n; or
    ``sqrt``: 1 / sqrt(n). Another is a UsageError that names the nearest.

    Examples
    --------
    >>> [round(weight, 3) for weight in class_weights("inverse", [90, 10])]
    [0.2, 1.8]
    """
    if scheme not in SCHEMES:
        raise unknown_name("scheme of class weights", scheme, SCHEMES)
    if scheme == "effective":
        return effective_number_weights(counts)
    power = -1 if scheme == "inverse" else -0.5
    return _of_sum_k([count**power for count in _at_least_one(counts)])


def _at_least_one(counts: Sequence[float]) -> list[float]:
    if not len(counts) or min(counts) < 0:
        raise ValueError(f"counts have to be 0 or more, for one class or more; got {list(counts)}")
    return [max(float(count), 1.0) for count in counts]


def _of_sum_k(raw: Sequence[float]) -> list[float]:
    total = sum(raw)
    return [len(raw) * weight / total for weight in raw]


def read_class_weights(path: Path, classes: Sequence[str]) -> list[float]:
    """Read the weights of K classes, in their order.

    ``path`` is a CSV or Parquet table with the columns ``class`` and ``weight``, or a ``.toml``
    file of ``class = weight`` lines. Raises an InputError if it is not readable, a class is unknown
    or has not exactly one weight, or a weight is not a positive number; it names the file, the row
    and up to three values.
    """
    cells = _toml_cells(path) if path.suffix == TOML else _table_cells(path)
    unknown = [name for name in cells if name not in classes]
    if unknown:
        raise InputError("has weights of unknown classes", file=path, values=unknown, mend=MEND)
    missing = [name for name in classes if name not in cells]
    if missing:
        several = "classes" if len(missing) > 1 else "class"
        raise InputError(f"has no weight for the {several} {quoted(missing)}", file=path, mend=MEND)
    return [cells[name] for name in classes]


def _table_cells(path: Path) -> dict[str, float]:
    frame = read_table(path, required=(CLASS, WEIGHT))
    weights: dict[str, float] = {}
    for row, (name, text) in enumerate(zip(frame[CLASS], frame[WEIGHT], strict=True), start=1):
        if name in weights:
            raise InputError(
                "has two weights for a class",
                file=path,
                row=row,
                column=CLASS,
                values=[name],
                mend=MEND,
            )
        weight = _weight(text)
        if weight is None:
            raise InputError(WRONG, file=path, row=row, column=WEIGHT, values=[text])
        weights[name] = weight
    return weights


def _toml_cells(path: Path) -> dict[str, float]:
    refuse_missing(path)
    weights: dict[str, float] = {}
    for name, value in read_toml(path).items():
        weight = None if isinstance(value, bool) else _weight(value)
        if weight is None:
            raise InputError(WRONG, file=path, values=[f"{name} = {value}"])
        weights[name] = weight
    return weights


def _weight(value: object) -> float | None:
    """The value as a number if it is above 0 and finite."""
    try:
        weight = float(value) if isinstance(value, str | int | float) else math.nan
    except ValueError:
        return None
    return weight if 0 < weight < math.inf else None
