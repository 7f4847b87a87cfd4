"""What a recalibration method receives: labelled rows, trained and presumed class shares.

What a recalibration method may know, and what it answers.

A method is called with a :class:`CalibrationContext` and its own options, and gives a function from
the probabilities of a test set to an :class:`Answer`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from comptool.competition.classes import against
from comptool.errors import ComptoolError, InputError, UsageError, quoted
from comptool.io.tables import read_table, refuse_rows

Floats = npt.NDArray[np.floating]
Doubles = npt.NDArray[np.float64]
Indices = npt.NDArray[np.integer]

# A probability of 0 still has a logarithm: -36, as in the metric logloss.
SMALLEST = float(np.finfo(np.float64).eps)
# A class that takes more than this many times its share is worth a look.
SWALLOWS = 2
UNIFORM, TRAIN = "uniform", "train"
TOLERANCE = 1e-3
LIKE_TRAINING = "as frequent as in training"
EQUALLY = "equally frequent"


@dataclass(frozen=True)
class LabelledRows:
    """Labelled rows that the models were not trained on.

    Parameters
    ----------
    probabilities
        Floats of shape (M, K) in [0, 1], rows summing to one.
    targets
        Class indices of shape (M,).
    """

    probabilities: Floats
    targets: Indices

    def __len__(self) -> int:
        return len(self.targets)

    def take(self, rows: Indices) -> LabelledRows:
        """Some of the rows, in the order given."""
        return LabelledRows(self.probabilities[rows], self.targets[rows])

    def counts(self) -> npt.NDArray[np.int64]:
        """Rows of each class, shape (K,)."""
        return np.bincount(self.targets, minlength=self.probabilities.shape[1])

    def shares(self) -> Doubles:
        """Share of each class, shape (K,)."""
        return np.asarray(self.counts() / len(self))


@dataclass(frozen=True)
class ClassCounts:
    """Training images of each class, as published.

    Parameters
    ----------
    numbers
        Integers of shape (K,), in the order of the classes.
    origin
        The table they were counted in; None where they are recorded.
    """

    numbers: npt.NDArray[np.int64]
    origin: Path | None = None

    def shares(self) -> Doubles:
        """Share of each class, shape (K,)."""
        return np.asarray(self.numbers / self.numbers.sum())


def _no_counts(instead: str) -> ClassCounts:
    raise UsageError(f"nothing says how many training images each class has. {instead}".strip())


@dataclass(frozen=True)
class CalibrationContext:
    """What a recalibration method may know; None stands for what is not known.

    Parameters
    ----------
    evidence
        Labelled out-of-fold rows.
    presumed
        Class shares that the predictions presume, those of the rows trained on; shape (K,).
    target
        Class shares that the test set is presumed to have, shape (K,).
    metric
        What searched settings are to maximise.
    classes
        Names of the K classes; empty where only their number is known.
    counts
        Gives the training images of each class as published. Called with what else to do, for the
        message of the error where they are not known.
    """

    evidence: LabelledRows | None = None
    presumed: Doubles | None = None
    target: Doubles | None = None
    metric: str = "accuracy"
    classes: tuple[str, ...] = ()
    counts: Callable[[str], ClassCounts] = _no_counts

    def rows(self) -> LabelledRows:
        """The evidence, in the shares that the test set is presumed to have."""
        if self.evidence is None:
            raise UsageError("this method is fitted on out-of-fold rows. Name a run: --oof RUN")
        if self.target is None:
            return self.evidence
        return self.evidence.take(in_shares(self.evidence.targets, self.target))

    def trained_shares(self) -> Doubles:
        """The class shares that the predictions presume."""
        if self.presumed is not None:
            return self.presumed
        if self.evidence is None:
            raise UsageError(
                "nothing says which class shares the models were trained on. Name a run: --oof RUN"
            )
        return self.evidence.shares()

    def target_shares(self) -> Doubles:
        """The class shares that the test set is presumed to have."""
        if self.target is None:
            raise UsageError(
                "this method needs the class shares of the test set: --target-prior uniform, "
                "train or a file"
            )
        return self.target

    def names(self, num_classes: int) -> tuple[str, ...]:
        """The names of the classes; their numbers where there are none."""
        return self.classes or tuple(map(str, range(num_classes)))

    def known_counts(self) -> ClassCounts | None:
        """The training images of each class; None where they are not known."""
        try:
            return self.counts("")
        except ComptoolError:
            return None

    def with_evidence(self, evidence: LabelledRows) -> CalibrationContext:
        """The same with other evidence."""
        return replace(self, evidence=evidence)


@dataclass(frozen=True)
class Answer:
    """The answer of a method to a test set.

    Parameters
    ----------
    probabilities
        float64 of shape (N, K), rows summing to one.
    labels
        Class indices of shape (N,); not always the most probable class.
    facts
        What was found or fitted, for the record.
    kept
        Rows of shape (N,) whose probabilities are as predicted, up to their sum; None: none are.
    notes, warnings
        Sentences for the user: what the answer rests on, and what is doubtful in it.
    """

    probabilities: Doubles
    labels: Indices
    facts: dict[str, object] = field(default_factory=dict)
    kept: npt.NDArray[np.bool_] | None = None
    notes: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


Apply = Callable[[Floats], Answer]


def answered(weights: Doubles, **facts: object) -> Answer:
    """The most probable class of rows that are normalised here."""
    return Answer(rows_to_one(weights), weights.argmax(axis=1), dict(facts))


def rows_to_one(weights: Floats) -> Doubles:
    """Rows of shape (N, K) divided by their sums."""
    rows: Doubles = weights / weights.sum(axis=1, keepdims=True, dtype=np.float64)
    return rows


def logarithms(probabilities: Floats) -> Doubles:
    """Natural logarithms, at least -36."""
    logs: Doubles = np.log(np.maximum(probabilities, SMALLEST, dtype=np.float64))
    return logs


def in_shares(targets: Indices, shares: Doubles) -> Indices:
    """As many rows as there are, each class as often as its share says, as evenly as can be.

    A class is cut to evenly spaced rows or repeated, each of its rows about equally often.
    """
    wanted = np.round(shares * len(targets)).astype(np.int64)
    parts = []
    for index in np.flatnonzero(wanted):
        rows = np.flatnonzero(targets == index)
        if not rows.size:
            raise UsageError(f"class number {index} has a share and no out-of-fold row")
        parts.append(rows[np.arange(wanted[index]) * rows.size // wanted[index]])
    return np.sort(np.concatenate(parts))


def nothing(context: CalibrationContext) -> Apply:
    """The probabilities as they are, and the most probable class."""
    return lambda probabilities: answered(probabilities.astype(np.float64))


def swallowed(
    classes: Sequence[str], counts: npt.NDArray[np.int64], shares: npt.NDArray[np.float64]
) -> list[str]:
    """One sentence for each class that takes more than twice its share of the rows."""
    excess = np.flatnonzero(counts > SWALLOWS * np.maximum(shares, 1))
    return [_excess(classes[c], int(counts[c]), float(shares[c])) for c in excess.tolist()]


def _excess(name: str, count: int, share: float) -> str:
    shown = f"{round(share, 1):g}"
    if share < 1:
        return f"class '{name}' takes {count} rows; its share is {shown}"
    return f"class '{name}' takes {count} rows, {count / share:.1f} times its share of {shown}"


def shares_of(
    text: str, classes: Sequence[str], counts: Callable[[], npt.NDArray[np.int64]]
) -> tuple[Doubles, str]:
    """The shares and what they are, in words that follow "the classes are"."""
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
            mend="--target-prior takes uniform, train or a table with a class and its share a row",
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
    wrong = "a share is a number above 0; a class that cannot occur is still given a small one"
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
