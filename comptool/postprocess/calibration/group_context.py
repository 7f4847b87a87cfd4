"""Context of a group: the predictions of a row blended with those of its group.

Images of one patient, scene, site or video are of few classes. A row with the probabilities p in a
group with the mean m becomes ``(1 - strength) * p + strength * m``; the maximum or a power mean may
take the place of the mean. Of one class per image the rows sum to one again. A row that is alone in
its group does not change.

The strength is the best on out-of-fold rows, whose groups are whole. Its score is nested: the
groups are in five parts, and each part is blended with the strength of the other four.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from comptool.competition.bags import bag_column
from comptool.competition.config import Competition
from comptool.errors import InputError, UsageError
from comptool.io.predictions import Predictions
from comptool.io.tables import read_table
from comptool.metrics import Metric
from comptool.postprocess.calibration.config import groups_table
from comptool.postprocess.calibration.context import (
    Answer,
    Apply,
    CalibrationContext,
    Doubles,
    Floats,
    Indices,
    rows_to_one,
)
from comptool.postprocess.oof import Labelled

Pool = Literal["mean", "max", "power"]
POOLS: tuple[Pool, ...] = ("mean", "max", "power")
EXPONENT = 3.0  # as of `ensemble --method power`
STRENGTHS = np.round(np.arange(0, 1.01, 0.1), 1)
CLOSE = 1e-12
PARTS = 5
# Ratio of the numbers of neighbours of test and out-of-fold rows from which there is a warning.
UNLIKE = 2


@dataclass(frozen=True)
class Blend:
    """Blending of rows with their groups, and its settings."""

    strength: float  # 0 to 1
    pool: Pool
    exponent: float
    one: bool  # whether rows sum to one

    def move(self, probabilities: Floats, groups: Indices) -> Doubles:
        """The blended rows (N, K); ``groups`` (N,) has the number of the group of each."""
        return blended(
            probabilities,
            groups,
            strength=self.strength,
            pool=self.pool,
            exponent=self.exponent,
            one=self.one,
        )

    @property
    def facts(self) -> dict[str, object]:
        """The settings, for the record."""
        return {"pool": self.pool, "strength": self.strength, "exponent": self.exponent}


@dataclass(frozen=True)
class RowGroups:
    """Groups of the test rows and of the out-of-fold rows."""

    by: str  # as typed
    test: Indices | None  # group number of each test row, (N,); None if not asked for
    rows: Indices | None  # of each out-of-fold row, (M,); None without these rows

    def notes(self, labelled: Labelled | None) -> tuple[list[str], list[str]]:
        """Notes and warnings on whether the groups of both are alike."""
        notes, warnings = [], []
        if self.test is not None:
            sizes = np.bincount(self.test)
            together = int(sizes[sizes > 1].sum())
            notes.append(
                f"{len(self.test)} test rows in {len(sizes)} groups by {self.by}; "
                f"{len(self.test) - together} are alone and stay"
            )
            if not together:
                warnings.append("no two test rows are in one group: nothing changes")
        if self.rows is None or labelled is None:
            return notes, warnings
        if self.test is not None:
            here, there = neighbours(self.test), neighbours(self.rows)
            if max(here, there) > UNLIKE * min(here, there):
                warnings.append(
                    f"a test row has {here - 1:.1f} neighbours on average and an out-of-fold row "
                    f"{there - 1:.1f}: the gain there may be another one"
                )
        if (fold := labelled.predictions.fold) is not None:
            pairs = pd.DataFrame({"group": self.rows, "fold": fold}).drop_duplicates()
            if torn := int((pairs["group"].value_counts() > 1).sum()):
                warnings.append(
                    f"{torn} of {self.rows.max() + 1} groups are in several folds, so networks "
                    "were trained on neighbours of the rows they validated: the gain is not that "
                    "of new groups. Name the group in comptool.toml and split again"
                )
        return notes, warnings


def neighbours(groups: Indices) -> float:
    """Mean size of the group of a row."""
    sizes = np.bincount(groups)
    return float((sizes**2).sum() / len(groups))


def blended(
    probabilities: Floats,
    groups: Indices,
    *,
    strength: float,
    pool: Pool = "mean",
    exponent: float = EXPONENT,
    one: bool = True,
) -> Doubles:
    """Blend the rows with the mean, maximum or power mean of their groups.

    Parameters
    ----------
    probabilities
        Of shape (N, K).
    groups
        Number of the group of each row, (N,).
    strength
        Weight of the group, 0 (no change) to 1.
    pool
        "mean", "max" or "power".
    exponent
        Of the power mean, above 0.
    one
        Whether rows sum to one; otherwise each class stands by itself.

    Examples
    --------
    >>> blended(np.array([[0.9, 0.1], [0.5, 0.5], [0.2, 0.8]]), np.array([0, 0, 1]), strength=0.5)
    array([[0.8, 0.2],
           [0.6, 0.4],
           [0.2, 0.8]])
    """
    if not exponent > 0:
        raise UsageError(f"the exponent of a power mean is above 0, not {exponent}")
    p = probabilities.astype(np.float64)
    _, numbers, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    if pool == "max":
        joined = np.zeros((len(sizes), p.shape[1]))
        np.maximum.at(joined, numbers, p)
    else:
        power = exponent if pool == "power" else 1.0
        joined = np.zeros((len(sizes), p.shape[1]))
        np.add.at(joined, numbers, p**power)
        joined = (joined / sizes[:, None]) ** (1 / power)
    moved = (1 - strength) * p + strength * (rows_to_one(joined) if one else joined)[numbers]
    return np.where((sizes[numbers] > 1)[:, None], moved, p)


def fit_blend(
    targets: npt.NDArray[Any],
    probabilities: Floats,
    groups: Indices,
    metric: Metric,
    *,
    one: bool,
    pool: Pool = "mean",
    strength: float | None = None,
    exponent: float = EXPONENT,
) -> Blend:
    """The blend whose strength is best on labelled rows; of equal ones the least."""
    if strength is not None:
        return Blend(strength, pool, exponent, one)
    scores = [
        metric.sign
        * metric.score(
            targets, Blend(float(value), pool, exponent, one).move(probabilities, groups)
        )
        for value in STRENGTHS
    ]
    best = float(STRENGTHS[int(np.argmax(np.array(scores) >= max(scores) - CLOSE))])
    return Blend(best, pool, exponent, one)


def context(
    known: CalibrationContext,
    *,
    pool: Pool = "mean",
    strength: float | None = None,
    exponent: float = EXPONENT,
) -> Apply:
    """Blend rows of one class per image with their groups, ``known.groups``."""
    groups, rows = known.groups, known.evidence
    if groups is None or (rows is not None and rows.groups is None):
        raise UsageError("--method context needs the groups: --by COLUMN, or --by FILE.csv:COLUMN")
    if strength is not None:
        fitted = Blend(strength, pool, exponent, one=True)
    elif rows is None or rows.groups is None:
        raise UsageError("this method is fitted on out-of-fold rows. Name a run: --oof RUN")
    else:
        p = rows_to_one(rows.probabilities)
        fitted = fit_blend(
            rows.targets, p, rows.groups, known.metric, one=True, pool=pool, exponent=exponent
        )

    def apply(probabilities: Floats) -> Answer:
        if len(probabilities) != len(groups):
            raise ValueError(f"{len(groups)} rows have a group, not {len(probabilities)}")
        moved = fitted.move(rows_to_one(probabilities), groups)
        return Answer(moved, moved.argmax(axis=1), fitted.facts, _alone(groups))

    return apply


def cells_context(
    targets: npt.NDArray[Any],
    probabilities: Floats,
    *,
    groups: Indices,
    metric: Metric,
    pool: Pool = "mean",
    strength: float | None = None,
    exponent: float = EXPONENT,
) -> Blend:
    """Blend rows of several labels with their groups."""
    return fit_blend(
        targets,
        probabilities,
        groups,
        metric,
        one=False,
        pool=pool,
        strength=strength,
        exponent=exponent,
    )


def nested(
    targets: npt.NDArray[Any],
    probabilities: Floats,
    groups: Indices,
    metric: Metric,
    *,
    one: bool,
    options: Mapping[str, Any],
) -> Doubles:
    """The labelled rows, each part of the groups blended with the strength of the others.

    An InputError if all rows are in one group.
    """
    parts = np.unique(groups, return_inverse=True)[1] % PARTS
    if len(np.unique(parts)) < 2:
        raise InputError("all out-of-fold rows are in one group, so no strength can be chosen")
    moved = np.empty(probabilities.shape)
    for part in np.unique(parts):
        held = parts == part
        fitted = fit_blend(
            targets[~held], probabilities[~held], groups[~held], metric, one=one, **options
        )
        moved[held] = fitted.move(probabilities[held], groups[held])
    return moved


def groups_of(
    by: str, predictions: Predictions, about: Competition, labelled: Labelled | None
) -> RowGroups:
    """The groups of the test rows and of the out-of-fold rows.

    ``by`` is a column of the test table and of the table of the labels, or ``FILE:COLUMN`` of a
    table with all ids. A row with a blank cell is alone.

    Raises
    ------
    UsageError
        If there is no such table, or the column is that of the ids.
    InputError
        If a table lacks the column or an id.
    """
    return RowGroups(
        by, group_numbers(by, predictions.ids, about.test, about), rows_of(by, about, labelled)
    )


def rows_of(by: str, about: Competition, labelled: Labelled | None) -> Indices | None:
    """The groups of the out-of-fold rows, as `groups_of`."""
    if labelled is None:
        return None
    return group_numbers(by, labelled.predictions.ids, labelled.table, about)


def group_numbers(
    by: str, ids: npt.NDArray[np.object_], table: Path | None, about: Competition
) -> Indices:
    """Number of the group of each id, (N,); see `groups_of`."""
    named, column = groups_table(by)
    table = named or table
    if table is None or not (named or table.is_file()):
        raise UsageError(
            f"there is no table with the column '{column}' here: give one, --by FILE.csv:COLUMN"
        )
    frame = read_table(table, required=(column,))
    keys = [key for key in (bag_column(about), about.id) if key in frame.columns]
    keys = keys or [str(frame.columns[0])]
    wanted = set(ids)
    # The ids of a bag are in its own column.
    key = max(keys, key=lambda one: len(wanted.intersection(frame[one])))
    if key == column:
        raise UsageError(f"--by {by} is the column of the ids: every row would be alone")
    of_id = frame[[key, column]].drop_duplicates()
    twice = of_id[of_id[key].isin(wanted) & of_id[key].duplicated()]
    if len(twice):
        raise InputError(
            "an id is in two groups", file=table, column=column, values=twice[key].tolist()
        )
    found = of_id[of_id[key].isin(wanted)].set_index(key)[column]
    missing = [one for one in ids if one not in found.index]
    if missing:
        raise InputError(
            f"lacks {len(missing)} of the {len(ids)} ids whose groups are asked for",
            file=table,
            column=key,
            values=missing,
        )
    names = found[list(ids)].str.strip().to_numpy(dtype=object)
    alone = names == ""
    texts = np.array([f"+{name}" for name in names], dtype=object)
    # No other name begins so.
    texts[alone] = [f"-{number}" for number in np.flatnonzero(alone)]
    numbers: Indices = np.unique(texts.astype(str), return_inverse=True)[1]
    return numbers


def blend_as_recorded(
    recorded: Mapping[str, Any], labelled: Labelled, about: Competition, *, one: bool
) -> Doubles:
    """The out-of-fold rows blended as the predictions with this recorded recalibration."""
    rows = rows_of(str(recorded["by"]), about, labelled)
    if rows is None:
        raise InputError("the groups of the out-of-fold rows are not known", file=labelled.path)
    blend = Blend(recorded["strength"], recorded["pool"], recorded["exponent"], one)
    return blend.move(labelled.predictions.probabilities, rows)


def _alone(groups: Indices) -> npt.NDArray[np.bool_]:
    return np.asarray(np.bincount(groups)[groups] == 1)
