"""Answer forms: the columns next to the id in a submission, detected from the sample submission.

To add a form: a class with its reading, writing and check here, and a row in `FORMS`, whose order
is the order of detection.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import pandas as pd

from comptool import tasks
from comptool.errors import SubmissionError, UsageError, quoted
from comptool.io.predictions import Predictions
from comptool.registry import Entry, Registry
from comptool.tasks import Task
from comptool.tasks.multilabel_task import ANSWERED

SCORE_NAMES = frozenset({"score", "confidence"})
DECIMAL = r"[+-]?(?:\d*\.\d+|\d+\.)(?:[eE][+-]?\d+)?"
WHOLE = re.compile(r"\d+")
SHOWN_NUMBERS = 10
MODULE = "comptool.submission.answer_forms"

FORMS = Registry(
    "answer form",
    Entry("probabilities", f"{MODULE}:Probabilities", "One probability per class.", "Kaggle"),
    Entry("probability", f"{MODULE}:Probability", "The probability of one of two classes.", "-"),
    Entry("joined", f"{MODULE}:Joined", "A list of classes in one cell.", "Planet, DACON"),
    Entry("label", f"{MODULE}:Label", "One class, with or without its score.", "CodaLab"),
)


@dataclass(frozen=True)
class Layout:
    """The layout of a submission.

    ``columns`` is the whole header; ``answer`` the column with the class or the probability, empty
    for one column per class; ``score`` the column with the probability of the answered class.
    ``classes`` may be answered, in class order, by index if ``as_index``; None if unknown.
    ``notes`` are assumptions; ``separator`` that of a list of classes: a blank or a comma.
    """

    form: AnswerForm
    columns: tuple[str, ...]
    answer: str = ""
    score: str | None = None
    classes: tuple[str, ...] | None = None
    as_index: bool = False
    notes: tuple[str, ...] = ()
    separator: str = " "

    def split(self, cell: str) -> list[str]:
        """The classes of a list."""
        return cell.split() if self.separator == " " else _split_at_commas(cell)

    @property
    def id(self) -> str:
        """The id column, the first one."""
        return self.columns[0]

    @property
    def answers(self) -> tuple[str, ...] | None:
        """Every answer text, in class order; None if unknown."""
        if self.classes is None or not self.as_index:
            return self.classes
        return tuple(str(index) for index in range(len(self.classes)))

    @property
    def positive(self) -> int:
        """Index of the class of a single probability column."""
        known = self.classes or ()
        return known.index(self.answer) if self.answer in known else len(known) - 1


@dataclass(frozen=True)
class Sample:
    """A sample submission and the known facts of its competition."""

    table: pd.DataFrame  # table of text; its first column is the id
    classes: tuple[str, ...] | None  # class names in class order, or None if they are not known
    task: Task  # the competition's

    @property
    def columns(self) -> tuple[str, ...]:
        """The header."""
        return tuple(str(name) for name in self.table.columns)

    @property
    def score(self) -> str | None:
        """The score column, if there are an answer and a score."""
        rest = self.columns[1:]
        scores = [name for name in rest if name.lower() in SCORE_NAMES]
        return scores[0] if len(rest) == 2 and len(scores) == 1 else None

    @property
    def answer(self) -> str:
        """The answer column, if there is one; else empty."""
        rest = [name for name in self.columns[1:] if name != self.score]
        return rest[0] if len(rest) == 1 else ""

    @property
    def values(self) -> list[str]:
        """Distinct answers, without blanks."""
        return [value for value in dict.fromkeys(self.table[self.answer]) if value.strip()]


class AnswerForm(ABC):
    """Detection, writing and checking of a form of answers."""

    # name in the registry, messages and records
    name: ClassVar[str]
    words: ClassVar[str]
    cells: ClassVar[bool] = False  # whether it can answer several labels per image
    lists: ClassVar[bool] = False  # whether a probability has to pass a threshold to be answered
    # whether answers are probabilities, which lose the decisions in ``pred``
    of_probabilities: ClassVar[bool] = False

    @abstractmethod
    def read(self, sample: Sample) -> Layout | None:
        """The layout of a sample submission of this form, else None."""

    @abstractmethod
    def write(
        self, predictions: Predictions, layout: Layout, task: Task, name: str, bound: float | None
    ) -> dict[str, object]:
        """Answer columns by name; see `comptool.submission.delivery.build`."""

    def check(self, table: pd.DataFrame, sample: pd.DataFrame, layout: Layout, name: str) -> None:
        """Refuse invalid answers."""
        for column in self.number_columns(layout):
            _check_numbers(table[column], name)

    def number_columns(self, layout: Layout) -> tuple[str, ...]:
        """Columns that hold probabilities."""
        return () if layout.score is None else (layout.score,)


class Probabilities(AnswerForm):
    """One column of probabilities per class, or of 1 and 0 by a threshold."""

    name = "probabilities"
    words = "one probability per class"
    cells = True
    of_probabilities = True

    def read(self, sample: Sample) -> Layout | None:
        """The layout if there are several columns, which have to be the classes."""
        asked, known = sample.columns[1:], sample.classes
        if len(asked) < 2 or sample.score is not None:
            return None
        lacking = [name for name in asked if known is not None and name not in known]
        unasked = [name for name in known or () if name not in asked]
        if lacking or unasked:
            sides = []
            if lacking:
                sides.append(
                    f"the sample submission asks for {quoted(lacking)}, which is not a class"
                )
            if unasked:
                who = "it" if lacking else "the sample submission"
                sides.append(f"{who} has no column for {quoted(unasked)}")
            raise SubmissionError("; ".join(sides))
        return Layout(self, sample.columns, classes=known or asked)

    def write(
        self, predictions: Predictions, layout: Layout, task: Task, name: str, bound: float | None
    ) -> dict[str, object]:
        """The probabilities, or 1 above the threshold and 0 up to it."""
        cells = predictions.probabilities
        cells = cells if bound is None else (cells > bound).astype(np.int8)
        return {
            column: cells[:, predictions.classes.index(column)] for column in layout.columns[1:]
        }

    def number_columns(self, layout: Layout) -> tuple[str, ...]:
        """All columns but the id."""
        return layout.columns[1:]


class Probability(AnswerForm):
    """The probability of one of two classes: the one named by the column, else the second."""

    name = "probability"
    words = "one probability"
    of_probabilities = True

    def read(self, sample: Sample) -> Layout | None:
        """The layout if one column holds numbers with a decimal point."""
        column, known = sample.answer, sample.classes
        if not column or sample.score is not None:
            return None
        if known is not None and column in known and len(known) != 2:
            raise SubmissionError(
                f"the sample submission asks for class '{column}' alone; there are {len(known)}"
            )
        cells = sample.table[column]
        if not (cells.str.fullmatch(DECIMAL).all() and (cells != "").any()):
            return None
        if known is not None and len(known) != 2:
            raise SubmissionError(
                f"the sample submission asks for one probability in column '{column}', which fits "
                f"two classes; there are {len(known)}"
            )
        notes: tuple[str, ...] = ()
        if known is not None and column not in known:
            notes = (f"column '{column}' is presumed to be the probability of class '{known[1]}'",)
        return Layout(self, sample.columns, answer=column, classes=known, notes=notes)

    def write(
        self, predictions: Predictions, layout: Layout, task: Task, name: str, bound: float | None
    ) -> dict[str, object]:
        """The probability of the positive class."""
        return {layout.answer: predictions.probabilities[:, layout.positive]}

    def number_columns(self, layout: Layout) -> tuple[str, ...]:
        """The answers."""
        return (layout.answer,)


class Joined(AnswerForm):
    """A list of the classes above a threshold; for single-label tasks, the class."""

    name = "joined"
    words = "a list of classes"
    cells = True
    lists = True

    def read(self, sample: Sample) -> Layout | None:
        """The layout of a multi-label task, or if a cell names several classes."""
        if not sample.answer:
            return None
        values, known = sample.values, sample.classes
        if not sample.task.cells and not _are_joined(values, known):
            return None
        separator = _separator(values, known)
        parts = [part for value in values for part in _parts(value, separator, known)]
        as_index, notes = _presumed(list(dict.fromkeys(parts)), known)
        if not as_index:
            separator, note = _fitting(separator, known or ())
            notes += note
        return Layout(
            self, sample.columns, sample.answer, sample.score, known, as_index, notes, separator
        )

    def write(
        self, predictions: Predictions, layout: Layout, task: Task, name: str, bound: float | None
    ) -> dict[str, object]:
        """Lists of classes; for single-label tasks the class."""
        if not task.cells:
            return _one_class(predictions, layout, name)
        answered = predictions.probabilities > (ANSWERED if bound is None else bound)
        assert layout.answers is not None  # the predictions' classes are known
        lists = [
            layout.separator.join(layout.answers[place] for place in np.flatnonzero(row))
            for row in answered
        ]
        return {layout.answer: lists}

    def check(self, table: pd.DataFrame, sample: pd.DataFrame, layout: Layout, name: str) -> None:
        """Refuse classes that are unknown or repeated in a list."""
        if layout.answers is not None:
            labels, known = table[layout.answer], set(layout.answers)
            lists = [layout.split(value) for value in labels]
            wrong = np.array([not set(names) <= known for names in lists], dtype=bool)
            what = f"a class that is unknown; they are {quoted(layout.answers)}"
            _refuse(labels, wrong, name, what)
            twice = np.array([len(set(names)) < len(names) for names in lists], dtype=bool)
            _refuse(labels, twice, name, "names a class twice")
        super().check(table, sample, layout, name)


class Label(AnswerForm):
    """One class, by name or index, optionally with its probability as a score."""

    name = "label"
    words = "one class"

    def read(self, sample: Sample) -> Layout | None:
        """The layout of any sample submission with one column of answers."""
        if not sample.answer:
            return None
        as_index, notes = _presumed(sample.values, sample.classes)
        return Layout(
            self, sample.columns, sample.answer, sample.score, sample.classes, as_index, notes
        )

    def write(
        self, predictions: Predictions, layout: Layout, task: Task, name: str, bound: float | None
    ) -> dict[str, object]:
        """The class of ``pred``, else the most probable one, and its score."""
        return _one_class(predictions, layout, name)

    def check(self, table: pd.DataFrame, sample: pd.DataFrame, layout: Layout, name: str) -> None:
        """Refuse unknown classes; if classes are unknown, answers that the sample never has."""
        labels = table[layout.answer]
        if layout.answers is not None:
            wrong = ~labels.isin(layout.answers).to_numpy()
            what = f"no such class; the classes are {quoted(layout.answers)}"
        elif all(WHOLE.fullmatch(value) for value in sample[layout.answer]):
            wrong = np.array([not WHOLE.fullmatch(value) for value in labels], dtype=bool)
            what = "not a whole number, as the sample submission has"
        else:
            wrong = (labels.str.strip() == "").to_numpy()
            what = "no class"
        _refuse(labels, wrong, name, what)
        super().check(table, sample, layout, name)


def read_layout(sample: pd.DataFrame, classes: Sequence[str] | None, task: str) -> Layout:
    """The layout of a sample submission by the first form that recognises it."""
    known = None if classes is None else tuple(classes)
    if len(sample.columns) < 2:
        raise SubmissionError("the sample submission has an id column and no column for answers")
    read = Sample(sample, known, tasks.find(task))
    forms: list[AnswerForm] = [entry.load()() for entry in FORMS]
    return next(layout for form in forms if (layout := form.read(read)) is not None)


def check_task(layout: Layout, task: Task, threshold: float | None) -> None:
    """Refuse a threshold for single-label tasks, and a single-label form for multi-label tasks."""
    if not task.cells:
        if threshold is not None:
            raise UsageError("--threshold is for multi-label competitions; this one is not")
    elif layout.score is not None or not layout.form.cells:
        what = layout.form.words if layout.score is None else "one class and its score"
        raise SubmissionError(
            f"the sample submission asks for {what}, and the competition is multi-label; "
            "it needs a list of classes or one column per class"
        )


def answered_classes(predictions: Predictions, name: str) -> npt.NDArray[np.int64]:
    """Class index of each answer, (N,): ``pred``, else the most probable class."""
    if predictions.pred is None:
        return np.asarray(predictions.probabilities.argmax(axis=1), dtype=np.int64)
    index = {one: place for place, one in enumerate(predictions.classes)}
    strange = [str(one) for one in predictions.pred if one not in index]
    if strange:
        raise SubmissionError(
            f"{name}, column 'pred': no such class (found {quoted(strange)}); the classes are "
            f"{quoted(predictions.classes)}"
        )
    return np.array([index[one] for one in predictions.pred], dtype=np.int64)


def _one_class(predictions: Predictions, layout: Layout, name: str) -> dict[str, object]:
    chosen = answered_classes(predictions, name)
    columns: dict[str, object] = {layout.answer: np.array(layout.answers, dtype=object)[chosen]}
    if layout.score is not None:
        columns[layout.score] = predictions.probabilities[np.arange(len(chosen)), chosen]
    return columns


def _presumed(values: Sequence[str], known: tuple[str, ...] | None) -> tuple[bool, tuple[str, ...]]:
    """Whether answers are class indices, and how answers that are not classes are read."""
    if known is None or all(value in known for value in values):
        return False, ()
    numbers = all(WHOLE.fullmatch(value) and int(value) < len(known) for value in values)
    as_index = numbers and not all(WHOLE.fullmatch(name) for name in known)
    what = f"class numbers: {_numbered(known)}" if as_index else "placeholders"
    return as_index, (f"{quoted(values)} in the sample submission are taken for {what}",)


def _numbered(classes: Sequence[str]) -> str:
    numbered = [f"{number}={name}" for number, name in enumerate(classes)]
    if len(numbered) > SHOWN_NUMBERS:
        numbered[SHOWN_NUMBERS - 1 : -1] = ["..."]
    return ", ".join(numbered)


def _separator(values: Sequence[str], known: tuple[str, ...] | None) -> str:
    """The separator of the sample's lists, a blank by default."""
    lists = [value for value in values if value not in (known or ())]
    if any(", " in value for value in lists):
        return ", "
    return "," if any("," in value for value in lists) else " "


