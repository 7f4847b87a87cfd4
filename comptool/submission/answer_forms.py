"""Answer forms: what stands next to the id in a submission.

The columns of the sample submission say which forms are possible, the metric which of them it can
read, and the cells decide only where no metric is known. `read_layout` chooses; it refuses where
the sample and the metric contradict each other.

To add a form: a class with its conditions, writing and check here, and a row in `FORMS`. Of several
forms that fit, the first is taken.
"""

from __future__ import annotations

import itertools
import re
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import pandas as pd

from comptool import tasks
from comptool.errors import SubmissionError, UsageError, quoted
from comptool.io.predictions import Predictions
from comptool.io.text_tables import NAMELESS
from comptool.metrics.metric_registry import (
    CLASSES,
    NUMBERS,
    PROBABILITIES,
    RANKING,
    Metric,
)
from comptool.registry import Entry, Registry
from comptool.tasks import Task
from comptool.tasks.labels import positive_class
from comptool.tasks.multilabel_task import ANSWERED

Doubles = npt.NDArray[np.float64]
# One threshold of all classes, or one of each, shape (K,).
Bounds = float | Doubles | None

SCORE_NAMES = frozenset({"score", "confidence"})
DECIMAL = re.compile(r"[+-]?(?:\d*\.\d+|\d+\.)(?:[eE][+-]?\d+)?")
WHOLE = re.compile(r"\d+")
# How a row id may join an image and a class.
JOINTS = ("_", "-", ":", "|", "/", ".", " ")
# How lists may be separated besides blanks.
SEPARATORS = (", ", "; ", " | ", ",", ";", "|")
TOKEN = re.compile(r"[^\s,;|/&+\[\](){}\"']+")
TWO = 2
SHOWN_NUMBERS = 10
MODULE = "comptool.submission.answer_forms"

FORMS = Registry(
    "answer form",
    Entry("numbers", f"{MODULE}:Numbers", "One number per target.", "-"),
    Entry("probabilities", f"{MODULE}:Probabilities", "One probability per class.", "Kaggle"),
    Entry("indicators", f"{MODULE}:Indicators", "1 or 0 per class.", "DACON"),
    Entry("probability", f"{MODULE}:Probability", "The probability of one of two classes.", "-"),
    Entry("top-k", f"{MODULE}:TopK", "The K most probable classes in order.", "Kaggle"),
    Entry("list", f"{MODULE}:ClassList", "All classes above a threshold.", "Planet, DACON"),
    Entry("label", f"{MODULE}:Label", "One class, with or without its score.", "CodaLab"),
)


@dataclass(frozen=True)
class ImageRows:
    """Image and class of each row, for samples with one row per image and class."""

    images: tuple[str, ...]
    classes: tuple[str, ...]

    @cached_property
    def distinct_images(self) -> list[str]:
        """The images, in the order of their first rows."""
        return list(dict.fromkeys(self.images))


@dataclass(frozen=True)
class Layout:
    """The layout of a submission.

    Parameters
    ----------
    form
        What the answers are.
    columns
        The whole header.
    id
        Column of the ids.
    kept
        Columns whose cells are those of the sample submission.
    answer
        The column of the answers; empty for one column per class.
    score
        The column with the probability of the answered class.
    classes
        May be answered, in class order, by number if ``as_index``; None if unknown.
    first
        The number of the first class, 0 or 1.
    separator
        Between the classes of a list.
    k
        Classes in a list, of a ranking; else 0.
    rows
        Image and class of each row, where every image has a row per class.
    positive
        Index of the class whose probability a single column has.
    reason
        Why this form, a clause.
    notes
        Assumptions, one sentence each.
    """

    form: AnswerForm
    columns: tuple[str, ...]
    id: str
    kept: tuple[str, ...] = ()
    answer: str = ""
    score: str | None = None
    classes: tuple[str, ...] | None = None
    as_index: bool = False
    first: int = 0
    separator: str = " "
    k: int = 0
    rows: ImageRows | None = None
    positive: int = 1
    reason: str = ""
    notes: tuple[str, ...] = ()

    def split(self, cell: str) -> list[str]:
        """The classes of a list."""
        separator = self.separator.strip()
        if not separator:
            return cell.split()
        return [part.strip() for part in cell.split(separator) if part.strip()]

    @property
    def answers(self) -> tuple[str, ...] | None:
        """Every answer text, in class order; None if unknown."""
        if self.classes is None or not self.as_index:
            return self.classes
        return tuple(str(index + self.first) for index in range(len(self.classes)))

    @property
    def words(self) -> str:
        """The form in words."""
        words = self.form.words.replace(" K ", f" {self.k} ")
        return f"{words}, in a row each" if self.rows is not None else words


