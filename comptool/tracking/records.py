"""``submissions/scores.csv``: the score that each submission got.

A submission's file is usually replaced by the next one. So a record names the file by the SHA-256
of its bytes, and keeps what the file was made from and what it was worth on out-of-fold rows.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
from filelock import FileLock, Timeout

from comptool import provenance
from comptool.errors import InputError
from comptool.outputs import refuse_existing
from comptool.tables import read_table, write_table

SCORES = Path("submissions/scores.csv")
ANSWERS, LEADERBOARD = "answers", "leaderboard"
NUMBERS = ("public", "private", "local")
PATIENCE = 60.0


@dataclass(frozen=True)
class Record:
    """The score of one submission.

    Parameters
    ----------
    time
        When it was recorded, ISO 8601 in UTC.
    file
        What the file was called.
    sha256
        Of its bytes.
    source
        ``"answers"`` (``comptool score``) or ``"leaderboard"`` (typed in).
    metric
        Name of the metric.
    public, private
        The scores; None where not known.
    local
        The metric on the out-of-fold rows of what made the file; None where there are none.
    made_from
        The steps and runs that made the file, in words.
    """

    time: str
    file: str
    sha256: str
    source: str
    metric: str
    public: float | None
    private: float | None
    local: float | None
    made_from: str


COLUMNS = tuple(one.name for one in fields(Record))


def now() -> str:
    """The time as a record has it."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def of_file(path: Path) -> str:
    """SHA-256 of a submission.

    Raises
    ------
    InputError
        If there is no such file.
    """
    if not path.is_file():
        raise InputError("there is no such file", file=path)
    return provenance.sha256(path)


def read_records(path: Path = SCORES) -> list[Record]:
    """All records, the oldest first; none where there is no file.

    Raises
    ------
    InputError
        If the file is no table of records; names the cell that is no number.
    """
    if not path.exists():
        return []
    table = read_table(path, required=COLUMNS, allow_empty=True)
    columns: dict[str, list[Any]] = {
        name: _numbers(path, table[name]) if name in NUMBERS else table[name].tolist()
        for name in COLUMNS
    }
    return [Record(*cells) for cells in zip(*columns.values(), strict=True)]


def add_record(record: Record, path: Path = SCORES) -> None:
    """Add a record; several programs may do so at once.

    Raises
    ------
    InputError
        If the table there is not in order, or cannot be written.
    """
    refuse_existing(path, force=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    with _alone(path):
        table = pd.DataFrame(
            [asdict(one) for one in (*read_records(path), record)], columns=list(COLUMNS)
        )
        for name in NUMBERS:
            table[name] = [_text(value) for value in table[name]]
        write_table(path, table, force=True)


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """No other program adds a record meanwhile."""
    lock = path.with_name(f".{path.name}.lock")
    try:
        with FileLock(lock, timeout=PATIENCE):
            yield
    except Timeout:
        what = f"another program has been writing to it for {PATIENCE:.0f} seconds"
        raise InputError(what, file=path, mend=f"If none is running, delete {lock}") from None


def _numbers(path: Path, column: pd.Series[str]) -> list[float | None]:
    values: list[float | None] = []
    for row, text in enumerate(column, start=1):
        try:
            value = float(text) if text.strip() else None
        except ValueError:
            value = math.nan
        if value is not None and not math.isfinite(value):
            what = "is not a number"
            raise InputError(what, file=path, row=row, column=str(column.name), values=[text])
        values.append(value)
    return values


def _text(value: float | None) -> str:
    # repr reads back exactly. A column of None and numbers has NaN for None.
    return "" if value is None or math.isnan(value) else repr(float(value))
