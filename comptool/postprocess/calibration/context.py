"""Interface of the recalibration methods: the context they receive and the answer they return.

A method is called with a :class:`CalibrationContext` and its own options, and returns a function
from the probabilities of a test set to an :class:`Answer`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from comptool import metrics
from comptool.competition.classes import against
from comptool.errors import InputError, UsageError, quoted
from comptool.io.tables import read_table, refuse_rows
from comptool.metrics import Metric
from comptool.tasks import DEFAULT_TASK

Floats = npt.NDArray[np.floating]
Doubles = npt.NDArray[np.float64]
Indices = npt.NDArray[np.integer]

# Smallest probability in logarithms, as in the metric logloss: -36 for a probability of 0.
SMALLEST = float(np.finfo(np.float64).eps)
ACCURACY = metrics.find("accuracy", DEFAULT_TASK)
# Multiple of its share above which a class gets a warning.
SWALLOWS = 2
UNIFORM, TRAIN, ESTIMATED = "uniform", "train", "estimated"
TOLERANCE = 1e-3
LIKE_TRAINING = "as frequent as in training"
EQUALLY = "equally frequent"
AS_ESTIMATED = "as frequent as estimated from the predictions"


@dataclass(frozen=True)
class LabelledRows:
    """Labelled rows that the models were not trained on."""

    probabilities: Floats  # (M, K) in [0, 1], rows summing to one
    targets: Indices  # class indices of shape (M,)
    groups: Indices | None = None  # number of the group of each row, (M,)

    def __len__(self) -> int:
        return len(self.targets)

    def take(self, rows: Indices) -> LabelledRows:
        """Select rows."""
        groups = None if self.groups is None else self.groups[rows]
        return LabelledRows(self.probabilities[rows], self.targets[rows], groups)

    def counts(self) -> npt.NDArray[np.int64]:
        """Rows of each class, shape (K,)."""
        return np.bincount(self.targets, minlength=self.probabilities.shape[1])

    def shares(self) -> Doubles:
        """Share of each class, shape (K,)."""
        return np.asarray(self.counts() / len(self))


@dataclass(frozen=True)
class ClassCounts:
    """Training images of each class, before any balancing."""

    numbers: npt.NDArray[np.int64]  # (K,), in class order
    origin: Path | None = None  # the table they were counted in; None if they are recorded

    def shares(self) -> Doubles:
        """Share of each class, shape (K,)."""
        return np.asarray(self.numbers / self.numbers.sum())


def _no_counts(remedy: str) -> ClassCounts:
    raise UsageError(f"the number of training images of each class is not known. {remedy}".strip())


@dataclass(frozen=True)
class CalibrationContext:
    """Information for a recalibration method; None if unknown."""

    evidence: LabelledRows | None = None  # out-of-fold rows
    presumed: Doubles | None = None  # (K,), class shares of the training rows
    target: Doubles | None = None  # (K,), presumed class shares of the test set
    metric: Metric = ACCURACY  # that searched settings maximise
    classes: tuple[str, ...] = ()  # names; empty if only their number is known
    groups: Indices | None = None  # (N,), number of the group of each row of the test set
    # Training images of each class; the argument is the remedy, for the error if not known.
    counts: Callable[[str], ClassCounts] = _no_counts

    def rows(self) -> LabelledRows:
        """The evidence, resampled to the target shares if given; a UsageError without evidence."""
        if self.evidence is None:
            raise UsageError("this method is fitted on out-of-fold rows. Name a run: --oof RUN")
        if self.target is None:
            return self.evidence
        return self.evidence.take(in_shares(self.evidence.targets, self.target))

    def trained_shares(self) -> Doubles:
        """The class shares of the training rows, else of the evidence; a UsageError if unknown."""
        if self.presumed is not None:
            return self.presumed
        if self.evidence is None:
            raise UsageError(
                "the class shares of the training rows are not known. Name a run: --oof RUN"
            )
        return self.evidence.shares()

    def target_shares(self) -> Doubles:
        """The presumed class shares of the test set; a UsageError without them."""
        if self.target is None:
            raise UsageError(
                "this method needs the class shares of the test set: --target-prior uniform, "
                "train or a file"
            )
        return self.target

    def names(self, num_classes: int) -> tuple[str, ...]:
        """The names of the classes, else their indices."""
        return self.classes or tuple(map(str, range(num_classes)))


@dataclass(frozen=True)
class Answer:
    """The answer of a method to a test set."""

    probabilities: Doubles  # (N, K), rows summing to one
    labels: Indices  # class indices of shape (N,); not always the most probable class
    # Estimated or fitted values, for the record.
    facts: dict[str, object] = field(default_factory=dict)
    # Mask of shape (N,) of the rows with unchanged probabilities; None if all change.
    kept: npt.NDArray[np.bool_] | None = None
    notes: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


Apply = Callable[[Floats], Answer]


def answered(weights: Doubles, **facts: object) -> Answer:
    """Normalise the rows and answer with the most probable class; ``facts`` go to the record."""
    return Answer(rows_to_one(weights), weights.argmax(axis=1), dict(facts))


def rows_to_one(weights: Floats) -> Doubles:
    """Rows of shape (N, K) divided by their sums."""
    rows: Doubles = weights / weights.sum(axis=1, keepdims=True, dtype=np.float64)
    return rows


def logarithms(probabilities: Floats) -> Doubles:
    """Natural logarithms, at least -36."""
    return np.log(np.maximum(probabilities, SMALLEST, dtype=np.float64))


def in_shares(targets: Indices, shares: Doubles) -> Indices:
    """Indices of M of M rows in the given class shares.

    A class is reduced to evenly spaced rows, or its rows are repeated about equally often.
    """
    wanted = np.round(shares * len(targets)).astype(np.int64)
    parts = []
    for index in np.flatnonzero(wanted):
        rows = np.flatnonzero(targets == index)
        if not rows.size:
            raise UsageError(f"class number {index} has a share but no out-of-fold row")
        parts.append(rows[np.arange(wanted[index]) * rows.size // wanted[index]])
    return np.sort(np.concatenate(parts))


def nothing(context: CalibrationContext) -> Apply:
    """The probabilities as predicted, and the most probable class."""
    return lambda probabilities: answered(probabilities.astype(np.float64))


def swallowed(classes: Sequence[str], counts: npt.NDArray[np.int64], shares: Doubles) -> list[str]:
    """Warnings for the classes that take more than twice their expected rows ``shares``."""
    excess = np.flatnonzero(counts > SWALLOWS * np.maximum(shares, 1))
    warnings = []
    for c in excess.tolist():
        share = f"{round(float(shares[c]), 1):g}"
        takes = f"class '{classes[c]}' takes {counts[c]} rows"
        if shares[c] >= 1:
            takes += f", {counts[c] / shares[c]:.1f} times its share of {share}"
        else:
            takes += f"; its share is {share}"
        warnings.append(takes)
    return warnings


def shares_of(
    text: str, classes: Sequence[str], counts: Callable[[], npt.NDArray[np.int64]]
) -> tuple[Doubles, str]:
    """Class shares for uniform, train or a file, with words to follow "the classes are"."""
    if text == UNIFORM:
        return np.full(len(classes), 1 / len(classes)), EQUALLY
    if text == TRAIN:
        known = counts()
        absent = [name for name, n in zip(classes, known, strict=True) if n == 0]
        if absent:
            raise UsageError(
                f"the training set has no {quoted(absent)}; give the shares in a file: "
                "--target-prior FILE"
            )
        return known / known.sum(), LIKE_TRAINING
    return _read(Path(text), classes), f"in the shares of {text}"


def _read(path: Path, classes: Sequence[str]) -> Doubles:
    if not path.exists():
        raise InputError(
            "there is no such file of class shares",
            file=path,
            mend="--target-prior takes uniform, train, estimated or a table with a class and its "
            "share a row",
        )
    table = read_table(path)
    if len(table.columns) < 2:
        raise InputError("a table of shares has two columns, class and share", file=path)
    names, column = table.iloc[:, 0].tolist(), str(table.columns[1])
    if sorted(names) != sorted(classes):
        raise InputError(
            f"its classes are not those of the predictions: {against(names, classes)}", file=path
        )
    numbers = pd.to_numeric(table[column], errors="coerce").to_numpy(dtype=np.float64)
    wrong = "a share is a number above 0; a class that cannot occur needs a small one too"
    refuse_rows(path, table[column], ~(numbers > 0), wrong)
    if abs(numbers.sum() - 1) > TOLERANCE:
        raise InputError(
            "the shares do not sum to one",
            file=path,
            column=column,
            values=[f"{numbers.sum():.4f}"],
            mend="Divide each by their sum",
        )
    by_name = dict(zip(names, (numbers / numbers.sum()).tolist(), strict=True))
    return np.array([by_name[name] for name in classes])
