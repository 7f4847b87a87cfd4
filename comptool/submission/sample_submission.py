"""A sample submission, and the layout of the submissions that it asks for."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import pandas as pd

from comptool.errors import SubmissionError, quoted
from comptool.io.sample_columns import decimal_among, is_number
from comptool.metrics.metric_registry import Metric
from comptool.submission.class_lists import WHOLE, ClassLists, first_class_number
from comptool.tasks import Task
from comptool.tasks.labels import split_cell

if TYPE_CHECKING:
    from comptool.submission.answer_forms import AnswerForm

SCORE_NAMES = frozenset({"score", "confidence"})
# How a row id may join an image and a class.
JOINTS = ("_", "-", ":", "|", "/", ".", " ")
TOKEN = re.compile(r"[^\s,;|/&+\[\](){}\"']+")
SHOWN_NUMBERS = 10


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
        Classes that may be answered, in class order, by number if ``as_index``; None if unknown.
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
        Reason for the form, such as "as the sample submission shows".
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
        return split_cell(cell, self.separator)

    @property
    def answers(self) -> tuple[str, ...] | None:
        """Every answer text, in class order; None if unknown."""
        if self.classes is None or not self.as_index:
            return self.classes
        return tuple(str(index + self.first) for index in range(len(self.classes)))

    @property
    def description(self) -> str:
        """The answers in words."""
        text = self.form.description.replace(" K ", f" {self.k} ")
        return f"{text}, in a row each" if self.rows is not None else text


@dataclass(frozen=True)
class SampleSubmission:
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
    form_is_given
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
    form_is_given: bool = False
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
        return scores[0] if len(self.asked) == 2 and len(scores) == 1 else None

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
    def text_answer(self) -> str:
        """An answer that is not a number, else empty."""
        return next((value for value in self.values if not is_number(value)), "")

    @property
    def decimal_answer(self) -> str:
        """An answer with a decimal point, if all are numbers; else empty."""
        return decimal_among(self.values)

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


def image_rows(
    sample: SampleSubmission, ids: Collection[str] | None, *, numbered: bool = False
) -> tuple[tuple[str, ...], ImageRows] | None:
    """Image and class of each row, and the column of the classes; None if a row is an image.

    ``ids`` are those of images; without them, ids that end in numbers are read as those of images
    and classes only if ``numbered``.
    """
    known, own = sample.classes, sample.table[sample.id].tolist()
    if known is None or len(sample.asked) > 2 or not sample.asked:
        return None
    if len(sample.asked) == 2:
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


def presumed_answers(
    sample: SampleSubmission, named: Sequence[str]
) -> tuple[bool, tuple[str, ...]]:
    """Whether answers are class numbers, and a note on answers that are not classes.

    Raises
    ------
    SubmissionError
        If some answers are classes and others are not, or none can be read.
    """
    known = sample.classes
    if known is None or all(name in known for name in named):
        return False, ()
    number_classes = all(map(is_number, known))
    values = {float(name) for name in known} if number_classes else set()
    strange = [
        name
        for name in named
        if name not in known and not (is_number(name) and float(name) in values)
    ]
    if not strange:
        return False, (f"classes are written as in the training table: {quoted(known)}",)
    whole = all(map(WHOLE.fullmatch, named))
    if len(strange) < len(named):
        # Placeholders that are drawn from all numbers hit some classes.
        drawn = whole and number_classes and len(strange) * 2 > len(named)
        if not (drawn or sample.form_is_given):
            raise SubmissionError(
                f"{quoted(strange)} in the sample submission is none of the {len(known)} classes "
                f"({quoted(known)}), and other answers are. Name all classes with 'classes' in "
                "comptool.toml"
            )
        return False, (f"{quoted(strange)} in the sample submission is not a class",)
    first = first_class_number(named, known, strict=True)
    if first is not None and not number_classes:
        what = f"class numbers: {_numbered(known, first)}"
        return True, (f"{quoted(named)} in the sample submission are taken for {what}",)
    if not sample.form_is_given:
        _refuse_unreadable(sample, named, known)
    note = f"{quoted(named)} in the sample submission are taken for placeholders"
    if sample.decimal_answer and not any(map(is_number, known)):
        return True, (f"{note}, and classes are answered by number: {_numbered(known)}",)
    return False, (note,)


def _refuse_unreadable(
    sample: SampleSubmission, named: Sequence[str], known: Sequence[str]
) -> None:
    """Refuse cells that differ and are not numbers, or name classes in an unknown way."""
    cells = sample.values
    odd = [cell for cell in cells if {*TOKEN.findall(cell)} & {*known}]
    if not odd and len(cells) > 1 and not all(map(is_number, TOKEN.findall(" ".join(cells)))):
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
