"""Nested cross-validation of searched ensemble weights and test-time augmentation views.

Weights look better on the rows that they were chosen on than on others. Therefore the search is
repeated for each fold on all other folds, and its weights are applied to that fold; the nested
score is the metric of all rows together. The interval is that of the bootstrap over rows (B. Efron,
1979; percentiles): it covers the sampling of the rows, not the training of the members.

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
from comptool.metrics.bootstrap import IntervalEstimate, metric_with_interval
from comptool.metrics.metric_registry import Floats, Metric, Targets
from comptool.postprocess.ensemble.combine import by_class
from comptool.postprocess.ensemble.search import DIGITS, Doubles, best_first, search

Folds = npt.NDArray[np.integer]
Weigh = Callable[[Sequence[Floats], Targets], Doubles]

RESAMPLES = 200


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
    greater_is_better: bool
    blend: Doubles  # the probabilities that `nested` scores, (N, K)

    @property
    def gains(self) -> bool:
        """Whether the search is better than equal weights and than the best member."""
        return all(self.better(self.nested, other) for other in (self.equal, self.single))

    def better(self, one: IntervalEstimate, other: IntervalEstimate) -> bool:
        """Whether one score is strictly better than the other."""
        up = one.value > other.value
        return up if self.greater_is_better else one.value < other.value

    def text(self) -> str:
        """Scores, one per line, and a conclusion if the search gains nothing."""
        lines = [
            f"{self.metric} on {self.num_rows} out-of-fold rows (95 % intervals)",
            f"nested, {self.num_folds} searches  {self.nested}",
            f"in-sample           {self.in_sample:.4f}  (optimistic: chosen on these rows)",
            f"equal weights       {self.equal}",
            f"best single member  {self.single}",
        ]
        if not self.gains:
            one_is_best = self.better(self.single, self.equal)
            simpler = "one member does" if one_is_best else "equal weights do"
            lines.append(f"the search gains nothing: {simpler} at least as well")
        return "\n".join(lines)


def searched(
    members: Sequence[Floats],
    targets: Targets,
    metric: Metric,
    folds: Folds,
    *,
    how: str = "greedy",
    per_class: bool = False,
    steps: int = 50,
    bags: int = 0,
    seed: int = 0,
) -> Searched:
    """Search weights, and score the search by nested cross-validation over ``folds``."""
    if len(np.unique(folds)) < 2:
        raise InputError("a nested score needs rows of at least two folds")
    weigh = partial(
        search, metric=metric, how=how, per_class=per_class, steps=steps, bags=bags, seed=seed
    )

    def best_one(some: Sequence[Floats], known: Targets) -> Doubles:
        values = np.array([signed(metric, known, member) for member in some])
        chosen: Doubles = np.eye(len(some))[best_first(values, some, known)[0]]
        return chosen

    weights = weigh(members, targets)
    mean = np.full(len(members), 1 / len(members))
    blend = _held_out(members, targets, folds, weigh)
    worth = partial(score_of, metric, targets, seed=seed)

    return Searched(
        weights=weights,
        metric=metric.name,
        in_sample=metric.score(targets, by_class(members, weights)),
        nested=worth(blend),
        equal=worth(by_class(members, mean)),
        single=worth(_held_out(members, targets, folds, best_one)),
        alone=tuple(metric.score(targets, member) for member in members),
        num_rows=len(targets),
        num_folds=len(np.unique(folds)),
        greater_is_better=metric.greater_is_better,
        blend=blend,
    )


def signed(metric: Metric, targets: Targets, probabilities: Floats) -> float:
    """The metric, negated if lower is better."""
    return metric.sign * round(metric.score(targets, probabilities), DIGITS)


def _held_out(members: Sequence[Floats], targets: Targets, folds: Folds, weigh: Weigh) -> Doubles:
    """Blend each fold with weights chosen on the other folds."""
    blend = np.empty(members[0].shape)
    for fold in np.unique(folds):
        held = folds == fold
        weights = weigh([member[~held] for member in members], targets[~held])
        blend[held] = by_class([member[held] for member in members], weights)
    return blend


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
    both = [metric.prepare(targets, one) for one in (blend, views[plain])]

    def gain(weights: Floats | None = None) -> float:
        return metric.sign * (both[0](weights) - both[1](weights))

    base = signed(metric, targets, views[plain])
    beside = [signed(metric, targets, (one + views[plain]) / 2) - base for one in tables]
    return ViewChoice(
        names=tuple(views),
        taken=taken,
        weights=weights[taken],
        search=found,
        plain=score_of(metric, targets, views[plain], seed),
        choice=score_of(metric, targets, blend, seed),
        gain=metric_with_interval(gain, len(targets), RESAMPLES, seed),
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
