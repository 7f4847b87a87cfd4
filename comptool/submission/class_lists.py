"""Cells of several classes, or of their numbers: separators, and the number of the first class."""

from __future__ import annotations

import itertools
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from comptool.errors import SubmissionError, quoted
from comptool.tasks.labels import split_cell

WHOLE = re.compile(r"\d+")
# How lists may be separated besides blanks.
SEPARATORS = (", ", "; ", " | ", ",", ";", "|")
PLURAL = {",": "commas", ";": "semicolons", "|": "bars"}
SIGN = {",": "a comma", ";": "a semicolon", "|": "a bar"}


@dataclass(frozen=True)
class ClassLists:
    """Cells as lists of classes, or of class numbers."""

    separator: str
    named: tuple[str, ...]  # distinct
    longest: int
    example: str  # a cell with several
    cells: tuple[str, ...]  # distinct

    @property
    def several(self) -> bool:
        """Whether a cell has more than one class."""
        return bool(self.example)

    @classmethod
    def read(cls, cells: Sequence[str], known: tuple[str, ...] | None) -> ClassLists:
        """Read distinct cells that are not blank."""
        separator = _separator(cells, known)
        lists = [split_cell(cell, separator, known or ()) for cell in cells]
        if known is not None:
            # Words between blanks are a list only if classes are among them.
            lists = [
                parts if _are_classes(parts, known) else [cell]
                for cell, parts in zip(cells, lists, strict=True)
            ]
        example = next((c for c, p in zip(cells, lists, strict=True) if len(p) > 1), "")
        named = tuple(dict.fromkeys(itertools.chain.from_iterable(lists)))
        return cls(separator, named, max(map(len, lists), default=0), example, tuple(cells))

    def split(self, cell: str, known: Sequence[str]) -> list[str]:
        """The parts of a cell."""
        return split_cell(cell, self.separator, known)

    def first_number(self, known: Sequence[str] | None) -> int:
        """The number of the first class: 1 if all of 1 to K are listed, else 0."""
        return first_class_number(self.named, known or (), strict=True) or 0

    def places(self, cell: str, known: Sequence[str], usual: int = 0) -> list[int] | None:
        """Indices of the classes of a cell, by name or by number; None if one is unknown.

        ``usual`` is the number of the first class where the numbers leave it open.
        """
        parts = self.split(cell, known)
        place = {name: index for index, name in enumerate(known)}
        if all(part in place for part in parts):
            return [place[part] for part in parts]
        first = first_class_number(self.named, known, usual=usual)
        return None if first is None else [int(part) - first for part in parts]


def first_class_number(
    named: Collection[str], known: Sequence[str], *, usual: int = 0, strict: bool = False
) -> int | None:
    """The number of the first class where answers are class numbers, 0 or 1; else None.

    Answers with a 0 count from 0, with a K from 1, and others as is ``usual``. With ``strict``, for
    the cells of a sample submission, which may stand for nothing, they count from 1 if they are all
    of 1 to K, and else from 0.

    Examples
    --------
    >>> first_class_number(["1", "3"], "abc"), first_class_number(["1", "3"], "abc", strict=True)
    (1, None)
    >>> first_class_number(["1", "2", "3"], "abc", strict=True), first_class_number(["a"], "abc")
    (1, None)
    """
    if not all(map(WHOLE.fullmatch, named)) or {*named} & {*known}:
        return None
    numbers = {*map(int, named)}
    if strict:
        first = int(bool(known) and numbers == {*range(1, len(known) + 1)})
    else:
        first = 0 if 0 in numbers else 1 if len(known) in numbers else usual
    return first if max(numbers, default=0) - first < len(known) else None


def _are_classes(parts: Sequence[str], known: Sequence[str]) -> bool:
    return any(part in known for part in parts) or all(map(WHOLE.fullmatch, parts))


def _separator(cells: Sequence[str], known: tuple[str, ...] | None) -> str:
    """The separator of the sample's lists, a blank by default."""
    lists = [cell for cell in cells if cell not in (known or ())]
    for separator in SEPARATORS:
        if any(separator in cell for cell in lists):
            parts = [part for cell in lists for part in split_cell(cell, separator, known or ())]
            if known is None or _are_classes(parts, known):
                return separator
    return " "


def joinable(separator: str, classes: Sequence[str]) -> tuple[str, tuple[str, ...]]:
    """A separator that is in no class name, and a note if it is not the sample's.

    Raises
    ------
    SubmissionError
        If the sample's, or the comma in place of a blank, is in the name of a class.
    """
    blank = [name for name in classes if name.split() != [name]]
    notes: tuple[str, ...] = ()
    if separator == " " and blank:
        separator = ","
        notes = (f"classes are joined by commas, for {quoted(blank)} hold a blank",)
    sign = separator.strip()
    if sign and (torn := [name for name in classes if sign in name]):
        raise SubmissionError(
            f"a list joined by {PLURAL[sign]} cannot name {quoted(torn)}: {SIGN[sign]} is part of "
            f"the name"
        )
    return separator, notes
