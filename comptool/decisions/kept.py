"""The test rows that become training rows, and the columns that make them so."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from comptool.errors import UsageError
from comptool.labels import CONFIDENCE, ROUND
from comptool.samples import Samples

SOFT = "soft:"
FOLD = "fold"


@dataclass(frozen=True)
class Kept:
    """What a rule keeps of N test rows.

    Parameters
    ----------
    rows
        Indices of the M rows that are kept, shape (M,).
    labels
        Label columns by name, M values each.
    confidence, round
        Of shape (M,).
    number
        This round's number, from 1.
    counts
        Rows, or cells, of each class by title.
    soft
        Probability columns by name, M values each.
    """

    rows: npt.NDArray[np.intp]
    labels: Mapping[str, npt.NDArray[Any]]
    confidence: npt.NDArray[np.float64]
    round: npt.NDArray[np.int64]
    number: int
    counts: dict[str, list[int]]
    soft: Mapping[str, npt.NDArray[np.float64]] = field(default_factory=dict)


def table(samples: Samples, kept: Kept) -> pd.DataFrame:
    """The rows of the test table that are kept, with their labels.

    Raises
    ------
    UsageError
        If a column of the competition has a name that this table needs.
    """
    columns = [samples.id, *samples.paths.values(), *([samples.group] if samples.group else [])]
    own = {CONFIDENCE, ROUND, FOLD}
    clash = (own | set(kept.labels)) & set(columns) or own & set(kept.labels)
    if clash:
        names = ", ".join(sorted(clash))
        raise UsageError(f"a column called {names} cannot be told from a pseudo-label's own")
    frame = samples.frame.loc[kept.rows, columns].reset_index(drop=True)
    added = {**kept.labels, CONFIDENCE: kept.confidence, ROUND: kept.round, FOLD: -1, **kept.soft}
    # At once: a table of 60 classes would be copied 60 times.
    return pd.concat([frame, pd.DataFrame(added, index=frame.index)], axis=1)
