"""The labels of a table: there, not blank, of classes that a prediction file can have."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from comptool.errors import InputError
from comptool.io.predictions import RENAME_CLASS, RESERVED, RESERVED_CLASS
from comptool.io.tables import read_table, refuse_rows
from comptool.tasks.label_matrix import split_lists
from comptool.tasks.task import LabelFacts

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
    answers = [str(name) for name in read_table(facts.sample_submission).columns[1:]]
    return tuple(answers) if len(answers) >= MIN_CLASSES else ()
