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


def build(
    predictions: Predictions, sample: pd.DataFrame, layout: Layout, task: str, name: str
) -> pd.DataFrame:
    """A submission with the sample's header, ids and order.

    Where the predictions have a ``pred`` column it is the answer; otherwise the most probable
    class is, the first of equals.

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

    Raises
    ------
    SubmissionError
        If the ids differ from the sample's, or ``pred`` holds an unknown class.
    UsageError
        If the answers of a multi-label competition would have to be chosen.
    """
    if task == "multilabel" and layout.kind is not Kind.probabilities:
        raise UsageError(
            f"submit cannot choose the answers of a multilabel competition yet, and the sample "
            f"submission asks for {layout.kind.value}"
        )
    wanted = sample[layout.id].tolist()
    check_ids(list(predictions.ids), wanted, name, predictions.id_column)
    place = {one: row for row, one in enumerate(predictions.ids)}
    predictions = predictions.take(np.array([place[one] for one in wanted], dtype=np.int64))
    columns: dict[str, object] = {layout.id: wanted}
    if layout.kind is Kind.probabilities:
        for column in layout.columns[1:]:
            columns[column] = predictions.probabilities[:, predictions.classes.index(column)]
    elif layout.kind is Kind.probability:
        columns[layout.answer] = predictions.probabilities[:, layout.positive]
    else:
        columns |= _answers(predictions, layout, name)
    return pd.DataFrame({column: columns[column] for column in layout.columns})


def _answers(predictions: Predictions, layout: Layout, name: str) -> dict[str, object]:
    chosen = _chosen(predictions, name)
    texts = np.array(layout.answers, dtype=object)
    columns: dict[str, object] = {layout.answer: texts[chosen]}
    if layout.score is not None:
        columns[layout.score] = predictions.probabilities[np.arange(len(chosen)), chosen]
    return columns


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
