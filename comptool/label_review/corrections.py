"""Corrections of a label table, as exported by the review page.

A multi-label corrections file is a CSV with the columns ``id``, ``class`` and ``label``, one row
per cell; the label is 1 (present), 0 (absent), -1 or blank (unknown). A single-label file has the
columns ``id`` and ``label``; the label is a class, or blank to leave the row out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from comptool.competition.samples import Samples
from comptool.errors import InputError, nearest
from comptool.io.tables import read_table
from comptool.tasks.labels import split_lists

COLUMNS = ("id", "class", "label")
ROW_COLUMNS = ("id", "label")
# A column of review tables, not of corrections.
REVIEWED = "suggested"
VALUES = ("1", "0", "-1", "")
NOT_KNOWN = ("-1", "")


@dataclass(frozen=True)
class Corrected:
    """A label table with its corrections."""

    frame: pd.DataFrame  # the table, changed in the named cells only
    changed: int  # labels that were changed
    unchanged: int  # corrections that the table followed already
    removed: int = 0  # rows that were left out
    noun: str = "cells"  # labelled unit: ``cells`` or ``rows``

    def text(self) -> str:
        """One line for the terminal."""
        removed = f", {self.removed} left out" if self.removed else ""
        same = f"; {self.unchanged} had the label already" if self.unchanged else ""
        return f"corrections: {self.changed} {self.noun} changed{removed}{same}"


def read_corrections(path: Path, columns: Sequence[str] = COLUMNS) -> pd.DataFrame:
    """Read a corrections file; every cell as text.

    ``columns`` are required: `COLUMNS`, or `ROW_COLUMNS` of a single-label table. InputError if it
    is not a table, lacks a column, is multi-label for a single-label table, or is the review
    itself, which has the unchanged labels.
    """
    table = read_table(path, required=columns)
    if "class" in table.columns and "class" not in columns:
        what = "these corrections are for tables of several labels per row, and this one has one"
        raise InputError(what, file=path, column="class")
    if REVIEWED in table.columns:
        raise InputError(
            "this is the review itself, whose labels are those that the table has already",
            file=path,
            column=REVIEWED,
            mend="Open its page (the .html of the same name), tick the cells that are wrong, and "
            "give the corrections.csv that the page exports",
        )
    return table


def apply_corrections(
    frame: pd.DataFrame,
    corrections: pd.DataFrame,
    *,
    id_column: str,
    classes: Sequence[str],
    file: Path | None = None,
) -> Corrected:
    """Change the cells of ``frame`` that corrections name.

    ``frame`` is text, with distinct ids in ``id_column`` and a column for each of ``classes``.
    ``corrections`` have the text columns ``id``, ``class`` and ``label``, from ``file``. InputError
    if an id or a class is not in the table, a label is not 1, 0, -1 or blank, or two rows
    contradict each other.
    """
    wanted = _checked(frame[id_column], corrections, classes, file)
    corrected = frame.copy()
    changed = 0
    for name, cells in wanted.items():
        column = corrected[name].to_numpy(dtype=object, copy=True)
        changed += sum(column[row] != label for row, label in cells.items())
        column[list(cells)] = list(cells.values())
        corrected[name] = column
    return Corrected(corrected, changed, sum(map(len, wanted.values())) - changed)


def apply_to_lists(
    samples: Samples, corrections: pd.DataFrame, *, file: Path | None = None
) -> Corrected:
    """Change lists of labels; a new label comes last. ``corrections`` as in `apply_corrections`.

    InputError as there; also for -1 and blank, since a list cannot hold an unknown label.
    """
    assert samples.label is not None
    ids, lists = samples.frame[samples.id], samples.frame[samples.label]
    wanted = _checked(ids, corrections, samples.labels, file)
    unknown = corrections["label"].isin(NOT_KNOWN).to_numpy().nonzero()[0]
    if unknown.size:
        row = int(unknown[0])
        what = f"a list of labels (column '{samples.label}') cannot say that one is not known"
        raise _refused(what, file, row + 1, "label", corrections["label"].iloc[row])
    named = split_lists(lists, samples.labels)
    comma = any("," in text for text in lists) or any(" " in name for name in samples.labels)
    cells, changed = lists.to_numpy(dtype=object, copy=True), 0
    for name, rows in wanted.items():
        for row, label in rows.items():
            if (name in named[row]) == (label == "1"):
                continue
            changed += 1
            others = [one for one in named[row] if one != name]
            named[row] = [*others, name] if label == "1" else others
            cells[row] = (", " if comma else " ").join(named[row])
    frame = samples.frame.assign(**{samples.label: cells})
    return Corrected(frame, changed, sum(map(len, wanted.values())) - changed)


def apply_to_classes(
    samples: Samples, corrections: pd.DataFrame, *, file: Path | None = None
) -> Corrected:
    """Change the classes of rows; a row with a blank label is left out.

    ``corrections`` have the text columns ``id`` and ``label``, from ``file``. InputError if an id
    or a class is not in the table, two rows contradict each other, or no row is left.
    """
    assert samples.label is not None
    before = samples.frame[samples.label].to_numpy(dtype=object)
    labels = before.copy()
    places = {name: row for row, name in enumerate(samples.frame[samples.id])}
    classes, wanted = set(before), dict[str, str]()
    pairs = zip(corrections["id"], corrections["label"].str.strip(), strict=True)
    for number, (name, label) in enumerate(pairs, start=1):
        _check_id(name, places, file, number)
        if label and label not in classes:
            raise _unknown_class(label, sorted(classes), file, number, "label")
        if wanted.setdefault(name, label) != label:
            raise _refused(f"another row says otherwise of '{name}'", file, number, "label", label)
        labels[places[name]] = label
    kept = labels != ""
    if not kept.any():
        raise InputError("leave no row of the table", file=file)
    changed, removed = int((kept & (labels != before)).sum()), int((~kept).sum())
    frame = samples.frame.assign(**{samples.label: labels})[kept].reset_index(drop=True)
    return Corrected(frame, changed, len(wanted) - changed - removed, removed, "rows")


def _checked(
    ids: Iterable[str], corrections: pd.DataFrame, classes: Sequence[str], file: Path | None
) -> dict[str, dict[int, str]]:
    """The new label of each corrected row, by class."""
    places = {name: row for row, name in enumerate(ids)}
    wanted: dict[str, dict[int, str]] = {}
    rows = zip(*(corrections[name] for name in COLUMNS), strict=True)
    for number, (name, of_class, label) in enumerate(rows, start=1):
        _check_id(name, places, file, number)
        if of_class not in classes:
            raise _unknown_class(of_class, classes, file, number, "class")
        if label not in VALUES:
            raise _refused("is none of 1, 0, -1 and blank", file, number, "label", label)
        if wanted.setdefault(of_class, {}).setdefault(places[name], label) != label:
            what = f"another row says otherwise of '{name}' and '{of_class}'"
            raise _refused(what, file, number, "label", label)
    return wanted


def _check_id(name: str, places: Mapping[str, int], file: Path | None, row: int) -> None:
    if name not in places:
        raise _refused("there is no such id in the table", file, row, "id", name)


def _unknown_class(
    name: str, classes: Sequence[str], file: Path | None, row: int, column: str
) -> InputError:
    likely = " or ".join(f"'{other}'" for other in nearest(name, classes))
    what = f"there is no such class in the table; did you mean {likely}"
    return _refused(what, file, row, column, name)


def _refused(what: str, file: Path | None, row: int, column: str, value: str) -> InputError:
    return InputError(what, file=file, row=row, column=column, values=[value])