@dataclass(frozen=True)
class Sample:
    """A sample submission and the known facts of its competition.

    Parameters
    ----------
    table
        Table of text.
    classes
        Names in class order, or of the targets of numbers; None if unknown.
    task
        The competition's.
    metric
        The organiser's; None if unknown, or one of the user's that does not say what it reads.
    id, kept, rows
        As in `Layout`.
    settled
        Whether the user has named the form.
    positive
        The class whose probability a single column has, if the user has named it.
    """

    table: pd.DataFrame
    classes: tuple[str, ...] | None
    task: Task
    metric: Metric | None
    id: str
    kept: tuple[str, ...] = ()
    rows: ImageRows | None = None
    settled: bool = False
    positive: str | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        """The header."""
        return tuple(str(name) for name in self.table.columns)

    @property
    def asked(self) -> tuple[str, ...]:
        """Columns to be answered."""
        return tuple(name for name in self.columns if name not in (self.id, *self.kept))

    @property
    def score(self) -> str | None:
        """The score column, if there are an answer and a score."""
        scores = [name for name in self.asked if name.lower() in SCORE_NAMES]
        return scores[0] if len(self.asked) == TWO and len(scores) == 1 else None

    @property
    def answer(self) -> str:
        """The answer column, if there is one; else empty."""
        rest = [name for name in self.asked if name != self.score]
        return rest[0] if len(rest) == 1 else ""

    @property
    def per_class(self) -> bool:
        """Whether there is a cell for every class."""
        return self.rows is not None or not self.answer

    @cached_property
    def values(self) -> list[str]:
        """Distinct answers, without blanks."""
        columns = (self.table[name].unique() for name in self.asked if name != self.score)
        texts = itertools.chain.from_iterable(columns)
        return [value for value in dict.fromkeys(texts) if value.strip()]

    @property
    def word(self) -> str:
        """An answer that is no number, else empty."""
        return next((value for value in self.values if not _is_number(value)), "")

    @property
    def decimal(self) -> str:
        """An answer, if all are numbers and some have a decimal point; else empty."""
        found = [value for value in self.values if DECIMAL.fullmatch(value)]
        return found[0] if found and not self.word else ""

    @cached_property
    def lists(self) -> ClassLists:
        """The answers, read as lists of classes."""
        return ClassLists.read(self.values, self.classes)

    @property
    def reads(self) -> str | None:
        """What the metric reads; None if unknown."""
        return None if self.metric is None else self.metric.reads

    def layout(self, form: AnswerForm) -> Layout:
        """The layout without what is particular to the form."""
        answer = self.answer if self.rows is None else self.asked[0]
        return Layout(
            form,
            self.columns,
            self.id,
            self.kept,
            answer,
            self.score,
            self.classes,
            rows=self.rows,
        )


class AnswerForm(ABC):
    """Conditions, writing and checking of a form of answers."""

    # name in the registry, messages and records
    name: ClassVar[str]
    words: ClassVar[str]
    # what metrics read that can grade it
    reads: ClassVar[Collection[str]]
    # whether a probability of several labels has to pass a threshold to be answered
    decides: ClassVar[bool] = False
    # whether answers are probabilities, which lose the decisions in ``pred``
    of_probabilities: ClassVar[bool] = False

    @abstractmethod
    def misfit(self, sample: Sample) -> str:
        """Why the columns, the task or the number of classes rule the form out; else empty."""

    def doubt(self, sample: Sample) -> str:
        """What in the cells of the sample speaks against the form; else empty."""
        return ""

    def shown(self, sample: Sample) -> bool:
        """Whether the cells of the sample suffice to take the form without a metric."""
        return True

    @abstractmethod
    def layout(self, sample: Sample) -> Layout:
        """The layout of a sample submission of this form."""

    @abstractmethod
    def write(
        self, predictions: Predictions, layout: Layout, task: Task, name: str, bounds: Bounds
    ) -> dict[str, object]:
        """Answer columns by name; see `comptool.submission.delivery.build`."""

    def check(self, table: pd.DataFrame, sample: pd.DataFrame, layout: Layout, name: str) -> None:
        """Refuse invalid answers."""
        for column in self.number_columns(layout):
            _check_numbers(table[column], name)

    def number_columns(self, layout: Layout) -> tuple[str, ...]:
        """Columns that hold probabilities."""
        return () if layout.score is None else (layout.score,)

    def check_positive(self, name: str | None) -> None:
        """Refuse a positive class where there is no single column of probabilities."""
        if name is not None:
            raise UsageError(
                f"--positive-class {name} is for one column of probabilities; the answers are "
                f"{self.words}"
            )


class CellForm(AnswerForm):
    """A cell for every image and class: columns of classes, or a row for each class."""

    def misfit(self, sample: Sample) -> str:
        if sample.task.numbers:
            return "the competition asks for numbers"
        if not sample.per_class:
            return f"the sample submission has one column of answers, '{sample.answer}'"
        return "the sample submission has one class and its score" if sample.score else ""

    def layout(self, sample: Sample) -> Layout:
        known, asked = sample.classes, sample.asked
        if sample.rows is None:
            _refuse_other_classes(asked, known)
        return replace(sample.layout(self), classes=known or asked)

    def number_columns(self, layout: Layout) -> tuple[str, ...]:
        if layout.rows is not None:
            return (layout.answer,)
        return tuple(name for name in layout.columns if name not in (layout.id, *layout.kept))


class Probabilities(CellForm):
    """One probability per class."""

    name = "probabilities"
    words = "one probability per class"
    reads = (PROBABILITIES, RANKING)
    of_probabilities = True

    def doubt(self, sample: Sample) -> str:
        return f"its cells hold '{sample.word}'" if sample.word else ""

    def write(
        self, predictions: Predictions, layout: Layout, task: Task, name: str, bounds: Bounds
    ) -> dict[str, object]:
        return _placed(predictions, predictions.probabilities, layout)


