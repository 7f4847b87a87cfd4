"""A split that a column of the training table gives."""

from __future__ import annotations

import re

import numpy as np

from comptool.data.folds import TRAINING, Integers
from comptool.errors import InputError, nearest
from comptool.samples import Samples
from comptool.tables import refuse_rows

LEFT_OUT = -2
WORDS = {
    "train": TRAINING, "training": TRAINING,
    "val": 0, "valid": 0, "validation": 0, "dev": 0,
    "test": LEFT_OUT, "testing": LEFT_OUT,
}  # fmt: skip
FOLD_NUMBER = re.compile(r"-1|\d{1,6}")
COLUMN_NAMES = ("split", "subset", "partition", "set", "phase")


def given_fold(samples: Samples, column: str) -> Integers:
    """Fold of each row as the column says, shape (N,); -2 for a row that is to be left out.

    ``train`` is -1 and ``val`` is 0; ``test`` rows, which a competition keeps for its own
    evaluation, are left out; a whole number from -1 is a fold as it is.

    Raises
    ------
    InputError
        If there is no such column, naming the first row with another value, or if no row is
        trained on or none is validated.
    """
    frame = samples.frame
    if column not in frame.columns:
        raise InputError(
            f"no column is called '{column}'",
            file=samples.source,
            values=nearest(column, map(str, frame.columns)),
            mend="Name the column with the given split: --from-column NAME",
        )
    texts = frame[column].astype(str).str.strip().str.lower()
    known = {text: _fold(text) for text in set(texts)}
    wrong = texts.map(lambda text: known[text] is None).astype(bool)
    told = "a given split is train, val or test, or a fold number from -1"
    refuse_rows(samples.source, frame[column], wrong, told)
    fold = texts.map(known).to_numpy(dtype=np.int64)
    if not (fold >= 0).any():
        what = "no row is validated; some have to be 'val', or of a fold from 0"
        raise InputError(what, file=samples.source, column=column)
    if len(set(fold) - {LEFT_OUT}) == 1:
        what = "no row is left to train on; all are validated together"
        raise InputError(what, file=samples.source, column=column)
    return fold


def _fold(text: str) -> int | None:
    return int(text) if FOLD_NUMBER.fullmatch(text) else WORDS.get(text)


def unused_column(samples: Samples) -> str | None:
    """A column that looks like a given split, or None."""
    for name in samples.frame.columns:
        if name.lower() in COLUMN_NAMES:
            values = {value.strip().lower() for value in samples.frame[name].unique()}
            if len(values) > 1 and values <= set(WORDS):
                return str(name)
    return None


def torn_groups(samples: Samples, fold: Integers) -> list[str]:
    """Groups with rows in several parts of a split; none where there is no group column."""
    if samples.group is None:
        return []
    parts = samples.frame.assign(fold=fold).groupby(samples.group, sort=True)["fold"].nunique()
    return [str(name) for name in parts.index[parts > 1]]
