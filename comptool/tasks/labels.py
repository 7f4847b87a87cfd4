"""Labels of a table: class names and counts, and cells of several labels per image as a matrix.

A table of several labels has either one column per class, or one column of label lists joined by
commas or blanks. A list names all labels of its sample: what it does not name is absent.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from comptool.errors import InputError, nearest
from comptool.io.predictions import RENAME_CLASS, RESERVED, RESERVED_CLASS
from comptool.io.sample_columns import SampleColumns
from comptool.io.tables import read_table, refuse_rows
from comptool.tasks.task import LabelFacts

PRESENT, ABSENT, UNKNOWN = 1, 0, -1
WRONG = 2
# A column that has blanks and went through pandas comes back with a decimal point.
WRITTEN = {
    "0": ABSENT, "1": PRESENT, "-1": UNKNOWN, "": UNKNOWN,
    "0.0": ABSENT, "1.0": PRESENT, "-1.0": UNKNOWN,
}  # fmt: skip
Matrix = npt.NDArray[np.int8]
# The column in which a table says that training is to take its 0 for "not annotated".
ZERO_IS_UNKNOWN = "zero_is_unknown"


def matrix_of_columns(source: Path, frame: pd.DataFrame, classes: Sequence[str]) -> Matrix:
    """Cells of one column per class, int8 of shape (N, K): 1 present, 0 absent, -1 unknown.

    Parameters
    ----------
    source
        Where ``frame`` was read, for messages.
    frame
        Table of text with N rows.
    classes
        The K columns, which are taken by name.

    Raises
    ------
    InputError
        Naming the column that is missing, or the first cell that is none of 0, 1, -1 and blank.
    """
    matrix = np.empty((len(frame), len(classes)), dtype=np.int8)
    for place, name in enumerate(classes):
        if name not in frame.columns:
            raise InputError(
                f"the class '{name}' has no column",
                file=source,
                values=nearest(name, map(str, frame.columns)),
                mend="Correct 'label' in comptool.toml, or the table",
            )
        # By distinct texts: a cell after the other would take ten seconds for 100,000 x 60.
        of_text, texts = pd.factorize(frame[name].to_numpy(dtype=object))
        cells = np.array([WRITTEN.get(text.strip(), WRONG) for text in texts], np.int8)[of_text]
        told = "a label is 1 (present), 0 (absent), -1 or blank (not annotated)"
        refuse_rows(source, frame[name], cells == WRONG, told)
        matrix[:, place] = cells
    return matrix


def matrix_of_lists(source: Path, lists: pd.Series[str], classes: Sequence[str]) -> Matrix:
    """Joined label lists as int8 of shape (N, K): 1 named, 0 not named; a blank list names none.

    Parameters
    ----------
    source
        Where ``lists`` was read, for messages.
    lists
        N cells of text.
    classes
        The K class names.

    Raises
    ------
    InputError
        Naming the first row with a label that is none of the classes.
    """
    places = {name: place for place, name in enumerate(classes)}
    matrix = np.zeros((len(lists), len(classes)), dtype=np.int8)
    for row, names in enumerate(split_lists(lists, classes)):
        unknown = [name for name in names if name not in places]
        if unknown:
            likely = " or ".join(f"'{other}'" for other in nearest(unknown[0], classes))
            raise InputError(
                f"there is no such class; did you mean {likely}",
                file=source,
                row=row + 1,
                column=str(lists.name),
                values=unknown,
            )
        matrix[row, [places[name] for name in names]] = 1
    return matrix


def matrix_of_numbers(
    source: Path, frame: pd.DataFrame, columns: Sequence[str]
) -> npt.NDArray[np.float64]:
    """Numbers of T label columns, shape (N, T).

    Parameters
    ----------
    source
        Where ``frame`` was read, for messages.
    frame
        Table of text with N rows.
    columns
        The T columns.

    Raises
    ------
    InputError
        Naming the first cell that is blank or not a finite number.
    """
    matrix = np.empty((len(frame), len(columns)))
    for place, name in enumerate(columns):
        matrix[:, place] = pd.to_numeric(frame[name], errors="coerce").to_numpy(np.float64)
        wrong = ~np.isfinite(matrix[:, place])
        mend = "Write finite numbers such as 3.5, and leave rows without one out of the table"
        refuse_rows(source, frame[name], wrong, "the label is not a number", mend)
    return matrix


def number_bins(numbers: npt.NDArray[np.floating], *, least: int) -> npt.NDArray[np.int64]:
    """The bin of each of N rows, shape (N,), from 0: rows of similar numbers, for stratification.

    Bins are of about equal size, at most ten and of at least ``least`` rows each where there are
    as many; equal numbers are in one bin. Several numbers of a row count by their mean, each in
    standard deviations.

    Parameters
    ----------
    numbers
        Shape (N, T).
    least
        Rows of a bin.

    Examples
    --------
    >>> number_bins(np.array([[5.0], [1.0], [9.0], [1.5]]), least=2)
    array([1, 0, 1, 0])
    """
    spread = numbers.std(axis=0)
    level = ((numbers - numbers.mean(axis=0)) / np.where(spread > 0, spread, 1)).mean(axis=1)
    count = min(MOST_BINS, max(1, len(level) // least))
    edges = np.unique(np.quantile(level, np.arange(1, count) / count))
    bins = np.unique(np.searchsorted(edges, level, side="right"), return_inverse=True)[1]
    return np.asarray(bins, np.int64)


MOST_BINS = 10


def split_lists(lists: pd.Series[str], classes: Sequence[str] = ()) -> list[list[str]]:
    """The labels that each cell names.

    All cells of a column are split in the same way: the first of these by which every label is one
    of ``classes``, else the first possible one after not at all. Not at all; as a list of Python or
    JSON, with its brackets and quotes; at semicolons, bars or commas; at white space.

    Examples
    --------
    >>> split_lists(pd.Series(["a b", "", "c"])), split_lists(pd.Series(["golf course, sea"]))
    ([['a', 'b'], [], ['c']], [['golf course', 'sea']])
    >>> split_lists(pd.Series(["['cat', 'dog']", "[]"])), split_lists(pd.Series(["a|b c", "d"]))
    ([['cat', 'dog'], []], [['a', 'b c'], ['d']])
    """
    cells = [cell.strip() for cell in lists]
    known = set(classes)
    ways = _ways_to_split(cells)
    if not known:
        return next(ways)
    if known.issuperset(filter(None, cells)):
        return [[cell] if cell else [] for cell in cells]
    usual = None
    for names in ways:
        usual = usual or names
        if all(known.issuperset(one) for one in names):
            return names
    return usual or []


def split_cell(cell: str, separator: str = " ", classes: Collection[str] = ()) -> list[str]:
    """The labels that one cell names, by the separator of its column; a blank: any white space.

    Examples
    --------
    >>> split_cell("cat, dog", ", "), split_cell("sea ice", classes=["sea ice"])
    (['cat', 'dog'], ['sea ice'])
    """
    if cell in classes:
        return [cell]
    parts = cell.split(separator.strip() or None)
    return [part.strip() for part in parts if part.strip()]


def _ways_to_split(cells: list[str]) -> Iterator[list[list[str]]]:
    written = [cell for cell in cells if cell]
    inner = cells
    if written and all(BRACKETED.fullmatch(cell) for cell in written):
        inner = [cell[1:-1].strip() for cell in cells]
    if any(inner) and all(QUOTED_LIST.fullmatch(cell) for cell in inner):
        yield [[one or other for one, other in QUOTED.findall(cell)] for cell in inner]
    for texts in [inner, cells] if inner is not cells else [cells]:
        for separator in LIST_SEPARATORS:
            if any(separator in cell for cell in texts):
                yield [split_cell(cell, separator) for cell in texts]
        yield [split_cell(cell) for cell in texts]


# A name may have a comma in it where something else separates the names.
LIST_SEPARATORS = (";", "|", ",")
BRACKETED = re.compile(r"\[.*\]|\(.*\)|\{.*\}", re.DOTALL)
QUOTED = re.compile(r"""'([^']*)'|"([^"]*)\"""")
# Python puts a name with an apostrophe between the other quotes, numpy no commas between names.
QUOTED_LIST = re.compile(rf"(?:(?:{QUOTED.pattern})[\s,;|]*)*")