class Indicators(CellForm):
    """1 for the classes that are answered, 0 for the others."""

    name = "indicators"
    words = "1 or 0 per class"
    reads = (CLASSES,)
    decides = True

    def doubt(self, sample: Sample) -> str:
        odd = next((one for one in sample.values if one not in ("0", "1", "0.0", "1.0")), "")
        return f"its cells hold '{odd}'" if odd else ""

    def shown(self, sample: Sample) -> bool:
        # Zeros stand for probabilities as well, and these say more.
        return False

    def write(
        self, predictions: Predictions, layout: Layout, task: Task, name: str, bounds: Bounds
    ) -> dict[str, object]:
        if task.cells:
            cells = predictions.probabilities > (ANSWERED if bounds is None else bounds)
        else:
            chosen = answered_classes(predictions, name, task)
            cells = chosen[:, None] == np.arange(len(predictions.classes))
        return _placed(predictions, cells.astype(np.int8), layout)

    def check(self, table: pd.DataFrame, sample: pd.DataFrame, layout: Layout, name: str) -> None:
        super().check(table, sample, layout, name)
        for column in self.number_columns(layout):
            _refuse(
                table[column], ~np.isin(_numbers(table[column]), (0, 1)), name, "neither 1 nor 0"
            )


class Probability(AnswerForm):
    """The probability of one of two classes; see `comptool.tasks.labels.positive_class`."""

    name = "probability"
    words = "one probability"
    reads = (PROBABILITIES,)
    of_probabilities = True

    def misfit(self, sample: Sample) -> str:
        known = sample.classes
        if (missing := _no_answer_column(sample)) or sample.score is not None:
            return missing or "the sample submission has one class and its score"
        if sample.task.cells:
            return "the competition is multi-label"
        if known is not None and len(known) != TWO:
            return f"one probability fits two classes; there are {len(known)}"
        return ""

    def doubt(self, sample: Sample) -> str:
        return f"its cells hold '{sample.word}'" if sample.word else ""

    def shown(self, sample: Sample) -> bool:
        return bool(sample.decimal)

    def layout(self, sample: Sample) -> Layout:
        column, known = sample.answer, sample.classes
        if known is None:
            return sample.layout(self)
        given = sample.positive
        if given is not None and given not in known:
            raise SubmissionError(
                f"the positive class '{given}' is no class; the classes are {quoted(known)}. "
                f"Correct --positive-class, or positive-class in comptool.toml"
            )
        place, is_known = positive_class(column, known, given)
        how = "as positive-class says" if given is not None else "as its name says"
        note = f"column '{column}' is the probability of class '{known[place]}', {how}"
        if not is_known:
            note = (
                f"column '{column}' is presumed to be the probability of class '{known[place]}', "
                f"the second; --positive-class {known[0]} makes it that of the other"
            )
        return replace(sample.layout(self), positive=place, notes=(note,))

    def write(
        self, predictions: Predictions, layout: Layout, task: Task, name: str, bounds: Bounds
    ) -> dict[str, object]:
        return {layout.answer: predictions.probabilities[:, layout.positive]}

    def number_columns(self, layout: Layout) -> tuple[str, ...]:
        return (layout.answer,)

    def check_positive(self, name: str | None) -> None:
        """A class is what is asked for."""


class Numbers(AnswerForm):
    """A number per target; where classes are numbers, their mean by the probabilities."""

    name = "numbers"
    words = "one number"
    reads = (NUMBERS,)

    def misfit(self, sample: Sample) -> str:
        known = sample.classes
        if not sample.task.numbers:
            if sample.task.cells or known is None or not all(map(_is_number, known)):
                return "the classes are no numbers"
            return _no_answer_column(sample)
        if known is not None and len(known) > 1 and sample.rows is None:
            lacking = [name for name in known if name not in sample.asked]
            if lacking:
                return f"the sample submission has no column for {quoted(lacking)}"
        return ""

    def shown(self, sample: Sample) -> bool:
        return sample.task.numbers

    def layout(self, sample: Sample) -> Layout:
        plain = replace(sample.layout(self), score=None)
        targets = sample.classes if sample.task.numbers else None
        if sample.rows is not None or len(sample.asked) == 1:
            return plain
        if targets is None or not set(targets) <= set(sample.asked):
            raise SubmissionError(
                f"the sample submission asks for {quoted(sample.asked)}; the competition has "
                f"{quoted(targets or ())}"
            )
        others = tuple(name for name in sample.asked if name not in targets)
        notes = (f"{quoted(others)} is no target and is kept as it is",) if others else ()
        answer = targets[0] if len(targets) == 1 else ""
        return replace(plain, answer=answer, kept=(*plain.kept, *others), notes=notes)

    def write(
        self, predictions: Predictions, layout: Layout, task: Task, name: str, bounds: Bounds
    ) -> dict[str, object]:
        if task.numbers:
            return _placed(predictions, predictions.probabilities, layout)
        grades = np.array([float(grade) for grade in predictions.classes])
        return {layout.answer: predictions.probabilities @ grades}

    def check(self, table: pd.DataFrame, sample: pd.DataFrame, layout: Layout, name: str) -> None:
        columns = (layout.answer,) if layout.answer else layout.columns
        for column in columns:
            if column not in (layout.id, *layout.kept):
                _refuse(table[column], ~np.isfinite(_numbers(table[column])), name, NOT_FINITE)


