"""Class weights that somebody wrote down: a table, or a TOML file of ``class = weight``."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path

from comptool.errors import InputError
from comptool.tables import read_table, refuse_missing

CLASS, WEIGHT = "class", "weight"
TOML = ".toml"


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
        raise InputError("has weights of classes that there are not", file=path, values=strangers)
    missing = [name for name in classes if name not in cells]
    if missing:
        raise InputError("has no weight for some classes", file=path, values=missing)
    return [cells[name] for name in classes]


def _table_cells(path: Path) -> dict[str, float]:
    frame = read_table(path, required=(CLASS, WEIGHT))
    found: dict[str, float] = {}
    for row, (name, text) in enumerate(zip(frame[CLASS], frame[WEIGHT], strict=True), start=1):
        if name in found:
            raise InputError(
                "has two weights for a class", file=path, row=row, column=CLASS, values=[name]
            )
        found[name] = _weight(text, path, row, WEIGHT)
    return found


def _toml_cells(path: Path) -> dict[str, float]:
    refuse_missing(path)
    try:
        document: Mapping[str, object] = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"is no TOML ({error})", file=path) from error
    return {name: _weight(value, path, None, name) for name, value in document.items()}


def _weight(value: object, path: Path, row: int | None, column: str) -> float:
    try:
        weight = float(value) if isinstance(value, str | int | float) else math.nan
    except ValueError:
        weight = math.nan
    if not 0 < weight < math.inf:
        raise InputError(
            "a class weight has to be a positive number",
            file=path,
            row=row,
            column=column,
            values=[value],
        )
    return weight
