"""Options of metrics: their values in ``[metric-options]``, and the checks of each.

A value is a number, a list of numbers in class order, a text, or the path of a CSV with class
names, which is brought into class order as soon as the classes are known.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard

from comptool.errors import InputError, UsageError, nearest, quoted

Classes = tuple[str, ...] | None
Value = float | str | list[Any]
# With the message of a value that is refused: what it has to be.
Check = Callable[[object, Classes], Any]


@dataclass(frozen=True)
class MetricOption:
    """The check of a value, a description of valid ones, and an example as it is typed."""

    check: Check  # raises ValueError; the value in class order where the classes are known
    words: str
    example: str


def from_text(text: str) -> Value:
    """The value of an option from the command line.

    Examples
    --------
    >>> from_text("2"), from_text("1,2.5"), from_text("cost.csv")
    (2, [1, 2.5], 'cost.csv')
    """
    parts = [part.strip() for part in text.split(",")]
    numbers = [_number(part) for part in parts]
    if any(number is None for number in numbers):
        return text
    return numbers[0] if len(parts) == 1 else numbers  # type: ignore[return-value]


def is_table(value: object) -> TypeGuard[str]:
    """Whether the value of an option is the path of a table."""
    return isinstance(value, str) and value.lower().endswith(".csv")


def _number(text: str) -> float | None:
    for kind in (int, float):
        try:
            found = kind(text)
        except ValueError:
            continue
        return found if math.isfinite(found) else None
    return None


def checked(owner: str, options: Mapping[str, object], classes: Classes) -> dict[str, Any]:
    """The options of a metric, checked.

    Parameters
    ----------
    owner
        The metric, for messages: ``map@5``.
    options
        Value by name of an option in `OPTIONS`.
    classes
        The K class names in class order; None if unknown.

    Raises
    ------
    UsageError
        If a value is wrong, or does not fit the classes.
    InputError
        If a CSV cannot be used.
    """
    found = {}
    for name, value in options.items():
        option = OPTIONS[name]
        try:
            found[name] = option.check(value, classes)
        except ValueError as error:
            detail = f" ({error})" if str(error) else ""
            raise UsageError(
                f"{owner}: {name.replace('_', '-')} is {shown(value)}{detail}; it has to be "
                f"{option.words}"
            ) from None
    return found


def shown(value: object) -> str:
    """A value for a message: a text in quotes, a long list by its first numbers."""
    if isinstance(value, list):
        return "the list " + ", ".join(map(str, value[:5])) + (", ..." if len(value) > 5 else "")
    return f"'{value}'"


def check_fit(owner: str, given: Mapping[str, Any], num_classes: int) -> None:
    """Raise a UsageError for options that do not fit the number of classes."""
    for name, value in given.items():
        found = len(value) if isinstance(value, list) else num_classes
        if name == "k" and value > num_classes:
            raise UsageError(
                f"{owner} looks at {value} classes and there are {num_classes}; "
                f"give a k from 1 to {num_classes}"
            )
        if found != num_classes:
            what = "rows and columns" if name == "cost" else "numbers"
            raise UsageError(
                f"{owner}: {name.replace('_', '-')} has {found} {what} and there are "
                f"{num_classes} classes"
            )


def _whole(value: object, classes: Classes) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError
    return value


def _positive(value: object, classes: Classes) -> float:
    if not _is_number(value) or value <= 0:  # type: ignore[operator]
        raise ValueError
    return float(value)  # type: ignore[arg-type]


def _rate(value: object, classes: Classes) -> float:
    if not _is_number(value) or not 0 < value < 1:  # type: ignore[operator]
        raise ValueError
    return float(value)  # type: ignore[arg-type]


def _is_number(value: object) -> bool:
    whole = isinstance(value, (int, float)) and not isinstance(value, bool)
    return whole and math.isfinite(value)  # type: ignore[arg-type]


def _class(value: object, classes: Classes) -> str:
    name = str(value)
    if classes is not None and name not in classes:
        raise ValueError(f"did you mean {quoted(nearest(name, classes))}?")
    return name


def _weights(value: object, classes: Classes) -> list[float]:
    numbers = _weights_of(Path(value), classes) if is_table(value) else value
    if not isinstance(numbers, list) or not numbers:
        raise ValueError
    if not all(_is_number(one) and one >= 0 for one in numbers):
        raise ValueError
    if sum(numbers) == 0:
        raise ValueError("all are 0")
    return [float(one) for one in numbers]


def _cost(value: object, classes: Classes) -> list[list[float]]:
    rows = read_matrix(Path(value), classes) if is_table(value) else value
    if not isinstance(rows, list) or not all(isinstance(row, list) for row in rows):
        raise ValueError
    if not rows or any(len(row) != len(rows) for row in rows):
        raise ValueError(f"{len(rows)} rows of {len(rows[0]) if rows else 0} numbers")
    if not all(_is_number(cell) for row in rows for cell in row):
        raise ValueError
    return [[float(cell) for cell in row] for row in rows]


OPTIONS: Mapping[str, MetricOption] = {
    "k": MetricOption(_whole, "a whole number of 1 or more", "5"),
    "tpr": MetricOption(_rate, "a true-positive rate above 0 and below 1", "0.8"),
    "beta": MetricOption(_positive, "a number above 0", "2"),
    "positive_weight": MetricOption(_positive, "a number above 0", "2"),
    "positive_class": MetricOption(_class, "a class", "ill"),
    "class_weights": MetricOption(
        _weights,
        "a number of 0 or more for each class, not all 0, or a CSV with class and weight",
        "weights.csv",
    ),
    "cost": MetricOption(
        _cost, "a CSV with one row per true class and one column per answered class", "cost.csv"
    ),
}


def _cells(path: Path) -> list[list[str]]:
    """The rows of a CSV without blank ones."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = [[cell.strip() for cell in row] for row in csv.reader(file)]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"cannot be read ({error})", file=path) from error
    rows = [row for row in rows if any(row)]
    if not rows:
        raise InputError("is empty", file=path)
    return rows


