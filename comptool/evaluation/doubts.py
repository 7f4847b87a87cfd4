"""What a review hands on, whatever it doubts: cells of several labels per image, or one label."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from comptool.errors import InputError
from comptool.tables import check_ids, read_table

AT = (10, 20, 50, 100, 200, 500, 1000, 2000, 5000)


@dataclass(frozen=True)
class Card:
    """One doubted label on the page.

    Parameters
    ----------
    id
        Of the image.
    of_class, kind
        What the page filters by.
    heading, verdict, change, numbers
        What it says: of which class it is, what is doubted, what a tick means, how sure.
    suggested
        The label that a tick exports.
    """

    id: str
    of_class: str
    kind: str
    heading: str
    verdict: str
    change: str
    numbers: str
    suggested: str


@dataclass(frozen=True)
class Sheet:
    """What a page of cards is about.

    Parameters
    ----------
    noun
        What a card is of: ``cells`` or ``rows``.
    order
        In which order they come, the end of a sentence.
    filters
        The names of the two filters, by class and by kind.
    kinds
        What each kind is called in the second filter; a kind without a name stands for itself.
    exported
        Columns of the corrections by the attribute of a card that they hold.
    tables
        Tables under the heading, by title.
    """

    noun: str
    order: str
    filters: tuple[str, str]
    exported: Mapping[str, str]
    kinds: Mapping[str, str] = field(default_factory=dict)
    tables: Mapping[str, pd.DataFrame] = field(default_factory=dict)


@dataclass(frozen=True)
class Doubts:
    """The labels that predictions doubt.

    Parameters
    ----------
    table
        One row each, the most doubtful first.
    cards
        The same in the order of the page.
    sheet
        What the page is about.
    lines
        What was found, sentences and tables for a person.
    facts
        The same for a program.
    pairs
        Of one class per image, how often each label stands for each class; None of several.
    """

    table: pd.DataFrame
    cards: Sequence[Card]
    sheet: Sheet
    lines: tuple[str, ...]
    facts: Mapping[str, object]
    pairs: pd.DataFrame | None = None


def cut_offs(length: int) -> list[int]:
    """Lengths of the list at which it is measured: round ones, and the whole.

    Examples
    --------
    >>> cut_offs(60)
    [10, 20, 50, 60]
    """
    return [k for k in AT if k < length] + [length]


def read_truth(path: Path, ids: Sequence[str]) -> tuple[pd.DataFrame, npt.NDArray[np.intp]]:
    """A table of true labels, ids in its first column, and the row of each of ``ids`` in it.

    Raises
    ------
    InputError
        If the file is no table, an id is blank or there twice, or some are missing.
    """
    frame = read_table(path)
    column = str(frame.columns[0])
    check_ids(path, column, frame[column].to_numpy(dtype=object))
    rows = pd.Index(frame[column]).get_indexer(pd.Index(ids))
    missing = [name for name, row in zip(ids, rows, strict=True) if row < 0]
    if missing:
        raise InputError(f"lacks {len(missing)} of the ids", file=path, values=missing)
    return frame, rows


def measured_text(kind: str, found: Sequence[Mapping[str, float]]) -> str:
    """The figures of a list against the truth, to be read."""
    table = pd.DataFrame(found).astype({"k": int})
    shown = table.to_string(index=False, float_format=lambda value: f"{value:.3f}")
    return f"{kind} labels against the truth\n{shown}"
