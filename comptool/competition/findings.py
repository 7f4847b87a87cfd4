"""``findings.csv``: what ``inspect`` has found, a row per finding, for a person and for ``split``.

A finding is about the sample ``id`` of a table, ``train`` or ``test``. Of two copies the second,
in the order of the ids and training first, is the finding, and the other one is named beside it, so
that all findings of a kind can be taken away and one copy stays.
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
"""What the findings of each kind are, in the order in which they are told."""
PAIRS = (DUPLICATE, NEAR_DUPLICATE)
EXCLUDABLE = tuple(kind for kind in KINDS if kind not in (TORN_GROUP, LOST_LABEL))
"""Kinds that are about one sample, which a split can leave out."""
MASKABLE = (LABEL_RUN, LABEL_SET)
"""Kinds that say which cells of a sample are doubtful: from ``column`` to ``other_column``."""


def made(kind: str, table: str, ids: Iterable[str], **columns: object) -> pd.DataFrame:
    """Findings of one kind about samples of one table.

    Parameters
    ----------
    kind, table
        One of `KINDS`; ``train`` or ``test``.
    ids
        Of the N samples.
    columns
        Other `COLUMNS`, N values or one for all; those not given are blank.
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
        If it is no table of findings, or has a kind or a table that none has.
    """
    findings = read_table(path, required=COLUMNS, allow_empty=True)
    for column, known in (("kind", tuple(KINDS)), ("table", (TRAIN, TEST))):
        wrong = ~findings[column].isin(known).to_numpy()
        if wrong.any():
            row = int(wrong.argmax())
            value = findings[column].iloc[row]
            likely = " or ".join(f"'{name}'" for name in nearest(value, known))
            what = f"no finding has this; did you mean {likely}"
            raise InputError(what, file=path, row=row + 1, column=column, values=[value])
    return findings


def of_training(findings: pd.DataFrame, kinds: Collection[str]) -> pd.DataFrame:
    """Findings of some kinds about training samples."""
    return findings[(findings["table"] == TRAIN) & findings["kind"].isin(kinds)]


def copies(findings: pd.DataFrame) -> pd.DataFrame:
    """Findings of two images that are copies of one another.

    Constant images make no pair: that a sensor delivered nothing is nothing that two samples share.
    """
    place = ["table", "id", "column"]
    constant = set(findings[findings["kind"] == CONSTANT][place].itertuples(index=False, name=None))
    pairs = findings[findings["kind"].isin(PAIRS)]
    shows = [one not in constant for one in pairs[place].itertuples(index=False, name=None)]
    return pairs[np.array(shows, np.bool_)]


def links(findings: pd.DataFrame) -> pd.DataFrame:
    """The `copies` of which both belong to training samples, and to two."""
    pairs = of_training(copies(findings), PAIRS)
    return pairs[(pairs["other_table"] == TRAIN) & (pairs["id"] != pairs["other_id"])]
