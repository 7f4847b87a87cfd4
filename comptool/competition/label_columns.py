"""Label columns of a table, one of classes or one per class, and the task by their values."""

from __future__ import annotations

import re
from bisect import bisect
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from comptool.errors import InputError, nearest, quoted
from comptool.io.json_tables import CATEGORY, CATEGORY_NAME, JOIN, JSON
from comptool.io.predictions import RENAME_CLASS, RESERVED, RESERVED_CLASS
from comptool.io.sample_columns import decimal_among
from comptool.metrics.metric_registry import NUMBERS, ORDINAL, REGRESSION, ROWS
from comptool.tasks.labels import BRACKETED, LIST_SEPARATORS, WRITTEN, split_lists

LABEL_NAMES = (
    "label class_id class category target labels class_name species class_label y tags "
    "attribute_ids category_id category_name"
).split()
JOINED_NAMES = frozenset("labels tags attribute_ids attributes targets classes".split())
MIN_MULTILABEL_COLUMNS = 2
PRED = "pred"
# So many 0/1 columns are the labels even if another column has the name of a label.
MANY_COLUMNS, MANY_SHARE = 5, 0.75
# A class column of the sample submission may have mistakes, which are reported later.
MOSTLY = 0.5
# Names of metrics that are for numbers, and of those for grades alone.
OF_NUMBERS = frozenset(row.name for row in ROWS if row.reads == NUMBERS)
OF_GRADES = frozenset(row.name for row in ROWS if row.by_distance) - OF_NUMBERS
NUMBER_LIST = re.compile(r"\d+([ ,;|]+\d+)+")


@dataclass(frozen=True)
class Taken:
    """Columns with another meaning (id, paths), and columns that are also in the test table."""

    meaning: set[str]
    in_test: set[str]


def choose_label(
    train: pd.DataFrame | None, answered: pd.DataFrame, taken: Taken, file: Path
) -> tuple[str | list[str], str]:
    """The label column, or the list of 0/1 columns of a multi-label table, and why.

    ``answered`` are the answer columns of the sample submission, none without one.
    """
    answers = [str(name) for name in answered.columns]
    if train is None:
        name = answers[0] if len(answers) == 1 or "score" in answers else "label"
        return name, f"assumed: the label is called {name}"
    # A folds table has a column of folds, perhaps only of -1 and 0.
    columns = [name for name in train.columns if name not in (*taken.meaning, *RESERVED)]
    free = [name for name in columns if name not in taken.in_test]
    if _asks_for_columns(train, answers, columns):
        return _asked(answers, columns, [name for name in free if is_binary(train[name])], file)
    if are_numbers(train, answers):
        return list(answers), f"label columns: {len(answers)} of numbers ({quoted(answers)})"
    binary = [name for name in free if is_binary(train[name])]
    named = [name for name in (*answers, *LABEL_NAMES) if name in columns]
    if len(binary) >= max(MANY_COLUMNS, MANY_SHARE * len(free)):
        named = [name for name in answers if name in columns]
    if named:
        name = named[0]
        if name == CATEGORY and CATEGORY_NAME in columns and _names_answered(train, answered):
            name = CATEGORY_NAME
        return name, f"label column: {name}"
    if len(binary) >= MIN_MULTILABEL_COLUMNS:
        return _with_blank_ones(train, free, binary)
    if len(free) == 1:
        return free[0], f"assumed: the label column is {free[0]}, the only one left"
    raise InputError(
        "no column has the name of a label; which one is it?",
        file=file,
        values=free,
        mend="Name it with COMPTOOL_LABEL=..., 'label' in comptool.toml or 'comptool init --label'",
    )


def _names_answered(train: pd.DataFrame, answered: pd.DataFrame) -> bool:
    """Whether a sample submission answers with the names of categories rather than their ids."""
    answers = {value for name in answered for value in answered[name]}
    return bool(answers & set(train[CATEGORY_NAME])) and not answers & set(train[CATEGORY])


def are_numbers(train: pd.DataFrame, names: Sequence[str]) -> bool:
    """Whether there are several columns of these names, each of numbers and some not whole."""
    if len(names) < MIN_MULTILABEL_COLUMNS or not all(name in train for name in names):
        return False
    values = [pd.to_numeric(train[name], errors="coerce") for name in names]
    return all(one.notna().all() for one in values) and any((one % 1 != 0).any() for one in values)