def positive_counts(matrix: Matrix, classes: Sequence[str]) -> dict[str, int]:
    """Samples of each class that have it, from a matrix of shape (N, K)."""
    positives = (matrix == PRESENT).sum(axis=0).tolist()
    return dict(zip(classes, positives, strict=True))


def zero_to_unknown(matrix: Matrix) -> Matrix:
    """A copy in which what is not marked present is not annotated: 0 becomes -1."""
    return np.where(matrix == PRESENT, matrix, np.int8(UNKNOWN))


def says_zero_is_unknown(source: Path, frame: pd.DataFrame) -> bool:
    """Whether a table says in its column ``zero_is_unknown`` that its 0 are not annotated.

    Parameters
    ----------
    source
        Where ``frame`` was read, for messages.
    frame
        Table of text; without that column, its 0 are 0.

    Raises
    ------
    InputError
        If the column is neither 1 in every row nor 0 in every row.
    """
    if ZERO_IS_UNKNOWN not in frame.columns or frame.empty:
        return False
    said = frame[ZERO_IS_UNKNOWN]
    odd = np.flatnonzero((~said.isin(["0", "1"]) | (said != said.iloc[0])).to_numpy())
    if odd.size:
        raise InputError(
            "the table has to say one thing of its 0: 1 (not annotated) or 0 (absent) in every row",
            file=source,
            row=int(odd[0]) + 1,
            column=ZERO_IS_UNKNOWN,
            values=list(dict.fromkeys(said)),
            mend="Correct the column, or split again: comptool split --map-zero-to-unknown",
        )
    return bool((said == "1").all())


