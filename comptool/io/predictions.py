"""Prediction files: CSV, Parquet and ``.npy``, read and written with their checks.

A ``.npy`` prediction file holds several arrays, one after the other: ``np.load(path)`` gives the
probabilities, repeated ``np.load`` of the open file also the columns, ids, folds and decisions.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl
from numpy.lib import format as npy

from comptool.errors import InputError, quoted
from comptool.io import provenance
from comptool.io.atomic import atomic_output, refuse_existing
from comptool.io.names import check_columns, check_texts
from comptool.io.npy import read_npy
from comptool.io.packed import is_packed, unpacked
from comptool.io.parquet import PARQUET, scan_parquet, write_parquet
from comptool.io.provenance import PredictionFacts
from comptool.io.tables import (
    check_header,
    check_ids,
    csv_stream,
    no_csv,
    refuse_missing,
    write_csv,
)

NPY = ".npy"
MEND = "Bring them as .csv or .parquet: id, and one column per class"


class Arrays(NamedTuple):
    """Arrays of a file of N predictions of K classes; ``columns`` has shape (K + 1,), the id first.

    ``fold`` and ``pred`` have shape (N,), or (0,) if absent.
    """

    probabilities: npt.NDArray[np.floating]
    columns: npt.NDArray[np.str_]
    ids: npt.NDArray[np.str_]
    fold: npt.NDArray[np.integer]
    pred: npt.NDArray[np.str_]


def fixed_width(texts: Iterable[str]) -> npt.NDArray[np.str_]:
    """Text as numpy stores it without pickle."""
    return np.array(list(texts), dtype=np.str_)


def save(path: Path, arrays: Arrays) -> None:
    """Write the arrays one after the other."""
    with path.open("wb") as stream:
        for array in map(np.ascontiguousarray, arrays):
            npy.write_array_header_1_0(stream, npy.header_data_from_array_1_0(array))
            # array.tofile does not report a full disk as such.
            stream.write(array.data)


def load(path: Path) -> Arrays:
    """The arrays of a file written by `save`."""
    arrays: list[npt.NDArray[Any]] = []
    size = path.stat().st_size
    try:
        with path.open("rb") as stream:
            for _ in Arrays._fields:
                arrays.append(read_npy(stream, size))
                if not stream.peek(1) and len(arrays) == 1:
                    what = "says neither of which images nor of which classes its numbers are"
                    raise InputError(what, file=path, mend=MEND)
            if stream.read(1):
                raise ValueError("there is more in it than their arrays")
    except (ValueError, OSError, MemoryError) as error:
        reason = str(error).partition("\n")[0]
        raise InputError(f"is no .npy file of predictions ({reason})", file=path) from error
    found = Arrays(*arrays)
    _check(path, found)
    return found


def _check(path: Path, found: Arrays) -> None:
    kinds = "".join(array.dtype.kind for array in found)
    num_rows, num_classes = found.probabilities.shape if found.probabilities.ndim == 2 else (0, -1)
    shapes = [array.shape for array in found[1:]]
    wanted = [(num_classes + 1,), (num_rows,)]
    optional = all(shape in ((0,), (num_rows,)) for shape in shapes[2:])
    if kinds not in ("fUUiU", "fUUuU") or shapes[:2] != wanted or not optional:
        shown = [f"{array.dtype} {array.shape}" for array in found]
        raise InputError("its arrays are not those of predictions", file=path, values=shown)
    check_header(path, found.columns.tolist(), ())


def scan(path: Path) -> pl.DataFrame:
    """The columns of a table, numeric where every cell is a number."""
    return scan_parquet(path) if path.suffix == PARQUET else _scan_csv(path)


def _scan_csv(path: Path) -> pl.DataFrame:
    source = _unpacked(path)
    with source.open("rb") if isinstance(source, Path) else io.BytesIO(source) as stream:
        text = io.TextIOWrapper(stream, "utf-8-sig", errors="replace", newline="")
        header = _read_header(path, text)
    check_header(path, header, ())
    reserved = {"pred": pl.String, "fold": pl.Int64, header[0]: pl.String}
    try:
        return _parse_csv(source, header, [reserved.get(name, pl.Float64) for name in header])
    except (pl.exceptions.PolarsError, OSError):
        pass
    # Slow, but keeps invalid cells for the message.
    try:
        return _parse_csv(source, header, [pl.String] * len(header))
    except (pl.exceptions.PolarsError, OSError) as error:
        raise no_csv(path, error) from error


def _unpacked(path: Path) -> Path | bytes:
    """The file, or the one file inside a zip (from ``comptool submit --zip``) or ``.gz``."""
    if not is_packed(path):
        return path
    with unpacked(path) as stream:
        return stream.read()


def _parse_csv(
    source: Path | bytes, header: list[str], types: Sequence[type[pl.DataType]]
) -> pl.DataFrame:
    # Our own header: polars (2.1) leaves doubled quotes in a header cell as they are.
    schema = dict(zip(header, types, strict=True))
    return pl.read_csv(source, has_header=False, skip_rows=1, schema=schema, raise_if_empty=False)


def _read_header(path: Path, text: Iterable[str]) -> list[str]:
    try:
        return next(csv.reader(text), None) or [""]
    except csv.Error as error:
        raise no_csv(path, error) from error


def optional_text(frame: pl.DataFrame, name: str) -> npt.NDArray[np.object_] | None:
    """A text column, or None if missing."""
    if name not in frame.columns:
        return None
    return np.array(frame[name].cast(pl.String).to_list(), dtype=object)


def folds(path: Path, frame: pl.DataFrame) -> npt.NDArray[np.integer] | None:
    """The column ``fold``, or None if missing."""
    if "fold" not in frame.columns:
        return None
    if not frame["fold"].dtype.is_integer() or frame["fold"].null_count():
        raise InputError("is not a whole number in every row", file=path, column="fold")
    return frame["fold"].to_numpy()


def numbers(path: Path, frame: pl.DataFrame, classes: Sequence[str]) -> npt.NDArray[np.floating]:
    """The columns of K classes, shape (N, K), NaN for a blank cell."""
    columns = []
    for name in classes:
        column = frame[name]
        if not column.dtype.is_numeric():
            column = column.cast(pl.Float64, strict=False)
            bad = np.flatnonzero((column.is_null() & frame[name].is_not_null()).to_numpy())
            if bad.size:
                values = [frame[name][int(row)] for row in bad]
                raise InputError(
                    "is not a number", file=path, row=int(bad[0]) + 1, column=name, values=values
                )
        columns.append(column.fill_null(float("nan")))
    return np.ascontiguousarray(pl.DataFrame(columns).to_numpy())


SUFFIXES = (".csv", PARQUET, NPY)
RESERVED = ("pred", "fold", "zero_is_unknown")
RESERVED_CLASS = "a class cannot be called like a column of prediction files"
RENAME_CLASS = (
    "Rename the class in all tables, a sample submission among them, and in the submission back"
)
SUM_TOLERANCE = 1e-3
REMAKE = "Bring the column back, or make the file again: comptool infer"
NO_NUMBER, AGAIN = "is not a number (NaN or blank)", "Make the predictions again"
NO_PROBABILITY = "is not a probability between 0 and 1"
SOFTMAX = "Logits or scores have to be turned into probabilities (softmax) first"
# `PredictionFacts.scores` of mean ranks.
RANKS = "ranks"


@dataclass(frozen=True)
class Predictions:
    """Class probabilities of N images, or numbers where the task is of numbers.

    Parameters
    ----------
    ids
        Text, object array of shape (N,).
    classes
        The K class names in the order of the checkpoint, or the names of the numbers.
    probabilities
        Floats of shape (N, K) in [0, 1]; numbers are finite.
    pred
        Decided class names of shape (N,), or None.
    fold
        Validation fold of each row, integers of shape (N,), in an out-of-fold file, else None.
    id_column
        Name of the id column.
    """

    ids: npt.NDArray[np.object_]
    classes: tuple[str, ...]
    probabilities: npt.NDArray[np.floating]
    pred: npt.NDArray[np.object_] | None = None
    fold: npt.NDArray[np.integer] | None = None
    id_column: str = "id"

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, rows: npt.NDArray[np.integer] | npt.NDArray[np.bool_]) -> Predictions:
        """The predictions of some rows, in the order given."""
        return replace(
            self,
            ids=self.ids[rows],
            probabilities=self.probabilities[rows],
            pred=None if self.pred is None else self.pred[rows],
            fold=None if self.fold is None else self.fold[rows],
        )


def read_predictions(
    path: Path,
    *,
    sums_to_one: bool = True,
    numbers: bool = False,
    expected: Sequence[str] = (),
) -> Predictions:
    """Read a prediction file: id, one probability column per class, optional ``fold`` and ``pred``.

    `comptool.tasks.Task.read` does so with the checks of a task.

    Parameters
    ----------
    path
        A CSV; ``.parquet`` and ``.npy`` by suffix.
    sums_to_one
        Whether each row has to sum to one; see `comptool.tasks.Task`.
    numbers
        Whether any finite numbers are right, as ``comptool infer`` writes them for regression.
    expected
        The classes, as far as known: where rows do not sum to one, a missing one is named.

    Raises
    ------
    InputError
        If there are fewer than two columns, a blank or repeated id, a cell that is not a number in
        [0, 1] (or finite), or a row that does not sum to one (logits, for example); or if the file
        is not that of its record.
    """
    refuse_missing(path)
    provenance.recall(path)
    found = _from_arrays(path) if path.suffix == NPY else _from_table(path)
    check_ids(path, found.id_column, found.ids)
    if numbers:
        _check_numbers(path, found)
    else:
        _check_probabilities(path, found.classes, found.probabilities, sums_to_one, expected)
    return found


def classes_in(path: Path) -> tuple[str, ...]:
    """The class columns of a prediction file, whatever is in them."""
    refuse_missing(path)
    return (_from_arrays(path) if path.suffix == NPY else _from_table(path)).classes


def lost(names: Sequence[str]) -> str:
    """Classes without a column, for messages: "the class 'a'", "the classes 'a', 'b'"."""
    return f"the class{'es' if len(names) > 1 else ''} {quoted(names)}"


def _from_table(path: Path) -> Predictions:
    frame = scan(path)
    check_header(path, frame.columns, ())
    id_column, *others = frame.columns
    classes = tuple(name for name in others if name not in RESERVED)
    _refuse_nothing(path, frame.columns, len(classes), len(frame))
    return Predictions(
        ids=frame[id_column].cast(pl.String).fill_null("").to_numpy(),
        classes=classes,
        probabilities=numbers(path, frame, classes),
        pred=optional_text(frame, "pred"),
        fold=folds(path, frame),
        id_column=id_column,
    )


def _from_arrays(path: Path) -> Predictions:
    found = load(path)
    id_column, *classes = found.columns.tolist()
    _refuse_nothing(path, [id_column, *classes], len(classes), len(found.ids))
    return Predictions(
        ids=found.ids.astype(object),
        classes=tuple(classes),
        probabilities=found.probabilities,
        pred=found.pred.astype(object) if len(found.pred) else None,
        fold=found.fold if len(found.fold) else None,
        id_column=id_column,
    )


def _refuse_nothing(path: Path, columns: Sequence[str], num_classes: int, num_rows: int) -> None:
    if not num_classes:
        raise InputError("has no probability column", file=path, values=columns)
    if not num_rows:
        raise InputError("has a header and no rows", file=path)


def _check_numbers(path: Path, found: Predictions) -> None:
    wrong = ~np.isfinite(found.probabilities)
    if wrong.any():
        row, column = (int(place[0]) for place in np.nonzero(wrong))
        raise InputError(
            NO_NUMBER,
            file=path,
            row=row + 1,
            column=found.classes[column],
            values=found.probabilities[wrong][:3].tolist(),
            mend=AGAIN,
        )


def _check_probabilities(
    path: Path,
    classes: Sequence[str],
    probabilities: npt.NDArray[np.floating],
    sums_to_one: bool,
    expected: Sequence[str],
) -> None:
    wrong = ~((probabilities >= 0) & (probabilities <= 1))
    if wrong.any():
        row, column = (int(place[0]) for place in np.nonzero(wrong))
        values = probabilities[wrong][:3].tolist()
        what, mend = NO_PROBABILITY, SOFTMAX
        if np.isnan(values[0]):
            what, mend = NO_NUMBER, AGAIN
        raise InputError(
            what, file=path, row=row + 1, column=classes[column], values=values, mend=mend
        )
    if not sums_to_one:
        return
    sums = probabilities.sum(axis=1, dtype=np.float64)
    off = np.flatnonzero(np.abs(sums - 1) > SUM_TOLERANCE)
    if off.size:
        if missing := [name for name in expected if name not in classes]:
            raise InputError(
                f"has no column for {lost(missing)} (its classes are {quoted(classes)})",
                file=path,
                mend=REMAKE,
            )
        raise InputError(
            f"the {len(classes)} probabilities of this row do not sum to one",
            file=path,
            row=int(off[0]) + 1,
            values=[f"{total:.4f}" for total in sums[off[:3]]],
            mend="Multi-class predictions come from a softmax, and have no other columns than "
            "id, classes, pred and fold",
        )


def write_predictions(path: Path, predictions: Predictions, *, force: bool = False) -> None:
    """Write a prediction file atomically; numbers read back exactly.

    Parameters
    ----------
    path
        A CSV (also ``.gz``), a Parquet table (``.parquet``), or arrays (``.npy``).
    predictions
        What to write.
    force
        Whether to replace an existing file.

    Raises
    ------
    OutputExistsError
        If ``path`` exists and ``force`` is off.
    InputError
        If a class has the name of a reserved column, a name is none for every file
        (`comptool.io.names`), or the file cannot be written.
    """
    write_parts(path, [predictions], force=force)


def write_parts(path: Path, parts: Iterable[Predictions], *, force: bool = False) -> None:
    """Write a prediction file in one or more parts; errors as in `write_predictions`.

    A CSV is written part by part in constant memory; Parquet and ``.npy`` keep all parts until the
    last.
    """
    parts = (_checked(path, part) for part in parts)
    if path.suffix in (NPY, PARQUET):
        refuse_existing(path, force)
        parts = list(parts)
    with atomic_output(path, force=force) as temporary:
        if path.suffix == NPY:
            save(temporary, _arrays(list(parts)))
        elif path.suffix == PARQUET:
            write_parquet(temporary, pl.concat([_frame(part) for part in parts]))
        else:
            with csv_stream(temporary) as stream:
                for number, part in enumerate(parts):
                    write_csv(stream, _frame(part), header=number == 0)


def _checked(path: Path, predictions: Predictions) -> Predictions:
    clash = [name for name in predictions.classes if name in (*RESERVED, predictions.id_column)]
    if clash:
        raise InputError("a class is called like a reserved column", file=path, values=clash)
    check_columns(path, [predictions.id_column, *predictions.classes])
    check_texts(path, predictions.id_column, predictions.ids)
    if predictions.pred is not None:
        check_texts(path, "pred", (one for one in predictions.pred if one is not None))
    return predictions


def _frame(predictions: Predictions) -> pl.DataFrame:
    columns: dict[str, object] = {predictions.id_column: pl.Series(predictions.ids.tolist())}
    if predictions.fold is not None:
        columns["fold"] = predictions.fold
    for index, name in enumerate(predictions.classes):
        columns[name] = np.ascontiguousarray(predictions.probabilities[:, index])
    if predictions.pred is not None:
        columns["pred"] = pl.Series(predictions.pred.tolist(), dtype=pl.String)
    return pl.DataFrame(columns)


def _arrays(parts: Sequence[Predictions]) -> Arrays:
    first = parts[0]
    folds = [part.fold for part in parts if part.fold is not None]
    decided = chain.from_iterable(part.pred for part in parts if part.pred is not None)
    return Arrays(
        probabilities=np.concatenate([part.probabilities for part in parts]),
        columns=fixed_width([first.id_column, *first.classes]),
        ids=fixed_width(chain.from_iterable(part.ids for part in parts)),
        fold=np.concatenate([np.empty(0, dtype=np.int64), *folds]),
        pred=fixed_width("" if answer is None else answer for answer in decided),
    )


NO_PROBABILITIES = (
    "its numbers are ranks among these rows, not probabilities: a threshold would answer a fixed "
    "share of the rows, whatever they show"
)


def refuse_ranks(path: Path, facts: PredictionFacts, why: str = NO_PROBABILITIES) -> None:
    """Raise an InputError for mean ranks, by the record, where their size matters."""
    if facts.scores == RANKS:
        raise InputError(
            why,
            file=path,
            mend="Combine the members anew: comptool ensemble --method mean",
        )
