"""Tables that commands read and write.

Every cell is read as text, so that the ids ``007``, ``1e5`` and ``NA`` survive. How a text table is
written (`comptool.io.text_tables`) is found from its beginning. Writing is atomic, see
`comptool.io.atomic`.
"""

from __future__ import annotations

import csv
import gzip
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Literal, cast

import numpy as np
import numpy.typing as npt
import pandas as pd
import polars as pl

from comptool.errors import InputError
from comptool.io.atomic import atomic_output, named_late
from comptool.io.image_records import holds_records, read_record_table
from comptool.io.json_tables import JSON, read_json
from comptool.io.names import check_columns, check_texts
from comptool.io.packed import unpacked
from comptool.io.parquet import PARQUET, scan_parquet, write_parquet
from comptool.io.text_tables import NAMELESS, USUAL, TextForm, text_form


def read_table(
    path: Path,
    *,
    required: Sequence[str] = (),
    allow_empty: bool = False,
    form: TextForm | None = None,
) -> pd.DataFrame:
    """Read a text, Parquet or JSON table with every cell as text, blank = ``""``.

    `comptool.io.image_records.read_record_table` reads JSON and BSON files of records.

    Parameters
    ----------
    path
        The file, by suffix ``.parquet``, ``.json`` (see `comptool.io.json_tables`) or text, perhaps
        packed (``.gz``, or ``.zip`` with one file). Text has commas, tabs, semicolons or, in a
        ``.txt``, blanks between its cells, is UTF-8, UTF-16 or Latin-1, and may begin with comment
        lines (``#``) or have no header: its columns are then called ``id``, ``label``, or
        ``column1`` and so on. A first column without a name, such as the index of a data frame, is
        called ``Unnamed: 0``.
    required
        Required columns.
    allow_empty
        Whether a header without rows is accepted.
    form
        How a text table has to be written; None: found from its beginning.

    Raises
    ------
    InputError
        If the file is missing, empty, not a table, without rows, with a repeated column name, or
        without a required column.
    """
    refuse_missing(path)
    if path.suffix.lower() == PARQUET:
        frame = _read_parquet(path)
    elif holds_records(path):
        frame = read_record_table(path)
    elif path.suffix.lower() in JSON:
        frame = read_json(path)
    else:
        frame = _read_text(path, form or text_form(path))
    check_header(path, [str(name) for name in frame.columns], required)
    if not allow_empty and frame.empty:
        raise InputError("has a header and no rows", file=path)
    return frame


def refuse_missing(path: Path) -> None:
    """Raise an InputError if a path is not a file or is empty."""
    if not os.path.exists(path):  # also of a name that no file can have
        raise InputError("there is no such file", file=path)
    if path.is_dir():
        raise InputError("is a folder; a table is needed", file=path)
    if path.stat().st_size == 0:
        raise InputError("is empty (0 bytes)", file=path)


def _read_text(path: Path, form: TextForm) -> pd.DataFrame:
    try:
        # header=None: pandas would rename a repeated column instead of reporting it.
        with unpacked(path) as stream:
            frame = pd.read_csv(
                stream,
                header=None,
                dtype=str,
                keep_default_na=False,
                na_filter=False,
                encoding=form.encoding,
                sep=form.separator,
                skiprows=form.num_comments,
            )
    except UnicodeDecodeError as error:
        raise InputError(
            "is not UTF-8 text", file=path, mend="Save it as UTF-8 and try again"
        ) from error
    except (pd.errors.ParserError, pd.errors.EmptyDataError, OSError) as error:
        raise no_csv(path, error, form) from error
    if form.columns:
        frame.columns = pd.Index(form.columns)
        return frame
    header = frame.iloc[0].tolist()
    header[0] = header[0].removeprefix(form.mark)
    if not header[0].strip() and len(header) > 1:
        header[0] = NAMELESS
    frame = frame.iloc[1:].reset_index(drop=True)
    frame.columns = pd.Index(header)
    return frame


def _read_parquet(path: Path) -> pd.DataFrame:
    frame = scan_parquet(path)
    text = frame.select(pl.all().cast(pl.String).fill_null(""))
    return pd.DataFrame({name: text[name].to_list() for name in text.columns}, dtype=object)


def check_header(path: Path, header: Sequence[str], required: Sequence[str]) -> None:
    """Check that the header has distinct names and the required columns."""
    repeated = sorted({name for name in header if header.count(name) > 1})
    if repeated:
        raise InputError("the header repeats a column", file=path, values=repeated)
    if any(not name.strip() for name in header):
        raise InputError("the header has a column without a name", file=path, values=header)
    for name in required:
        if name not in header:
            raise InputError(f"no column is called '{name}'", file=path, values=header)


