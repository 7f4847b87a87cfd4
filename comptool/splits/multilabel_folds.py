"""Stratified hold-outs and folds of multi-label tables: seed search and local refinement.

A split is scored by the criterion of the winning AICOSS 2023 entry: for each class the share of
positive rows in training minus that in validation, in percentage points; of these the population
standard deviation over the classes. That entry tried the seeds 0 to 99 of a random hold-out of a
tenth (scikit-learn's ``train_test_split(test_size=0.1, random_state=seed)``) and kept the best one
(0.22 percentage points; the worst 0.41). ``strategy="random"`` draws the same hold-outs;
``"iterative"`` searches over iterative stratification instead, which starts better.

Iterative stratification: Sechidis, Tsoumakas, Vlahavas (2011), "On the Stratification of
Multi-Label Data", ECML PKDD, algorithm 1. Written by hand because scikit-learn stratifies by one
label only, and the `iterative-stratification` package goes row by row (half a second instead of
milliseconds) and supports neither groups nor unknown cells. All rows of a step carry the step's
label, so the paper's greedy choice has a closed form, `allot`, and the rows are dealt in random
order. The rows of a step do not depend on the seed.

Differs from the paper: ties between equally rare labels are broken by content, not at random; rows
without a positive label come last and fill up the parts; a label of a single row, or group, is
always in training, and so is one row, or group, of a label that would fall into one fold entirely.

Refinement: exchanges of rows, or groups, between the two sides. Neither a seed search nor iterative
stratification comes near the best split: shares still differ by many rows per class. Each round
compares all pairs of a few hundred units from either side. To first order an exchange changes the
share differences by the difference of one vector per unit, so that all results are one matrix
product; the best exchange is recomputed exactly before it is made. No library does this.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
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
    """U units that a split moves as a whole: rows, or groups of rows."""

    of_row: npt.NDArray[np.intp]  # unit of each row, (N,)
    sizes: Floats  # rows of each unit, float64 (U,)
    positives: Floats  # cells that are 1, float32 whole numbers (U, C)
    known: Floats  # cells that are 0 or 1, likewise

    def __len__(self) -> int:
        return len(self.sizes)

    @cached_property
    def single_rows(self) -> bool:
        """Whether every unit is one row."""
        return bool((self.sizes == 1).all())

    @cached_property
    def lonely(self) -> Mask:
        """Units that hold every positive cell of a class, shape (U,)."""
        holders = (self.positives > 0).sum(axis=0)
        lone: Mask = np.any(self.positives[:, holders == 1] > 0, axis=1)
        return lone


def units_of(labels: Labels, groups: npt.NDArray[np.generic] | None = None) -> Units:
    """The rows of a label table (N, C) of 1, 0 and -1 (unknown), or its groups (N,), as units."""
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
    """Share in training minus share in validation of each class, percentage points (S, C).

    ``validated`` (S, U) marks the validated units of each of S splits. Unknown cells do not count;
    a side without a known cell of a class has the share 0.
    """
    masks = validated.astype(np.float32)
    # Whole numbers below 2^24: float32 sums are exact in any order.
    inside = (masks @ units.positives).astype(np.float64)
    everywhere = np.ones(len(units), dtype=np.float32)
    outside = (everywhere @ units.positives).astype(np.float64) - inside
    known = (everywhere @ units.known).astype(np.float64)
    if units.single_rows and bool((known == len(units)).all()):
        # Without unknown cells all classes have the same number of known cells.
        known_inside = np.count_nonzero(validated, axis=1).astype(np.float64)[:, None]
    else:
        known_inside = (masks @ units.known).astype(np.float64)
    trained = outside / np.maximum(known - known_inside, 1)
    differences: Floats = 100 * (trained - inside / np.maximum(known_inside, 1))
    return differences


def scores(units: Units, folds: npt.NDArray[np.integer]) -> Floats:
    """The criterion of S splits (S, U), the mean over their folds; percentage points (S,)."""
    of_fold = [
        np.std(share_differences(units, folds == fold), axis=-1)
        for fold in range(max(folds.max(), 0) + 1)
    ]
    mean: Floats = np.mean(of_fold, axis=0)
    return mean


def score(units: Units, fold: npt.NDArray[np.integer]) -> float:
    """The criterion of one split, ``fold`` of shape (U,)."""
    return float(scores(units, fold[None])[0])


class Step(NamedTuple):
    """Units dealt together: the remaining ones with a label; None for those without any."""

    label: int | None
    units: npt.NDArray[np.intp]
    positives: Floats


@dataclass(frozen=True)
class FoldPlan:
    """Iterative stratification as far as it does not depend on the seed.

    Part p < ``num_folds`` is a fold, a further part is training. A unit without a step is always
    trained on.
    """

    units: Units
    num_folds: int
    sizes: Floats  # rows wanted by each of the P parts, (P,)
    wanted: Floats  # positive cells wanted by part and class, (P, C)
    steps: tuple[Step, ...]

    def draw(self, seed: int) -> Integers:
        """Fold of each unit, -1 for training; shape (U,)."""
        deal = _deal_rows if self.units.single_rows else _deal_groups
        parts, lacking = deal(self, np.random.default_rng(seed))
        fold: Integers = np.where(parts < self.num_folds, parts, TRAINING)
        self._keep_trainable(fold, np.rint(self.wanted - lacking)[: self.num_folds])
        return fold

    def _keep_trainable(self, fold: Integers, held: Floats) -> None:
        """Move one unit of each class that one fold holds entirely to training, in place.

        ``held``: positive cells by fold and class, shape (K, C).
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
            f"only {free.sum()} rows or groups can be validated, too few for {num_folds} folds "
            "(the others hold all positives of a class)",
            mend="Ask for fewer folds, or for a hold-out",
        )
    shares = np.full(num_folds, 1 / num_folds)
    wanted = np.outer(shares, units.positives[free].sum(axis=0, dtype=np.float64))
    return FoldPlan(units, num_folds, shares * units.sizes[free].sum(), wanted, _steps(units))


