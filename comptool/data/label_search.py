"""Seed search over splits of a multi-label table.

Source: the winning AICOSS 2023 entry tried seeds 0 to 99 of a random hold-out of a tenth
(scikit-learn's ``train_test_split(test_size=0.1, random_state=seed)``) and kept the one with the
smallest criterion (0.22 percentage points, the worst 0.41). ``strategy="random"`` draws these very
hold-outs; ``"iterative"`` searches over iterative stratification instead, which starts better.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from comptool.data import label_shares
from comptool.data.config import STRATEGIES
from comptool.data.label_folds import Plan, plan_hold_out, plan_k_folds
from comptool.data.label_units import TRAINING, Floats, Integers, Labels, Units, units_of
from comptool.errors import InputError, unknown_name

# Cells of the seeds x units table that is held in memory at once.
BLOCK = 16_000_000


@dataclass(frozen=True)
class Search:
    """What a seed search found.

    Parameters
    ----------
    strategy
        ``"iterative"`` or ``"random"``.
    seeds
        The S seeds that were tried.
    scores
        The criterion of each, percentage points, shape (S,).
    fold
        Fold of each row under the best seed, shape (N,); -1 is always trained on.
    """

    strategy: str
    seeds: tuple[int, ...]
    scores: Floats
    fold: Integers

    @property
    def best(self) -> int:
        """The seed with the smallest criterion; the first of several."""
        return self.seeds[int(self.scores.argmin())]

    @property
    def worst(self) -> int:
        """The seed with the largest criterion; the first of several."""
        return self.seeds[int(self.scores.argmax())]

    def text(self) -> str:
        """One line for the person at the terminal."""
        low, high = self.scores.min(), self.scores.max()
        return (
            f"{self.strategy} split, {len(self.seeds)} seeds: class shares differ by {low:.4f} "
            f"percentage points (best, seed {self.best}) to {high:.4f} (worst, seed {self.worst}); "
            f"chosen: seed {self.best}"
        )


def search(
    labels: Labels,
    share: float | None = None,
    seeds: Iterable[int] = range(100),
    strategy: str = "iterative",
    *,
    num_folds: int | None = None,
    groups: npt.NDArray[np.generic] | None = None,
) -> Search:
    """Try many seeds and keep the split whose class shares differ least.

    Parameters
    ----------
    labels
        Integers of shape (N, C): 1 present, 0 absent, -1 unknown.
    share
        Share of the rows to hold out, between 0 and 1; or else give ``num_folds``.
    seeds
        Seeds to try.
    strategy
        ``"iterative"``: iterative stratification. ``"random"``: scikit-learn's hold-out
        (``train_test_split``; with groups ``GroupShuffleSplit``) or folds (``KFold``, shuffled).
    num_folds
        K, at least 2, for K folds.
    groups
        Group of each row; groups stay whole.

    Raises
    ------
    UsageError
        If there is no such strategy.
    ValueError
        If not exactly one of share and number of folds is given, or there is no seed.
    InputError
        If nothing can be validated, or there are fewer rows or groups than folds.
    """
    return search_units(units_of(labels, groups), share, tuple(seeds), strategy, num_folds)


def search_units(
    units: Units, share: float | None, seeds: Sequence[int], strategy: str, num_folds: int | None
) -> Search:
    """`search` over units that are made already."""
    if (share is None) == (num_folds is None) or not seeds:
        raise ValueError("give either a share or a number of folds, and at least one seed")
    if strategy not in STRATEGIES:
        raise unknown_name("split strategy", strategy, STRATEGIES)
    found: list[Floats] = []
    best, chosen = math.inf, np.empty(0, dtype=np.int64)
    step = max(1, BLOCK // len(units))
    for start in range(0, len(seeds), step):
        folds = _draw(units, share, seeds[start : start + step], strategy, num_folds)
        found.append(label_shares.scores(units, folds))
        if found[-1].min() < best:
            best, chosen = float(found[-1].min()), folds[found[-1].argmin()].astype(np.int64)
    if (chosen == TRAINING).all():
        raise InputError(
            "nothing can be validated: the share is less than one row or group, or each of them "
            "holds all of some class"
        )
    return Search(strategy, tuple(seeds), np.concatenate(found), chosen[units.of_row])


def _draw(
    units: Units, share: float | None, seeds: Sequence[int], strategy: str, num_folds: int | None
) -> npt.NDArray[np.int16]:
    folds = np.full((len(seeds), len(units)), TRAINING, dtype=np.int16)
    if strategy == "random":
        generator = np.random.RandomState()
        for fold, seed in zip(folds, seeds, strict=True):
            # A new generator would first be seeded by the system, at a tenth of a draw's time.
            generator.seed(seed)
            _draw_randomly(fold, generator, share, num_folds)
        return folds
    plan = _plan(units, share, num_folds)
    for fold, seed in zip(folds, seeds, strict=True):
        fold[:] = plan.draw(seed)
    return folds


def _plan(units: Units, share: float | None, num_folds: int | None) -> Plan:
    if share is not None:
        return plan_hold_out(units, share)
    assert num_folds is not None
    return plan_k_folds(units, num_folds)


def random_folds(count: int, share: float | None, num_folds: int | None, seed: int) -> Integers:
    """Folds of ``count`` units by lot, unit for unit as scikit-learn draws them.

    Parameters
    ----------
    count
        Number of rows, or of groups in sorted order.
    share
        For a hold-out: the first ceil(share * count) of a permutation are fold 0, the rest -1.
    num_folds
        For K folds: the permutation is cut into K pieces, the longer ones first.
    seed
        Seed of numpy's legacy generator, which scikit-learn uses for whole-number seeds.
    """
    fold = np.full(count, TRAINING, dtype=np.int64)
    _draw_randomly(fold, np.random.RandomState(seed), share, num_folds)
    return fold


def _draw_randomly(
    fold: npt.NDArray[np.integer],
    generator: np.random.RandomState,
    share: float | None,
    num_folds: int | None,
) -> None:
    order = generator.permutation(len(fold))
    if share is not None:
        fold[order[: math.ceil(share * len(fold))]] = 0
        return
    assert num_folds is not None
    for index, piece in enumerate(np.array_split(order, num_folds)):
        fold[piece] = index