def is_binary(column: pd.Series[str]) -> bool:
    """Whether all cells of a column can be labels (1, 0, -1 or blank), and not all are blank."""
    values = {text.strip() for text in column.unique()}
    return values <= set(WRITTEN) and values != {""}


def _asks_for_columns(train: pd.DataFrame, answers: Sequence[str], columns: Sequence[str]) -> bool:
    """Whether a sample submission has one column per class, as the training table has."""
    shared = [name for name in answers if name in columns]
    alike = [name for name in shared if _label_share(train[name]) >= MOSTLY]
    return len(shared) >= MIN_MULTILABEL_COLUMNS and len(alike) >= MOSTLY * len(shared)


def _label_share(column: pd.Series[str]) -> float:
    """Share of the cells that can be labels, 0 to 1."""
    labels = [text for text in column.unique() if text.strip() in WRITTEN]
    return float(column.isin(labels).mean())


def _with_blank_ones(
    train: pd.DataFrame, free: Sequence[str], binary: Sequence[str]
) -> tuple[list[str], str]:
    """The 0/1 columns, and the blank columns with 0/1 columns next to them."""
    wholly_blank = {name for name in free if not train[name].str.strip().ne("").any()}
    order = [str(name) for name in train.columns]
    written = [place for place, name in enumerate(order) if name not in wholly_blank]
    blank = []
    for name in filter(wholly_blank.__contains__, order):
        cut = bisect(written, order.index(name))
        neighbours = [order[place] for place in (*written[:cut][-1:], *written[cut:][:1])]
        near = [other for other in neighbours if other in free]
        if near and all(other in binary for other in near):
            blank.append(name)
    labels = [name for name in free if name in binary or name in blank]
    why = f"label columns: {len(labels)} of 0 and 1 ({quoted(labels)})"
    if blank:
        why += f"; blank, assumed to be classes without annotations: {quoted(blank)}"
    return labels, why


def near_misses(
    train: pd.DataFrame, labels: Sequence[str], taken: Taken, answers: Sequence[str]
) -> list[str]:
    """Columns that fail as label columns by their name or a few cells, a sentence each."""
    if set(labels) & set(answers):
        return []
    sentences = []
    mend = "mend the table, or name the labels with --label"
    for name in train.columns:
        if name in (*labels, *taken.meaning, *taken.in_test):
            continue
        written = train[name].str.strip()
        wrong = ~written.isin(list(WRITTEN))
        if name in RESERVED:
            # The others are written by split.
            if name == PRED and not wrong.any():
                sentences.append(
                    f"problem: column '{name}' is not a label: {RESERVED_CLASS}; {mend}"
                )
        elif wrong.any() and not wrong.sum() > (1 - MOSTLY) * written.ne("").sum():
            row = int(wrong.to_numpy().argmax())
            sentences.append(
                f"problem: column '{name}' is not a label column: row {row + 1} has "
                f"'{written.iloc[row]}', not 0, 1, -1 or blank; {mend}"
            )
    return sentences


def _asked(
    answers: list[str], columns: Sequence[str], binary: Sequence[str], file: Path
) -> tuple[list[str], str]:
    """All classes of the sample submission, in its order."""
    lacking = [name for name in answers if name not in columns]
    if reserved := [name for name in lacking if name in RESERVED]:
        raise InputError(RESERVED_CLASS, file=file, values=reserved, mend=RENAME_CLASS)
    if lacking:
        likely = [name for name in nearest(lacking[0], columns) if name not in answers]
        raise InputError(
            "the sample submission has classes without a column in the training table",
            file=file,
            values=lacking,
            mend=f"Its other columns are {quoted(likely)}; the names have to agree"
            if likely
            else "Name the label columns with 'label' in comptool.toml",
        )
    why = f"label columns: {len(answers)} of 0 and 1 ({quoted(answers)})"
    if [name for name in columns if name in answers] != answers:
        why += "; in the order of the sample submission"
    unasked = [name for name in binary if name not in answers]
    if unasked:
        why += f"; not in the sample submission, so not a label: {quoted(unasked)}"
    return answers, why


