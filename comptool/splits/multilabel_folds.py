"""Stratified hold-outs and folds of multi-label tables: criterion, search and local refinement.

How well a split of a multi-label table keeps the class shares.

The criterion is the one of the winning AICOSS 2023 entry (source B of the toolkit): for each class
the share of positive rows in training less that in validation, in percentage points; then their
population standard deviation over the classes.

Folds of multi-label tables by iterative stratification, groups kept whole.

Source: Sechidis, Tsoumakas, Vlahavas (2011), "On the Stratification of Multi-Label Data", ECML
PKDD, algorithm 1. Written by hand because scikit-learn stratifies by one label only, and the
`iterative-stratification` package goes row by row (half a second where this takes milliseconds)
and knows neither groups nor unknown cells.

All rows of a step carry the step's label, so the parts that they go to follow from what the parts
still want of that label, whichever row comes first: the paper's greedy choice has a closed form,
`allot`, and the rows are dealt in random order. Which rows a step has does not depend on the seed.

Differs from the paper: of labels that are equally rare the choice is by content, not by lot; rows
without a positive label come last and go where rows are missing (the paper says so in words); a
label that a single row, or group, has is always trained on, and so is one row, or group, of a label
that would all come into one fold.

Seed search over splits of a multi-label table.

Source: the winning AICOSS 2023 entry tried seeds 0 to 99 of a random hold-out of a tenth
(scikit-learn's ``train_test_split(test_size=0.1, random_state=seed)``) and kept the one with the
smallest criterion (0.22 percentage points, the worst 0.41). ``strategy="random"`` draws these very
hold-outs; ``"iterative"`` searches over iterative stratification instead, which starts better.

Exchanges between the sides of a multi-label split that bring the class shares together.

Neither a seed search nor iterative stratification comes near what a split can reach: after either,
shares still differ by many rows per class. Written by hand because no library does it. Each round
looks at all pairs of a few hundred units from either side at once: how far an exchange moves the
shares is, to first order, the difference of one vector per unit, so that the squared distance left
after every exchange is one matrix product; the best is then recomputed exactly before it is made.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from comptool.errors import InputError, quoted, unknown_name
from comptool.splits.config import STRATEGIES

TRAINING = -1
Labels = npt.NDArray[np.integer]
Integers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.floating]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Units:
    """What a split moves as a whole: U rows, or U groups of rows.

    Parameters
    ----------
    of_row
        Unit of each row, shape (N,).
    sizes
        Rows of each unit, float64 of shape (U,).
    positives
        Cells that are 1, by unit and class; float32 of shape (U, C), whole numbers.
    known
        Cells that are 0 or 1, likewise.
    """

    of_row: npt.NDArray[np.intp]
    sizes: Floats
    positives: Floats
    known: Floats

    def __len__(self) -> int:
        return len(self.sizes)

    @cached_property
    def single_rows(self) -> bool:
        """Whether every unit is one row."""
        return bool((self.sizes == 1).all())

    @cached_property
    def lonely(self) -> Mask:
        """Units, shape (U,), that hold every positive cell of some class."""
        holders = (self.positives > 0).sum(axis=0)
        lone: Mask = np.any(self.positives[:, holders == 1] > 0, axis=1)
        return lone


def units_of(labels: Labels, groups: npt.NDArray[np.generic] | None = None) -> Units:
    """The rows of a label table, or its groups, as units.

    Parameters
    ----------
    labels
        Integers of shape (N, C): 1 present, 0 absent, -1 unknown.
    groups
        Group of each row, shape (N,).

    Raises
    ------
    ValueError
        If the shapes do not fit, or a label is none of the three values.
    """
    if labels.ndim != 2 or not labels.size:
        raise ValueError(f"labels must have the shape (N, C), not {labels.shape}")
    if ((labels < -1) | (labels > 1)).any():
        raise ValueError(f"labels must be 1, 0 or -1, not {np.unique(labels).tolist()}")
    if groups is not None and len(groups) != len(labels):
        raise ValueError(f"there are {len(labels)} rows of labels and {len(groups)} groups")
    positives = (labels == 1).astype(np.float32)
    known = (labels != -1).astype(np.float32)
    rows = np.arange(len(labels))
    if groups is None:
        return Units(rows, np.ones(len(labels)), positives, known)
    of_row = np.unique(groups, return_inverse=True)[1].ravel()
    sizes = np.bincount(of_row)
    order = np.argsort(of_row, kind="stable")
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    return Units(
        of_row,
        sizes.astype(np.float64),
        np.add.reduceat(positives[order], starts),
        np.add.reduceat(known[order], starts),
    )


def share_differences(units: Units, validated: Mask) -> Floats:
    """Share in training less share in validation, of every class, for many splits at once.

    Unknown cells count on neither side. A side without a known cell of a class counts as share 0.

    Parameters
    ----------
    units
        U rows or groups of C classes.
    validated
        Which units each of S splits validates, shape (S, U); the others are trained on.

    Returns
    -------
    numpy.ndarray
        Percentage points, float64 of shape (S, C).
    """
    masks = validated.astype(np.float32)
    # Whole numbers below 2^24: float32 sums are exact in any order.
    inside = (masks @ units.positives).astype(np.float64)
    everywhere = np.ones(len(units), dtype=np.float32)
    outside = (everywhere @ units.positives).astype(np.float64) - inside
    known = (everywhere @ units.known).astype(np.float64)
    if units.single_rows and bool((known == len(units)).all()):
        # Without unknown cells every class has the same known ones: one count says it all.
        known_inside = np.count_nonzero(validated, axis=1).astype(np.float64)[:, None]
    else:
        known_inside = (masks @ units.known).astype(np.float64)
    return 100 * (_shares(outside, known - known_inside) - _shares(inside, known_inside))


def _shares(positives: Floats, known: Floats) -> Floats:
    shares: Floats = positives / np.maximum(known, 1)
    return shares


def criterion(differences: Floats) -> Floats:
    """Population standard deviation over the classes, the last axis; percentage points."""
    deviation: Floats = np.std(differences, axis=-1)
    return deviation


def scores(units: Units, folds: npt.NDArray[np.integer]) -> Floats:
    """The criterion of many splits; of K folds the mean over the folds.

    Parameters
    ----------
    units
        U rows or groups.
    folds
        Fold 0..K-1 of each unit in each of S splits, shape (S, U); -1 is always trained on.

    Returns
    -------
    numpy.ndarray
        Percentage points, float64 of shape (S,); the smaller the better.
    """
    of_fold = [
        criterion(share_differences(units, folds == fold))
        for fold in range(max(folds.max(), 0) + 1)
    ]
    mean: Floats = np.mean(of_fold, axis=0)
    return mean


def score(units: Units, fold: npt.NDArray[np.integer]) -> float:
    """`scores` of one split, ``fold`` of shape (U,)."""
    return float(scores(units, fold[None])[0])


def hold_out(
    labels: Labels,
    share: float,
    *,
    groups: npt.NDArray[np.generic] | None = None,
    seed: int = 0,
) -> Integers:
    """Fold 0 for the rows held out, -1 for the others; shape (N,).

    Parameters
    ----------
    labels
        Integers of shape (N, C): 1 present, 0 absent, -1 unknown.
    share
        Share of the rows to hold out, between 0 and 1, both excluded; met as nearly as the labels
        allow.
    groups
        Group of each row; a group is held out as a whole or not at all.
    seed
        Seed of every random choice.
    """
    units = units_of(labels, groups)
    return plan_hold_out(units, share).draw(seed)[units.of_row]


def k_folds(
    labels: Labels,
    num_folds: int,
    *,
    groups: npt.NDArray[np.generic] | None = None,
    seed: int = 0,
) -> Integers:
    """The fold 0..K-1 in which each row is validated, shape (N,).

    A row, or group, that has all positive cells of some class is always trained on, fold -1; and
    so is one of those that have them, where all would be validated together.

    Parameters
    ----------
    labels, groups, seed
        As in `hold_out`.
    num_folds
        K, at least 2.

    Raises
    ------
    InputError
        If fewer than K rows, or groups, can be validated.
    """
    units = units_of(labels, groups)
    return plan_k_folds(units, num_folds).draw(seed)[units.of_row]


class Step(NamedTuple):
    """Units dealt together: those left that carry a label, None for those without any."""

    label: int | None
    units: npt.NDArray[np.intp]
    positives: Floats


@dataclass(frozen=True)
class FoldPlan:
    """All that iterative stratification can know before the seed.

    Parameters
    ----------
    units
        What is dealt.
    num_folds
        Parts that are folds; a part beyond them is training.
    sizes
        Rows that each of the P parts wants, shape (P,).
    wanted
        Positive cells that each part wants of each class, shape (P, C).
    steps
        The units by step; a unit in none of them is always trained on.
    """

    units: Units
    num_folds: int
    sizes: Floats
    wanted: Floats
    steps: tuple[Step, ...]

    def draw(self, seed: int) -> Integers:
        """Fold of each unit, -1 for training; shape (U,)."""
        deal = _deal_rows if self.units.single_rows else _deal_groups
        parts, lacking = deal(self, np.random.default_rng(seed))
        fold: Integers = np.where(parts < self.num_folds, parts, TRAINING)
        self._keep_trainable(fold, np.rint(self.wanted - lacking)[: self.num_folds])
        return fold

    def _keep_trainable(self, fold: Integers, held: Floats) -> None:
        """Always train on one unit of each class that one fold holds the whole of.

        Changes ``fold``; ``held`` has the positive cells by fold and class, shape (K, C).
        """
        positives = self.units.positives
        whole = (held == positives.sum(axis=0)) & (held > 0)
        # By content, as in `_steps`.
        places = sorted(np.argwhere(whole), key=lambda place: positives[:, place[1]].tobytes())
        for index, label in places:
            members = np.flatnonzero((fold == index) & (positives[:, label] > 0))
            if not ((fold == TRAINING) & (positives[:, label] > 0)).any():
                fold[members[positives[members].sum(axis=1).argmin()]] = TRAINING


def plan_hold_out(units: Units, share: float) -> FoldPlan:
    """The plan of a hold-out: part 0 is held out, part 1 is training."""
    if not 0 < share < 1:
        raise ValueError(f"share must lie between 0 and 1, both excluded, not {share}")
    shares = np.array([share, 1 - share])
    sizes = shares * units.sizes.sum()
    wanted = np.outer(shares, units.positives.sum(axis=0, dtype=np.float64))
    sizes[1] -= units.sizes[units.lonely].sum()
    wanted[1] -= units.positives[units.lonely].sum(axis=0)
    return FoldPlan(units, 1, sizes, wanted, _steps(units))


def plan_k_folds(units: Units, num_folds: int) -> FoldPlan:
    """The plan of K folds of equal size."""
    if num_folds < 2:
        raise ValueError(f"num_folds must be at least 2, not {num_folds}")
    free = ~units.lonely
    if free.sum() < num_folds:
        raise InputError(
            f"{num_folds} folds are wanted and only {free.sum()} rows or groups can be validated "
            "(the others hold all of some class)",
            mend="Ask for fewer folds, or for a hold-out",
        )
    shares = np.full(num_folds, 1 / num_folds)
    wanted = np.outer(shares, units.positives[free].sum(axis=0, dtype=np.float64))
    return FoldPlan(units, num_folds, shares * units.sizes[free].sum(), wanted, _steps(units))


def _steps(units: Units) -> tuple[Step, ...]:
    positives = units.positives
    left = ~units.lonely
    counts = positives[left].sum(axis=0)
    # By content, so that the order of the columns does not matter where two are equally rare.
    order = sorted(range(positives.shape[1]), key=lambda label: positives[:, label].tobytes())
    steps = []
    while counts.any():
        label = min((c for c in order if counts[c] > 0), key=lambda c: counts[c])
        members = np.flatnonzero(left & (positives[:, label] > 0))
        steps.append(Step(label, members, positives[members].sum(axis=0)))
        left[members] = False
        counts -= steps[-1].positives
    steps.append(Step(None, np.flatnonzero(left), np.zeros_like(counts)))
    return tuple(steps)


def _deal_rows(plan: FoldPlan, random: np.random.Generator) -> tuple[Integers, Floats]:
    """Part of each unit, and the positive cells that each part still lacks."""
    sizes, wanted = plan.sizes.copy(), plan.wanted.copy()
    parts = np.full(len(plan.units), plan.num_folds, dtype=np.int64)
    for label, members, positives in plan.steps:
        counts = allot(sizes if label is None else wanted[:, label], sizes, len(members), random)
        pieces = np.split(random.permutation(members), np.cumsum(counts)[:-1])
        largest = int(counts.argmax())
        rest = positives.astype(np.float64)
        for part, piece in enumerate(pieces):
            parts[piece] = part
            if part != largest:
                gone = plan.units.positives[piece].sum(axis=0)
                wanted[part] -= gone
                rest -= gone
        wanted[largest] -= rest
        sizes -= counts
    return parts, wanted


def allot(wanted: Floats, sizes: Floats, count: int, random: np.random.Generator) -> Integers:
    """How many of ``count`` rows each part gets if each row goes where most are wanted.

    Parameters
    ----------
    wanted
        Rows of the step's label that each part wants, shape (P,).
    sizes
        Rows of any kind that each part wants; the larger breaks a tie, then the lot does.
    count
        Rows to deal out.
    random
        Source of the lots.

    Returns
    -------
    numpy.ndarray
        Counts of shape (P,) that sum to ``count``.
    """
    falling = np.sort(wanted)[::-1]
    # The level to which `count` rows would fill the parts if rows could be cut.
    levels = (np.cumsum(falling) - count) / np.arange(1, len(falling) + 1)
    level = levels[np.flatnonzero(falling >= levels)[-1]]
    # All of these are dealt before any other; the slack keeps rounding from dealing one too many.
    counts: Integers = np.floor(np.maximum(wanted - level - 1e-9, 0)).astype(np.int64)
    for _ in range(count - int(counts.sum())):
        counts[_most_wanting(wanted - counts, sizes - counts, random)] += 1
    return counts


def _most_wanting(wanted: Floats, sizes: Floats, random: np.random.Generator) -> int:
    return int(np.lexsort((random.random(len(sizes)), sizes, wanted))[-1])


def _deal_groups(plan: FoldPlan, random: np.random.Generator) -> tuple[Integers, Floats]:
    units = plan.units
    sizes, wanted = plan.sizes.copy(), plan.wanted.copy()
    parts = np.full(len(units), plan.num_folds, dtype=np.int64)
    for label, members, _ in plan.steps:
        weight = units.sizes if label is None else units.positives[:, label]
        shuffled = random.permutation(members)
        # The largest first: the small ones then even out what these left uneven.
        for unit in shuffled[np.argsort(-weight[shuffled], kind="stable")]:
            desire = sizes if label is None else wanted[:, label]
            part = _most_wanting(desire, sizes, random)
            parts[unit] = part
            wanted[part] -= units.positives[unit]
            sizes[part] -= units.sizes[unit]
    return parts, wanted


# Cells of the seeds x units table that is held in memory at once.
BLOCK = 16_000_000


@dataclass(frozen=True)
class SeedSearch:
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
) -> SeedSearch:
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
) -> SeedSearch:
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
        found.append(scores(units, folds))
        if found[-1].min() < best:
            best, chosen = float(found[-1].min()), folds[found[-1].argmin()].astype(np.int64)
    if (chosen == TRAINING).all():
        raise InputError(
            "nothing can be validated: the share is less than one row or group, or each of them "
            "holds all of some class"
        )
    return SeedSearch(strategy, tuple(seeds), np.concatenate(found), chosen[units.of_row])


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


def _plan(units: Units, share: float | None, num_folds: int | None) -> FoldPlan:
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


SAMPLE = 256
PATIENCE = 25
MAX_ROUNDS = 5000
# Groups of unequal size are exchanged only while a fold keeps its size to this share.
SIZE_DRIFT = 0.02


@dataclass(frozen=True)
class Refined:
    """A split after its exchanges.

    Parameters
    ----------
    fold
        Fold of each row, shape (N,).
    before, after
        The criterion, percentage points; ``after`` is never the larger.
    swaps
        Number of exchanges made.
    """

    fold: Integers
    before: float
    after: float
    swaps: int

    def text(self) -> str:
        """One line for the person at the terminal."""
        return (
            f"refined by {self.swaps} exchanges: from {self.before:.4f} to {self.after:.4f} "
            "percentage points"
        )


def refine(
    labels: Labels,
    fold: Integers,
    *,
    groups: npt.NDArray[np.generic] | None = None,
    seed: int = 0,
) -> Refined:
    """Exchange rows, or whole groups, between the sides while that brings the shares together.

    An exchange is made only if it lowers both the mean square of the classes' share differences
    and, or at least not raises, their standard deviation: the latter is the criterion, but alone
    it would let all classes drift together. No side loses its last positive cell of a class.

    Parameters
    ----------
    labels
        Integers of shape (N, C): 1 present, 0 absent, -1 unknown.
    fold
        Fold of each row, -1 for training. With one fold (a hold-out) it exchanges with the
        training rows, otherwise the folds exchange with one another and -1 stays.
    groups
        Group of each row; a group's rows have to be in one fold.
    seed
        Seed of the choice of pairs that are looked at.

    Raises
    ------
    ValueError
        If a group is in two folds.
    """
    units = units_of(labels, groups)
    of_unit = np.empty(len(units), dtype=np.int64)
    of_unit[units.of_row] = fold
    if (of_unit[units.of_row] != fold).any():
        raise ValueError("a group is in two folds")
    refined = refine_units(units, of_unit, seed)
    return replace(refined, fold=refined.fold[units.of_row])


def refine_units(units: Units, fold: Integers, seed: int = 0) -> Refined:
    """`refine` over units that are made already; ``fold`` has the shape (U,)."""
    random = np.random.default_rng(seed)
    before = score(units, fold)
    refined, swaps = fold.copy(), 0
    last = int(fold.max())
    for index in range(max(last, 1)):
        # A fold that is done stays; the last one is what the others leave.
        partners = (refined > index) if last else (refined == TRAINING) & ~units.lonely
        swaps += _exchange(units, refined, index, partners, random)
    after = score(units, refined)
    if after >= before:
        return Refined(fold.copy(), before, before, 0)
    return Refined(refined, before, after, swaps)


def _exchange(
    units: Units, fold: Integers, index: int, partners: Mask, random: np.random.Generator
) -> int:
    """Exchange units of fold ``index`` with ``partners``, changing ``fold``; how many times."""
    inside, outside = np.flatnonzero(fold == index), np.flatnonzero(partners)
    if not inside.size or not outside.size:
        return 0
    sides = _Sides(units, fold == index)
    swaps = idle = 0
    exhaustive = max(len(inside), len(outside)) <= SAMPLE
    for _ in range(MAX_ROUNDS):
        ins, outs = _sample(inside, random), _sample(outside, random)
        place = sides.best_pair(inside[ins], outside[outs])
        if place is None:
            idle += 1
            if exhaustive or idle == PATIENCE:
                break
            continue
        into, out = ins[place[0]], outs[place[1]]
        fold[inside[into]], fold[outside[out]] = fold[outside[out]], index
        inside[into], outside[out] = outside[out], inside[into]
        swaps, idle = swaps + 1, 0
    return swaps


def _sample(units: npt.NDArray[np.intp], random: np.random.Generator) -> npt.NDArray[np.intp]:
    if len(units) <= SAMPLE:
        return np.arange(len(units))
    return random.integers(len(units), size=SAMPLE)


class _Sides:
    """Positive and known cells of every class on the validated and on the trained side."""

    def __init__(self, units: Units, validated: Mask) -> None:
        self._units = units
        self._even = units.single_rows
        self._size = self._first_size = float(units.sizes[validated].sum())
        # Row 0 holds the validated side, row 1 the trained one.
        self._positives = self._by_side(units.positives, validated)
        self._known = self._by_side(units.known, validated)

    @staticmethod
    def _by_side(cells: Floats, validated: Mask) -> Floats:
        inside = cells[validated].sum(axis=0, dtype=np.float64)
        return np.stack([inside, cells.sum(axis=0, dtype=np.float64) - inside])

    def best_pair(
        self, inside: npt.NDArray[np.intp], outside: npt.NDArray[np.intp]
    ) -> tuple[int, int] | None:
        """Places of the two units whose exchange helps most, which is then made, or None."""
        differences = self._differences(self._positives, self._known)
        spread, square = float(differences.var()), float((differences**2).mean())
        squares = self._squares_after(differences, inside, outside)
        place = divmod(int(squares.argmin()), len(outside))
        if not squares[place] < square:
            return None
        into, out = int(outside[place[1]]), int(inside[place[0]])
        moved = [
            side + np.stack([cells[into] - cells[out], cells[out] - cells[into]])
            for side, cells in (
                (self._positives, self._units.positives),
                (self._known, self._units.known),
            )
        ]
        exact = self._differences(*moved)
        # No side may lose its last positive cell of a class.
        emptied = ((moved[0] == 0) & (self._positives > 0)).any()
        if emptied or (exact**2).mean() >= square or exact.var() > spread:
            return None
        self._positives, self._known = moved
        self._size += float(self._units.sizes[into] - self._units.sizes[out])
        return place

    @staticmethod
    def _differences(positives: Floats, known: Floats) -> Floats:
        shares = positives / np.maximum(known, 1)
        percent: Floats = 100 * (shares[1] - shares[0])
        return percent

    def _squares_after(
        self,
        differences: Floats,
        inside: npt.NDArray[np.intp],
        outside: npt.NDArray[np.intp],
    ) -> Floats:
        """Mean square of the differences after each exchange, to first order; shape (I, O).

        Infinite where the exchange would widen the standard deviation, or change the fold's size
        too much.
        """
        # Taking unit o for unit i changes the differences by pull[i] - pull[o].
        leaving, coming = self._pull(inside), self._pull(outside)
        start = differences + leaving
        squares = (
            (start**2).sum(axis=1)[:, None] + (coming**2).sum(axis=1) - 2 * start @ coming.T
        ) / len(differences)
        means = start.mean(axis=1)[:, None] - coming.mean(axis=1)
        refused = squares - means**2 > differences.var()
        if not self._even:
            refused |= self._too_large_a_change(inside, outside)
        return np.where(refused, np.inf, squares)

    def _pull(self, units: npt.NDArray[np.intp]) -> Floats:
        """By how much each unit, on coming into the fold, lowers the differences; (U, C)."""
        known = np.maximum(self._known, 1)
        shares = self._positives / known
        positives, cells = self._units.positives[units], self._units.known[units]
        pull: Floats = 100 * (
            (positives - shares[0] * cells) / known[0] + (positives - shares[1] * cells) / known[1]
        )
        return pull

    def _too_large_a_change(
        self, inside: npt.NDArray[np.intp], outside: npt.NDArray[np.intp]
    ) -> Mask:
        sizes = self._units.sizes
        after = self._size - sizes[inside][:, None] + sizes[outside]
        wide: Mask = np.abs(after - self._first_size) > SIZE_DRIFT * self._first_size
        return wide


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
    search: SeedSearch
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
        See `comptool.splits.multilabel_folds.search`.
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
