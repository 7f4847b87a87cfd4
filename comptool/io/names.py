"""Names that every file can hold, and names of files that every system can open.

Ids, classes, groups and columns may be any text but the few that some format would lose: the same
name has to come back from CSV, Parquet, ``.npy`` and JSON.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from comptool.errors import InputError, OutputError, UsageError

MEND = "Correct it where it comes from, and run the command again"
MOST_BYTES = 200  # of a file name; records and temporary files add to it, and systems take 255
DEVICES = frozenset(
    ["con", "prn", "aux", "nul"]
    + [f"{name}{digit}" for name in ("com", "lpt") for digit in "123456789"]
)
FORBIDDEN = '<>:"/\\|?*'
BOM = "\ufeff"


def check_texts(path: Path, column: str, texts: Iterable[str]) -> None:
    """Check that every file can hold the cells of a column.

    Raises
    ------
    InputError
        For the first cell with a NUL or half a character (a lone surrogate).
    """
    texts = list(texts)
    if _flaw("\n".join(texts)) is None:
        return
    for row, text in enumerate(texts, start=1):
        if what := _flaw(text):
            raise InputError(what, file=path, row=row, column=column, values=[text], mend=MEND)


def check_columns(path: Path, names: Sequence[str]) -> None:
    """Check that the names of columns come back from every file.

    Raises
    ------
    InputError
        If one is blank or as in `check_texts`, or the first one begins as a comment does (``#``) or
        with a byte order mark.
    """
    for place, name in enumerate(names):
        what = _flaw(name)
        if not name.strip():
            what = "a column has no name"
        elif not place and name.startswith((BOM, "#")):
            kind = "a comment" if name[0] == "#" else "a byte order mark"
            what = f"the name of the first column begins like {kind}, and would be lost"
        if what:
            raise InputError(what, file=path, column=name, mend=MEND)


def _flaw(text: str) -> str | None:
    if "\0" in text:
        return "has a NUL, which many programs take for the end of a text"
    try:
        text.encode()
    except UnicodeEncodeError:
        return "has half a character, which no text file can hold"
    return None


def check_output_name(path: Path) -> None:
    """Check the name of a new file, and those of its new folders, before any work is done for it.

    Raises
    ------
    OutputError
        If another system could not open it.
    """
    while path.name and not os.path.exists(path):
        if why := file_name_flaw(path.name):
            raise OutputError(f"its name {why}", file=path, mend="Give it another name")
        path = path.parent


def check_run_name(option: str, name: str) -> None:
    """Raise a UsageError if ``name`` cannot be one folder on every system."""
    if why := file_name_flaw(name):
        raise UsageError(f"{option} is {name!r}; it {why}")


def file_name_flaw(name: str) -> str | None:
    r"""Why a file of this name could not be opened on every system; None if it could.

    Examples
    --------
    >>> file_name_flaw("nul.csv")
    'is a device on Windows'
    >>> file_name_flaw("a\\b"), file_name_flaw("a.csv")
    ('holds a \\, which not every system allows', None)
    """
    if bad := next((letter for letter in name if letter in FORBIDDEN), None):
        return f"holds a {bad}, which not every system allows"
    if not name.isprintable():
        return "holds a character that does not print"
    if name.partition(".")[0].strip().lower() in DEVICES:
        return "is a device on Windows"
    if name.endswith((".", " ")):
        return "ends in a dot or a blank, which Windows drops"
    if name.startswith("-"):
        return "begins with -, as options do"
    if len(name.encode()) > MOST_BYTES:
        return f"is longer than {MOST_BYTES} bytes"
    return None
