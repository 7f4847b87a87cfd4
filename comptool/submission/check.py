"""What an organiser would say about a submission before grading it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from comptool.errors import SubmissionError, quoted
from comptool.submission.layout import WHOLE, Kind, Layout


def check(submission: pd.DataFrame, sample: pd.DataFrame, layout: Layout, name: str) -> None:
    """Refuse a submission that differs in form from the sample.

    Parameters
    ----------
    submission, sample
        Tables of text.
    layout
        The sample's layout.
    name
        What the submission is called in messages.

    Raises
    ------
    SubmissionError
        Naming the row, the column and up to three values: another header, other ids or order, a
        class that is unknown, a cell that is no number, NaN, or a number outside 0 to 1.
    """
    header = tuple(str(column) for column in submission.columns)
    if header != layout.columns:
        raise SubmissionError(
            f"{name}: the header is {','.join(header)}; the sample submission has "
            f"{','.join(layout.columns)}"
        )
    check_ids(submission[layout.id].tolist(), sample[layout.id].tolist(), name, layout.id)
    _check_order(submission[layout.id], sample[layout.id], name)
    if layout.kind is Kind.label:
        _check_classes(submission[layout.answer], sample[layout.answer], layout, name)
    elif layout.kind is Kind.joined:
        _check_joined(submission[layout.answer], layout, name)
    for column in number_columns(layout):
        _check_numbers(submission[column], name)


def number_columns(layout: Layout) -> tuple[str, ...]:
    """Columns that hold probabilities."""
    if layout.kind is Kind.probabilities:
        return layout.columns[1:]
    if layout.kind is Kind.probability:
        return (layout.answer,)
    return () if layout.score is None else (layout.score,)


def check_ids(ids: Sequence[str], wanted: Sequence[str], name: str, column: str) -> None:
    """Refuse ids that are not the sample's, whatever their order.

    Raises
    ------
    SubmissionError
        Naming up to three ids of each side, or repeated ones.
    """
    have, want = set(ids), set(wanted)
    missing = [one for one in wanted if one not in have]
    strange = [one for one in ids if one not in want]
    sides = []
    if missing:
        sides.append(f"{_count(missing, 'id')} of the sample submission missing: {quoted(missing)}")
    if strange:
        sides.append(f"{_count(strange, 'id')} not in the sample submission: {quoted(strange)}")
    if sides:
        raise SubmissionError(f"{name}, column '{column}': {'; '.join(sides)}")
    repeated = pd.Series(list(ids), dtype=object)
    repeated = repeated[repeated.duplicated()]
    if len(repeated):
        row = int(repeated.index[0]) + 1
        shown = quoted(list(dict.fromkeys(repeated)))
        raise SubmissionError(f"{name}, row {row}, column '{column}': repeated ids: {shown}")


def _count(values: Sequence[str], noun: str) -> str:
    return f"{len(values)} {noun}{'' if len(values) == 1 else 's'}"


def _check_order(ids: pd.Series, wanted: pd.Series, name: str) -> None:
    if len(ids) != len(wanted):
        raise SubmissionError(f"{name}: {len(ids)} rows; the sample submission has {len(wanted)}")
    off = np.flatnonzero(ids.to_numpy() != wanted.to_numpy())
    if off.size:
        row = int(off[0])
        raise SubmissionError(
            f"{name}, row {row + 1}, column '{wanted.name}': the id is '{ids.iloc[row]}' where the "
            f"sample submission has '{wanted.iloc[row]}'; the ids are in another order"
        )


def _check_classes(labels: pd.Series, sample: pd.Series, layout: Layout, name: str) -> None:
    if layout.answers is not None:
        wrong = ~labels.isin(layout.answers).to_numpy()
        what = f"no such class; the classes are {quoted(layout.answers)}"
    elif all(WHOLE.fullmatch(value) for value in sample):
        # Nobody knows the classes; whole numbers are then at least answered by whole numbers.
        wrong = np.array([not WHOLE.fullmatch(value) for value in labels], dtype=bool)
        what = "not a whole number, as the sample submission has"
    else:
        wrong = (labels.str.strip() == "").to_numpy()
        what = "no class"
    _refuse(labels, wrong, name, what)


def _check_joined(labels: pd.Series, layout: Layout, name: str) -> None:
    if layout.answers is None:
        return
    known = set(layout.answers)
    lists = [layout.split(value) for value in labels]
    wrong = np.array([not set(names) <= known for names in lists], dtype=bool)
    _refuse(labels, wrong, name, f"a class that is unknown; they are {quoted(layout.answers)}")
    twice = np.array([len(set(names)) < len(names) for names in lists], dtype=bool)
    _refuse(labels, twice, name, "names a class twice")


def _check_numbers(cells: pd.Series, name: str) -> None:
    numbers = pd.to_numeric(cells, errors="coerce").to_numpy(dtype=float)
    _refuse(cells, ~np.isfinite(numbers), name, "not a finite number")
    _refuse(cells, (numbers < 0) | (numbers > 1), name, "not a probability between 0 and 1")


def _refuse(cells: pd.Series, wrong: npt.NDArray[np.bool_], name: str, what: str) -> None:
    rows = np.flatnonzero(wrong)
    if rows.size:
        found = quoted(cells.iloc[rows].tolist())
        raise SubmissionError(
            f"{name}, row {int(rows[0]) + 1}, column '{cells.name}': {what} (found {found})"
        )
