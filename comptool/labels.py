"""The labels of a table: there, not blank, and of classes that a prediction file can have."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from comptool.competition import Competition
from comptool.errors import InputError
from comptool.predictions import RESERVED

MIN_CLASSES = 2
RESERVED_CLASS = "a class cannot be called like a column of prediction files"


def check_labels(competition: Competition, source: Path, frame: pd.DataFrame) -> None:
    """Check the label columns of a labelled table.

    Parameters
    ----------
    competition
        Says which columns hold labels, and perhaps which classes there are.
    source
        Where ``frame`` was read, for messages.
    frame
        Table of text.

    Raises
    ------
    InputError
        If a column is missing, or a class is called like a column that prediction files need; of
        one class per row also naming the first row whose label is blank or is not one of the
        competition's classes. The cells of multi-label tables are checked by `label_matrix`.
    """
    for name in competition.labels or (competition.label,):
        if name not in frame.columns:
            raise InputError(
                f"no column is called '{name}'",
                file=source,
                values=list(frame.columns),
                mend="Name the label column with 'label' in comptool.toml",
            )
    if competition.task == "multilabel":
        return
    labels = frame[competition.label]
    if (blank := _rows(labels.str.strip() == "")).size:
        raise InputError(
            "the label is blank", file=source, row=int(blank[0]) + 1, column=competition.label
        )
    if competition.classes is not None:
        what = "the label is not one of 'classes' in comptool.toml"
        _refuse(competition, source, labels, ~labels.isin(competition.classes), what)
    reserved = (*RESERVED, competition.id)
    _refuse(competition, source, labels, labels.isin(reserved), RESERVED_CLASS)


def check_class_names(competition: Competition, source: Path, classes: Sequence[str]) -> None:
    """Check that the classes of a multi-label table can be columns of a prediction file.

    Raises
    ------
    InputError
        If there are fewer than two, or one is called like another column of such a file.
    """
    if len(classes) < MIN_CLASSES:
        what = f"a multi-label competition has at least two classes, not {len(classes)}"
        raise InputError(what, file=source, values=classes)
    reserved = [name for name in classes if name in (*RESERVED, competition.id)]
    if reserved:
        raise InputError(RESERVED_CLASS, file=source, values=reserved)


def _rows(where: pd.Series[bool]) -> npt.NDArray[np.intp]:
    return np.flatnonzero(where.to_numpy())


def _refuse(
    competition: Competition,
    source: Path,
    labels: pd.Series[str],
    where: pd.Series[bool],
    what: str,
) -> None:
    rows = _rows(where)
    if rows.size:
        raise InputError(
            what,
            file=source,
            row=int(rows[0]) + 1,
            column=competition.label,
            values=list(dict.fromkeys(labels.iloc[rows])),
        )
