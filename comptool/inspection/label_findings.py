"""Doubtful rows of a multi-label table, as findings."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
import pandas as pd

from comptool import findings
from comptool.inspection.label_rows import far_counts, lost_classes, rare_empty, rare_sets
from comptool.inspection.label_runs import doubtful_runs
from comptool.label_matrix import PRESENT, Matrix
from comptool.samples import Samples


def label_findings(samples: Samples) -> list[pd.DataFrame]:
    """Rows with runs of labels, far too many, none or an odd set, and classes that lost theirs.

    Parameters
    ----------
    samples
        Multi-label samples. Lists of labels have no columns that runs could be seen in.
    """
    matrix, classes = _in_columns(samples)
    ids = samples.frame[samples.id].to_numpy(dtype=object)
    counts = (matrix == PRESENT).sum(axis=1)
    runs = np.empty(0, np.int64)
    found = []
    if samples.label is None:
        runs, first, last, share = doubtful_runs(matrix)
        found.append(
            findings.made(
                findings.LABEL_RUN,
                findings.TRAIN,
                ids[runs],
                column=classes[first],
                other_column=classes[last],
                value=last - first + 1,
                score=share.round(4),
            )
        )
    far, away = far_counts(matrix)
    found.append(_rows(findings.LABEL_COUNT, ids[far], value=counts[far], score=away.round(2)))
    odd, column, times = rare_sets(matrix)
    told = np.where(matrix[odd, column] == PRESENT, "present", "absent")
    where = {"column": classes[column], "other_column": classes[column]}
    found.append(_rows(findings.LABEL_SET, ids[odd], **where, value=told, score=times.round(1)))
    found.append(_rows(findings.NO_LABEL, ids[rare_empty(matrix)]))
    lost = lost_classes(matrix, np.union1d(runs, far))
    marked = (matrix[:, lost] == PRESENT).sum(axis=0)
    found.append(_rows(findings.LOST_LABEL, [""] * len(lost), column=classes[lost], value=marked))
    return found


def _rows(kind: str, ids: Iterable[str], **columns: object) -> pd.DataFrame:
    return findings.made(kind, findings.TRAIN, ids, **columns)


def _in_columns(samples: Samples) -> tuple[Matrix, npt.NDArray[np.object_]]:
    """The cells and classes in the order of the table's columns, not of the sample submission."""
    matrix, classes = samples.label_matrix(), np.array(samples.labels, dtype=object)
    if samples.label is not None:
        return matrix, classes
    places = {str(name): place for place, name in enumerate(samples.frame.columns)}
    order = np.argsort([places[name] for name in samples.labels])
    return matrix[:, order], classes[order]