def _read_number(path: Path, row: int, cell: str, column: str | None = None) -> float:
    number = _number(cell)
    if number is None:
        raise InputError("is not a number", file=path, row=row, column=column, values=[cell])
    return number


def _in_class_order(path: Path, names: Sequence[str], classes: Classes) -> list[int]:
    """Places of the classes among the names of a file; the file's order if they are unknown."""
    if len(set(names)) < len(names):
        twice = [name for name in names if names.count(name) > 1]
        raise InputError("names a class twice", file=path, values=list(dict.fromkeys(twice)))
    if classes is None:
        return list(range(len(names)))
    missing = [name for name in classes if name not in names]
    if missing:
        raise InputError("has no row or column for classes", file=path, values=missing)
    extra = [name for name in names if name not in classes]
    if extra:
        raise InputError("has classes that there are not", file=path, values=extra)
    return [names.index(name) for name in classes]


def _weights_of(path: Path, classes: Classes) -> list[float]:
    """Weights from a CSV with a class and its weight per row, with or without a header."""
    rows = _cells(path)
    for number, row in enumerate(rows, start=1):
        if len(row) != 2:
            raise InputError("needs two cells: a class and its weight", file=path, row=number)
    if _number(rows[0][1]) is None:
        rows = rows[1:]
    order = _in_class_order(path, [name for name, _ in rows], classes)
    weights = [_read_number(path, row, cell) for row, (_, cell) in enumerate(rows, start=1)]
    return [weights[place] for place in order]


def read_matrix(
    path: Path, classes: Classes, *, named: bool = False, least: float = -math.inf
) -> list[list[float]]:
    """A matrix from a CSV: numbers alone, or with the class names in the first row and column.

    Parameters
    ----------
    path
        The CSV.
    classes
        The K class names in class order; None if unknown.
    named
        Whether the names are required.
    least
        The least number allowed.

    Raises
    ------
    InputError
        If it cannot be read, is not square, or its classes differ; and for a cell that is not a
        finite number or is below ``least``, with its row and column.
    """
    rows = _cells(path)
    width = len(rows[0])
    for number, row in enumerate(rows, start=1):
        if len(row) != width:
            raise InputError(
                f"has {len(row)} cells and the first row has {width}", file=path, row=number
            )
    by_name = named or (
        len(rows) == width
        and (_number(rows[0][0]) is None or (classes is not None and width == len(classes) + 1))
    )
    if not by_name:
        return [[_read_number(path, n, cell) for cell in row] for n, row in enumerate(rows, 1)]
    columns, names = rows[0][1:], [row[0] for row in rows[1:]]
    by_column, by_row = (_in_class_order(path, some, classes) for some in (columns, names))
    if classes is None and columns != names:
        raise InputError(
            "names its classes in another order in the first column than in the first row",
            file=path,
        )
    matrix = []
    for line in by_row:
        cells = rows[line + 1][1:]
        numbers = [_read_number(path, line + 1, cells[c], columns[c]) for c in by_column]
        if (low := min(numbers)) < least:
            place = by_column[numbers.index(low)]
            raise InputError(
                f"is below {least:g}",
                file=path,
                row=line + 1,
                column=columns[place],
                values=[cells[place]],
            )
        matrix.append(numbers)
    return matrix