class ListForm(AnswerForm):
    """Several classes in one cell."""

    def misfit(self, sample: Sample) -> str:
        if sample.score is not None:
            return "the sample submission has one class and its score"
        return _no_answer_column(sample)

    def layout(self, sample: Sample) -> Layout:
        lists = sample.lists
        as_index, notes = _presumed(sample, lists.named)
        separator = lists.separator
        if not as_index:
            separator, note = _fitting(separator, sample.classes or ())
            notes += note
        return replace(
            sample.layout(self),
            as_index=as_index,
            first=lists.first_number(sample.classes),
            separator=separator,
            notes=notes,
        )

    def check(self, table: pd.DataFrame, sample: pd.DataFrame, layout: Layout, name: str) -> None:
        labels = table[layout.answer]
        lists = [layout.split(value) for value in labels]
        if layout.answers is not None:
            known = set(layout.answers)
            wrong = np.array([not set(names) <= known for names in lists], dtype=bool)
            what = f"a class that is unknown; they are {quoted(layout.answers)}"
            _refuse(labels, wrong, name, what)
        twice = np.array([len(set(names)) < len(names) for names in lists], dtype=bool)
        _refuse(labels, twice, name, "names a class twice")
        if layout.k:
            long = np.array([not 1 <= len(names) <= layout.k for names in lists], dtype=bool)
            _refuse(labels, long, name, f"not 1 to {layout.k} classes")
        super().check(table, sample, layout, name)


class TopK(ListForm):
    """The K most probable classes, the most probable first."""

    name = "top-k"
    words = "the K most probable classes"
    reads = (RANKING,)

    def misfit(self, sample: Sample) -> str:
        if not self.length(sample):
            return "neither the metric nor a list in the sample submission says how many classes"
        return super().misfit(sample)

    def shown(self, sample: Sample) -> bool:
        return not sample.task.cells and sample.lists.several

    def length(self, sample: Sample) -> int:
        """Classes in an answer; 0 if unknown."""
        if sample.metric is not None and sample.metric.reads == RANKING:
            return sample.metric.k or 0
        return sample.lists.longest if sample.lists.several else 0

    def layout(self, sample: Sample) -> Layout:
        length = self.length(sample)
        k = length if sample.classes is None else min(length, len(sample.classes))
        return replace(super().layout(sample), k=k)

    def write(
        self, predictions: Predictions, layout: Layout, task: Task, name: str, bounds: Bounds
    ) -> dict[str, object]:
        places = most_probable(predictions.probabilities, layout.k)
        if predictions.pred is not None:
            chosen = answered_classes(predictions, name, task)
            places = _first(chosen, places)
        assert layout.answers is not None  # the predictions' classes are known
        texts = np.array(layout.answers, dtype=object)[places]
        return {layout.answer: [layout.separator.join(row) for row in texts]}


class ClassList(ListForm):
    """The classes above a threshold."""

    name = "list"
    words = "a list of classes"
    reads = (CLASSES,)
    decides = True

    def misfit(self, sample: Sample) -> str:
        return super().misfit(sample) or ("" if sample.task.cells else ONE_CLASS)

    def write(
        self, predictions: Predictions, layout: Layout, task: Task, name: str, bounds: Bounds
    ) -> dict[str, object]:
        answered = predictions.probabilities > (ANSWERED if bounds is None else bounds)
        assert layout.answers is not None  # the predictions' classes are known
        lists = [
            layout.separator.join(layout.answers[place] for place in np.flatnonzero(row))
            for row in answered
        ]
        return {layout.answer: lists}


class Label(AnswerForm):
    """One class, by name or index, optionally with its probability as a score."""

    name = "label"
    words = "one class"
    reads = (CLASSES,)

    def misfit(self, sample: Sample) -> str:
        if sample.task.cells:
            return "the competition is multi-label"
        if sample.answer in (sample.classes or ()):
            return f"column '{sample.answer}' asks for one class alone"
        return _no_answer_column(sample)

    def doubt(self, sample: Sample) -> str:
        known = sample.classes
        if sample.lists.several:
            return f"its cells hold lists of classes, such as '{sample.lists.example}'"
        if sample.metric is None and sample.decimal and sample.score is None and known is not None:
            return f"its cells hold '{sample.decimal}'"
        return ""

    def layout(self, sample: Sample) -> Layout:
        answers = [one for one in dict.fromkeys(sample.table[sample.answer]) if one.strip()]
        as_index, notes = _presumed(sample, answers)
        first = _first_number(answers, sample.classes)
        return replace(sample.layout(self), as_index=as_index, first=first, notes=notes)

    def write(
        self, predictions: Predictions, layout: Layout, task: Task, name: str, bounds: Bounds
    ) -> dict[str, object]:
        chosen = answered_classes(predictions, name, task)
        columns: dict[str, object] = {layout.answer: np.array(layout.answers, dtype=object)[chosen]}
        if layout.score is not None:
            columns[layout.score] = predictions.probabilities[np.arange(len(chosen)), chosen]
        return columns

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


