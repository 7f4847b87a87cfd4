"""Corrections of a label table: one row per cell, as the review page exports them.

A corrections file is a CSV with the columns ``id``, ``class`` and ``label``; the label is 1
(present), 0 (absent), -1 or blank (not known).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from comptool.errors import InputError, nearest
from comptool.label_matrix import split_lists
from comptool.samples import Samples
from comptool.tables import read_table

COLUMNS = ("id", "class", "label")
# The column that tells the table of a review from corrections.
REVIEWED = "suggested"
VALUES = ("1", "0", "-1", "")
NOT_KNOWN = ("-1", "")


@dataclass(frozen=True)
class Corrected:
    """A label table with its corrections.

    Parameters
    ----------
    frame
        The table, changed in the named cells only.
    changed
        Cells that were changed.
    unchanged
        Corrections that the table followed already.
    """

    frame: pd.DataFrame
    changed: int
    unchanged: int

    def text(self) -> str:
        """One line for the person at the terminal."""
        same = f"; {self.unchanged} had the label already" if self.unchanged else ""
        return f"corrections: {self.changed} cells changed{same}"


def read_corrections(path: Path) -> pd.DataFrame:
    """The corrections of a file; every cell as text.

    Raises
    ------
    InputError
        If it is no table, lacks one of the three columns, or is the review itself: its labels are
        those that the table has, so that nothing would change.
    """
    table = read_table(path, required=COLUMNS)
    if REVIEWED in table.columns:
        raise InputError(
            "this is the review itself, whose labels are those that the table has already",
            file=path,
            column=REVIEWED,
            mend="Open its page (the .html beside it), tick the cells that are wrong, and give "
            "the corrections.csv that the page exports",
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
    """Change the cells that corrections name, and no others.

    Parameters
    ----------
    frame
        Label table of text: distinct ids, one column per class.
    corrections
        Text columns ``id``, ``class`` and ``label``.
    id_column
        Name of the id column of ``frame``.
    classes
        The class columns of ``frame``.
    file
        Where the corrections came from, for messages.

    Raises
    ------
    InputError
        If an id or a class is not in the table, a label is none of 1, 0, -1 and blank, or two
        rows say different things of one cell.
    """
    said = _checked(frame[id_column], corrections, classes, file)
    corrected = frame.copy()
    changed = 0
    for name, cells in said.items():
        column = corrected[name].to_numpy(dtype=object, copy=True)
        changed += sum(column[row] != label for row, label in cells.items())
        column[list(cells)] = list(cells.values())
        corrected[name] = column
    return Corrected(corrected, changed, sum(map(len, said.values())) - changed)


def apply_to_lists(
    samples: Samples, corrections: pd.DataFrame, *, file: Path | None = None
) -> Corrected:
    """Change the lists of labels that corrections name, and no others.

    A label comes last in its list. What a list names is present and what it does not is absent:
    "not known" cannot be said in one, and is refused.

    Parameters
    ----------
    samples
        Samples whose labels are one column of joined lists.
    corrections
        As in `apply_corrections`.
    file
        Where the corrections came from, for messages.

    Raises
    ------
    InputError
        As `apply_corrections`; also if a label is -1 or blank.
    """
    assert samples.label is not None
    ids, lists = samples.frame[samples.id], samples.frame[samples.label]
    said = _checked(ids, corrections, samples.labels, file)
    unsayable = corrections["label"].isin(NOT_KNOWN).to_numpy().nonzero()[0]
    if unsayable.size:
        row = int(unsayable[0])
        what = f"a list of labels (column '{samples.label}') cannot say that one is not known"
        raise _refused(what, file, row + 1, "label", corrections["label"].iloc[row])
    named = split_lists(lists, samples.labels)
    comma = any("," in text for text in lists) or any(" " in name for name in samples.labels)
    cells, changed = lists.to_numpy(dtype=object, copy=True), 0
    for name, rows in said.items():
        for row, label in rows.items():
            if (name in named[row]) == (label == "1"):
                continue
            changed += 1
            others = [one for one in named[row] if one != name]
            named[row] = [*others, name] if label == "1" else others
            cells[row] = (", " if comma else " ").join(named[row])
    frame = samples.frame.assign(**{samples.label: cells})
    return Corrected(frame, changed, sum(map(len, said.values())) - changed)


def _checked(
    ids: Iterable[str], corrections: pd.DataFrame, classes: Sequence[str], file: Path | None
) -> dict[str, dict[int, str]]:
    """The new label of each row that is corrected, by class."""
    places = {name: row for row, name in enumerate(ids)}
    said: dict[str, dict[int, str]] = {}
    rows = zip(*(corrections[name] for name in COLUMNS), strict=True)
    for number, (name, of_class, label) in enumerate(rows, start=1):
        if name not in places:
            raise _refused("there is no such id in the table", file, number, "id", name)
        if of_class not in classes:
            likely = " or ".join(f"'{other}'" for other in nearest(of_class, classes))
            what = f"there is no such class in the table; did you mean {likely}"
            raise _refused(what, file, number, "class", of_class)
        if label not in VALUES:
            raise _refused("is none of 1, 0, -1 and blank", file, number, "label", label)
        if said.setdefault(of_class, {}).setdefault(places[name], label) != label:
            what = f"another row says otherwise of '{name}' and '{of_class}'"
            raise _refused(what, file, number, "label", label)
    return said


def _refused(what: str, file: Path | None, row: int, column: str, value: str) -> InputError:
    return InputError(what, file=file, row=row, column=column, values=[value])
