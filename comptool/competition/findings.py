"""``findings.csv``: what ``inspect`` found, one row per finding, for a person and for ``split``.

A finding is about the sample ``id`` of a table, ``train`` or ``test``. Of two copies, the second in
the order of ids (training first) is the finding, and the other is named next to it: removing all
findings of a kind leaves one copy.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from comptool.errors import InputError, nearest
from comptool.io.tables import read_table

COLUMNS = (
    "kind", "table", "id", "column", "other_table", "other_id", "other_column", "value", "score"
)  # fmt: skip
TRAIN, TEST = "train", "test"
MISSING, UNREADABLE, CONSTANT = "missing", "unreadable", "constant"
ODD_SIZE, ODD_MODE = "odd-size", "odd-mode"
DUPLICATE, NEAR_DUPLICATE = "duplicate", "near-duplicate"
LABEL_CONFLICT, FOLD_LEAK, GROUP_LEAK = "label-conflict", "fold-leak", "group-leak"
TORN_GROUP = "torn-group"
LABEL_RUN, LABEL_COUNT, LABEL_SET = "label-run", "label-count", "label-set"
NO_LABEL, LOST_LABEL = "no-label", "lost-label"
KINDS = {
    MISSING: "images that are not there",
    UNREADABLE: "images that cannot be read",
    CONSTANT: "images of one value",
    ODD_SIZE: "images of another size than nearly all",
    ODD_MODE: "images of other channels or depth than nearly all",
    DUPLICATE: "images with the same pixels as another",
    NEAR_DUPLICATE: "images nearly like another",
    LABEL_CONFLICT: "copies with other labels",
    FOLD_LEAK: "copies in different folds",
    GROUP_LEAK: "copies in different groups",
    TORN_GROUP: "groups in several folds",
    LABEL_RUN: "rows with a run of adjacent labels",
    LABEL_COUNT: "rows with far more labels than others",
    LABEL_SET: "rows one label away from a set that is far more frequent",
    NO_LABEL: "rows without a label, where that is rare",
    LOST_LABEL: "classes that only doubtful rows have",
}
"""The kinds of findings, in the order of the report."""
PAIRS = (DUPLICATE, NEAR_DUPLICATE)
EXCLUDABLE = tuple(kind for kind in KINDS if kind not in (TORN_GROUP, LOST_LABEL))
"""Kinds about one sample, which a split can leave out."""
MASKABLE = (LABEL_RUN, LABEL_SET)
"""Kinds with doubtful cells of a sample: from ``column`` to ``other_column``."""


def made(kind: str, table: str, ids: Iterable[str], **columns: object) -> pd.DataFrame:
    """Findings of one kind about the samples ``ids`` of one table, ``train`` or ``test``.

    ``columns`` are other `COLUMNS`, a value per sample or one for all; missing ones are blank.
    """
    frame = pd.DataFrame({"id": list(ids)}, dtype=object)
    given: dict[str, Any] = dict.fromkeys(COLUMNS, "") | {"kind": kind, "table": table} | columns
    del given["id"]
    return frame.assign(**given)[list(COLUMNS)].astype(object)


def read_findings(path: Path) -> pd.DataFrame:
    """The findings of a file, every cell as text.

    Raises
    ------
    InputError
        If it is not a table of findings, or has an unknown kind or table.
    """
    findings = read_table(path, required=COLUMNS, allow_empty=True)
    for column, known in (("kind", tuple(KINDS)), ("table", (TRAIN, TEST))):
        wrong = ~findings[column].isin(known).to_numpy()
        if wrong.any():
            row = int(wrong.argmax())
            value = findings[column].iloc[row]
            likely = " or ".join(f"'{name}'" for name in nearest(value, known))
            what = f"unknown value; did you mean {likely}"
            raise InputError(what, file=path, row=row + 1, column=column, values=[value])
    return findings


def of_training(findings: pd.DataFrame, kinds: Collection[str]) -> pd.DataFrame:
    """Findings of some kinds about training samples."""
    return findings[(findings["table"] == TRAIN) & findings["kind"].isin(kinds)]


def copies(findings: pd.DataFrame) -> pd.DataFrame:
    """Findings of two images that are copies of one another.

    Constant images are left out: two samples without signal have nothing in common.
    """
    place = ["table", "id", "column"]
    constant = set(findings[findings["kind"] == CONSTANT][place].itertuples(index=False, name=None))
    pairs = findings[findings["kind"].isin(PAIRS)]
    varied = [cell not in constant for cell in pairs[place].itertuples(index=False, name=None)]
    return pairs[np.array(varied, np.bool_)]


def links(findings: pd.DataFrame) -> pd.DataFrame:
    """The `copies` between two different training samples."""
    pairs = of_training(copies(findings), PAIRS)
    return pairs[(pairs["other_table"] == TRAIN) & (pairs["id"] != pairs["other_id"])]