def read_layout(
    sample: pd.DataFrame,
    classes: Sequence[str] | None,
    task: str | Task,
    *,
    metric: Metric | None = None,
    form: str | None = None,
    decided: bool = False,
    id_column: str | None = None,
    ids: Collection[str] | None = None,
    positive: str | None = None,
    form_by: str = "--form",
) -> Layout:
    """The layout of a sample submission, in the first form that fits columns, task and metric.

    Parameters
    ----------
    sample
        Table of text.
    classes
        The K class names or targets; None if unknown.
    task
        A task or its name.
    metric
        The organiser's.
    form
        Name of a form that the user demands.
    decided
        Whether classes above a threshold are demanded instead of probabilities.
    id_column
        The competition's id column; columns before it are kept as they are.
    ids
        Ids of the test images, as far as known: they tell rows of images from rows of image and
        class.
    positive
        The class whose probability a single column has; None: by the column's name.
    form_by
        What names ``form``, for messages.

    Raises
    ------
    SubmissionError
        If no form fits, sample and metric contradict each other, or the cells cannot be read.
    UsageError
        If the demanded form is unknown or cannot stand in these columns.
    """
    kind = task if isinstance(task, Task) else tasks.find(task)
    # A function of a user need not say what it reads.
    metric = metric if metric is not None and metric.reads else None
    if len(sample.columns) < TWO:
        raise SubmissionError("the sample submission has an id column and no column for answers")
    read = _sample(
        sample, None if classes is None else tuple(classes), kind, metric, id_column, ids
    )
    read = replace(read, positive=positive)
    if decided and not kind.cells:
        raise UsageError("--threshold is for multi-label competitions; this one is not")
    forms: list[AnswerForm] = [entry.load()() for entry in FORMS]
    if form is not None:
        chosen: AnswerForm = FORMS.load(form)()
        if misfit := chosen.misfit(read):
            raise UsageError(f"{form_by} {form}: {misfit}")
        if decided and not chosen.decides:
            raise UsageError(f"--threshold has no meaning with {form_by} {form}")
        return replace(chosen.layout(replace(read, settled=True)), reason=f"as {form_by} says")
    fitting = [one for one in forms if not one.misfit(read)]
    if not fitting:
        raise SubmissionError(_nothing_fits(read, forms))
    if decided:
        chosen = next(one for one in fitting if one.decides)
        return replace(chosen.layout(read), reason="as --threshold says")
    if metric is None:
        shown = [one for one in fitting if one.shown(read) and not one.doubt(read)]
        if not shown:
            raise SubmissionError(_nothing_fits(read, forms))
        return replace(shown[0].layout(read), reason="as the sample submission shows")
    reading = [one for one in fitting if metric.reads in one.reads]
    open_ = [one for one in reading if not one.doubt(read)]
    if not open_:
        raise SubmissionError(_contradiction(read, metric, fitting, reading))
    return replace(open_[0].layout(read), reason=_reason(open_[0], read, metric, fitting))


NOT_FINITE = "not a finite number"
ONE_CLASS = "an image has one class"
IN_WORDS = {
    PROBABILITIES: "probabilities",
    CLASSES: "classes",
    RANKING: "classes in order",
    NUMBERS: "numbers",
}


def _reason(form: AnswerForm, sample: Sample, metric: Metric, fitting: Sequence[AnswerForm]) -> str:
    """Why a form was taken for a metric, and how to have the one that the cells show."""
    reason = f"as the metric {metric.name} reads {IN_WORDS[metric.reads]}"
    other = next((one for one in fitting if one.name == Probability.name), None)
    if sample.decimal and form.name == Label.name and sample.score is None and other is not None:
        reason += (
            f" and '{sample.decimal}' in the sample submission is taken for a placeholder "
            f"(--form {other.name} writes probabilities)"
        )
    return reason


def _nothing_fits(sample: Sample, forms: Sequence[AnswerForm]) -> str:
    known = sample.classes or ()
    if sample.task.cells and sample.score is not None:
        return (
            "the sample submission asks for one class and its score, and the competition is "
            "multi-label; it needs a list of classes or one column per class"
        )
    if sample.decimal and not sample.per_class and not sample.task.cells:
        return (
            f"the sample submission asks for one probability in column '{sample.answer}', which "
            f"fits two classes; there are {len(known)}. --form {Label.name} answers with a class"
        )
    why = "; ".join(f"{one.name}: {one.misfit(sample) or one.doubt(sample)}" for one in forms)
    return f"the sample submission asks for {quoted(sample.asked)}, which no form fits ({why})"