def _steps(units: Units) -> tuple[Step, ...]:
    positives = units.positives
    left = ~units.lonely
    counts = positives[left].sum(axis=0)
    # Ties between equally rare classes are broken by content, not by the order of the columns.
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
    """Part of each unit (U,), and the positive cells that each part still lacks (P, C)."""
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
    """Number of rows of each part (P,) if each of ``count`` rows goes where most are wanted.

    ``wanted`` (P,) counts rows of the step's label; ties are broken by ``sizes`` (P,), the wanted
    rows of any kind, then at random.
    """
    falling = np.sort(wanted)[::-1]
    # The level to which `count` rows would fill the parts if rows were divisible.
    levels = (np.cumsum(falling) - count) / np.arange(1, len(falling) + 1)
    level = levels[np.flatnonzero(falling >= levels)[-1]]
    # Dealt before any other row; 1e-9 prevents one too many by rounding.
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
        # The largest first: the small ones then even out the parts.
        for unit in shuffled[np.argsort(-weight[shuffled], kind="stable")]:
            desire = sizes if label is None else wanted[:, label]
            part = _most_wanting(desire, sizes, random)
            parts[unit] = part
            wanted[part] -= units.positives[unit]
            sizes[part] -= units.sizes[unit]
    return parts, wanted


# Cells of the seeds x units table in memory at once.
BLOCK = 16_000_000


@dataclass(frozen=True)
class SeedSearch:
    """The criterion of each seed, percentage points (S,), and the fold of each unit (U,)."""

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
        """A one-line report."""
        low, high = self.scores.min(), self.scores.max()
        return (
            f"{self.strategy} split, {len(self.seeds)} seeds: class shares differ by {low:.4f} "
            f"percentage points (best, seed {self.best}) to {high:.4f} (worst, seed {self.worst}); "
            f"chosen: seed {self.best}"
        )


