"""Which columns of a download's tables are the id and the group.

Each choice is returned with the sentence that explains it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from comptool.errors import InputError

ID_NAMES = "id image_id img_id imageid image_name image img filename file_name file name".split()
GROUP_NAMES = frozenset(
    "group group_id scene scene_id patient patient_id site site_id location location_id "
    "sequence sequence_id tile tile_id".split()
)
# A table with a few repeated ids has a mistake to be told, not another id column.
NEARLY_UNIQUE = 0.9


def choose_id(
    frames: Sequence[pd.DataFrame], sample: pd.DataFrame | None, file: Path
) -> tuple[str, str]:
    """The id column that the training and test tables share.

    Parameters
    ----------
    frames
        The training and test tables that there are.
    sample
        The sample submission, whose first column is the id.
    file
        What an error is about.

    Raises
    ------
    InputError
        If no column is called like an id or has another value in every row.
    """
    first = None if sample is None else str(sample.columns[0])
    if first is not None and all(first in frame for frame in frames):
        return first, f"id column: {first} (the first of the sample submission)"
    if not frames:
        return "id", "assumed: the id is what {id} stands for in a file name"
    shared = [name for name in frames[0].columns if all(name in frame for frame in frames)]
    distinct = {name: min(one[name].nunique() / len(one) for one in frames) for name in shared}
    named = [name for name in ID_NAMES if name in distinct and distinct[name] >= NEARLY_UNIQUE]
    if named:
        return named[0], f"id column: {named[0]} (by its name)"
    unique = [name for name in shared if distinct[name] == 1]
    if unique:
        return unique[0], f"id column: {unique[0]} (another value in every row)"
    raise InputError(
        "no column has another value in every row; which one is the id?",
        file=file,
        values=list(frames[0].columns),
        mend="Name it with COMPTOOL_ID=..., 'id' in comptool.toml or 'comptool init --id'",
    )


def choose_group(train: pd.DataFrame, taken: set[str]) -> tuple[str | None, str]:
    """The group column by its name, or None."""
    for name in train.columns:
        if name.lower() in GROUP_NAMES and name not in taken and not train[name].is_unique:
            count = train[name].nunique()
            return name, f"assumed: {name} is a group column ({count} groups)"
    return None, ""


def asks_for_one_probability(sample: pd.DataFrame) -> bool:
    """Whether a sample submission has one column, of numbers with a decimal point."""
    return len(sample.columns) == 2 and bool(sample.iloc[:, 1].str.fullmatch(r"[01]?\.\d+").all())
