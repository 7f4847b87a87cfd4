"""Grading a submission as an organiser would: one metric, a public and a private part."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from comptool import provenance
from comptool.errors import InputError, UsageError, quoted
from comptool.evaluation.grades import Grade, Rows, aligned, parts_of, usual_metric
from comptool.evaluation.label_scoring import grade_cells, is_multilabel
from comptool.evaluation.metrics import METRICS, score
from comptool.predictions import Predictions, read_predictions
from comptool.samples import class_names
from comptool.tables import check_ids, read_table, refuse_rows

DEFAULT_METRIC = "accuracy"

__all__ = ["Grade", "grade"]


def grade(
    submission: Path, answers: Path, *, public: float | None = None, metric: str | None = None
) -> Grade:
    """Grade a submission.

    Whether one class a row is graded or several follows from the record of the practice
    competition that the answers belong to, else from the competition in the working directory,
    else from the answers themselves.

    Parameters
    ----------
    submission
        Ids with one class each, or with one probability column per class (a prediction file, whose
        ``pred`` column then is the answer); of several classes a row see
        `comptool.evaluation.label_scoring.grade_cells`.
    answers
        Ids with the true class, or with one 0/1 column per class or a list of classes.
    public
        Share of the public part, 0 to 1, see `comptool.evaluation.grades.parts_of`.
    metric
        Its name; by default the one recorded with the answers, else the competition's.

    Raises
    ------
    UsageError
        If the metric is unknown, or needs probabilities and there are none.
    InputError
        If a file cannot be used, the ids differ, or a class is unknown.
    """
    # The practice competition that the answers belong to; its record names metric and classes.
    recorded = provenance.facts(answers.resolve().parent)
    truth = _read_answers(answers)
    if is_multilabel(truth, recorded):
        return grade_cells(submission, answers, truth, recorded, public=public, metric=metric)
    id_column, label = (str(name) for name in truth.columns[:2])
    _refuse_blank(answers, truth, label)
    name = metric or usual_metric(recorded, DEFAULT_METRIC)
    METRICS.find(name)
    table = read_table(submission)
    if label in table.columns:
        if not METRICS.find(name).of_decisions:
            raise UsageError(f"{name} needs probabilities, and {submission} holds one class a row")
        # Where nothing says which classes there are, one that no row has is a wrong answer.
        known = recorded.get("classes") or table[label]
        answered = _labels(submission, table, label, class_names([*truth[label], *known]))
    else:
        _refuse_without_answers(submission, table, label, truth[label])
        answered = read_predictions(submission)
    decided = None
    if answered.pred is not None:
        decided = _decided(submission, answered.pred, answered.classes)
    order = aligned(submission, list(answered.ids), answers, truth[id_column].tolist())
    targets = _indices(answers, label, truth[label], answered.classes)
    decided = None if decided is None else decided[order]
    value = partial(_value, name, targets, answered.probabilities[order], decided)
    return parts_of(truth, public).grade(name, value)


def _value(
    name: str,
    targets: npt.NDArray[np.intp],
    probabilities: npt.NDArray[np.floating],
    decided: npt.NDArray[np.intp] | None,
    rows: Rows,
) -> float:
    pred = None if decided is None else decided[rows]
    return score(name, targets[rows], probabilities[rows], pred=pred)


def _read_answers(path: Path) -> pd.DataFrame:
    truth = read_table(path)
    if len(truth.columns) < 2:
        raise InputError("has no column with answers", file=path, values=list(truth.columns))
    id_column = str(truth.columns[0])
    check_ids(path, id_column, truth[id_column].to_numpy(dtype=object))
    return truth


def _refuse_blank(path: Path, table: pd.DataFrame, label: str) -> None:
    blank = np.flatnonzero((table[label].str.strip() == "").to_numpy())
    if blank.size:
        raise InputError("the answer is blank", file=path, row=int(blank[0]) + 1, column=label)


def _refuse_without_answers(
    path: Path, table: pd.DataFrame, label: str, truth: pd.Series[str]
) -> None:
    """Refuse what is neither a table of classes nor one of probabilities."""
    if not table.columns.isin(truth).any():
        raise InputError(
            f"has neither a column '{label}' nor one per class",
            file=path,
            values=list(table.columns),
            mend="Its layout is that of the sample submission: comptool submit",
        )


def _labels(path: Path, table: pd.DataFrame, label: str, classes: tuple[str, ...]) -> Predictions:
    """A submission of classes as sure predictions."""
    id_column = str(table.columns[0])
    ids = table[id_column].to_numpy(dtype=object)
    check_ids(path, id_column, ids)
    _refuse_blank(path, table, label)
    told = f"no such class; the classes are {quoted(classes)}"
    refuse_rows(path, table[label], ~table[label].isin(classes), told)
    places = _indices(path, label, table[label], classes)
    return Predictions(ids, classes, np.eye(len(classes))[places], id_column=id_column)


def _indices(
    path: Path, column: str, labels: pd.Series[str], classes: Sequence[str]
) -> npt.NDArray[np.intp]:
    index = {name: place for place, name in enumerate(classes)}
    for row, name in enumerate(labels):
        if name not in index:
            raise InputError(
                "is a class that the submission has no column for",
                file=path,
                row=row + 1,
                column=column,
                values=[name],
            )
    return np.array([index[name] for name in labels], np.intp)


def _decided(
    path: Path, pred: npt.NDArray[np.object_], classes: Sequence[str]
) -> npt.NDArray[np.intp]:
    """Class index of every row's ``pred``."""
    index = {label: place for place, label in enumerate(classes)}
    decided = np.array([index.get(label, -1) for label in pred], np.intp)
    told = f"no such class; the classes are {quoted(classes)}"
    refuse_rows(path, pd.Series(pred, name="pred"), decided < 0, told)
    return decided