def search(
    units: Units,
    share: float | None = None,
    seeds: Sequence[int] = range(100),
    strategy: str = "iterative",
    *,
    num_folds: int | None = None,
) -> SeedSearch:
    """Try all seeds and keep the split with the smallest criterion; see `split_labels`."""
    if (share is None) == (num_folds is None) or not seeds:
        raise ValueError("give either a share or a number of folds, and at least one seed")
    if strategy not in STRATEGIES:
        raise unknown_name("split strategy", strategy, STRATEGIES)
    draw: Callable[[int], Integers]
    if strategy == "random":
        # A new generator per seed is first seeded by the system, at a tenth of a draw's time.
        draw = partial(_draw_randomly, len(units), share, num_folds, np.random.RandomState())
    elif share is not None:
        draw = plan_hold_out(units, share).draw
    else:
        draw = plan_k_folds(units, num_folds or 0).draw
    tried: list[Floats] = []
    best, chosen = math.inf, np.empty(0, dtype=np.int64)
    step = max(1, BLOCK // len(units))
    for start in range(0, len(seeds), step):
        folds = np.array([draw(seed).astype(np.int16) for seed in seeds[start : start + step]])
        tried.append(scores(units, folds))
        if tried[-1].min() < best:
            best, chosen = float(tried[-1].min()), folds[tried[-1].argmin()].astype(np.int64)
    if (chosen == TRAINING).all():
        raise InputError(
            "nothing can be validated: the share is less than one row or group, or each of them "
            "holds all positives of a class"
        )
    return SeedSearch(strategy, tuple(seeds), np.concatenate(tried), chosen)


def _draw_randomly(
    count: int,
    share: float | None,
    num_folds: int | None,
    generator: np.random.RandomState,
    seed: int,
) -> Integers:
    """A hold-out or folds of ``count`` units exactly as scikit-learn draws them."""
    generator.seed(seed)
    order = generator.permutation(count)
    fold = np.full(count, TRAINING, dtype=np.int64)
    if share is None:
        pieces = np.array_split(order, num_folds or 1)
    else:
        pieces = [order[: math.ceil(share * count)]]
    for index, piece in enumerate(pieces):
        fold[piece] = index
    return fold


SAMPLE = 256
PATIENCE = 25
MAX_ROUNDS = 5000
# Groups of unequal size are exchanged only while the fold's size changes by at most this share.
SIZE_DRIFT = 0.02


@dataclass(frozen=True)
class Refined:
    """A split (U,) after its exchanges, and the criterion before and after."""

    fold: Integers
    before: float
    after: float
    swaps: int

    def text(self) -> str:
        """A one-line report."""
        return (
            f"refined by {self.swaps} exchanges: from {self.before:.4f} to {self.after:.4f} "
            "percentage points"
        )


def refine_units(units: Units, fold: Integers, seed: int = 0) -> Refined:
    """Exchange units between the sides of a split (U,) while that brings the shares together.

    An exchange has to lower the mean square of the classes' share differences and must not raise
    their standard deviation: the latter is the criterion, but alone it would let all classes drift
    together. No side loses its last positive cell of a class. A hold-out exchanges with the
    training rows, K folds with one another.
    """
    random = np.random.default_rng(seed)
    before = score(units, fold)
    refined, swaps = fold.copy(), 0
    last = int(fold.max())
    for index in range(max(last, 1)):
        # A refined fold stays; the last one is what the others leave.
        partners = (refined > index) if last else (refined == TRAINING) & ~units.lonely
        swaps += _exchange(units, refined, index, partners, random)
    after = score(units, refined)
    if after >= before:
        return Refined(fold.copy(), before, before, 0)
    return Refined(refined, before, after, swaps)


def _exchange(
    units: Units, fold: Integers, index: int, partners: Mask, random: np.random.Generator
) -> int:
    """Exchange units of fold ``index`` with ``partners`` in place; return their number."""
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
        """Make the exchange that helps most and return the places of its two units, or None."""
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
        self, differences: Floats, inside: npt.NDArray[np.intp], outside: npt.NDArray[np.intp]
    ) -> Floats:
        """Mean square of the differences after each exchange, to first order; shape (I, O).

        Infinite for an exchange that raises the standard deviation or changes the size too much.
        """
        # Taking unit o for unit i changes the differences by pull[i] - pull[o].
        leaving, coming = self._pull(inside), self._pull(outside)
        start = differences + leaving
        squares = (
            (start**2).sum(axis=1)[:, None] + (coming**2).sum(axis=1) - 2 * start @ coming.T
        ) / len(differences)
        means = start.mean(axis=1)[:, None] - coming.mean(axis=1)
        refused = squares - means**2 > differences.var()
        if not self._units.single_rows:
            sizes = self._units.sizes
            after = self._size - sizes[inside][:, None] + sizes[outside]
            refused |= np.abs(after - self._first_size) > SIZE_DRIFT * self._first_size
        return np.where(refused, np.inf, squares)

    def _pull(self, units: npt.NDArray[np.intp]) -> Floats:
        """Decrease of the differences when each unit joins the fold; shape (U, C)."""
        known = np.maximum(self._known, 1)
        shares = self._positives / known
        positives, cells = self._units.positives[units], self._units.known[units]
        pull: Floats = 100 * (
            (positives - shares[0] * cells) / known[0] + (positives - shares[1] * cells) / known[1]
        )
        return pull


