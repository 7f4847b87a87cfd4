"""Prediction files: the probabilities that `infer`, `tta` and `ensemble` hand on."""

from __future__ import annotations

import csv
import gzip
import io
import zipfile
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from comptool.errors import InputError
from comptool.outputs import atomic_output
from comptool.tables import PARQUET, check_header, check_ids, no_csv, refuse_missing, scan_parquet

RESERVED = ("pred", "fold", "zero_is_unknown")
RESERVED_CLASS = "a class cannot be called like a column of prediction files"
RENAME_CLASS = (
    "Rename the class in all tables, a sample submission among them, and in the submission back"
)
SUM_TOLERANCE = 1e-3
# What the record of a prediction file says under "scores" if its numbers are no probabilities.
RANKS = "ranks"


@dataclass(frozen=True)
class Predictions:
    """Class probabilities of N images, as one prediction file holds them.

    Parameters
    ----------
    ids
        Text ids, object array of shape (N,).
    classes
        The K class names in the checkpoint's order.
    probabilities
        Float array of shape (N, K), values in [0, 1].
    pred
        Decided class names of shape (N,), or None where nothing has been decided.
    fold
        Integer fold of each row of shape (N,) in an out-of-fold file, otherwise None.
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
        """The same predictions for some rows, in the order given."""
        return replace(
            self,
            ids=self.ids[rows],
            probabilities=self.probabilities[rows],
            pred=None if self.pred is None else self.pred[rows],
            fold=None if self.fold is None else self.fold[rows],
        )


def read_predictions(path: Path, *, task: str = "multiclass") -> Predictions:
    """A prediction file: id, one probability column per class, optional ``fold`` and ``pred``.

    Parameters
    ----------
    path
        ``preds.csv``, ``oof.csv``, ``ensemble.csv`` and their kin; ``.parquet`` by suffix.
    task
        ``"multiclass"``: each row has to sum to one; ``"multilabel"``: each value stands alone.

    Raises
    ------
    InputError
        If there are fewer than two columns, a blank or repeated id, a cell that is not a number in
        [0, 1], or a row that does not sum to one (logits, for example).
    """
    refuse_missing(path)
    frame = scan_parquet(path) if path.suffix == PARQUET else _scan_csv(path)
    check_header(path, frame.columns, ())
    id_column, *others = frame.columns
    classes = tuple(name for name in others if name not in RESERVED)
    if not classes:
        raise InputError("has no probability column", file=path, values=frame.columns)
    if frame.is_empty():
        raise InputError("has a header and no rows", file=path)
    ids = np.array(frame[id_column].cast(pl.String).fill_null("").to_list(), dtype=object)
    check_ids(path, id_column, ids)
    probabilities = _numbers(path, frame, classes)
    _check_probabilities(path, classes, probabilities, task)
    return Predictions(
        ids=ids,
        classes=classes,
        probabilities=probabilities,
        pred=_optional_text(frame, "pred"),
        fold=_folds(path, frame),
        id_column=id_column,
    )


def _scan_csv(path: Path) -> pl.DataFrame:
    source = _unpacked(path)
    with source.open("rb") if isinstance(source, Path) else io.BytesIO(source) as stream:
        header = _split_header(path, stream.readline().decode("utf-8-sig", errors="replace"))
    check_header(path, header, ())
    reserved = {"pred": pl.String, "fold": pl.Int64, header[0]: pl.String}
    try:
        return _parse_csv(source, header, [reserved.get(name, pl.Float64) for name in header])
    except (pl.exceptions.PolarsError, OSError):
        pass
    # The slow way, for a file with a cell that is no number: it lets the caller name the cell.
    try:
        return _parse_csv(source, header, [pl.String] * len(header))
    except (pl.exceptions.PolarsError, OSError) as error:
        raise no_csv(path, error) from error


def _unpacked(path: Path) -> Path | bytes:
    """The file itself, or what the one file of a zip or a ``.gz`` holds.

    A zip is what ``comptool submit --zip`` writes.
    """
    try:
        if path.suffix == ".gz":
            return gzip.decompress(path.read_bytes())
        if path.suffix != ".zip":
            return path
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            if len(names) != 1:
                raise InputError("holds more than one file, or none", file=path, values=names)
            return archive.read(names[0])
    except (zipfile.BadZipFile, EOFError, OSError, zlib.error) as error:
        raise InputError(f"cannot be unpacked ({error})", file=path) from error


def _parse_csv(
    source: Path | bytes, header: list[str], types: Sequence[type[pl.DataType]]
) -> pl.DataFrame:
    # Our own header: polars (2.1) leaves doubled quotes in a header cell as they are.
    schema = dict(zip(header, types, strict=True))
    return pl.read_csv(source, has_header=False, skip_rows=1, schema=schema, raise_if_empty=False)


def _split_header(path: Path, line: str) -> list[str]:
    try:
        return next(csv.reader([line.rstrip("\r\n")]), None) or [""]
    except csv.Error as error:
        raise no_csv(path, error) from error


def _optional_text(frame: pl.DataFrame, name: str) -> npt.NDArray[np.object_] | None:
    if name not in frame.columns:
        return None
    return np.array(frame[name].cast(pl.String).to_list(), dtype=object)


def _folds(path: Path, frame: pl.DataFrame) -> npt.NDArray[np.integer] | None:
    if "fold" not in frame.columns:
        return None
    if not frame["fold"].dtype.is_integer() or frame["fold"].null_count():
        raise InputError("is not a whole number in every row", file=path, column="fold")
    return frame["fold"].to_numpy()


def _numbers(path: Path, frame: pl.DataFrame, classes: Sequence[str]) -> npt.NDArray[np.floating]:
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


def _check_probabilities(
    path: Path, classes: Sequence[str], probabilities: npt.NDArray[np.floating], task: str
) -> None:
    wrong = ~((probabilities >= 0) & (probabilities <= 1))
    if wrong.any():
        row, column = (int(place[0]) for place in np.nonzero(wrong))
        values = probabilities[wrong][:3].tolist()
        what = "is not a probability between 0 and 1"
        mend = "Logits or scores have to be turned into probabilities (softmax) first"
        if np.isnan(values[0]):
            what, mend = "is not a number (NaN or blank)", "Make the predictions again"
        raise InputError(
            what, file=path, row=row + 1, column=classes[column], values=values, mend=mend
        )
    if task != "multiclass":
        return
    sums = probabilities.sum(axis=1, dtype=np.float64)
    off = np.flatnonzero(np.abs(sums - 1) > SUM_TOLERANCE)
    if off.size:
        raise InputError(
            f"the {len(classes)} probabilities of this row do not sum to one",
            file=path,
            row=int(off[0]) + 1,
            values=[f"{total:.4f}" for total in sums[off[:3]]],
            mend="Multi-class predictions come from a softmax, and have no other columns than "
            "id, classes, pred and fold",
        )


def write_predictions(path: Path, predictions: Predictions, *, force: bool = False) -> None:
    """Write a prediction file, atomically; numbers are written so that they read back exactly.

    Raises
    ------
    OutputExistsError
        If ``path`` exists and ``force`` is off.
    InputError
        If a class is called like a reserved column, or the file cannot be written.
    """
    write_parts(path, [predictions], force=force)


def write_parts(path: Path, parts: Iterable[Predictions], *, force: bool = False) -> None:
    """Write a prediction file as `write_predictions`, of rows that come in one or more parts.

    A CSV takes each part as it comes, so that memory does not grow with the rows. Parquet, which
    lies in columns, keeps them until the last one has come.

    Raises
    ------
    OutputExistsError
        If ``path`` exists and ``force`` is off.
    InputError
        If a class is called like a reserved column, or the file cannot be written.
    """
    frames = (_frame(path, part) for part in parts)
    with atomic_output(path, force=force) as temporary:
        if path.suffix == PARQUET:
            pl.concat(list(frames)).write_parquet(temporary)
            return
        with temporary.open("wb") as stream:
            for number, frame in enumerate(frames):
                frame.write_csv(stream, include_header=number == 0)


def _frame(path: Path, predictions: Predictions) -> pl.DataFrame:
    clash = [name for name in predictions.classes if name in (*RESERVED, predictions.id_column)]
    if clash:
        raise InputError("a class is called like a reserved column", file=path, values=clash)
    columns: dict[str, object] = {predictions.id_column: pl.Series(predictions.ids.tolist())}
    if predictions.fold is not None:
        columns["fold"] = predictions.fold
    for index, name in enumerate(predictions.classes):
        columns[name] = np.ascontiguousarray(predictions.probabilities[:, index])
    if predictions.pred is not None:
        columns["pred"] = pl.Series(predictions.pred.tolist(), dtype=pl.String)
    return pl.DataFrame(columns)


def refuse_ranks(path: Path, facts: Mapping[str, Any]) -> None:
    """Refuse mean ranks where a threshold is for probabilities.

    Parameters
    ----------
    path
        The prediction file.
    facts
        What is recorded with it.

    Raises
    ------
    InputError
        If the record says that the numbers are ranks.
    """
    if facts.get("scores") == RANKS:
        raise InputError(
            "its numbers are ranks among these rows, not probabilities: a threshold would answer "
            "a fixed share of the rows, whatever they show",
            file=path,
            mend="Combine the members anew: comptool ensemble --method mean",
        )
