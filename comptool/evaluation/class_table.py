"""What became of each class of a multi-label task, the worst class first."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from comptool.evaluation.f_scores import Thresholds, count
from comptool.evaluation.ranking import Floats, Targets, precisions_and_areas

NUMBERS = ("average_precision", "roc_area", "precision", "recall", "f1")


def class_table(
    targets: Targets,
    probabilities: Floats,
    classes: Sequence[str],
    threshold: Thresholds = 0.5,
) -> pd.DataFrame:
    """One row per class, the smallest average precision first.

    Parameters
    ----------
    targets, probabilities
        See `comptool.evaluation.ranking.rank`.
    classes
        The K class names.
    threshold
        Above which a probability is an answer, for precision, recall and F1.

    Returns
    -------
    pandas.DataFrame
        Columns ``class``, ``average_precision``, ``roc_area``, ``precision``, ``recall``, ``f1``,
        ``present``, ``absent``, ``unknown`` (cells). Numbers that a class has none of, for want of
        present cells, are NaN; such classes come last.
    """
    precisions, areas = precisions_and_areas(targets, probabilities)
    counts = count(targets, probabilities, threshold)
    measured = counts.present > 0
    frame = pd.DataFrame(
        {
            "class": list(classes),
            "average_precision": precisions,
            "roc_area": areas,
            "precision": np.where(measured, counts.precision(), np.nan),
            "recall": np.where(measured, counts.recall(), np.nan),
            "f1": np.where(measured, counts.f_beta(), np.nan),
            "present": counts.present,
            "absent": (targets == 0).sum(axis=0),
            "unknown": (targets == -1).sum(axis=0),
        }
    )
    worst_first = frame.sort_values("average_precision", kind="stable", na_position="last")
    return worst_first.reset_index(drop=True)


def table_text(table: pd.DataFrame, rows: int | None = None) -> str:
    """The table to be read, then the macro means and the classes that have none of the numbers.

    Parameters
    ----------
    table
        From `class_table`.
    rows
        How many classes to show; all by default.
    """
    measured = table[table["average_precision"].notna()]
    shown = measured if rows is None else measured.head(rows)
    lines = []
    if len(shown):
        lines.append(shown.to_string(index=False, float_format=lambda value: f"{value:.4f}"))
    if len(shown) < len(measured):
        lines.append(f"... and {len(measured) - len(shown)} better classes")
    if len(measured):
        means = measured[list(NUMBERS)].mean()
        lines.append(
            f"mean of {len(measured)} classes: average precision {means['average_precision']:.4f}, "
            f"ROC area {means['roc_area']:.4f}, F1 {means['f1']:.4f}"
        )
    left_out = ", ".join(f"'{name}'" for name in skipped(table))
    if left_out:
        lines.append(f"left out, without a present cell: {left_out}")
    return "\n".join(lines)


def skipped(table: pd.DataFrame) -> list[str]:
    """Names of the classes without a present cell, which no mean counts."""
    return table.loc[table["average_precision"].isna(), "class"].tolist()
