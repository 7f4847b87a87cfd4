"""Prediction files: the probabilities that `infer`, `tta` and `ensemble` hand on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from comptool import prediction_arrays, prediction_frames
from comptool.errors import InputError
from comptool.outputs import atomic_output, refuse_existing
from comptool.prediction_arrays import NPY, Arrays, fixed_width
from comptool.tables import (
    PARQUET,
    check_header,
    check_ids,
    csv_stream,
    refuse_missing,
    write_parquet,
)

# What prediction files are called; a packed CSV can be read, too.
SUFFIXES = (".csv", PARQUET, NPY)
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
        ``preds.csv``, ``oof.csv``, ``ensemble.csv`` and their kin; ``.parquet`` and ``.npy`` by
        suffix.
    task
        ``"multiclass"``: each row has to sum to one; ``"multilabel"``: each value stands alone.

    Raises
    ------
    InputError
        If there are fewer than two columns, a blank or repeated id, a cell that is not a number in
        [0, 1], or a row that does not sum to one (logits, for example).
    """
    refuse_missing(path)
    found = _from_arrays(path) if path.suffix == NPY else _from_table(path)
    check_ids(path, found.id_column, found.ids)
    _check_probabilities(path, found.classes, found.probabilities, task)
    return found


def _from_table(path: Path) -> Predictions:
    frame = prediction_frames.scan(path)
    check_header(path, frame.columns, ())
    id_column, *others = frame.columns
    classes = tuple(name for name in others if name not in RESERVED)
    _refuse_nothing(path, frame.columns, len(classes), len(frame))
    return Predictions(
        ids=frame[id_column].cast(pl.String).fill_null("").to_numpy(),
        classes=classes,
        probabilities=prediction_frames.numbers(path, frame, classes),
        pred=prediction_frames.optional_text(frame, "pred"),
        fold=prediction_frames.folds(path, frame),
        id_column=id_column,
    )


def _from_arrays(path: Path) -> Predictions:
    found = prediction_arrays.load(path)
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

    Parameters
    ----------
    path
        A CSV (packed: ``.gz``); by suffix a Parquet table (``.parquet``), or arrays (``.npy``), the
        first of which are the probabilities as they are.
    predictions
        What is written.
    force
        Whether an existing file is replaced.

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
    lies in columns, and arrays, which begin with their number, keep them until the last has come.

    Raises
    ------
    OutputExistsError
        If ``path`` exists and ``force`` is off.
    InputError
        If a class is called like a reserved column, or the file cannot be written.
    """
    parts = (_checked(path, part) for part in parts)
    if path.suffix in (NPY, PARQUET):
        refuse_existing(path, force)
        parts = list(parts)
    with atomic_output(path, force=force) as temporary:
        if path.suffix == NPY:
            prediction_arrays.save(temporary, _arrays(path, list(parts)))
        elif path.suffix == PARQUET:
            write_parquet(temporary, pl.concat([_frame(part) for part in parts]))
        else:
            with csv_stream(temporary) as stream:
                for number, part in enumerate(parts):
                    _frame(part).write_csv(stream, include_header=number == 0)


def _checked(path: Path, predictions: Predictions) -> Predictions:
    clash = [name for name in predictions.classes if name in (*RESERVED, predictions.id_column)]
    if clash:
        raise InputError("a class is called like a reserved column", file=path, values=clash)
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


def _arrays(path: Path, parts: Sequence[Predictions]) -> Arrays:
    first = parts[0]
    folds = [part.fold for part in parts if part.fold is not None]
    decided = chain.from_iterable(part.pred for part in parts if part.pred is not None)
    return Arrays(
        probabilities=np.concatenate([part.probabilities for part in parts]),
        columns=fixed_width(path, [first.id_column, *first.classes]),
        ids=fixed_width(path, chain.from_iterable(part.ids for part in parts)),
        fold=np.concatenate([np.empty(0, dtype=np.int64), *folds]),
        pred=fixed_width(path, ("" if answer is None else answer for answer in decided)),
    )


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
