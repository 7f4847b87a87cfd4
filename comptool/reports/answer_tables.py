"""Known answers and submissions as tables, and what they say, in every form that ``submit`` writes.

The cells of a submission decide on its form: a submission has no placeholders.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from comptool.competition.classes import against, competition_classes
from comptool.competition.config import FILE, Competition, load
from comptool.errors import InputError, nearest, quoted
from comptool.io import provenance
from comptool.io.predictions import (
    NO_PROBABILITY,
    NPY,
    RESERVED,
    SOFTMAX,
    Predictions,
    lost,
    read_predictions,
)
from comptool.io.provenance import PracticeFacts
from comptool.io.sample_columns import id_of
from comptool.io.tables import check_ids, read_table, refuse_rows
from comptool.metrics.metric_registry import CLASSES, PROBABILITIES, RANKING
from comptool.submission.class_lists import ClassLists, first_class_number
from comptool.submission.sample_submission import SCORE_NAMES, SampleSubmission, image_rows
from comptool.tasks import Task
from comptool.tasks.labels import class_names, matrix_of_columns, positive_class

Doubles = npt.NDArray[np.float64]

# Names of the part column in organisers' answers.
PART_COLUMNS = frozenset({"usage", "part", "split"})
PUBLIC, PRIVATE, IGNORED = "public", "private", "ignored"
# A class in a list.
LISTED = re.compile(r"[^\s,;|]+")
LOST_COLUMN = "Bring the column back, or write the submission again: comptool submit"
LAYOUT = "Its layout is that of the sample submission: comptool submit"


def part_column(truth: pd.DataFrame) -> str | None:
    """The column that says which part a row is in, or None."""
    for name in map(str, truth.columns[1:]):
        if name.lower() in PART_COLUMNS:
            if not _no_part(truth[name]).any():
                return name
    return None


def _no_part(cells: pd.Series[str]) -> pd.Series[bool]:
    return ~cells.str.strip().str.lower().isin([PUBLIC, PRIVATE, IGNORED])


def _refuse_parts(path: Path, truth: pd.DataFrame, asked: Collection[str]) -> None:
    """Refuse a column of parts with other values; ``split`` and ``part`` may be something else."""
    for name in map(str, truth.columns[1:]):
        if name.lower() in PART_COLUMNS and name not in asked:
            wrong = _no_part(truth[name])
            if not wrong.all() or name.lower() == "usage":
                what = "no such part; they are Public, Private and Ignored"
                mend = "Correct it, or rename the column if it does not tell the parts"
                refuse_rows(path, truth[name], wrong, what, mend)


@dataclass(frozen=True)
class Submitted:
    """The answers of a submission: in a ranking the earlier class has the higher number.

    ``kind`` is what they are: "probabilities" (or numbers), "classes", or a "ranking".
    """

    predictions: Predictions
    kind: str
    repeated: Doubles | None = None  # (N, K), see `_repeated`

    def filled(self) -> Doubles:
        """The probabilities, (N, K + K) if they are answers, whose last columns are no classes.

        They stand where a list repeats a class, or after its classes and before all others: a class
        that a short list does not name is nowhere in the ranking.
        """
        found = np.asarray(self.predictions.probabilities, np.float64)
        if self.kind == PROBABILITIES:
            return found
        others = np.full(found.shape, UNNAMED) if self.repeated is None else self.repeated
        return np.concatenate([found, others], axis=1)


# Between the classes of a list, above one half, and 0.
UNNAMED = 0.25


@dataclass(frozen=True)
class AnswerTables:
    """A submission and known answers, each a table of text with the id column first.

    Parameters
    ----------
    submission, answers
        Their files.
    table, truth
        Their tables; ``truth`` has its label column second, if it is known.
    label
        The label column of ``truth`` by comptool.toml or the submission; else empty.
    recorded
        Facts of a practice competition.
    here
        The competition of the working directory, if it is described.
    """

    submission: Path
    answers: Path
    table: pd.DataFrame
    truth: pd.DataFrame
    label: str
    recorded: PracticeFacts
    here: Competition | None
    # Whether `table` is the table of the file, and not what was made of it.
    as_read: bool = True

    @classmethod
    def read(cls, submission: Path, answers: Path) -> AnswerTables:
        """Read both; an InputError if one cannot be used."""
        provenance.recall(submission)
        truth, table = read_table(answers), _table_of(submission)
        if len(truth.columns) < 2:
            raise InputError("has no column with answers", file=answers, values=list(truth.columns))
        here = load() if FILE.exists() else None
        own = id_of(table, None if here is None else here.id)
        kept = list(table.columns).index(own)
        table = table[table.columns[kept:]]
        columns = [str(name) for name in truth.columns]
        ids = [own, *([] if here is None else [here.id]), columns[0]]
        identity = next(name for name in ids if name in columns)
        asked = asked_columns(table)
        labels = [*([] if here is None else [here.label]), *(asked if len(asked) == 1 else [])]
        label = next((one for one in labels if one in columns and one != identity), "")
        first = [identity, *([label] if label else [])]
        truth = truth[[*first, *(name for name in columns if name not in first)]]
        if len(columns) > 2:
            _refuse_parts(answers, truth, {label, *asked})
        recorded = provenance.facts(answers.resolve().parent, PracticeFacts)
        return cls(submission, answers, table, truth, label, recorded, here, not kept)

    @cached_property
    def known_classes(self) -> tuple[str, ...] | None:
        """The classes by record or competition; None if neither says them."""
        if self.recorded.classes:
            return tuple(self.recorded.classes)
        return None if self.here is None else competition_classes(self.here)

    @cached_property
    def first_number(self) -> int:
        """The number of the first class, 0 or 1, by the sample submission of the competition."""
        path = None if self.here is None else self.here.sample_submission
        if path is None or self.known_classes is None or not path.is_file():
            return 0
        sample = read_table(path)
        if self.answer not in sample:
            return 0
        cells = [cell for cell in dict.fromkeys(sample[self.answer]) if cell.strip()]
        lists = ClassLists.read(cells, self.known_classes)
        return lists.first_number(self.known_classes)

    @property
    def answer(self) -> str:
        """The column of the submission with all answers; empty if there are several."""
        asked = asked_columns(self.table)
        if self.label in asked:
            return self.label
        return asked[0] if len(asked) == 1 else ""

    def wide(self, task: Task, classes: Sequence[str] | None) -> AnswerTables:
        """With a column per class instead of a row per image and class, in both tables."""
        if classes is None:
            return self
        label = self.label or self.answer
        table = _wide(self.submission, self.table, self.answer, task, classes)
        truth = _wide(self.answers, self.truth, label, task, classes)
        as_read = self.as_read and table is self.table
        return replace(self, table=table, truth=truth, as_read=as_read)


def _table_of(path: Path) -> pd.DataFrame:
    if path.suffix != NPY:
        return read_table(path)
    found = read_predictions(path, sums_to_one=False, numbers=True)
    numbers = pd.DataFrame(found.probabilities.astype(str), columns=list(found.classes))
    numbers.insert(0, found.id_column, found.ids)
    return numbers


def asked_columns(table: pd.DataFrame) -> list[str]:
    """The columns of answers; no id, no score beside an answer, no reserved column."""
    asked = [str(name) for name in table.columns[1:] if name not in RESERVED]
    scores = [name for name in asked if name.lower() in SCORE_NAMES]
    return [name for name in asked if name not in scores] if len(asked) == 2 else asked


def _wide(
    path: Path, table: pd.DataFrame, answer: str, task: Task, classes: Sequence[str]
) -> pd.DataFrame:
    """The table with a row per image, if it has one for every image and class."""
    columns = [str(name) for name in table.columns]
    if {*classes} & {*columns}:
        return table
    identity, part = columns[0], part_column(table)
    others = [name for name in columns[1:] if name != part]
    values = [answer] if answer in others else [one for one in others if _are_shares(table[one])]
    kinds: list[list[str]] = [[]]
    if table[identity].duplicated().any():
        kinds = [[one] for one in others if {*table[one]} <= {*classes}]
    for kind, value in itertools.product(kinds, values):
        sample = SampleSubmission(
            table[[identity, *kind, value]], tuple(classes), task, None, identity
        )
        # Several labels of an image are no share.
        numbered = task.cells and _are_shares(table[value])
        found = image_rows(sample, None, numbered=numbered) if value not in kind else None
        if found is not None:
            answer = value
            break
    else:
        return table
    rows = found[1]
    images = rows.distinct_images
    cells = dict(zip(zip(rows.images, rows.classes, strict=True), table[answer], strict=True))
    made = {identity: images}
    named = [name for name in classes if name in set(rows.classes)]
    made |= {name: [cells[image, name] for image in images] for name in named}
    if part is not None:
        parts = dict(zip(rows.images, table[part], strict=True))
        made[part] = [parts[image] for image in images]
    return pd.DataFrame(made, dtype=object)


def _are_shares(cells: pd.Series[str]) -> bool:
    """Whether all cells are numbers from 0 to 1, -1 or blank: probabilities or known answers."""
    blank = cells.str.strip() == ""
    numbers = pd.to_numeric(cells[~blank], errors="coerce")
    return bool((numbers.between(0, 1) | (numbers == -1)).all() and not blank.all())


def true_labels(tables: AnswerTables) -> pd.Series[str]:
    """The true class of each row as text: a column, or the one of several columns that is 1."""
    truth, known = tables.truth, tables.known_classes
    label = tables.label
    if not label and known is not None and set(known) <= {*truth.columns}:
        cells = matrix_of_columns(tables.answers, truth, known)
        wrong = (cells == 1).sum(axis=1) != 1
        if wrong.any():
            row = int(np.flatnonzero(wrong)[0])
            raise InputError(
                "not exactly one of the class columns is 1", file=tables.answers, row=row + 1
            )
        return pd.Series(np.array(known, dtype=object)[cells.argmax(axis=1)], name="class")
    part = part_column(truth)
    found = truth[label or next(str(name) for name in truth.columns[1:] if name != part)]
    refuse_blank(tables.answers, found)
    if known is None:
        return found
    found = _by_name(_equal_numbers(found, known), tables)
    codes_of(tables.answers, found, known, "Correct it, or 'classes' in comptool.toml")
    return found


def _by_name(labels: pd.Series[str], tables: AnswerTables) -> pd.Series[str]:
    """Labels by name, where they are class numbers."""
    known = tables.known_classes
    # Classes that are numbers themselves leave open what a number is.
    if known is None or None not in map(_number, known):
        return labels
    first = first_class_number({*labels}, known, usual=tables.first_number)
    if first is None:
        return labels
    return pd.Series([known[int(one) - first] for one in labels], name=labels.name, dtype=object)


def _are_numbers(labels: pd.Series[str], num_classes: int) -> bool:
    """Whether all labels may be class numbers, from 0."""
    return {*map(_number, labels.unique())} <= {*range(num_classes)}


def _equal_numbers(cells: pd.Series[str], classes: Sequence[str]) -> pd.Series[str]:
    """Cells, also lists, with each number as the class that it equals, if classes are numbers."""
    named = {_number(name): name for name in classes}
    if None in named or len(named) < len(classes):
        return cells
    own = set(classes)

    def written(part: re.Match[str]) -> str:
        return part[0] if part[0] in own else named.get(_number(part[0]), part[0])

    return cells.map({cell: LISTED.sub(written, cell) for cell in cells.unique()})


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def refuse_blank(path: Path, answers: pd.Series[str]) -> None:
    """Raise an InputError for the first blank answer."""
    blank = np.flatnonzero((answers.str.strip() == "").to_numpy())
    if blank.size:
        raise InputError(
            "the answer is blank", file=path, row=int(blank[0]) + 1, column=str(answers.name)
        )


def submitted_classes(tables: AnswerTables, labels: pd.Series[str], reads: str) -> Submitted:
    """What a submission says where an image has one class.

    Parameters
    ----------
    tables
        The submission.
    labels
        The true classes.
    reads
        What the metric reads: of two classes, 1 and 0 may be probabilities.
    """
    table, path = tables.table, tables.submission
    known = tables.known_classes
    classes = known or class_names(labels)
    column, per_class = tables.answer, set(asked_columns(table)) & {*labels, *classes}
    if column and column != tables.truth.columns[1] and tables.here is None and not per_class:
        column = ""
    if not column or (per_class and len(classes) != 2):
        if not per_class:
            raise InputError(
                f"has neither a column '{labels.name}' nor one per class",
                file=path,
                values=list(table.columns),
                mend=LAYOUT,
            )
        found = _per_class(tables, sums_to_one=True, expected=classes)
        return Submitted(found, PROBABILITIES)
    check_ids(path, str(table.columns[0]), table.iloc[:, 0].to_numpy(dtype=object))
    answers = _equal_numbers(table[column], classes)
    refuse_blank(path, answers)
    numbers = pd.to_numeric(answers, errors="coerce").to_numpy(np.float64)
    if (
        len(classes) == 2
        and ((numbers >= 0) & (numbers <= 1)).all()
        and (reads == PROBABILITIES or column in classes or not {*answers} <= {*classes})
        # All of the first class, by number.
        and not (tables.first_number and {*answers} == {"1"})
    ):
        given = None if tables.here is None else tables.here.positive_class
        positive, _ = positive_class(column, classes, given)
        p = np.stack([1 - numbers, numbers] if positive else [numbers, 1 - numbers], axis=1)
        return Submitted(_predictions(table, classes, p), PROBABILITIES)
    if len(classes) == 2 and reads == PROBABILITIES:
        outside = ((numbers < 0) | (numbers > 1)) & ~answers.isin(classes)
        refuse_rows(path, answers, outside, NO_PROBABILITY, SOFTMAX)
    lists = ClassLists.read(list(dict.fromkeys(answers)), classes)
    if lists.several:
        places = _places(path, answers, classes, lists, tables.first_number)
        ranked = _predictions(table, classes, _ranked(places, len(classes)))
        return Submitted(ranked, RANKING, _repeated(places, len(classes)))
    answers = answers if known is None else _by_name(answers, tables)
    # If the classes are unknown, a class without a true row is a wrong answer.
    classes = known or class_names([*labels, *answers])
    codes = codes_of(path, answers, classes)
    # A class is also a list of one.
    kind = RANKING if reads == RANKING else CLASSES
    return Submitted(_predictions(table, classes, np.eye(len(classes))[codes]), kind)


def submitted_cells(tables: AnswerTables, classes: Sequence[str], reads: str) -> Submitted:
    """What a submission says where an image may have several of the K classes.

    Lists are 1 and 0, or where the metric reads a ranking, in order.
    """
    table, path, column = tables.table, tables.submission, tables.answer
    if not column or column in classes:
        found = _per_class(tables, sums_to_one=False)
        if set(found.classes) != set(classes):
            lacking = [name for name in classes if name not in found.classes]
            if set(found.classes) < set(classes):
                what = f"has no column for {lost(lacking)} of {tables.answers}"
                raise InputError(what, file=path, mend=LOST_COLUMN)
            raise InputError(
                "its class columns are not those of the answers: "
                f"{against(sorted(found.classes), sorted(classes))}",
                file=path,
                mend=LAYOUT,
            )
        order = [found.classes.index(name) for name in classes]
        cells = found.probabilities[:, order]
        taken = Predictions(found.ids, tuple(classes), cells, fold=found.fold)
        return Submitted(taken, PROBABILITIES)
    check_ids(path, str(table.columns[0]), table.iloc[:, 0].to_numpy(dtype=object))
    places = lists_of(path, table[column], classes, tables.first_number)
    numbers = _ranked(places, len(classes))
    if reads != RANKING:
        numbers = (numbers > 0).astype(np.float64)
        return Submitted(_predictions(table, tuple(classes), numbers), CLASSES)
    ranked = _predictions(table, tuple(classes), numbers)
    return Submitted(ranked, RANKING, _repeated(places, len(classes)))


def lists_of(
    path: Path, cells: pd.Series[str], classes: Sequence[str], first: int = 0
) -> list[list[int]]:
    """Class indices of each list of classes; an InputError for an unknown class.

    ``first`` is the number of the first class where the lists leave it open.
    """
    cells = _equal_numbers(cells, classes)
    distinct = [cell for cell in dict.fromkeys(cells) if cell.strip()]
    return _places(path, cells, classes, ClassLists.read(distinct, tuple(classes)), first)


def submitted_numbers(tables: AnswerTables, targets: Sequence[str]) -> Submitted:
    """The T numbers of each row of a submission, (N, T)."""
    table, path = tables.table, tables.submission
    check_ids(path, str(table.columns[0]), table.iloc[:, 0].to_numpy(dtype=object))
    columns = [tables.answer] if len(targets) == 1 and tables.answer else list(targets)
    missing = [name for name in columns if name not in table.columns]
    if missing:
        raise InputError(
            f"has no column '{missing[0]}'", file=path, values=list(table.columns), mend=LAYOUT
        )
    numbers = np.stack([_finite(path, table[name]) for name in columns], axis=1)
    return Submitted(_predictions(table, tuple(targets), numbers), PROBABILITIES)


def _finite(path: Path, cells: pd.Series[str]) -> Doubles:
    numbers = pd.to_numeric(cells, errors="coerce").to_numpy(np.float64)
    refuse_rows(path, cells, ~np.isfinite(numbers), "is not a finite number")
    return numbers


def _per_class(
    tables: AnswerTables, *, sums_to_one: bool, expected: Sequence[str] = ()
) -> Predictions:
    """The probabilities of a column per class, as in the file or from rows of image and class."""
    table, path = tables.table, tables.submission
    if tables.as_read:
        return read_predictions(path, sums_to_one=sums_to_one, expected=expected)
    names = asked_columns(table)
    numbers = table[names].apply(pd.to_numeric, errors="coerce").to_numpy(np.float64)
    wrong = ~((numbers >= 0) & (numbers <= 1))
    if wrong.any():
        row, place = (int(one[0]) for one in np.nonzero(wrong))
        raise InputError(
            NO_PROBABILITY,
            file=path,
            column=f"{names[place]} of {table.iloc[row, 0]!s}",
            values=[table[names[place]].iloc[row]],
        )
    return _predictions(table, tuple(names), numbers)


def _predictions(table: pd.DataFrame, classes: tuple[str, ...], numbers: Doubles) -> Predictions:
    ids = table.iloc[:, 0].to_numpy(dtype=object)
    return Predictions(ids, tuple(classes), numbers, id_column=str(table.columns[0]))


def _places(
    path: Path, cells: pd.Series[str], classes: Sequence[str], lists: ClassLists, first: int
) -> list[list[int]]:
    found: list[list[int]] = []
    for row, cell in enumerate(cells, start=1):
        places = lists.places(cell, classes, first) if cell.strip() else []
        if places is None:
            parts = [part for part in lists.split(cell, classes) if part not in classes]
            likely = " or ".join(f"'{other}'" for other in nearest(parts[0], classes))
            raise InputError(
                f"there is no such class; did you mean {likely}",
                file=path,
                row=row,
                column=str(cells.name),
                values=parts,
            )
        found.append(places)
    return found


def _ranked(places: Sequence[Sequence[int]], num_classes: int) -> Doubles:
    """Numbers above one half for the classes of each list, the first the highest; else 0."""
    numbers = np.zeros((len(places), num_classes))
    for row, listed in enumerate(places):
        # A class that is named again stays at its first place.
        for rank, place in reversed(list(enumerate(listed))):
            numbers[row, place] = 1 - 0.5 * rank / len(listed)
    return numbers


def _repeated(places: Sequence[Sequence[int]], num_classes: int) -> Doubles:
    """Numbers, as of `_ranked`, of the places where lists repeat a class; else `UNNAMED`."""
    numbers = np.full((len(places), num_classes), UNNAMED)
    for row, listed in enumerate(places):
        for rank, place in enumerate(listed[:num_classes]):
            if place in listed[:rank]:
                numbers[row, rank] = 1 - 0.5 * rank / len(listed)
    return numbers


def codes_of(
    path: Path, labels: pd.Series[str], classes: Sequence[str], mend: str | None = None
) -> npt.NDArray[np.intp]:
    """The index of the class of each row, shape (N,)."""
    codes = pd.Index(list(classes)).get_indexer(pd.Index(labels))
    if _are_numbers(labels, len(classes)):
        mend = f"If they are class numbers from 0, write '{classes[0]}' for 0, and so on"
    refuse_rows(path, labels, codes < 0, f"no such class; the classes are {quoted(classes)}", mend)
    return codes
