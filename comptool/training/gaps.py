"""What rows have no label for, as the user should know; no torch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from comptool.errors import InputError, quoted
from comptool.label_matrix import ABSENT, UNKNOWN
from comptool.training.labelled import Indices
from comptool.training.rows import Rows, per_class
from comptool.training.stages import kept_score


def gaps(rows: Rows, train: Indices, valid: Indices) -> list[str]:
    """Classes that cannot be learnt or measured, and rows without an annotated cell in training.

    One sentence each. With one class per row, those alone that no row is of: others that cannot be
    learnt are refused, or dropped on purpose.
    """
    if not rows.multilabel:
        absent = _absent(rows, np.arange(len(rows.labels)))
        return [f"no row is of the {_classes(absent)}: it cannot be learnt"] if absent else []
    told = []
    parts = {
        "to train on: it cannot be learnt": train,
        "to validate: the metric leaves it out": valid,
    }
    for what, part in parts.items():
        lacking = _absent(rows, part)
        if lacking and len(part):
            told.append(f"no positive row {what}: {_classes(lacking)}")
    trained = rows.targets[train] == UNKNOWN
    mapped = np.count_nonzero((trained & (rows.labels[train] == ABSENT)).any(axis=1))
    if mapped:
        told.append(
            f"0 is taken for not annotated in {mapped} of the {len(train)} rows to train on"
        )
    blank = np.count_nonzero(trained.all(axis=1))
    if blank:
        told.append(f"{blank} of the {len(train)} rows to train on have no annotated cell")
    return told


def _absent(rows: Rows, part: Indices) -> list[str]:
    counts = per_class(rows.labels[part], len(rows.classes))
    return [rows.classes[index] for index in np.flatnonzero(counts == 0)]


def check_measurable(
    metric: str, rows: Rows, valid: Indices, fold: int | None, dropped: Sequence[int] = ()
) -> None:
    """Raise an InputError if the metric is not defined on the validated rows that count.

    Found out here, and not after the first epoch.
    """
    if not len(valid):
        return
    num_classes = len(rows.classes)
    equal = np.full((len(valid), num_classes), 1 / num_classes)
    try:
        kept_score(metric, rows.labels[valid], equal, dropped)
    except InputError as error:
        raise InputError(
            f"fold {fold} cannot be validated: {error}",
            file=rows.samples.source,
            mend="Split again, or give another --metric",
        ) from error


def _classes(names: list[str]) -> str:
    return f"{'class' if len(names) == 1 else 'classes'} {quoted(names)}"