MIN_CLASSES = 2
WHOLE_NUMBER = re.compile(r"[+-]?\d+")
DIGITS = re.compile(r"([0-9]+)")
# Columns of a pseudo-label table, which stand beside one column per class.
CONFIDENCE, ROUND = "confidence", "round"


def class_names(labels: Iterable[str]) -> tuple[str, ...]:
    """Distinct labels in class order.

    Whole numbers, where all labels are, come by value; otherwise labels come by letter, with the
    digits in them compared as numbers, and of two that are then equal (``a1`` and ``a01``) the one
    with more leading zeros comes first.

    Examples
    --------
    >>> class_names(["10", "9", "9"]), class_names(["class10", "b", "class2"])
    (('9', '10'), ('b', 'class2', 'class10'))
    """
    distinct = sorted(set(labels))
    numbers = all(WHOLE_NUMBER.fullmatch(label) for label in distinct)
    distinct.sort(key=int if numbers else _by_letter_and_number)
    return tuple(distinct)


def _by_letter_and_number(label: str) -> list[tuple[int, str]]:
    parts = DIGITS.split(label)
    # Text and digits take turns; of digits the longer number is the larger.
    parts[1::2] = [digits.lstrip("0") for digits in parts[1::2]]
    return [(len(part) if place % 2 else 0, part) for place, part in enumerate(parts)]


def class_counts(labels: Iterable[str]) -> dict[str, int]:
    """Number of samples of each class, in the order of `class_names`.

    Examples
    --------
    >>> class_counts(["b", "a", "b"])
    {'a': 1, 'b': 2}
    """
    counts = Counter(labels)
    return {name: counts[name] for name in class_names(counts)}


