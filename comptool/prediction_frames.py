"""Prediction files that are tables, CSV or Parquet, read into typed columns by polars."""

from __future__ import annotations

import csv
import gzip
import io
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from comptool.errors import InputError
from comptool.tables import PARQUET, check_header, no_csv, scan_parquet


def scan(path: Path) -> pl.DataFrame:
    """The columns of a table: numbers where every cell of a column is one.

    Raises
    ------
    InputError
        If it is no table.
    """
    return scan_parquet(path) if path.suffix == PARQUET else _scan_csv(path)


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


def optional_text(frame: pl.DataFrame, name: str) -> npt.NDArray[np.object_] | None:
    """A column of text, or None where there is none of that name."""
    if name not in frame.columns:
        return None
    return np.array(frame[name].cast(pl.String).to_list(), dtype=object)


def folds(path: Path, frame: pl.DataFrame) -> npt.NDArray[np.integer] | None:
    """The column ``fold``, or None where there is none.

    Raises
    ------
    InputError
        If it is not a whole number in every row.
    """
    if "fold" not in frame.columns:
        return None
    if not frame["fold"].dtype.is_integer() or frame["fold"].null_count():
        raise InputError("is not a whole number in every row", file=path, column="fold")
    return frame["fold"].to_numpy()


def numbers(path: Path, frame: pl.DataFrame, classes: Sequence[str]) -> npt.NDArray[np.floating]:
    """The columns of K classes, shape (N, K), NaN for a blank cell.

    Raises
    ------
    InputError
        Naming the first cell that is no number.
    """
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
