"""Stratified hold-outs and folds of one class per row, under-sampling, and given splits.

Stratified and grouped folds are scikit-learn's. It lacks a hold-out with the exact size per class,
under-sampling, and the guarantee that every validated class is also in training.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from importlib import import_module

import numpy as np
import numpy.typing as npt
import pandas as pd

from comptool.competition.samples import FOLD_NUMBER, Samples
from comptool.errors import InputError, nearest, quoted
from comptool.io.tables import refuse_rows
from comptool.splits.config import SplitOptions
from comptool.tasks.labels import class_counts, class_names, number_bins

TRAINING = -1
MAX_PARTS = 20
MOST_ALONE = 2000
BIN_ROWS = 20  # the least rows of similar numbers that are stratified together
Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Texts = npt.NDArray[np.object_]


def under_sample(
    labels: npt.NDArray[np.generic], cap: int | None = None, seed: int = 0
) -> Integers:
    """Rows of a balanced subset, ascending: as many of each class as the smallest class has.

    ``labels`` are class names or indices of shape (N,). At most ``cap`` rows of a class are drawn,
    without replacement, by ``seed``.
    """
    classes, counts = np.unique(labels, return_counts=True)
    size = min(counts.min(), cap or len(labels))
    random = np.random.default_rng(seed)
    drawn = [random.choice(np.flatnonzero(labels == one), size, replace=False) for one in classes]
    return np.sort(np.concatenate(drawn)).astype(np.int64)


def hold_out(
    samples: Samples, fraction: float, seed: int = 0, weights: Floats | None = None
) -> Integers:
    """Fold 0 for the rows held out, -1 for the others; shape (N,).

    With ``weights``, (N,) from 0 on, rows are drawn in proportion to them, without replacement
    (Efraimidis and Spirakis 2006, "Weighted random sampling with a reservoir"); groups in
    proportion to their mean, until the share is met.

    Without groups, floor(``fraction`` x n) rows of a class of n are held out, at least one if n > 1
    and none if n = 1. With groups the share is met as nearly as whole groups allow, and a class of
    a single group is always trained on.
    """
    labels, groups = _labels_and_groups(samples)
    if groups is not None:
        if weights is not None:
            return _draw_groups(labels, groups, fraction, seed, weights)
        return _hold_out_groups(labels, groups, fraction, seed)
    fold = np.full(len(labels), TRAINING, dtype=np.int64)
    random = np.random.default_rng(seed)
    for name, count in class_counts(labels).items():
        rows = np.flatnonzero(labels == name)
        if weights is None:
            shuffled = random.permutation(rows)
        else:
            shuffled = rows[_weighted_order(weights[rows], random)]
        # 0.29 * 100 is 28.999... in floating point.
        wanted = math.floor(fraction * count + 1e-9)
        fold[shuffled[: max(wanted, 1) if count > 1 else 0]] = 0
    return fold


def k_folds(samples: Samples, num_folds: int, seed: int = 0) -> Integers:
    """The fold 0..K-1 that validates each row, or -1 for a class of one sample or group; (N,)."""
    return _k_folds(*_labels_and_groups(samples), num_folds, seed)


def _labels_and_groups(samples: Samples) -> tuple[Texts, Texts | None]:
    labels = _strata(samples)
    if samples.group is None:
        return labels, None
    return labels, samples.frame[samples.group].to_numpy(dtype=object)


def _hold_out_groups(labels: Texts, groups: Texts, fraction: float, seed: int) -> Integers:
    """Some folds of as many as bring the share closest."""
    free = ~np.isin(groups, _units_of_lonely_classes(labels, groups))
    if not free.any():
        return np.full(len(labels), TRAINING, dtype=np.int64)
    largest = max(class_counts(labels[free]).values())
    limit = min(MAX_PARTS, len(set(groups[free])), largest)
    if limit < 2:
        return _always_trained_on(labels, groups, np.where(free, 0, TRAINING))
    share = Fraction(fraction).limit_denominator(limit)
    parts = max(2, share.denominator if share else limit)
    taken = min(max(1, share.numerator), parts - 1)
    fold = _k_folds(labels, groups, parts, seed)
    fold = np.where((fold >= 0) & (fold < taken), 0, TRAINING)
    return _always_trained_on(labels, groups, fold)


def _weighted_order(weights: Floats, random: np.random.Generator) -> Integers:
    """An order in which heavy units come first by chance; those of weight 0 last."""
    with np.errstate(divide="ignore"):
        return np.argsort(random.exponential(size=len(weights)) / weights)


def _draw_groups(
    labels: Texts, groups: Texts, fraction: float, seed: int, weights: Floats
) -> Integers:
    free = ~np.isin(groups, _units_of_lonely_classes(labels, groups))
    fold = np.full(len(labels), TRAINING, dtype=np.int64)
    if not free.any():
        return fold
    table = pd.DataFrame({"group": groups[free], "weight": weights[free]}).groupby("group")
    means, sizes = table["weight"].mean().to_numpy(), table.size()
    order = _weighted_order(means, np.random.default_rng(seed))
    sums = np.cumsum(sizes.to_numpy()[order])
    taken = int(np.abs(sums - fraction * len(labels)).argmin()) + 1
    chosen = sizes.index.to_numpy()[order[: min(taken, max(len(order) - 1, 1))]]
    fold[np.isin(groups, chosen)] = 0
    return _always_trained_on(labels, groups, fold)


def _k_folds(labels: Texts, groups: Texts | None, num_folds: int, seed: int) -> Integers:
    units = np.arange(len(labels)).astype(object) if groups is None else groups
    free = ~np.isin(units, _units_of_lonely_classes(labels, units))
    fold = np.full(len(labels), TRAINING, dtype=np.int64)
    if not free.any():
        return fold
    _check_enough(labels[free], None if groups is None else groups[free], num_folds)
    # Only here: the import takes two seconds, and most hold-outs do without.
    selection = import_module("sklearn.model_selection")
    kind = selection.StratifiedKFold if groups is None else selection.StratifiedGroupKFold
    splitter = kind(num_folds, shuffle=True, random_state=seed)
    random = np.random.default_rng(seed)
    rows, alone = np.flatnonzero(free), np.empty(0, np.int64)
    if groups is not None:
        rows, alone = _without_some_alone(rows, groups, random)
    with warnings.catch_warnings():
        # `class_warnings` reports classes smaller than K by name.
        warnings.simplefilter("ignore", UserWarning)
        for index, (_, validated) in enumerate(splitter.split(rows, labels[rows], units[rows])):
            fold[rows[validated]] = index
    _fill(fold, labels, alone, num_folds, random)
    return fold if groups is None else _always_trained_on(labels, groups, fold)


def _without_some_alone(
    rows: Integers, groups: Texts, random: np.random.Generator
) -> tuple[Integers, Integers]:
    """Rows for scikit-learn's grouped folds, and rows without partners to fill in afterwards.

    scikit-learn takes half a millisecond per group: half a minute if nearly every row of a large
    table is a group of its own.
    """
    _, of_row, counts = np.unique(groups[rows], return_inverse=True, return_counts=True)
    alone = random.permutation(rows[counts[of_row] == 1])[MOST_ALONE:]
    return np.setdiff1d(rows, alone), alone


def _fill(
    fold: Integers, labels: Texts, rows: Integers, num_folds: int, random: np.random.Generator
) -> None:
    """Assign rows to folds in place, each to the fold with the fewest rows of its class."""
    for name in class_counts(labels[rows]):
        of_class = rows[labels[rows] == name]
        size = len(of_class)
        order = random.permutation(num_folds)
        present = np.bincount(fold[(labels == name) & (fold >= 0)], minlength=num_folds)[order]
        levels = (present[:, None] + np.arange(size)).ravel()
        fold[of_class] = order[np.argsort(levels, kind="stable")[:size] // size]


def _units_of_lonely_classes(labels: Texts, units: Texts) -> Texts:
    """Samples, or groups, that hold all rows of a class."""
    pairs = pd.DataFrame({"label": labels, "unit": units}).drop_duplicates()
    return pairs["unit"][~pairs["label"].duplicated(keep=False)].to_numpy(dtype=object)


def _check_enough(labels: Texts, groups: Texts | None, num_folds: int) -> None:
    largest = max(class_counts(labels).values())
    if groups is not None and len(set(groups)) < num_folds:
        raise InputError(
            f"too few groups can be validated ({len(set(groups))}) for {num_folds} parts",
            mend="Ask for fewer folds, or split without groups",
        )
    if largest < num_folds:
        raise InputError(
            f"every class has fewer samples than the {num_folds} folds (the largest {largest})",
            mend="Ask for fewer folds",
        )


def _always_trained_on(labels: Texts, groups: Texts, fold: Integers) -> Integers:
    """Move the smallest group of a class that one fold holds entirely to training."""
    fold = fold.copy()
    for name in class_counts(labels):
        rows = labels == name
        if len(set(fold[rows])) == 1 and (fold[rows] != TRAINING).any():
            counts = class_counts(groups[rows])
            smallest = min(counts, key=lambda group: counts[group])
            fold[groups == smallest] = TRAINING
    return fold


def share_deviation(labels: Texts, fold: Integers) -> float:
    """Largest difference of a class's share between a fold and its training rows, points."""
    worst = 0.0
    for index in set(fold) - {TRAINING}:
        inside = pd.Series(labels[fold == index]).value_counts(normalize=True)
        outside = pd.Series(labels[fold != index]).value_counts(normalize=True)
        worst = max(worst, float(inside.sub(outside, fill_value=0).abs().max()))
    return 100 * worst


