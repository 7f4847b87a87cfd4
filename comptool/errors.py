"""Errors of the user, with a remedy.

Only ``commands/errors.py`` turns their types into exit codes.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from os import PathLike

SHOWN_VALUES = 3
SHOWN_LETTERS = 200


class ComptoolError(Exception):
    """An error that the user can correct; its text is the whole message."""


class UsageError(ComptoolError):
    """Contradictory options, or an unknown name (exit code 2)."""


class InputError(ComptoolError):
    """An unusable file (exit code 3).

    Parameters
    ----------
    what
        The problem, in a clause without a full stop.
    file
        The file concerned.
    row
        Number of the data row, from 1, without the header.
    column
        Name of the column.
    values
        Offending values; the first three are shown.
    mend
        The remedy, usually a command.

    Examples
    --------
    >>> print(InputError("no class index", file="a.csv", row=3, column="y", values=["x"]))
    a.csv, row 3, column 'y': no class index (found 'x')
    """

    def __init__(
        self,
        what: str,
        *,
        file: str | PathLike[str] | None = None,
        row: int | None = None,
        column: str | None = None,
        values: Iterable[object] = (),
        mend: str | None = None,
    ) -> None:
        place = [] if file is None else [visible(str(file))]
        if row is not None:
            place.append(f"row {row}")
        if column is not None:
            place.append(f"column {quoted([column])}")
        shown = list(values)
        text = f"{', '.join(place)}: {what}" if place else what
        if shown:
            text += f" (found {quoted(shown)})"
        if mend:
            text += f". {mend}"
        super().__init__(text)
        self.what = what


class OutputError(InputError):
    """A file that cannot be written."""


class OutputExistsError(OutputError):
    """An output that would be overwritten (exit code 3)."""


class AlreadyDoneError(ComptoolError):
    """Outputs that the same command made before, from the same inputs (exit code 0)."""

    def __init__(self, paths: Sequence[PathLike[str]]) -> None:
        self.paths = paths
        super().__init__(f"already done: {', '.join(map(str, paths))}")


class UserFunctionError(ComptoolError):
    """A function of the user that raises or returns no number (exit code 3)."""


class SubmissionError(ComptoolError):
    """A submission that the organiser would reject (exit code 4)."""


def visible(text: str) -> str:
    r"""Text as a terminal may show it: characters that do not print stand as escapes.

    >>> print(visible("a\x1b[31m\nb"))
    a\x1b[31m\nb
    """
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else ascii(one)[1:-1] for one in text)


def visible_lines(text: str) -> str:
    """Text of several lines as a terminal may show it, see `visible`."""
    return "\n".join(map(visible, text.split("\n")))


def quoted(values: Sequence[object]) -> str:
    """Up to three values in quotes, `visible` and not too long, and the number of further ones.

    >>> quoted(["a", "b", "c", "d"])
    "'a', 'b', 'c' and 1 more"
    """
    shown = ", ".join(f"'{_short(visible(str(value)))}'" for value in values[:SHOWN_VALUES])
    rest = len(values) - SHOWN_VALUES
    return f"{shown} and {rest} more" if rest > 0 else shown


def _short(text: str) -> str:
    """The beginning and end of a long text."""
    end = SHOWN_LETTERS // 4
    return text if len(text) <= SHOWN_LETTERS else f"{text[: SHOWN_LETTERS - end]}...{text[-end:]}"


def counted(count: int, what: str) -> str:
    """A number with a noun, given in the singular.

    >>> counted(1, "row"), counted(2, "row"), counted(0, "group of rows")
    ('1 row', '2 rows', '0 groups of rows')
    """
    noun, of, rest = what.partition(" of ")
    return f"{count} {noun}{'' if count == 1 else 's'}{of}{rest}"


def nearest(name: str, candidates: Iterable[str], n: int = 3) -> list[str]:
    """Up to ``n`` candidates most similar to ``name``, best first; case is ignored.

    >>> nearest("focla", ["ce", "focal", "ldam"], n=1)
    ['focal']
    """
    folded = {candidate.lower(): candidate for candidate in candidates}
    close = difflib.get_close_matches(name.lower(), folded, n=n, cutoff=0.0)
    return [folded[match] for match in close]


def unknown_name(kind: str, name: str, candidates: Iterable[str]) -> UsageError:
    """Error for an unknown name, with the three nearest names.

    >>> print(unknown_name("loss", "focla", ["ce", "focal"]))
    no loss is called 'focla'; did you mean 'focal' or 'ce'?
    """
    names = [f"'{candidate}'" for candidate in nearest(name, candidates)]
    if not names:
        return UsageError(f"no {kind} is called '{name}'")
    meant = " or ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
    return UsageError(f"no {kind} is called '{name}'; did you mean {meant}?")