def write_table(path: Path, frame: pd.DataFrame, *, force: bool = False) -> None:
    """Write ``frame`` without its index, atomically, as CSV or by suffix as Parquet.

    Raises
    ------
    OutputExistsError
        If ``path`` exists and ``force`` is off.
    InputError
        If it cannot be written; ``path`` is unchanged.
    """
    names = [str(name) for name in frame.columns]
    check_columns(path, names)
    returns = _has_return(names)
    for name, column in frame.items():
        if isinstance(column.dtype, pd.StringDtype) or column.dtype == object:
            cells = [cell if isinstance(cell, str) else "" for cell in column]
            check_texts(path, str(name), cells)
            returns |= _has_return(cells)
    with atomic_output(path, force=force) as temporary:
        if path.suffix == PARQUET:
            columns = {str(name): frame[name].to_list() for name in frame.columns}
            write_parquet(temporary, pl.DataFrame(columns))
        elif _is_plain(frame):
            with csv_stream(temporary) as stream:
                write_csv(stream, _polars_columns(frame))
        else:
            quoting: Literal[0, 2] = csv.QUOTE_NONNUMERIC if returns else csv.QUOTE_MINIMAL
            frame.to_csv(temporary, index=False, lineterminator="\n", quoting=quoting)


def write_csv(stream: IO[bytes], frame: pl.DataFrame, *, header: bool = True) -> None:
    """Write columns as CSV, with or without their names."""
    texts = (column for column in frame if column.dtype == pl.String)
    returns = _has_return(frame.columns) or any(_has_return(column) for column in texts)
    frame.write_csv(
        stream, include_header=header, quote_style="non_numeric" if returns else "necessary"
    )


def _has_return(texts: Iterable[str | None]) -> bool:
    """Whether all texts of a CSV need quotes.

    Neither polars nor pandas quotes a lone carriage return, at which both end a row.
    """
    return any(text is not None and "\r" in text for text in texts)


@contextmanager
def csv_stream(path: Path) -> Iterator[IO[bytes]]:
    """The byte stream of a new CSV, compressed for the suffix ``.gz``."""
    with named_late(path) as file:
        if path.suffix != ".gz":
            yield file
            return
        # No name or time, for reproducible bytes.
        with gzip.GzipFile("", "wb", fileobj=file, mtime=0) as packed:
            yield cast("IO[bytes]", packed)


def _is_plain(frame: pd.DataFrame) -> bool:
    """Whether polars writes the same as pandas (text and integers), in a fifth of the time."""
    kinds = (isinstance(kind, pd.StringDtype) or kind.kind in "iu" for kind in frame.dtypes)
    return len(frame.columns) > 1 and all(kinds)


def _polars_columns(frame: pd.DataFrame) -> pl.DataFrame:
    columns: dict[str, pl.Series] = {}
    for name, column in frame.items():
        if isinstance(column.dtype, pd.StringDtype):
            texts = column.to_numpy(dtype=object, na_value="")
            columns[str(name)] = pl.Series(texts, dtype=pl.String).replace("", None)
        else:
            columns[str(name)] = pl.Series(column.to_numpy())
    return pl.DataFrame(columns)


def check_ids(path: Path, column: str, ids: npt.NDArray[np.object_]) -> None:
    """Raise an InputError for a blank id (names its row) or repeated ids (names up to three)."""
    if pl.Series(ids.tolist(), dtype=pl.String).n_unique() == len(ids) and "" not in ids:
        return
    series = pd.Series(ids, name=column)
    blank = np.flatnonzero((series == "").to_numpy())
    if blank.size:
        raise InputError("the id is blank", file=path, row=int(blank[0]) + 1, column=column)
    refuse_rows(path, series, series.duplicated(), "duplicate id")


def refuse_rows(
    path: Path,
    column: pd.Series[Any],
    wrong: pd.Series[bool] | npt.NDArray[np.bool_],
    what: str,
    mend: str | None = None,
) -> None:
    """Raise an InputError for the cells of a column where the mask ``wrong``, shape (N,), is true.

    It has the first row, the distinct values, the error ``what`` and the remedy ``mend``.
    """
    rows = np.flatnonzero(wrong)
    if rows.size:
        raise InputError(
            what,
            file=path,
            row=int(rows[0]) + 1,
            column=str(column.name),
            values=list(dict.fromkeys(column.iloc[rows])),
            mend=mend,
        )


def no_csv(path: Path, error: Exception, form: TextForm = USUAL) -> InputError:
    """The error for a CSV that a parser refused, with the row if one is long or short."""
    try:
        with path.open(encoding=form.encoding, newline="") as stream:
            for _ in range(form.num_comments):
                next(stream)
            rows = csv.reader(stream, delimiter=form.separator)
            width = len(next(rows, []))
            for number, row in enumerate(filter(None, rows), start=1):
                what = f"this row has {len(row)} cells and the header has {width}"
                if len(row) > width:
                    mend = "A cell with a comma in it has to stand in quotes"
                    return InputError(what, file=path, row=number, mend=mend)
                # pandas accepts short rows.
                if len(row) < width and not isinstance(error, pd.errors.ParserError):
                    mend = "Make the file again; a blank cell needs its comma too"
                    return InputError(what, file=path, row=number, mend=mend)
    except (OSError, UnicodeDecodeError, csv.Error):
        pass  # Compressed, or no text at all: the parser's own words have to do.
    reason = str(error).strip().splitlines()[0].removeprefix("Error tokenizing data. C error: ")
    return InputError(f"is not a CSV table ({reason})", file=path)
