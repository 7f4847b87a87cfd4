"""Nested cross-validation of searched ensemble weights and test-time augmentation views.

Weights look better on the rows that they were chosen on than on others. Therefore the search is
repeated for each fold on all other folds, and its weights are applied to that fold; the nested
score is the metric of all rows together. The interval is that of the bootstrap over rows (B. Efron,
1979; percentiles): it covers the sampling of the rows, not the training of the members. Of few rows
another partition into folds gives other weights and another score: there the search is repeated on
partitions with shuffled folds, and the interval is the hull of all their intervals (its value stays
that of the given folds). Shuffled folds part groups of rows; the given ones, which do not, are in
the hull.

Recommendation: the usual choice is the stack where one is fitted, else equal weights: the fixed
choices of least regret (`docs/evidence.md`). A stack gives way to equal weights if the lower end of
the paired interval of their gain over it is above 0, on the same resamples. Another candidate is
recommended if that of its gain over the usual choice is above 0, and over equal weights as well; of
several, the one with the largest gain.

Metrics that only see the decided class or a ranking are too coarse for that with hundreds of rows,
so that the gain is that of the log-loss, each table with its best temperature first, which makes it
independent of how sure the members are. Where the metric is a mean over classes, they count the
same in it, and in the fit of a stack. What is worse than equal weights by the whole interval of the
metric is not recommended.

Choice of views for test-time augmentation: the candidates are the plain image, the mean of all
views, and searched weights, each with a score on out-of-fold rows (nested for the search). The best
one is taken, ties go to the simpler one. This choice is scored like the search: each fold is
predicted by the candidate that is best on all other folds. The score of the search on these comes
from searches on all but two folds (S. Varma and R. Simon, "Bias in error estimation when using
cross-validation for model selection", BMC Bioinformatics 7, 2006).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import combinations

import numpy as np
import numpy.typing as npt

from comptool.errors import InputError, UsageError
from comptool.metrics.bootstrap import (
    IntervalEstimate,
    figures_with_intervals,
    metric_with_interval,
    value_or_nan,
)
from comptool.metrics.metric_registry import CLASSES, RANKING, Floats, Metric, Targets
from comptool.metrics.multiclass import SMALLEST
from comptool.postprocess.ensemble.combine import by_class
from comptool.postprocess.ensemble.search import DIGITS, Doubles, best_first, search
from comptool.postprocess.ensemble.stacking import (
    STACK,
    TEMPERATURE_MEAN,
    Combination,
    Stack,
    WeightedMean,
    balance,
    fit_stack,
    temperature_mean,
)
from comptool.tasks import of_targets

Folds = npt.NDArray[np.integer]
Weigh = Callable[[Sequence[Floats], Targets], Doubles]
Fit = Callable[[Sequence[Floats], Targets, Folds], Combination]

RESAMPLES = 200
# Partitions into folds, the given one among them, of at most so many rows.
PARTITIONS, FEW_ROWS = 3, 2_000


EQUAL, SINGLE = "equal weights", "best single member"
# What ``--search auto`` compares, besides equal weights and the best member.
ALL_SEARCHES = (TEMPERATURE_MEAN, "greedy", STACK)


@dataclass(frozen=True)
class ScoredCombination:
    """A way to combine the members, with its nested score and its gain over equal weights.

    Gains are on the same resamples, and above 0 is better, whatever the metric.
    """

    name: str
    nested: IntervalEstimate
    gain: IntervalEstimate  # of the metric
    evidence: IntervalEstimate  # the gain that decides: of the metric or of the log-loss
    combination: Combination  # fitted to all rows
    blend: Doubles  # the probabilities that `nested` scores, (N, K)
    lead: IntervalEstimate  # as `evidence`, over the stack; without one, the evidence


@dataclass(frozen=True)
class Searched:
    """Searched weights, and the scores of the search and its alternatives."""

    weights: Doubles  # (M,), or (M, K) for weights per class
    metric: str
    in_sample: float  # optimistic: on the rows that the weights were chosen on
    nested: IntervalEstimate
    equal: IntervalEstimate  # of equal weights
    single: IntervalEstimate  # of the best member, chosen and scored as `nested`
    alone: tuple[float, ...]  # of each member
    num_rows: int
    num_folds: int
    blend: Doubles  # the probabilities that `nested` scores, (N, K)
    # Equal weights, the best member, others to compare with, the search.
    candidates: tuple[ScoredCombination, ...]
    by_log_loss: bool  # whether the evidence is that of the log-loss

    @property
    def usual(self) -> ScoredCombination:
        """The choice without evidence for another: the stack, if it is no worse than equal ones."""
        equal, *_, last = self.candidates
        stacked = last.name == STACK and last.gain.high >= 0 and not equal.lead.low > 0
        return last if stacked else equal

    @property
    def recommended(self) -> ScoredCombination:
        """The candidate that is better than the usual choice by the interval; else that choice."""
        usual = self.usual
        better = [
            one
            for one in self.candidates
            if one.evidence.low > 0
            and not one.gain.high < 0
            and (usual.name != STACK or one.lead.low > 0)
        ]
        return max(better, key=lambda one: one.evidence.value, default=usual)

    def text(self) -> str:
        """Scores and gains, one per line, and the recommendation."""
        lines = [
            f"{self.metric} on {self.num_rows} out-of-fold rows (95 % intervals)",
            f"nested, {self.num_folds} searches  {self.nested}",
            f"in-sample           {self.in_sample:.4f}  (optimistic: chosen on these rows)",
            f"equal weights       {self.equal}",
            f"best single member  {self.single}",
            *(f"{one.name:<18}  {one.nested}" for one in self.candidates[2:-1]),
            f"gain over equal weights{', and that of the log-loss' if self.by_log_loss else ''}",
        ]
        for one in self.candidates[1:]:
            log_loss = f"  {_signed(one.evidence)}" if self.by_log_loss else ""
            lines.append(f"{one.name:<18}  {_signed(one.gain)}{log_loss}")
        return "\n".join([*lines, self.verdict()])

    def verdict(self) -> str:
        """The recommendation and its reason."""
        found, usual = self.recommended, self.usual
        of = "its log-loss" if self.by_log_loss else f"its {self.metric}"
        if found.name != usual.name:
            return f"recommended: {found.name}; {of} is better than that of {usual.name}"
        if found.name == EQUAL:
            return f"recommended: {EQUAL}; no evidence that another choice is better"
        if found.evidence.low > 0:
            return f"recommended: {found.name}; {of} is better than that of {EQUAL}"
        return (
            f"recommended: {found.name}; no evidence that it is better than {EQUAL}, nor that "
            "another choice is better than it"
        )


def _signed(gain: IntervalEstimate) -> str:
    return f"{gain.value:+.4f} ({gain.low:+.4f} to {gain.high:+.4f})"


def searched(
    members: Sequence[Floats],
    targets: Targets,
    metric: Metric,
    folds: Folds,
    *,
    how: str = "greedy",
    beside: Sequence[str] = (),
    per_class: bool = False,
    steps: int = 50,
    bags: int = 0,
    seed: int = 0,
) -> Searched:
    """Search weights, and score the search by nested cross-validation over ``folds``.

    ``how``, and what it is compared with, ``beside``, are one of
    `comptool.postprocess.ensemble.search.SEARCHES`, "stack" or "temperature-mean".
    """
    if len(np.unique(folds)) < 2:
        raise InputError("a nested score needs rows of at least two folds")
    weigh = partial(search, metric=metric, per_class=per_class, steps=steps, bags=bags, seed=seed)

    def fit_of(name: str) -> Fit:
        if name == STACK:
            return partial(fit_stack, balanced=metric.mean_of_classes)
        if name == TEMPERATURE_MEAN:
            return lambda some, known, _: temperature_mean(some, known)
        return lambda some, known, _: WeightedMean(weigh(some, known, how=name))

    def best_one(some: Sequence[Floats], known: Targets, folds: Folds) -> Combination:
        values = np.array([signed(metric, known, member) for member in some])
        return WeightedMean(np.eye(len(some))[best_first(values, some, known)[0]])

    mean = np.full(len(members), 1 / len(members))
    fits = {SINGLE: best_one} | {name: fit_of(name) for name in (*beside, how)}
    combined: dict[str, Combination] = {EQUAL: WeightedMean(mean)}
    combined |= {name: fit(members, targets, folds) for name, fit in fits.items()}
    blends = {EQUAL: by_class(members, mean)}
    blends |= {name: _held_out(members, targets, folds, fit) for name, fit in fits.items()}
    by_log_loss = metric.reads in (CLASSES, RANKING)
    names, tables = list(blends), list(blends.values())
    usual = tables[-1 if how == STACK else 0]
    nested, gains, leads = _scores_and_gains(metric, targets, tables, usual, seed)
    others = shuffled_folds(folds, seed)
    nested = [
        nested[0],
        *(
            _hull(
                [
                    given,
                    *(
                        score_of(metric, targets, _held_out(members, targets, one, fit), seed)
                        for one in others
                    ),
                ]
            )
            for given, fit in zip(nested[1:], fits.values(), strict=True)
        ),
    ]
    evidence = gains
    if by_log_loss:
        evidence = [log_loss_gain(metric, targets, one, tables[0], seed) for one in tables]
        leads = [log_loss_gain(metric, targets, one, usual, seed) for one in tables]
    candidates = tuple(
        ScoredCombination(
            name, nested[i], gains[i], evidence[i], combined[name], tables[i], leads[i]
        )
        for i, name in enumerate(names)
    )
    return Searched(
        weights=weights_of(combined[how], len(members)),
        metric=metric.name,
        in_sample=metric.score(targets, combined[how](members)),
        nested=candidates[-1].nested,
        equal=candidates[0].nested,
        single=candidates[1].nested,
        alone=tuple(metric.score(targets, member) for member in members),
        num_rows=len(targets),
        num_folds=len(np.unique(folds)),
        blend=blends[how],
        candidates=candidates,
        by_log_loss=by_log_loss,
    )


def weights_of(combination: Combination, num_members: int) -> Doubles:
    """The weights of M members, (M,) or (M, K); of a stack those that classes share."""
    if isinstance(combination, WeightedMean):
        return combination.weights
    if isinstance(combination, Stack):
        return combination.shared
    return np.full(num_members, 1 / num_members)


def _scores_and_gains(
    metric: Metric, targets: Targets, blends: Sequence[Floats], usual: Floats, seed: int
) -> list[list[IntervalEstimate]]:
    """The metric of each blend, its gain over the first and over the usual one, on equal rows."""
    values = [metric.prepare(targets, blend) for blend in (*blends, usual)]
    for value in values:
        value()  # raises if undefined

    def figures(weights: Floats) -> Doubles:
        *scores, base = [value_or_nan(value, weights) for value in values]
        gains = [metric.sign * (np.array(scores) - other) for other in (scores[0], base)]
        return np.concatenate([scores, *gains])

    found, number = figures_with_intervals(figures, len(targets), RESAMPLES, seed), len(blends)
    return [found[:number], found[number : 2 * number], found[2 * number :]]


def gain_of(
    metric: Metric, targets: Targets, blend: Floats, base: Floats, seed: int
) -> IntervalEstimate:
    """The gain over ``base``, above 0 if better, with its interval on the same resamples."""
    both = [metric.prepare(targets, one) for one in (blend, base)]

    def gain(weights: Floats | None = None) -> float:
        return metric.sign * (both[0](weights) - both[1](weights))

    return metric_with_interval(gain, len(targets), RESAMPLES, seed)


def log_loss_gain(
    metric: Metric, targets: Targets, blend: Floats, base: Floats, seed: int
) -> IntervalEstimate:
    """How much lower the log-loss is than that of ``base``, each with its best temperature.

    Classes count the same if they do in the metric.
    """
    gains = _log_losses(targets, base) - _log_losses(targets, blend)
    if metric.mean_of_classes and targets.ndim == 1:
        gains = gains * balance(targets)

    def gain(weights: Floats | None = None) -> float:
        return float(np.average(gains, weights=weights))

    return metric_with_interval(gain, len(targets), RESAMPLES, seed)


def _log_losses(targets: Targets, blend: Floats) -> Doubles:
    """The log-loss of each row, (N,); of cells, the sum of the known ones of a row."""
    scaled = temperature_mean([blend], targets)([blend])
    if not of_targets(targets).cells:
        return -np.log(np.maximum(scaled[np.arange(len(targets)), targets], SMALLEST))
    of_truth = np.where(targets == 1, scaled, 1 - scaled)
    losses: Doubles = -np.log(np.maximum(of_truth, SMALLEST))
    return np.asarray((losses * (targets != -1)).sum(axis=1))


def signed(metric: Metric, targets: Targets, probabilities: Floats) -> float:
    """The metric, negated if lower is better."""
    return metric.sign * round(metric.score(targets, probabilities), DIGITS)


def _held_out(members: Sequence[Floats], targets: Targets, folds: Folds, fit: Fit) -> Doubles:
    """Blend each fold by a combination fitted to the other folds."""
    blend = np.empty(members[0].shape)
    for fold in np.unique(folds):
        held = folds == fold
        combine = fit([member[~held] for member in members], targets[~held], folds[~held])
        blend[held] = combine([member[held] for member in members])
    return blend


def shuffled_folds(folds: Folds, seed: int) -> list[Folds]:
    """The folds of few rows in other orders, none of many rows."""
    if len(folds) > FEW_ROWS:
        return []
    rng = np.random.default_rng(seed)
    return [rng.permutation(folds) for _ in range(PARTITIONS - 1)]


def _hull(estimates: Sequence[IntervalEstimate]) -> IntervalEstimate:
    """The first value with the interval that holds the intervals of all."""
    lows, highs = ([getattr(one, end) for one in estimates] for end in ("low", "high"))
    if np.isnan(lows).all():
        return estimates[0]
    return IntervalEstimate(estimates[0].value, float(np.nanmin(lows)), float(np.nanmax(highs)))


def score_of(metric: Metric, targets: Targets, blend: Floats, seed: int) -> IntervalEstimate:
    """A metric with its bootstrap interval over rows."""
    value = metric.prepare(targets, blend)
    return metric_with_interval(value, len(targets), RESAMPLES, seed)


ONE_VIEW = "the plain image alone"
ALL_VIEWS = "all views, equally"
SEARCHED = "searched weights"


@dataclass(frozen=True)
class ViewChoice:
    """Chosen weights of views, with the scores of the candidates."""

    names: tuple[str, ...]  # of the V views
    taken: str  # the best candidate: `ONE_VIEW`, `ALL_VIEWS` or `SEARCHED`
    weights: Doubles  # its weights, shape (V,), summing to one
    search: Searched  # the searched weights, their scores, and that of equal weights
    plain: IntervalEstimate  # score of the plain image
    choice: IntervalEstimate  # nested: each row by a candidate and weights chosen without it
    # Of the choice over the plain image on the same resamples; above 0 is better, whatever the
    # metric.
    gain: IntervalEstimate
    beside: tuple[float, ...]  # gain of each view averaged with the plain image, shape (V,)
    blend: Doubles  # the probabilities that `choice` scores, shape (N, K)

    def text(self) -> str:
        """Scores, a table of the views, and the verdict."""
        of = self.search
        lines = [
            f"{of.metric} on {of.num_rows} out-of-fold rows (95 % intervals)",
            f"plain image            {self.plain}",
            f"all views, equally     {of.equal}",
            f"searched, nested       {of.nested}  ({of.num_folds} searches)",
            f"searched, in-sample    {of.in_sample:.4f}  (optimistic: chosen on these rows)",
            f"the choice of these    {self.choice}  (fold by fold, by the rows of the others)",
            f"gain over the plain    {self.gain.value:+.4f} ({self.gain.low:+.4f} to "
            f"{self.gain.high:+.4f})",
            "alone   with plain  weight  view",
        ]
        table = zip(of.alone, self.beside, self.weights, self.names, strict=True)
        lines += [f"{one:.4f}  {two:+.4f}     {w:.3f}   {name}" for one, two, w, name in table]
        return "\n".join([*lines, self.verdict()])

    def verdict(self) -> str:
        """The candidate taken, and whether its gain may be chance."""
        if self.taken == ONE_VIEW:
            return f"taking {self.taken}: no choice of views is better on unseen rows"
        return f"taking {self.taken}" + ("; the gain may be chance" if self.gain.low <= 0 else "")

    def summary(self) -> dict[str, object]:
        """The scores, for a record."""
        of = self.search
        table = zip(self.names, of.alone, self.beside, of.weights.tolist(), strict=True)
        keys = ("view", "alone", "beside", "searched_weight")
        return {
            "metric": of.metric,
            "rows": of.num_rows,
            "folds": of.num_folds,
            "taken": self.taken,
            "plain": self.plain.document(),
            "equal_weights": of.equal.document(),
            "nested": of.nested.document(),
            "in_sample": of.in_sample,
            "choice": self.choice.document(),
            "gain": self.gain.document(),
            "candidates": [dict(zip(keys, row, strict=True)) for row in table],
        }


def choose_views(
    views: Mapping[str, Floats],
    plain: str,
    targets: Targets,
    metric: Metric,
    folds: Folds,
    *,
    how: str = "greedy",
    seed: int = 0,
) -> ViewChoice:
    """Choose views on out-of-fold rows.

    Parameters
    ----------
    views
        Probabilities of shape (N, K) for each of V views, two or more.
    plain
        Name of the view without a transform.
    targets
        Class indices of shape (N,), or 1, 0 and -1 of shape (N, K).
    metric
        A metric of the task.
    folds
        Fold of each row, shape (N,); at least three.
    how, seed
        See :func:`~comptool.postprocess.ensemble.search.search`.

    Raises
    ------
    UsageError
        If there is only one view, or no such metric or search.
    InputError
        If there are fewer than three folds.
    """
    if len(views) < 2:
        raise UsageError("there is only one view, so nothing to choose")
    if len(np.unique(folds)) < 3:
        raise InputError("a choice of views is scored on rows of at least three folds")
    tables = list(views.values())
    found = searched(tables, targets, metric, folds, how=how, seed=seed)
    alone, equal = np.eye(len(views))[list(views).index(plain)], np.full(len(views), 1 / len(views))
    # The simplest first: it wins ties.
    weights = {ONE_VIEW: alone, ALL_VIEWS: equal, SEARCHED: found.weights}
    blends = [views[plain], by_class(tables, equal), found.blend]
    taken = list(weights)[_best(blends, targets, metric)]
    weigh = partial(search, metric=metric, how=how, seed=seed)
    blend = _fold_by_fold(tables, blends, targets, metric, folds, weigh)
    every = [blend]
    for other in shuffled_folds(folds, seed):
        of_search = _held_out(
            tables, targets, other, lambda some, known, _: WeightedMean(weigh(some, known))
        )
        fixed = [*blends[:-1], of_search]
        every.append(_fold_by_fold(tables, fixed, targets, metric, other, weigh))
    base = signed(metric, targets, views[plain])
    beside = [signed(metric, targets, (one + views[plain]) / 2) - base for one in tables]
    return ViewChoice(
        names=tuple(views),
        taken=taken,
        weights=weights[taken],
        search=found,
        plain=score_of(metric, targets, views[plain], seed),
        choice=_hull([score_of(metric, targets, one, seed) for one in every]),
        gain=_hull([gain_of(metric, targets, one, views[plain], seed) for one in every]),
        beside=tuple(beside),
        blend=blend,
    )


def _best(blends: Sequence[Floats], targets: Targets, metric: Metric) -> int:
    """Index of the best, ties to the first."""
    return int(np.argmax([signed(metric, targets, blend) for blend in blends]))


def _fold_by_fold(
    tables: Sequence[Floats],
    blends: Sequence[Floats],
    targets: Targets,
    metric: Metric,
    folds: Folds,
    weigh: Weigh,
) -> Doubles:
    """Each fold by the candidate that is best on the other folds; the last is the search."""
    rows = {fold: folds == fold for fold in np.unique(folds)}
    without = {}
    for two in combinations(rows, 2):
        left = ~np.isin(folds, two)
        without[frozenset(two)] = weigh([table[left] for table in tables], targets[left])
    chosen = np.empty(tables[0].shape)
    for fold, held in rows.items():
        unseen = np.empty(chosen.shape)
        for other in rows.keys() - {fold}:
            weights = without[frozenset((fold, other))]
            unseen[rows[other]] = by_class([table[rows[other]] for table in tables], weights)
        others = [blend[~held] for blend in (*blends[:-1], unseen)]
        chosen[held] = blends[_best(others, targets[~held], metric)][held]
    return chosen
