"""From predictions to a table in the layout of the sample submission."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from comptool.errors import SubmissionError, UsageError, quoted
from comptool.predictions import Predictions
from comptool.submission.check import check_ids
from comptool.submission.layout import Kind, Layout

Rows = npt.NDArray[np.int64]

THRESHOLD = 0.5


def build(
    predictions: Predictions,
    sample: pd.DataFrame,
    layout: Layout,
    task: str,
    name: str,
    threshold: float | None = None,
) -> pd.DataFrame:
    """A submission with the sample's header, ids and order.

    Where one class is asked for it is that of the ``pred`` column, if the predictions have one;
    otherwise the most probable class, the first of equals. Where probabilities are asked for they
    are left as they are, whatever ``pred`` says; `overruled` counts what that loses. Of a
    multi-label task all classes above the threshold are answered.

    Parameters
    ----------
    predictions
        N predictions, in any order.
    sample
        The sample submission of N rows.
    layout
        Its layout, with the predictions' classes.
    task
        ``"multiclass"`` or ``"multilabel"``.
    name
        What the predictions are called in messages.
    threshold
        Of a multi-label task: a class whose probability is strictly above it is answered. None:
        one half in lists, and columns of probabilities are left as they are; otherwise such
        columns hold 1 and 0.

    Raises
    ------
    SubmissionError
        If the ids differ from the sample's, ``pred`` holds an unknown class, or the sample asks
        for one class of a multi-label task.
    UsageError
        If there is a threshold and the task is not multi-label.
    """
    _check_task(layout, task, threshold)
    wanted = sample[layout.id].tolist()
    check_ids(list(predictions.ids), wanted, name, predictions.id_column)
    place = {one: row for row, one in enumerate(predictions.ids)}
    predictions = predictions.take(np.array([place[one] for one in wanted], dtype=np.int64))
    columns: dict[str, object] = {layout.id: wanted}
    if layout.kind is Kind.probabilities:
        cells = predictions.probabilities
        cells = cells if threshold is None else (cells > threshold).astype(np.int8)
        for column in layout.columns[1:]:
            columns[column] = cells[:, predictions.classes.index(column)]
    elif task == "multilabel":
        columns[layout.answer] = _lists(predictions, layout, threshold)
    elif layout.kind is Kind.probability:
        columns[layout.answer] = predictions.probabilities[:, layout.positive]
    else:
        columns |= _answers(predictions, layout, name)
    return pd.DataFrame({column: columns[column] for column in layout.columns})


def _check_task(layout: Layout, task: str, threshold: float | None) -> None:
    if task != "multilabel":
        if threshold is not None:
            raise UsageError("--threshold is for multi-label competitions; this one is not")
    elif layout.score is not None or layout.kind not in (Kind.probabilities, Kind.joined):
        what = layout.kind.value if layout.score is None else "one class and its score"
        raise SubmissionError(
            f"the sample submission asks for {what}, and the competition is multi-label; "
            "it needs a list of classes or one column per class"
        )


def _lists(predictions: Predictions, layout: Layout, threshold: float | None) -> list[str]:
    answered = predictions.probabilities > (THRESHOLD if threshold is None else threshold)
    assert layout.answers is not None  # the predictions' classes are known
    return [
        layout.separator.join(layout.answers[place] for place in np.flatnonzero(row))
        for row in answered
    ]


def _answers(predictions: Predictions, layout: Layout, name: str) -> dict[str, object]:
    chosen = _chosen(predictions, name)
    texts = np.array(layout.answers, dtype=object)
    columns: dict[str, object] = {layout.answer: texts[chosen]}
    if layout.score is not None:
        columns[layout.score] = predictions.probabilities[np.arange(len(chosen)), chosen]
    return columns


def overruled(predictions: Predictions, name: str) -> int:
    """Rows whose ``pred`` is not a most probable class; 0 where nothing has been decided.

    Raises
    ------
    SubmissionError
        If ``pred`` holds an unknown class.
    """
    probabilities = predictions.probabilities
    answered = probabilities[np.arange(len(predictions)), _chosen(predictions, name)]
    return int((answered < probabilities.max(axis=1)).sum())


def _chosen(predictions: Predictions, name: str) -> Rows:
    if predictions.pred is None:
        return np.asarray(predictions.probabilities.argmax(axis=1), dtype=np.int64)
    index = {one: place for place, one in enumerate(predictions.classes)}
    strange = [str(one) for one in predictions.pred if one not in index]
    if strange:
        raise SubmissionError(
            f"{name}, column 'pred': no such class (found {quoted(strange)}); the classes are "
            f"{quoted(predictions.classes)}"
        )
    return np.array([index[one] for one in predictions.pred], dtype=np.int64)
