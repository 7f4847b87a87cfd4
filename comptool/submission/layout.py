"""What a submission has to look like, read off the sample submission."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import pandas as pd

from comptool import tasks
from comptool.errors import SubmissionError, quoted

SCORE_NAMES = frozenset({"score", "confidence"})
DECIMAL = r"[+-]?(?:\d*\.\d+|\d+\.)(?:[eE][+-]?\d+)?"
WHOLE = re.compile(r"\d+")
SHOWN_NUMBERS = 10


class AnswerForm(StrEnum):
    """What stands beside the id."""

    label = "one class"
    joined = "a list of classes"
    probabilities = "one probability per class"
    probability = "one probability"


@dataclass(frozen=True)
class Layout:
    """The form of a submission.

    Parameters
    ----------
    kind
        What stands beside the id.
    columns
        The whole header.
    answer
        The column with the class or the probability; empty for one column per class.
    score
        Column with the probability of the class that is answered, or None.
    classes
        Class names that may be answered, in class order; None where nobody knows them.
    as_index
        Whether a class is given by its number in class order and not by its name.
    notes
        What was presumed, one sentence each.
    separator
        What stands between the classes of a list: a blank, or a comma with or without one.
    """

    kind: AnswerForm
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
        """Every text that may stand for a class, in class order; None where nobody knows."""
        if self.classes is None or not self.as_index:
            return self.classes
        return tuple(str(index) for index in range(len(self.classes)))

    @property
    def positive(self) -> int:
        """Index of the class whose probability a single column asks for."""
        known = self.classes or ()
        return known.index(self.answer) if self.answer in known else len(known) - 1


def read_layout(sample: pd.DataFrame, classes: Sequence[str] | None, task: str) -> Layout:
    """The layout of a sample submission.

    Parameters
    ----------
    sample
        The sample submission as text; its first column is the id.
    classes
        The class names in class order, or None where nobody knows them.
    task
        Name of the task.

    Raises
    ------
    SubmissionError
        If the sample asks for something that predictions of these classes cannot give.
    """
    columns = tuple(str(name) for name in sample.columns)
    known = None if classes is None else tuple(classes)
    rest = columns[1:]
    if not rest:
        raise SubmissionError("the sample submission has an id column and nothing to answer")
    scores = [name for name in rest if name.lower() in SCORE_NAMES]
    if len(rest) == 2 and len(scores) == 1:
        answer = next(name for name in rest if name != scores[0])
        return _with_classes(sample, columns, answer, known, task, scores[0])
    if len(rest) > 1:
        return _per_class(columns, known)
    if known is not None and rest[0] in known and len(known) != 2:
        raise SubmissionError(
            f"the sample submission asks for class '{rest[0]}' alone; there are {len(known)}"
        )
    if sample[rest[0]].str.fullmatch(DECIMAL).all() and (sample[rest[0]] != "").any():
        return _one_probability(columns, known)
    return _with_classes(sample, columns, rest[0], known, task, None)


def _per_class(columns: tuple[str, ...], known: tuple[str, ...] | None) -> Layout:
    asked = columns[1:]
    lacking = [name for name in asked if known is not None and name not in known]
    unasked = [name for name in known or () if name not in asked]
    if lacking or unasked:
        sides = []
        if lacking:
            sides.append(f"the sample submission asks for {quoted(lacking)}, which is no class")
        if unasked:
            sides.append(f"it has no column for {quoted(unasked)}")
        raise SubmissionError("; ".join(sides))
    return Layout(AnswerForm.probabilities, columns, classes=known or asked)


def _one_probability(columns: tuple[str, ...], known: tuple[str, ...] | None) -> Layout:
    if known is not None and len(known) != 2:
        raise SubmissionError(
            f"the sample submission asks for one probability in column '{columns[1]}', which fits "
            f"two classes; there are {len(known)}"
        )
    layout = Layout(AnswerForm.probability, columns, answer=columns[1], classes=known)
    if known is None or columns[1] in known:
        return layout
    note = f"column '{columns[1]}' is presumed to be the probability of class '{known[1]}'"
    return Layout(AnswerForm.probability, columns, answer=columns[1], classes=known, notes=(note,))


def _with_classes(
    sample: pd.DataFrame,
    columns: tuple[str, ...],
    answer: str,
    known: tuple[str, ...] | None,
    task: str,
    score: str | None,
) -> Layout:
    values = [value for value in dict.fromkeys(sample[answer]) if value.strip()]
    kind, separator = AnswerForm.label, " "
    if tasks.find(task).cells or _are_joined(values, known):
        kind, separator = AnswerForm.joined, _separator(values, known)
        values = [part for value in values for part in _parts(value, separator, known)]
        values = list(dict.fromkeys(values))
    as_index = False
    notes: tuple[str, ...] = ()
    strange = [value for value in values if known is not None and value not in known]
    if known is not None and strange:
        numbers = all(WHOLE.fullmatch(value) and int(value) < len(known) for value in values)
        as_index = numbers and not all(WHOLE.fullmatch(name) for name in known)
        what = f"class numbers: {_numbered(known)}" if as_index else "placeholders"
        notes = (f"{quoted(values)} in the sample submission are taken for {what}",)
    if kind is AnswerForm.joined and not as_index:
        separator, note = _fitting(separator, known or ())
        notes += note
    return Layout(kind, columns, answer, score, known, as_index, notes, separator)


def _numbered(classes: Sequence[str]) -> str:
    """Up to ten classes with their numbers, and the last one."""
    told = [f"{number}={name}" for number, name in enumerate(classes)]
    if len(told) > SHOWN_NUMBERS:
        told[SHOWN_NUMBERS - 1 : -1] = ["..."]
    return ", ".join(told)


def _separator(values: Sequence[str], known: tuple[str, ...] | None) -> str:
    """What stands between the classes in the sample's lists; a blank where nothing does."""
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
    """A separator that no class has in its name, and what to say of it."""
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
    """Whether some cell holds several classes, and no class has a blank in its own name."""
    joined = [value for value in values if " " in value.strip()]
    return bool(joined) and not any(value in (known or ()) for value in joined)
