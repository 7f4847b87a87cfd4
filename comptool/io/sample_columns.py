"""Columns of a sample submission: the id, the columns before it, and the answers after it."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass

import pandas as pd

from comptool.io.text_tables import NAMELESS

DECIMAL = re.compile(r"[+-]?(?:\d*\.\d+|\d+\.)(?:[eE][+-]?\d+)?")


@dataclass(frozen=True)
class SampleColumns:
    """The columns of a sample submission by their role."""

    kept: tuple[str, ...]  # before the id; their cells stay as they are
    id: str
    answers: tuple[str, ...]

    @classmethod
    def of(cls, table: pd.DataFrame, id_column: str | None = None) -> SampleColumns:
        """The columns of a table of text.

        The id is ``id_column``, the competition's, if it is a column with others after it; else the
        first column that is not a nameless index, one that counts the rows from 0 or 1.
        """
        names = tuple(str(name) for name in table.columns)
        if id_column in names[:-1]:
            place = names.index(str(id_column))
        else:
            place = int(len(names) > 2 and names[0] == NAMELESS and _counts(table[names[0]]))
        return cls(names[:place], names[place], names[place + 1 :])


def _counts(cells: pd.Series[str]) -> bool:
    texts = cells.tolist()
    return any(texts == [str(n + start) for n in range(len(texts))] for start in (0, 1))


def id_of(table: pd.DataFrame, id_column: str | None = None) -> str:
    """The id column of a table, as in `SampleColumns.of`."""
    return SampleColumns.of(table, id_column).id


def answer_table(sample: pd.DataFrame | None, id_column: str | None = None) -> pd.DataFrame:
    """The answer columns of a sample submission; a table without columns if there is none."""
    if sample is None:
        return pd.DataFrame()
    return sample[list(SampleColumns.of(sample, id_column).answers)]


def is_number(cell: str) -> bool:
    """Whether a cell is a finite number."""
    try:
        return math.isfinite(float(cell))
    except ValueError:
        return False


def decimal_among(cells: Iterable[str]) -> str:
    """The first cell with a decimal point, if all that are not blank are numbers; else empty.

    Examples
    --------
    >>> decimal_among(["0", "0.5", ""]), decimal_among(["0", "1"]), decimal_among(["cat", "0.5"])
    ('0.5', '', '')
    """
    written = [cell for cell in cells if cell.strip()]
    if not all(map(is_number, written)):
        return ""
    return next(filter(DECIMAL.fullmatch, written), "")