LEFT_OUT = -2
WORDS = {
    "train": TRAINING, "training": TRAINING,
    "val": 0, "valid": 0, "validation": 0, "dev": 0,
    "test": LEFT_OUT, "testing": LEFT_OUT,
}  # fmt: skip
COLUMN_NAMES = ("split", "subset", "partition", "set", "phase")


def given_fold(samples: Samples, column: str) -> Integers:
    """Fold of each row as given by a column, shape (N,); -2 for rows to leave out.

    ``train`` is -1 and ``val`` is 0; ``test`` rows, which a competition keeps for its own
    evaluation, are left out; a whole number from -1 is a fold.
    """
    frame = samples.frame
    if column not in frame.columns:
        raise InputError(
            f"no column is called '{column}'",
            file=samples.source,
            values=nearest(column, map(str, frame.columns)),
            mend="Name the column with the given split: --from-column NAME",
        )
    texts = frame[column].astype(str).str.strip().str.lower()
    known = {text: _fold(text) for text in set(texts)}
    wrong = texts.map(lambda text: known[text] is None).astype(bool)
    expected = "a given split is train, val or test, or a fold number from -1"
    refuse_rows(samples.source, frame[column], wrong, expected)
    fold = texts.map(known).to_numpy(dtype=np.int64)
    if not (fold >= 0).any():
        what = "no row is validated; some rows have to be 'val' or in a fold from 0"
        raise InputError(what, file=samples.source, column=column)
    if len(set(fold) - {LEFT_OUT}) == 1:
        what = "no row is left to train on; all are validated together"
        raise InputError(what, file=samples.source, column=column)
    return fold