def _contradiction(
    sample: Sample, metric: Metric, fitting: Sequence[AnswerForm], reading: Sequence[AnswerForm]
) -> str:
    # Classes that are numbers would be answered with their mean, which hardly any organiser wants.
    named = [one.name for one in fitting if one.name != Numbers.name or one.shown(sample)]
    options = " or ".join(f"--form {name}" for name in named)
    what = f"the metric {metric.name} reads {IN_WORDS[metric.reads]}"
    if reading:
        seen = f"the sample submission does not look like {reading[0].words}"
        what += f", but {seen}: {reading[0].doubt(sample)}"
    else:
        many = f" for {len(sample.classes)} classes" if sample.classes else ""
        what += f", and the sample submission has one column, '{sample.answer}',{many}"
    return f"{what}. Say what is asked for: {options}, or correct 'metric' in comptool.toml"


def answered_classes(predictions: Predictions, name: str, task: Task) -> npt.NDArray[np.int64]:
    """Class index of each answer, (N,): ``pred``, else the answer of the task."""
    if predictions.pred is None:
        return np.asarray(task.answers(predictions.probabilities), dtype=np.int64)
    index = {one: place for place, one in enumerate(predictions.classes)}
    strange = [str(one) for one in predictions.pred if one not in index]
    if strange:
        raise SubmissionError(
            f"{name}, column 'pred': no such class (found {quoted(strange)}); the classes are "
            f"{quoted(predictions.classes)}"
        )
    return np.array([index[one] for one in predictions.pred], dtype=np.int64)


def most_probable(probabilities: npt.NDArray[np.floating], k: int) -> npt.NDArray[np.int64]:
    """Indices of the k most probable classes of each row, (N, k), the first of equals first."""
    left = probabilities.astype(np.float64)
    places = np.empty((len(left), k), dtype=np.int64)
    rows = np.arange(len(left))
    # A pass per place: sorting thousands of classes would take longer.
    for place in range(k):
        places[:, place] = left.argmax(axis=1)
        left[rows, places[:, place]] = -np.inf
    return places


