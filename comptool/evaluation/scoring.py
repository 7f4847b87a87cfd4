"""Grading a submission as an organiser would: one metric, a public and a private part."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from comptool import provenance
from comptool.competition import FILE, load
from comptool.errors import InputError, UsageError, quoted
from comptool.evaluation.metrics import METRICS, score
from comptool.predictions import Predictions, read_predictions
from comptool.samples import class_names
from comptool.tables import check_ids, read_table

DEFAULT_METRIC = "accuracy"
HASH_BYTES = 8


@dataclass(frozen=True)
class Grade:
    """What a submission is worth.

    Parameters
    ----------
    metric
        Name of the metric.
    public, private
        Its value on the two parts; None for a part without rows, or on which it is not defined.
    num_public, num_private
        Rows of the two parts.
    """

    metric: str
    public: float | None
    private: float | None
    num_public: int
    num_private: int

    def __str__(self) -> str:
        parts = ((self.public, self.num_public), (self.private, self.num_private))
        public, private = (
            f"{'undefined' if value is None else f'{value:.5f}'} ({rows} rows)"
            for value, rows in parts
        )
        return f"{self.metric}  public {public}  private {private}"


def grade(
    submission: Path, answers: Path, *, public: float = 0.3, metric: str | None = None
) -> Grade:
    """Grade a submission.

    Parameters
    ----------
    submission
        Ids with one class each, or with one probability column per class (a prediction file, whose
        ``pred`` column then is the answer).
    answers
        Ids with the true class.
    public
        Share of the public part, 0 to 1. Which part an id belongs to follows from the id alone.
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
    id_column, label = (str(name) for name in truth.columns[:2])
    name = metric or _usual_metric(recorded)
    METRICS.find(name)
    table = read_table(submission)
    if label in table.columns:
        if table.columns.isin(truth.columns[2:]).any():
            raise UsageError(f"{answers} holds several labels a row; one class a row can be graded")
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
    order = _aligned(submission, answered.ids, answers, truth[id_column])
    targets = _indices(answers, label, truth[label], answered.classes)
    decided = None if decided is None else decided[order]
    return _graded(name, public, answered.take(order), targets, decided)


def _read_answers(path: Path) -> pd.DataFrame:
    truth = read_table(path)
    if len(truth.columns) < 2:
        raise InputError("has no column with answers", file=path, values=list(truth.columns))
    id_column, label = (str(name) for name in truth.columns[:2])
    check_ids(path, id_column, truth[id_column].to_numpy(dtype=object))
    _refuse_blank(path, truth, label)
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


def _usual_metric(recorded: Mapping[str, object]) -> str:
    name = recorded.get("metric")
    if isinstance(name, str):
        return name
    return load().metric if FILE.exists() else DEFAULT_METRIC


def _labels(path: Path, table: pd.DataFrame, label: str, classes: tuple[str, ...]) -> Predictions:
    """A submission of classes as sure predictions."""
    id_column = str(table.columns[0])
    ids = table[id_column].to_numpy(dtype=object)
    check_ids(path, id_column, ids)
    _refuse_blank(path, table, label)
    unknown = np.flatnonzero(~table[label].isin(classes).to_numpy())
    if unknown.size:
        raise InputError(
            f"no such class; the classes are {quoted(classes)}",
            file=path,
            row=int(unknown[0]) + 1,
            column=label,
            values=list(dict.fromkeys(table[label].iloc[unknown])),
        )
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


def _aligned(
    submission: Path, ids: npt.NDArray[np.object_], answers: Path, wanted: pd.Series[str]
) -> npt.NDArray[np.intp]:
    """Row of the submission for each answer."""
    places = {name: row for row, name in enumerate(ids)}
    missing = [name for name in wanted if name not in places]
    known = set(wanted)
    extra = [name for name in ids if name not in known]
    if missing or extra:
        sides = [
            f"{len(some)} ids {what}: {quoted(some)}"
            for some, what in ((missing, "are missing"), (extra, "are not asked for"))
            if some
        ]
        raise InputError(f"its ids are not those of {answers}: {'; '.join(sides)}", file=submission)
    return np.array([places[name] for name in wanted], np.intp)


def _decided(
    path: Path, pred: npt.NDArray[np.object_], classes: Sequence[str]
) -> npt.NDArray[np.intp]:
    """Class index of every row's ``pred``."""
    index = {label: place for place, label in enumerate(classes)}
    decided = np.array([index.get(label, -1) for label in pred], np.intp)
    wrong = np.flatnonzero(decided < 0)
    if wrong.size:
        raise InputError(
            f"no such class; the classes are {quoted(classes)}",
            file=path,
            row=int(wrong[0]) + 1,
            column="pred",
            values=list(dict.fromkeys(pred[wrong])),
        )
    return decided


def _graded(
    name: str,
    public: float,
    answered: Predictions,
    targets: npt.NDArray[np.intp],
    decided: npt.NDArray[np.intp] | None,
) -> Grade:
    shown = np.array([_draw(identity) < public for identity in answered.ids], bool)
    values = [
        _value(
            name,
            targets[part],
            answered.probabilities[part],
            None if decided is None else decided[part],
        )
        for part in (shown, ~shown)
    ]
    return Grade(name, values[0], values[1], int(shown.sum()), int((~shown).sum()))


def _value(
    name: str,
    targets: npt.NDArray[np.intp],
    probabilities: npt.NDArray[np.floating],
    decided: npt.NDArray[np.intp] | None,
) -> float | None:
    try:
        return score(name, targets, probabilities, pred=decided)
    except InputError:
        # A part may be empty or hold a single class, which says nothing against the submission.
        return None


def _draw(identity: str) -> float:
    """A number in [0, 1) that follows from the id and looks random."""
    digest = hashlib.sha256(identity.encode()).digest()[:HASH_BYTES]
    return float(int.from_bytes(digest, "big") / 256**HASH_BYTES)