def positive_class(
    column: str, classes: Sequence[str], given: str | None = None
) -> tuple[int, bool]:
    """The class of two whose probability a column has, and whether that is known.

    It is the ``given`` one; otherwise the one that the column's name says: that of a class, in any
    case, or with the words of one class and not those of the other; otherwise the second class.

    Examples
    --------
    >>> positive_class("is_iceberg", ["iceberg", "ship"]), positive_class("target", ["0", "1"])
    ((0, True), (1, False))
    """
    if given is not None and given in classes:
        return list(classes).index(given), True
    if column in classes:
        return list(classes).index(column), True
    words = _words(column)
    named = [place for place, name in enumerate(classes) if _has(words, _words(name))]
    if len(named) == 1:
        return named[0], True
    return len(classes) - 1, False


def _words(text: str) -> list[str]:
    apart = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", text)
    return re.findall(r"[^\W_]+", apart.casefold())


def _has(words: Sequence[str], part: Sequence[str]) -> bool:
    size = len(part)
    return bool(part) and any(
        list(words[start : start + size]) == list(part) for start in range(len(words) - size + 1)
    )


def check_columns(facts: LabelFacts, source: Path, frame: pd.DataFrame) -> None:
    """Check that a labelled table has its label columns."""
    for name in facts.labels or (facts.label,):
        if name not in frame.columns:
            raise InputError(
                f"no column is called '{name}'",
                file=source,
                values=list(frame.columns),
                mend="Name the label column with 'label' in comptool.toml",
            )


def check_label_column(facts: LabelFacts, source: Path, frame: pd.DataFrame) -> None:
    """Check the column of one class per row."""
    check_columns(facts, source, frame)
    labels = frame[facts.label]
    if (blank := np.flatnonzero(labels.str.strip() == "")).size:
        raise InputError(
            "the label is blank", file=source, row=int(blank[0]) + 1, column=facts.label
        )
    if facts.classes is not None:
        what = "the label is not one of 'classes' in comptool.toml"
        refuse_rows(source, labels, ~labels.isin(facts.classes), what)
    reserved = labels.isin((*RESERVED, facts.id))
    refuse_rows(source, labels, reserved, RESERVED_CLASS, RENAME_CLASS)


def check_class_names(facts: LabelFacts, source: Path, classes: Sequence[str]) -> None:
    """Check that the classes of a multi-label table can be columns of a prediction file."""
    if len(classes) < MIN_CLASSES:
        what = f"a multi-label competition has at least two classes, not {len(classes)}"
        raise InputError(what, file=source, values=classes)
    reserved = [name for name in classes if name in (*RESERVED, facts.id)]
    if reserved:
        raise InputError(RESERVED_CLASS, file=source, values=reserved, mend=RENAME_CLASS)
    reserved = [name for name in facts.labels if name in (CONFIDENCE, ROUND)]
    if reserved:
        what = "a class cannot be called like a column of pseudo-label tables"
        raise InputError(what, file=source, values=reserved, mend=RENAME_CLASS)


def joined_classes(facts: LabelFacts, source: Path, lists: pd.Series[str]) -> tuple[str, ...]:
    """The classes of a competition whose labels are joined lists, in class order.

    They are those of ``comptool.toml``, or the columns of the sample submission, or else all
    labels of the training table in the order of `class_names`.
    """
    if facts.classes is not None:
        return facts.classes
    train = facts.train
    if train is not None and train.is_file() and train.resolve() != source.resolve():
        table = read_table(train)
        lists = table[facts.label] if facts.label in table else lists
    asked = asked_classes(facts)
    named = {name for names in split_lists(lists, asked) for name in names}
    if named & set(asked):
        return asked
    return class_names(named)


def asked_classes(facts: LabelFacts) -> tuple[str, ...]:
    """The classes that the sample submission has one column for; none where it has other ones."""
    if facts.sample_submission is None:
        return ()
    answers = SampleColumns.of(read_table(facts.sample_submission), facts.id).answers
    return answers if len(answers) >= MIN_CLASSES else ()