def _first(chosen: npt.NDArray[np.int64], places: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Rankings with the chosen class of each row in front; shape (N, k) as before."""
    longer = np.concatenate([chosen[:, None], places], axis=1)
    again = longer == chosen[:, None]
    again[:, 0] = False
    order = np.argsort(again, axis=1, kind="stable")[:, : places.shape[1]]
    return np.take_along_axis(longer, order, axis=1)


def _placed(
    predictions: Predictions, cells: npt.NDArray[np.generic], layout: Layout
) -> dict[str, object]:
    """Cells of images and classes, (N, K), in the columns or rows of the layout."""
    place = {name: index for index, name in enumerate(predictions.classes)}
    if layout.rows is not None:
        asked = np.array([place[name] for name in layout.rows.classes])
        return {layout.answer: cells[np.arange(len(cells)), asked]}
    if layout.answer:
        return {layout.answer: cells[:, 0]}
    others = (layout.id, *layout.kept)
    return {name: cells[:, place[name]] for name in layout.columns if name not in others}


def _sample(
    table: pd.DataFrame,
    classes: tuple[str, ...] | None,
    task: Task,
    metric: Metric | None,
    id_column: str | None,
    ids: Collection[str] | None,
) -> Sample:
    """The sample with its id column and its rows of image and class, if it has any."""
    columns = [str(name) for name in table.columns]
    first = id_of(table, id_column)
    sample = Sample(table, classes, task, metric, first, tuple(columns[: columns.index(first)]))
    if classes is not None and not task.numbers and sample.answer in classes:
        if len(classes) != TWO and sample.score is None:
            raise SubmissionError(
                f"the sample submission asks for class '{sample.answer}' alone; there are "
                f"{len(classes)}"
            )
    # Several labels in one column are a list, unless each row has a class of its own.
    numbered = task.cells and sample.reads == PROBABILITIES
    found = image_rows(sample, ids, numbered=numbered)
    if found is None:
        return sample
    kept, rows = found
    return replace(sample, kept=(*sample.kept, *kept), rows=rows)


def id_of(table: pd.DataFrame, id_column: str | None) -> str:
    """The id column: the competition's, else the first that is no nameless index."""
    columns = [str(name) for name in table.columns]
    if id_column in columns[:-1]:
        return str(id_column)
    is_index = columns[0] == NAMELESS and _counts(table[columns[0]])
    return columns[1] if len(columns) > TWO and is_index else columns[0]


def _counts(cells: pd.Series[str]) -> bool:
    """Whether the cells count the rows, from 0 or 1."""
    texts = cells.tolist()
    return any(texts == [str(n + start) for n in range(len(texts))] for start in (0, 1))


def image_rows(
    sample: Sample, ids: Collection[str] | None, *, numbered: bool = False
) -> tuple[tuple[str, ...], ImageRows] | None:
    """Image and class of each row, and the column of the classes; None if a row is an image.

    ``ids`` are those of images; without them, ids that end in numbers are read as those of images
    and classes only if ``numbered``.
    """
    known, own = sample.classes, sample.table[sample.id].tolist()
    if known is None or len(sample.asked) > TWO or not sample.asked:
        return None
    if len(sample.asked) == TWO:
        # An id, a class, a number: ids repeat.
        for name in sample.asked:
            named = sample.table[name].tolist()
            if set(named) <= set(known) and _grid(own, named):
                return (name,), ImageRows(tuple(own), tuple(named))
        return None
    images_known = None if ids is None else set(ids)
    if images_known is not None and images_known.issuperset(own):
        return None
    for read in (_joined, _numbered_rows):
        images, named = read(own, known)
        # Numbers could be anything: they need the ids of images to compare with.
        words = read is _joined and not all(map(WHOLE.fullmatch, named))
        sure = words or numbered if images_known is None else images_known >= {*images}
        if images and sure and _grid(images, named):
            return (), ImageRows(tuple(images), tuple(named))
    return None


def _grid(images: Sequence[str], classes: Sequence[str]) -> bool:
    """Whether every image has one row for each of the same two or more classes."""
    count = len(set(classes))
    return (
        count > 1
        and len(set(zip(images, classes, strict=True))) == len(images)
        and set(Counter(images).values()) == {count}
    )


def _joined(own: Sequence[str], known: Sequence[str]) -> tuple[list[str], list[str]]:
    """Image and class of ids such as ``7_cat``; empty if one has no class."""
    longest = sorted(known, key=len, reverse=True)
    for joint in JOINTS:
        pairs = list(itertools.takewhile(all, (_ending(one, joint, longest) for one in own)))
        if len(pairs) == len(own):
            return [image for image, _ in pairs], [name for _, name in pairs]
    return [], []


def _ending(one: str, joint: str, classes: Iterable[str]) -> tuple[str, str]:
    for name in classes:
        image = one.removesuffix(joint + name)
        if image and image != one:
            return image, name
    return "", ""


def _numbered_rows(own: Sequence[str], known: Sequence[str]) -> tuple[list[str], list[str]]:
    """Image and class of ids such as 705: class number 5 of image 7, with 11 to 100 classes."""
    base = 10 ** len(str(len(known) - 1))
    if not all(map(WHOLE.fullmatch, own)) or any(int(one) % base >= len(known) for one in own):
        return [], []
    return [str(int(one) // base) for one in own], [known[int(one) % base] for one in own]


@dataclass(frozen=True)
class ClassLists:
    """Cells as lists of classes, or of class numbers."""

    separator: str
    named: tuple[str, ...]  # distinct
    longest: int
    example: str  # a cell with several
    cells: tuple[str, ...]  # distinct

    @property
    def several(self) -> bool:
        """Whether a cell has more than one class."""
        return bool(self.example)

    @classmethod
    def read(cls, cells: Sequence[str], known: tuple[str, ...] | None) -> ClassLists:
        """Read distinct cells that are not blank."""
        separator = _separator(cells, known)
        lists = [_parts(cell, separator, known) for cell in cells]
        if known is not None:
            # Words between blanks are a list only if classes are among them.
            lists = [
                parts if _are_classes(parts, known) else [cell]
                for cell, parts in zip(cells, lists, strict=True)
            ]
        example = next((c for c, p in zip(cells, lists, strict=True) if len(p) > 1), "")
        named = tuple(dict.fromkeys(itertools.chain.from_iterable(lists)))
        return cls(separator, named, max(map(len, lists), default=0), example, tuple(cells))

    def split(self, cell: str, known: Sequence[str]) -> list[str]:
        """The parts of a cell."""
        return _parts(cell, self.separator, tuple(known))

    def first_number(self, known: Sequence[str] | None) -> int:
        """The number of the first class, if all of 1 to K are listed 1, else 0."""
        return _first_number(self.named, known)

    def places(self, cell: str, known: Sequence[str], usual: int = 0) -> list[int] | None:
        """Indices of the classes of a cell, by name or by number; None if one is unknown.

        ``usual`` is the number of the first class where the numbers leave it open.
        """
        parts = self.split(cell, known)
        place = {name: index for index, name in enumerate(known)}
        if all(part in place for part in parts):
            return [place[part] for part in parts]
        first = numbered_from(self.named, known, usual)
        return None if first is None else [int(part) - first for part in parts]


def numbered_from(named: Collection[str], known: Sequence[str], usual: int = 0) -> int | None:
    """The number of the first class where answers are class numbers, 0 or 1; else None.

    Answers with a 0 count from 0, with a K from 1, and others as is ``usual``.
    """
    if not all(map(WHOLE.fullmatch, named)) or {*named} & {*known}:
        return None
    numbers = {*map(int, named)}
    first = 0 if 0 in numbers else 1 if len(known) in numbers else usual
    return first if max(numbers, default=0) - first < len(known) else None


def _first_number(named: Collection[str], known: Sequence[str] | None) -> int:
    """1 if answers are the numbers 1 to K and no classes, else 0."""
    return int({*named} == {str(n + 1) for n in range(len(known or ()))} and bool(known))


def _are_classes(parts: Sequence[str], known: Sequence[str]) -> bool:
    return any(part in known for part in parts) or all(map(WHOLE.fullmatch, parts))


def _parts(cell: str, separator: str, known: tuple[str, ...] | None) -> list[str]:
    if cell in (known or ()):
        return [cell]
    if separator == " ":
        return cell.split()
    return [part.strip() for part in cell.split(separator.strip()) if part.strip()]


def _separator(cells: Sequence[str], known: tuple[str, ...] | None) -> str:
    """The separator of the sample's lists, a blank by default."""
    lists = [cell for cell in cells if cell not in (known or ())]
    for separator in SEPARATORS:
        if any(separator in cell for cell in lists):
            parts = [part for cell in lists for part in _parts(cell, separator, known)]
            if known is None or _are_classes(parts, known):
                return separator
    return " "


def _presumed(sample: Sample, named: Sequence[str]) -> tuple[bool, tuple[str, ...]]:
    """Whether answers are class numbers, and how answers that are not classes are read."""
    known = sample.classes
    if known is None or all(name in known for name in named):
        return False, ()
    number_classes = all(map(_is_number, known))
    values = {float(name) for name in known} if number_classes else set()
    strange = [
        name
        for name in named
        if name not in known and not (_is_number(name) and float(name) in values)
    ]
    if not strange:
        return False, (f"classes are written as in the training table: {quoted(known)}",)
    whole = all(map(WHOLE.fullmatch, named))
    if len(strange) < len(named):
        # Placeholders that are drawn from all numbers hit some classes.
        drawn = whole and number_classes and len(strange) * 2 > len(named)
        if not (drawn or sample.settled):
            raise SubmissionError(
                f"{quoted(strange)} in the sample submission is none of the {len(known)} classes "
                f"({quoted(known)}), and other answers are. Name all classes with 'classes' in "
                "comptool.toml"
            )
        return False, (f"{quoted(strange)} in the sample submission is no class",)
    first = _first_number(named, known)
    if whole and not number_classes and all(int(name) - first < len(known) for name in named):
        what = f"class numbers: {_numbered(known, first)}"
        return True, (f"{quoted(named)} in the sample submission are taken for {what}",)
    if not sample.settled:
        _refuse_unreadable(sample, named, known)
    note = f"{quoted(named)} in the sample submission are taken for placeholders"
    if sample.decimal and not any(map(_is_number, known)):
        return True, (f"{note}, and classes are answered by number: {_numbered(known)}",)
    return False, (note,)


def _refuse_unreadable(sample: Sample, named: Sequence[str], known: Sequence[str]) -> None:
    """Refuse cells that differ and are no numbers, or name classes in an unknown way."""
    cells = sample.values
    odd = [cell for cell in cells if {*TOKEN.findall(cell)} & {*known}]
    if not odd and len(cells) > 1 and not all(map(_is_number, TOKEN.findall(" ".join(cells)))):
        odd = cells
    # Several numbers beside words mean something; drawn from all, they stand for nothing.
    several = len(named) > 1 and all(map(WHOLE.fullmatch, named))
    if several and not all(map(WHOLE.fullmatch, known)):
        raise SubmissionError(
            f"{quoted(named)} in the sample submission are neither classes ({quoted(known)}) nor "
            f"all their numbers, from 0 or 1. Name the classes with 'classes' in comptool.toml, or "
            f"the form with --form to take them for placeholders"
        )
    if odd:
        raise SubmissionError(
            f"{quoted(odd)} in the sample submission cannot be read as classes or as lists of them "
            f"(classes: {quoted(known)}). Name the classes with 'classes' in comptool.toml, or the "
            f"form with --form to take them for placeholders"
        )


def _numbered(classes: Sequence[str], first: int = 0) -> str:
    numbered = [f"{number}={name}" for number, name in enumerate(classes, start=first)]
    if len(numbered) > SHOWN_NUMBERS:
        numbered[SHOWN_NUMBERS - 1 : -1] = ["..."]
    return ", ".join(numbered)


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


def _refuse_other_classes(asked: Sequence[str], known: tuple[str, ...] | None) -> None:
    """Refuse columns that are not the classes."""
    lacking = [name for name in asked if known is not None and name not in known]
    unasked = [name for name in known or () if name not in asked]
    sides = []
    if lacking:
        sides.append(f"the sample submission asks for {quoted(lacking)}, which is not a class")
    if unasked:
        who = "it" if lacking else "the sample submission"
        sides.append(f"{who} has no column for {quoted(unasked)}")
    if sides:
        raise SubmissionError("; ".join(sides))


def _no_answer_column(sample: Sample) -> str:
    """Why one column of answers is not what the sample has; else empty."""
    if sample.task.numbers and sample.per_class:
        return "the competition asks for numbers"
    if sample.rows is not None:
        return "the sample submission has a row per image and class"
    return "" if sample.answer else "the sample submission has several columns of answers"


def _is_number(text: str) -> bool:
    try:
        return bool(np.isfinite(float(text)))
    except ValueError:
        return False


def _numbers(cells: pd.Series) -> Doubles:
    return pd.to_numeric(cells, errors="coerce").to_numpy(dtype=np.float64)


def _check_numbers(cells: pd.Series, name: str) -> None:
    numbers = _numbers(cells)
    _refuse(cells, ~np.isfinite(numbers), name, NOT_FINITE)
    _refuse(cells, (numbers < 0) | (numbers > 1), name, "not a probability between 0 and 1")


def _refuse(cells: pd.Series, wrong: npt.NDArray[np.bool_], name: str, what: str) -> None:
    rows = np.flatnonzero(wrong)
    if rows.size:
        found = quoted(cells.iloc[rows].tolist())
        raise SubmissionError(
            f"{name}, row {int(rows[0]) + 1}, column '{cells.name}': {what} (found {found})"
        )