def _fold(text: str) -> int | None:
    return int(text) if FOLD_NUMBER.fullmatch(text) else WORDS.get(text)


def unused_column(samples: Samples) -> str | None:
    """A column that looks like a given split, or None."""
    for name in samples.frame.columns:
        if name.lower() in COLUMN_NAMES:
            values = {value.strip().lower() for value in samples.frame[name].unique()}
            if len(values) > 1 and values <= set(WORDS):
                return str(name)
    return None


def torn_groups(samples: Samples, fold: Integers) -> list[str]:
    """Groups with rows in several parts of a split; empty without a group column."""
    if samples.group is None:
        return []
    parts = samples.frame.assign(fold=fold).groupby(samples.group, sort=True)["fold"].nunique()
    return [str(name) for name in parts.index[parts > 1]]


@dataclass(frozen=True)
class ClassSplit:
    """The fold of each row, shape (N,), and the `share_deviation` of each seed tried."""

    fold: Integers
    deviations: dict[int, float]

    @property
    def best(self) -> int:
        """The seed with the smallest deviation; the first of several."""
        return min(self.deviations, key=self.deviations.__getitem__)

    def text(self) -> str:
        """A one-line report."""
        worst = max(self.deviations, key=self.deviations.__getitem__)
        return (
            f"{len(self.deviations)} seeds: a class's share differs by at most "
            f"{self.deviations[self.best]:.2f} percentage points (best, seed {self.best}) to "
            f"{self.deviations[worst]:.2f} (worst, seed {worst}); chosen: seed {self.best}"
        )


