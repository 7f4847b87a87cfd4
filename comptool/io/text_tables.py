"""How a text table is written, from its beginning: encoding, separator, comments, header."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from comptool.errors import InputError
from comptool.io.image_readers import IMAGE_SUFFIXES
from comptool.io.packed import unpacked

if TYPE_CHECKING:
    import pandas as pd

NAMELESS = "Unnamed: 0"
"""The name of a first column without a name."""
UTF_8, LATIN_1 = "utf-8-sig", "cp1252"
SEPARATORS = {",": "commas", "\t": "tabs", ";": "semicolons", " ": "blanks"}
# Lists of files and classes; elsewhere a blank is a part of a name.
WITH_BLANKS = ".txt"
COMMENT = "#"
MARK = re.compile(r"#\s*")
SNIFFED_BYTES = 1 << 16
SNIFFED_ROWS = 50
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
DIGITS = re.compile(r"\d+")
CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]")
MIN_ID = 6  # characters


@dataclass(frozen=True)
class TextForm:
    """How a text table is written."""

    encoding: str = UTF_8
    separator: str = ","
    num_comments: int = 0  # lines before the table
    columns: tuple[str, ...] = ()  # their names where the file has no header
    nameless: bool = False  # whether the first column has no name in the header
    mark: str = ""  # before the header, if that is a comment line

    def __str__(self) -> str:
        """What is unusual about it, in words; blank for a usual CSV."""
        parts = [SEPARATORS[self.separator]] if self.separator != "," else []
        if self.encoding != UTF_8:
            parts.append("UTF-16" if "16" in self.encoding else "Latin-1")
        if self.num_comments:
            parts.append(f"comment lines: {self.num_comments}")
        if self.columns:
            parts.append(f"no header, so the columns are called {', '.join(self.columns)}")
        return "; ".join(parts)


USUAL = TextForm()


def text_form(path: Path) -> TextForm:
    """How a text table is written; a usual CSV if it cannot be read."""
    try:
        head = _head(path)
    except (OSError, InputError):
        return USUAL
    encoding, text = _decoded(head, whole=len(head) < SNIFFED_BYTES)
    lines = text.splitlines(keepends=True)
    if len(head) == SNIFFED_BYTES:
        lines = lines[:-1] or lines
    num_comments = 0
    while num_comments < len(lines) and lines[num_comments].startswith(COMMENT):
        num_comments += 1
    with_blanks = WITH_BLANKS in path.suffixes
    separators = [one for one in SEPARATORS if one != " " or with_blanks]
    separator, rows = _separated("".join(lines[num_comments:]), separators)
    header = _commented_header(lines[:num_comments], separator, rows)
    if header and (found := MARK.match(header[0])):
        nameless = found[0] == header[0]
        return TextForm(encoding, separator, num_comments - 1, (), nameless, found[0])
    nameless = bool(rows) and len(rows[0]) > 1 and not rows[0][0].strip()
    columns = _columns_without_header(rows)
    return TextForm(encoding, separator, num_comments, columns, nameless and not columns)


def decimal_commas(column: pd.Series[str]) -> pd.Series[bool]:
    """The cells that are numbers with a decimal comma, if all are that or blank.

    Such cells are no lists of classes if one has a number twice, as in ``3,3``, a zero before a
    number, or a sign.
    """
    cells = column.str.strip()
    decimal = cells.str.fullmatch(r"[+-]?\d+,\d+")
    is_no_list = cells.str.fullmatch(r"[+-]?(\d+),(\1|0\d+)|[+-].*")
    return decimal & bool((decimal | cells.eq("")).all() and is_no_list.any())


def _head(path: Path) -> bytes:
    with unpacked(path) as stream:
        return stream.read(SNIFFED_BYTES)


def _decoded(head: bytes, *, whole: bool) -> tuple[str, str]:
    """The encoding, and the beginning of the file as text."""
    if head[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return "utf-16", head.decode("utf-16", errors="ignore")
    try:
        # A character may be cut at the end of the beginning.
        return UTF_8, (head if whole else head[:-4]).decode(UTF_8)
    except UnicodeDecodeError as error:
        if error.end > len(head) - 4 and not whole:
            return UTF_8, head.decode(UTF_8, errors="ignore")
    if CONTROL.search(head):  # no text at all
        return UTF_8, ""
    try:
        return LATIN_1, head.decode(LATIN_1)
    except UnicodeDecodeError:
        return "latin-1", head.decode("latin-1")


def _separated(text: str, separators: Sequence[str]) -> tuple[str, list[list[str]]]:
    """The separator that gives every row the same number of cells, and the rows; else commas."""
    by_comma = _rows(text, ",")
    for separator in separators:
        rows = by_comma if separator == "," else _rows(text, separator)
        if len({len(row) for row in rows}) == 1 and len(rows[0]) > 1:
            return separator, rows
    return ",", by_comma


def _rows(text: str, separator: str) -> list[list[str]]:
    try:
        rows = list(filter(None, csv.reader(io.StringIO(text, newline=""), delimiter=separator)))
    except csv.Error:
        return []
    return rows[:SNIFFED_ROWS]


def _commented_header(
    comments: Sequence[str], separator: str, rows: Sequence[Sequence[str]]
) -> list[str]:
    """The cells of the last comment line if it is the header, ``# id,label``; else none."""
    cells = _rows("".join(comments[-1:]), separator)[:1]
    fits = rows and len(rows[0]) > 1 and list(map(len, cells)) == [len(rows[0])]
    return cells[0] if fits else []


def _columns_without_header(rows: Sequence[Sequence[str]]) -> tuple[str, ...]:
    """The names of the columns if the first row is no header: it holds what the others hold."""
    if len(rows) < 2 or len({len(row) for row in rows}) > 1:
        return ()
    first, rest = rows[0], rows[1:]
    is_data = (
        # A class may be called .dicom: images are named below it, too.
        any(
            _is_image(cell) and any(map(_is_image, below))
            for cell, *below in zip(*rows, strict=True)
        )
        or all(NUMBER.fullmatch(cell) for cell in first)
        or (len(first) > 1 and _is_labelled(first, rest))
    )
    if not is_data:
        return ()
    if len(first) <= 2:
        return ("id", "label")[: len(first)]
    return tuple(f"column{number}" for number in range(1, len(first) + 1))


def _is_image(cell: str) -> bool:
    return cell.lower().endswith(tuple(IMAGE_SUFFIXES))


def _is_labelled(first: Sequence[str], rest: Sequence[Sequence[str]]) -> bool:
    """Whether the first row has an id of the form of the others, and a label like theirs."""
    has_label = any(row[-1] == first[-1] for row in rest) or all(
        NUMBER.fullmatch(row[-1]) for row in (first, *rest)
    )
    if not has_label or not any(letter.isdigit() for letter in first[0]):
        return False
    if {DIGITS.sub("0", row[0]) for row in rest} == {DIGITS.sub("0", first[0])}:
        return True
    return len(first[0]) >= MIN_ID and {len(row[0]) for row in rest} == {len(first[0])}
