"""The split of a multi-label table: seed search, then exchanges, and what came of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from comptool.data.label_search import Search, search_units
from comptool.data.label_swaps import Refined, refine_units
from comptool.data.label_units import Integers, Labels, units_of
from comptool.errors import quoted


@dataclass(frozen=True)
class LabelSplit:
    """A split of N rows and how it was found.

    Parameters
    ----------
    fold
        Fold of each row, shape (N,); -1 is always trained on, a hold-out is fold 0.
    search
        The seeds that were tried.
    refined
        The exchanges after the search, or None if they were not asked for.
    """

    fold: Integers
    search: Search
    refined: Refined | None

    @property
    def criterion(self) -> float:
        """Standard deviation over the classes of the share differences, percentage points."""
        return float(self.search.scores.min()) if self.refined is None else self.refined.after

    def text(self) -> str:
        """What was tried and reached, line by line."""
        lines = [self.search.text()]
        if self.refined is not None:
            lines.append(self.refined.text())
        return "\n".join(lines)


def split_labels(
    labels: Labels,
    share: float | None = None,
    *,
    num_folds: int | None = None,
    groups: npt.NDArray[np.generic] | None = None,
    strategy: str = "iterative",
    seeds: Iterable[int] = range(100),
    refine: bool = True,
) -> LabelSplit:
    """The best split of many seeds, refined.

    Parameters
    ----------
    labels, share, num_folds, groups, strategy, seeds
        See `comptool.data.label_search.search`.
    refine
        Whether to exchange rows, or groups, afterwards.
    """
    units = units_of(labels, groups)
    found = search_units(units, share, tuple(seeds), strategy, num_folds)
    if not refine:
        return LabelSplit(found.fold, found, None)
    of_unit = np.empty(len(units), dtype=np.int64)
    of_unit[units.of_row] = found.fold
    refined = refine_units(units, of_unit, seed=found.best)
    return LabelSplit(refined.fold[units.of_row], found, refined)


def split_warnings(labels: Labels, fold: Integers, classes: Sequence[str]) -> list[str]:
    """What the user should know of a split, one sentence each.

    Parameters
    ----------
    labels
        Integers of shape (N, C): 1 present, 0 absent, -1 unknown.
    fold
        Fold of each row, shape (N,).
    classes
        The C class names.
    """
    positive = labels == 1
    validated = fold[:, None] == np.arange(fold.max() + 1)  # (N, K)
    inside = validated.T.astype(np.int64) @ positive  # (K, C)
    total = positive.sum(axis=0)
    untrained = (inside == total).any(axis=0) & (total > 0)
    told = [
        (total == 0, "no positive row in the table: nothing can be learnt or measured"),
        (untrained, "no positive training row where it is validated: it cannot be learnt there"),
        ((total > 0) & ~inside.any(axis=0), "positive training rows only: never measured"),
        (
            (inside.any(axis=0) & ~inside.all(axis=0)) & ~untrained,
            "folds without a positive row: not measured in those",
        ),
    ]
    return [_told(np.asarray(classes)[which].tolist(), what) for which, what in told if which.any()]


def _told(names: list[str], what: str) -> str:
    return f"{'class' if len(names) == 1 else 'classes'} {quoted(names)}: {what}"