@dataclass(frozen=True)
class LabelSplit:
    """The fold of each row, shape (N,), with its search and refinement (None if not wanted)."""

    fold: Integers
    search: SeedSearch
    refined: Refined | None

    @property
    def criterion(self) -> float:
        """Standard deviation over the classes of the share differences, percentage points."""
        return float(self.search.scores.min()) if self.refined is None else self.refined.after

    def text(self) -> str:
        """A report of one or two lines."""
        return "\n".join(part.text() for part in (self.search, self.refined) if part is not None)


def split_labels(
    labels: Labels,
    share: float | None = None,
    *,
    num_folds: int | None = None,
    groups: npt.NDArray[np.generic] | None = None,
    strategy: str = "iterative",
    seeds: Sequence[int] = range(100),
    refine: bool = True,
) -> LabelSplit:
    """Split a multi-label table (N, C) of 1, 0 and -1 (unknown): the best of many seeds, refined.

    Give either ``share``, of the rows to hold out, or ``num_folds``. ``groups`` (N,) stay whole.
    ``strategy`` is ``"iterative"`` stratification or ``"random"``: scikit-learn's hold-out
    (``train_test_split``; with groups ``GroupShuffleSplit``) or folds (``KFold``, shuffled). Raises
    an InputError if nothing can be validated, or there are fewer rows or groups than folds.
    """
    units = units_of(labels, groups)
    best = search(units, share, seeds, strategy, num_folds=num_folds)
    refined = refine_units(units, best.fold, seed=best.best) if refine else None
    return LabelSplit((refined or best).fold[units.of_row], best, refined)


def split_warnings(labels: Labels, fold: Integers, classes: Sequence[str]) -> list[str]:
    """Warnings about the classes of a split, one sentence each."""
    positive = labels == 1
    validated = fold[:, None] == np.arange(fold.max() + 1)  # (N, K)
    inside = validated.T.astype(np.int64) @ positive  # (K, C)
    total = positive.sum(axis=0)
    untrained = (inside == total).any(axis=0) & (total > 0)
    partly = inside.any(axis=0) & ~inside.all(axis=0) & ~untrained
    warnings = [
        (total == 0, "no positive row in the table: nothing can be learnt or measured"),
        (untrained, "no positive training row for the fold that validates it"),
        ((total > 0) & ~inside.any(axis=0), "positive training rows only: never validated"),
        (partly, "folds without a positive row: not measured in those"),
    ]
    sentences = []
    for affected, what in warnings:
        names = np.asarray(classes)[affected].tolist()
        if names:
            sentences.append(f"class{'es' if len(names) > 1 else ''} {quoted(names)}: {what}")
    return sentences
