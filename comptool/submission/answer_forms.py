"""Answer forms: what stands next to the id in a submission.

To add a form: a class with its conditions, writing and check here, and a row in `FORMS`. Of several
forms that fit, the first is taken; see `comptool.submission.form_choice`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import pandas as pd

from comptool.errors import SubmissionError, UsageError, quoted
from comptool.io.predictions import Predictions
from comptool.io.sample_columns import is_number
from comptool.metrics.metric_registry import CLASSES, NUMBERS, PROBABILITIES, RANKING
from comptool.registry import Entry, Registry
from comptool.submission.class_lists import WHOLE, first_class_number, joinable
from comptool.submission.sample_submission import Layout, SampleSubmission, presumed_answers
from comptool.tasks import Task
from comptool.tasks.labels import positive_class
from comptool.tasks.multilabel_task import ANSWERED

Doubles = npt.NDArray[np.float64]
# One threshold of all classes, or one of each, shape (K,).
Bounds = float | Doubles | None

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


NOT_FINITE = "not a finite number"
ONE_CLASS = "an image has one class"


class AnswerForm(ABC):
    """Conditions, writing and checking of a form of answers."""

    # name in the registry, messages and records
    name: ClassVar[str]
    description: ClassVar[str]
    # what metrics read that can grade it
    reads: ClassVar[Collection[str]]
    # whether a probability of several labels has to pass a threshold to be answered
    by_threshold: ClassVar[bool] = False
    # whether answers are probabilities, which lose the decisions in ``pred``
    holds_probabilities: ClassVar[bool] = False

    @abstractmethod
    def ruled_out_by(self, sample: SampleSubmission) -> str:
        """The columns, task or number of classes that rule the form out, in words; else empty."""

    def contradicted_by(self, sample: SampleSubmission) -> str:
        """The cells of the sample that speak against the form, in words; else empty."""
        return ""

    def evident_from(self, sample: SampleSubmission) -> bool:
        """Whether the cells of the sample suffice to take the form without a metric."""
        return True

    def placeholder_in(self, sample: SampleSubmission) -> str:
        """An answer of the sample that has to be a placeholder if this is the form; else empty."""
        return ""

    def is_offered(self, sample: SampleSubmission) -> bool:
        """Whether a message offers the form where the sample leaves it open."""
        return True

    def refusal(self, sample: SampleSubmission) -> str:
        """The message if no form fits a sample that asks for nearly this one; else empty."""
        return ""

    @abstractmethod
    def layout(self, sample: SampleSubmission) -> Layout:
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
                f"{self.description}"
            )


class CellForm(AnswerForm):
    """A cell for every image and class: columns of classes, or a row for each class."""

    def ruled_out_by(self, sample: SampleSubmission) -> str:
        if sample.task.numbers:
            return "the competition asks for numbers"
        if not sample.per_class:
            return f"the sample submission has one column of answers, '{sample.answer}'"
        return "the sample submission has one class and its score" if sample.score else ""

    def layout(self, sample: SampleSubmission) -> Layout:
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
    description = "one probability per class"
    reads = (PROBABILITIES, RANKING)
    holds_probabilities = True

    def contradicted_by(self, sample: SampleSubmission) -> str:
        return f"its cells hold '{sample.text_answer}'" if sample.text_answer else ""

    def write(
        self, predictions: Predictions, layout: Layout, task: Task, name: str, bounds: Bounds
    ) -> dict[str, object]:
        return _placed(predictions, predictions.probabilities, layout)


class Indicators(CellForm):
    """1 for the classes that are answered, 0 for the others."""

    name = "indicators"
    description = "1 or 0 per class"
    reads = (CLASSES,)
    by_threshold = True

    def contradicted_by(self, sample: SampleSubmission) -> str:
        odd = next((one for one in sample.values if one not in ("0", "1", "0.0", "1.0")), "")
        return f"its cells hold '{odd}'" if odd else ""

    def evident_from(self, sample: SampleSubmission) -> bool:
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
    description = "one probability"
    reads = (PROBABILITIES,)
    holds_probabilities = True

    def ruled_out_by(self, sample: SampleSubmission) -> str:
        known = sample.classes
        if (missing := _no_answer_column(sample)) or sample.score is not None:
            return missing or "the sample submission has one class and its score"
        if sample.task.cells:
            return "the competition is multi-label"
        if known is not None and len(known) != 2:
            return f"one probability fits two classes; there are {len(known)}"
        return ""

    def contradicted_by(self, sample: SampleSubmission) -> str:
        return f"its cells hold '{sample.text_answer}'" if sample.text_answer else ""

    def evident_from(self, sample: SampleSubmission) -> bool:
        return bool(sample.decimal_answer)

    def refusal(self, sample: SampleSubmission) -> str:
        if not sample.decimal_answer or sample.per_class or sample.task.cells:
            return ""
        return (
            f"the sample submission asks for one probability in column '{sample.answer}', which "
            f"fits two classes; there are {len(sample.classes or ())}. --form {Label.name} answers "
            f"with a class"
        )

    def layout(self, sample: SampleSubmission) -> Layout:
        column, known = sample.answer, sample.classes
        if known is None:
            return sample.layout(self)
        given = sample.positive
        if given is not None and given not in known:
            raise SubmissionError(
                f"the positive class '{given}' is not a class; the classes are {quoted(known)}. "
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
    description = "one number"
    reads = (NUMBERS,)

    def ruled_out_by(self, sample: SampleSubmission) -> str:
        known = sample.classes
        if not sample.task.numbers:
            if sample.task.cells or known is None or not all(map(is_number, known)):
                return "the classes are not numbers"
            return _no_answer_column(sample)
        if known is not None and len(known) > 1 and sample.rows is None:
            lacking = [name for name in known if name not in sample.asked]
            if lacking:
                return f"the sample submission has no column for {quoted(lacking)}"
        return ""

    def evident_from(self, sample: SampleSubmission) -> bool:
        return sample.task.numbers

    def is_offered(self, sample: SampleSubmission) -> bool:
        # Classes that are numbers would be answered with their mean: hardly any organiser asks.
        return sample.task.numbers

    def layout(self, sample: SampleSubmission) -> Layout:
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
        notes = (f"{quoted(others)} is not a target and is kept as it is",) if others else ()
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

    def ruled_out_by(self, sample: SampleSubmission) -> str:
        if sample.score is not None:
            return "the sample submission has one class and its score"
        return _no_answer_column(sample)

    def layout(self, sample: SampleSubmission) -> Layout:
        lists = sample.lists
        as_index, notes = presumed_answers(sample, lists.named)
        separator = lists.separator
        if not as_index:
            separator, note = joinable(separator, sample.classes or ())
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
    description = "the K most probable classes"
    reads = (RANKING,)

    def ruled_out_by(self, sample: SampleSubmission) -> str:
        if not self.length(sample):
            return "neither the metric nor a list in the sample submission says how many classes"
        return super().ruled_out_by(sample)

    def evident_from(self, sample: SampleSubmission) -> bool:
        return not sample.task.cells and sample.lists.several

    def length(self, sample: SampleSubmission) -> int:
        """Classes in an answer; 0 if unknown."""
        if sample.metric is not None and sample.metric.reads == RANKING:
            return sample.metric.k or 0
        return sample.lists.longest if sample.lists.several else 0

    def layout(self, sample: SampleSubmission) -> Layout:
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
    description = "a list of classes"
    reads = (CLASSES,)
    by_threshold = True

    def ruled_out_by(self, sample: SampleSubmission) -> str:
        return super().ruled_out_by(sample) or ("" if sample.task.cells else ONE_CLASS)

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
    description = "one class"
    reads = (CLASSES,)

    def ruled_out_by(self, sample: SampleSubmission) -> str:
        if sample.task.cells:
            return "the competition is multi-label"
        if sample.answer in (sample.classes or ()):
            return f"column '{sample.answer}' asks for one class alone"
        return _no_answer_column(sample)

    def contradicted_by(self, sample: SampleSubmission) -> str:
        known = sample.classes
        if sample.lists.several:
            return f"its cells hold lists of classes, such as '{sample.lists.example}'"
        if sample.metric is None and known is not None and (cell := self.placeholder_in(sample)):
            return f"its cells hold '{cell}'"
        return ""

    def placeholder_in(self, sample: SampleSubmission) -> str:
        return "" if sample.score is not None else sample.decimal_answer

    def refusal(self, sample: SampleSubmission) -> str:
        if not sample.task.cells or sample.score is None:
            return ""
        return (
            "the sample submission asks for one class and its score, and the competition is "
            "multi-label; it needs a list of classes or one column per class"
        )

    def layout(self, sample: SampleSubmission) -> Layout:
        answers = [one for one in dict.fromkeys(sample.table[sample.answer]) if one.strip()]
        as_index, notes = presumed_answers(sample, answers)
        first = first_class_number(answers, sample.classes or (), strict=True) or 0
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


def _no_answer_column(sample: SampleSubmission) -> str:
    """Reason why the sample has no single column of answers; else empty."""
    if sample.task.numbers and sample.per_class:
        return "the competition asks for numbers"
    if sample.rows is not None:
        return "the sample submission has a row per image and class"
    return "" if sample.answer else "the sample submission has several columns of answers"


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