def _parts(value: str, separator: str, known: tuple[str, ...] | None) -> list[str]:
    if value in (known or ()):
        return [value]
    return value.split() if separator == " " else _split_at_commas(value)


def _split_at_commas(cell: str) -> list[str]:
    return [part.strip() for part in cell.split(",") if part.strip()]


def _fitting(separator: str, classes: Sequence[str]) -> tuple[str, tuple[str, ...]]:
    """A separator that is not in any class name, and a note if it is not the sample's."""
    blank = [name for name in classes if name.split() != [name]]
    notes: tuple[str, ...] = ()
    if separator == " " and blank:
        separator = ","
        notes = (f"classes are joined by commas, for {quoted(blank)} hold a blank",)
    if separator != " " and (comma := [name for name in classes if "," in name]):
        raise SubmissionError(
            f"a list joined by commas cannot name {quoted(comma)}: a comma is part of the name"
        )
    return separator, notes


def _are_joined(values: Sequence[str], known: tuple[str, ...] | None) -> bool:
    """Whether some cell holds several classes, and no class name has a blank."""
    joined = [value for value in values if " " in value.strip()]
    return bool(joined) and not any(value in (known or ()) for value in joined)


def _check_numbers(cells: pd.Series, name: str) -> None:
    numbers = pd.to_numeric(cells, errors="coerce").to_numpy(dtype=float)
    _refuse(cells, ~np.isfinite(numbers), name, "not a finite number")
    _refuse(cells, (numbers < 0) | (numbers > 1), name, "not a probability between 0 and 1")


def _refuse(cells: pd.Series, wrong: npt.NDArray[np.bool_], name: str, what: str) -> None:
    rows = np.flatnonzero(wrong)
    if rows.size:
        found = quoted(cells.iloc[rows].tolist())
        raise SubmissionError(
            f"{name}, row {int(rows[0]) + 1}, column '{cells.name}': {what} (found {found})"
        )