def columns_of(label: str | list[str]) -> list[str]:
    """The label columns as a list."""
    return [label] if isinstance(label, str) else label


def is_joined(
    train: pd.DataFrame | None, answered: pd.DataFrame, label: str, file: str = ""
) -> bool:
    """Whether a column holds several labels per cell, joined by blanks, commas or the like.

    True if the sample submission has a column for each part; if all parts are whole numbers; if all
    cells are lists in brackets; if cells have semicolons or bars and a part recurs in different
    cells; with commas, if most parts do, since a name may have a comma in it; and with commas or
    blanks if a part recurs and the column's name is plural. Of a ``file`` in the layout of COCO,
    only ``; `` joins.
    """
    if train is None or label not in train:
        return False
    if label in (CATEGORY, CATEGORY_NAME) and CATEGORY in train and Path(file).suffix in JSON:
        return bool(train[CATEGORY].str.contains(JOIN, regex=False).any())
    cells = sorted(set(train[label].str.strip()) - {""})
    if cells and all(BRACKETED.fullmatch(cell) for cell in cells):
        return True
    parts = split_lists(pd.Series(cells, dtype=object))
    several = [names for names in parts if len(names) > 1]
    if not several:
        return False
    answers = set(answered)
    if len(answers) >= MIN_MULTILABEL_COLUMNS and not answers & set(cells):
        return any(answers.issuperset(names) for names in several)
    if all(NUMBER_LIST.fullmatch(cell) or cell.isdigit() for cell in cells):
        return True
    counts = Counter(name for names in parts for name in set(names))
    recurring = counts.most_common(1)[0][1] > 1
    mark = next((one for one in LIST_SEPARATORS if any(one in cell for cell in cells)), " ")
    plural = label.lower() in JOINED_NAMES
    if mark == "," and not plural:
        listed = [name for names in several for name in names]
        return sum(counts[name] > 1 for name in listed) > MOSTLY * len(listed)
    return recurring and (mark != " " or plural)


def task_by_values(labels: Sequence[str], metric: str | None, answered: pd.DataFrame) -> str:
    """``ordinal`` or ``regression`` if a column of labels and the metric stand for it, else blank.

    Numbers with a fraction are no classes. Whole numbers are grades or numbers if the metric is one
    of grades or numbers, and numbers if the sample submission answers them with fractions beyond 1.

    Examples
    --------
    >>> none = pd.DataFrame()
    >>> task_by_values(["0", "2", "1"], "quadratic-kappa", none)
    'ordinal'
    >>> task_by_values(["3", "17", "1"], "rmse", none), task_by_values(["0", "1"], "auc", none)
    ('regression', '')
    """
    values = pd.to_numeric(pd.Series(list(labels), dtype=object), errors="coerce")
    if values.isna().any() or values.empty:
        return ""
    whole = (values % 1 == 0).all()
    if metric in OF_GRADES and whole:
        return ORDINAL
    if metric in OF_NUMBERS:
        return REGRESSION
    if not whole:
        return REGRESSION
    return REGRESSION if metric is None and _answers_fractions(answered) else ""


def _answers_fractions(answered: pd.DataFrame) -> bool:
    """Whether a sample submission has one column of numbers, some with a fraction and beyond 1."""
    if len(answered.columns) != 1:
        return False
    values = pd.to_numeric(answered.iloc[:, 0], errors="coerce")
    return bool(values.notna().all() and (values % 1 != 0).any() and (values.abs() > 1).any())


def asks_for_ranking(answered: pd.DataFrame, labels: Sequence[str]) -> int:
    """Number of classes, best first, that a sample submission lists in a cell; else 0."""
    if len(answered.columns) != 1:
        return 0
    cells = split_lists(answered.iloc[:, 0], labels)
    lengths = {len(cell) for cell in cells}
    known = set(labels)
    number = lengths.pop() if len(lengths) == 1 else 0
    return number if number > 1 and any(known.issuperset(cell) for cell in cells) else 0


def asks_for_one_probability(answered: pd.DataFrame) -> bool:
    """Whether a sample submission has one column of numbers from 0 to 1, some with a point."""
    if len(answered.columns) != 1:
        return False
    cells = answered.iloc[:, 0].unique()
    return bool(decimal_among(cells)) and all(0 <= float(one) <= 1 for one in cells if one.strip())
