"""Class weights that somebody wrote down: a table, or a TOML file of ``class = weight``."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path

from comptool.errors import InputError, quoted
from comptool.tables import read_table, refuse_missing

CLASS, WEIGHT = "class", "weight"
TOML = ".toml"
WRONG = "a class weight has to be a positive number"
MEND = "Give every class one weight, and no other"


def read_class_weights(path: Path, classes: Sequence[str]) -> list[float]:
    """The weight of every class, in their order, as they stand in the file.

    Parameters
    ----------
    path
        A CSV or Parquet table with the columns ``class`` and ``weight``, or a ``.toml`` file of
        ``class = weight`` lines.
    classes
        The names of the K classes.

    Raises
    ------
    InputError
        If the file cannot be read, a class has no weight or two, one is none of the classes, or a
        weight is no positive number; names the file, the row and up to three values.
    """
    cells = _toml_cells(path) if path.suffix == TOML else _table_cells(path)
    strangers = [name for name in cells if name not in classes]
    if strangers:
        raise InputError(
            "has weights of classes that there are not", file=path, values=strangers, mend=MEND
        )
    missing = [name for name in classes if name not in cells]
    if missing:
        several = "classes" if len(missing) > 1 else "class"
        raise InputError(f"has no weight for the {several} {quoted(missing)}", file=path, mend=MEND)
    return [cells[name] for name in classes]


def _table_cells(path: Path) -> dict[str, float]:
    frame = read_table(path, required=(CLASS, WEIGHT))
    found: dict[str, float] = {}
    for row, (name, text) in enumerate(zip(frame[CLASS], frame[WEIGHT], strict=True), start=1):
        if name in found:
            raise InputError(
                "has two weights for a class",
                file=path,
                row=row,
                column=CLASS,
                values=[name],
                mend=MEND,
            )
        weight = _weight(text)
        if weight is None:
            raise InputError(WRONG, file=path, row=row, column=WEIGHT, values=[text])
        found[name] = weight
    return found


def _toml_cells(path: Path) -> dict[str, float]:
    refuse_missing(path)
    try:
        document: Mapping[str, object] = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"is no TOML ({error})", file=path) from error
    found: dict[str, float] = {}
    for name, value in document.items():
        weight = None if isinstance(value, bool) else _weight(value)
        if weight is None:
            raise InputError(WRONG, file=path, values=[f"{name} = {value}"])
        found[name] = weight
    return found


def _weight(value: object) -> float | None:
    """The number that a value is or spells, if it is above 0 and finite."""
    try:
        weight = float(value) if isinstance(value, str | int | float) else math.nan
    except ValueError:
        return None
    return weight if 0 < weight < math.inf else None