def split_classes(
    samples: Samples, options: SplitOptions, weights: Floats | None = None
) -> ClassSplit:
    """The hold-out or folds of one seed, or the best of several; ``weights`` see `hold_out`."""
    labels = labels_of(samples)
    seeds = range(options.seed, options.seed + (options.num_seeds or 1))
    folds = [_assigned(samples, options, seed, weights) for seed in seeds]
    deviations = [share_deviation(labels, fold) for fold in folds]
    best = int(np.argmin(deviations))
    return ClassSplit(folds[best], dict(zip(seeds, deviations, strict=True)))


def labels_of(samples: Samples) -> Texts:
    """The label of each row, or the bin of its number, shape (N,); not all rows have one label."""
    columns = samples.numbers or (str(samples.label),)
    for name in columns:
        labels = samples.frame[name]
        if labels.nunique() < 2:
            raise InputError(
                "all rows have the same label; there is nothing to learn",
                file=samples.source,
                column=name,
                values=labels.iloc[:1],
            )
    return _strata(samples)


def _strata(samples: Samples) -> Texts:
    if not samples.numbers:
        assert samples.label is not None
        return samples.frame[samples.label].to_numpy(dtype=object)
    numbers = samples.number_matrix()
    bins = number_bins(numbers, least=BIN_ROWS)
    names = [f"bin {number + 1}" for number in range(bins.max() + 1)]
    if len(samples.numbers) == 1:
        ends = pd.Series(numbers[:, 0]).groupby(bins).agg(["min", "max"])
        pairs = zip(names, ends["min"], ends["max"], strict=True)
        names = [f"{name}: {low:g} to {high:g}" for name, low, high in pairs]
    return np.array(names, dtype=object)[bins]


def _assigned(
    samples: Samples, options: SplitOptions, seed: int, weights: Floats | None
) -> Integers:
    if options.num_folds is None:
        fold = hold_out(samples, options.share, seed, weights)
    else:
        fold = k_folds(samples, options.num_folds, seed)
    if not (fold != TRAINING).any():
        raise InputError(
            "every class has one sample, or one group, alone; nothing can be validated",
            file=samples.source,
        )
    return fold


def class_warnings(
    labels: Texts, fold: Integers, num_folds: int | None, *, grouped: bool
) -> list[str]:
    """Classes that are never validated, or not in each of ``num_folds`` folds."""
    counts = class_counts(labels)
    validated = class_counts(labels[fold != TRAINING])
    never = [name for name in counts if name not in validated]
    sentences = []
    if never:
        what = "one group" if grouped else "one sample"
        sentences.append(f"{_classes(never)} only {what}: always trained on, never validated")
    small = [name for name in validated if num_folds and counts[name] < num_folds]
    if small:
        what = f"fewer samples than the {num_folds} folds: some lack it"
        sentences.append(f"{_classes(small)} {what}")
    return sentences


def given_warnings(labels: Texts, fold: Integers) -> list[str]:
    """Classes that a given split only trains on, or only validates."""
    trained = set(labels[fold == TRAINING])
    validated = set(labels[fold != TRAINING])
    several = {name for name in validated if len(set(fold[labels == name])) > 1}
    affected = {
        "training rows only: never validated": trained - validated,
        "no training row: validated but never trained on": validated - trained - several,
    }
    return [f"{_classes(class_names(names))} {what}" for what, names in affected.items() if names]


def _classes(names: Sequence[str]) -> str:
    return f"class {quoted(names)} has" if len(names) == 1 else f"classes {quoted(names)} have"
