"""What a search of ensemble weights is worth: the whole of it, on rows that it has not seen.

Weights that were chosen on some rows look better on them than they are. Here the search is done
once for each fold on all the other folds, and the weights it finds are applied to that fold; the
metric of all rows together, each weighted by a search that did not see it, is the nested score.
The interval is that of the bootstrap over rows (B. Efron, 1979; percentiles). It holds the chance
of having these rows and no others, not that of having trained these members.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt

from comptool.decisions.ensemble import by_class
from comptool.decisions.ensembles.objectives import Doubles, Floats, Targets
from comptool.decisions.ensembles.search import DIGITS, best_first, search
from comptool.errors import InputError
from comptool.evaluation import metrics
from comptool.evaluation.bootstrap import Figure, Rows, figure_of_rows

Folds = npt.NDArray[np.integer]
Weigh = Callable[[Sequence[Floats], Targets], Doubles]

RESAMPLES = 200


@dataclass(frozen=True)
class Searched:
    """Weights that were searched, and what they and the alternatives to them are worth.

    Parameters
    ----------
    weights
        Shape (M,), or (M, K) for weights per class; the sum over members is one.
    metric
        Name of the metric.
    in_sample
        Of the weights on the rows that they were chosen on: too good.
    nested
        Of the search, every row weighted by a search that did not see it.
    equal
        Of equal weights.
    single
        Of taking the one best member, chosen and scored as `nested` is.
    alone
        Of each member, shape (M,).
    num_rows, num_folds
        Labelled rows, and searches that the nested score is taken over.
    greater_is_better
        Which way the metric goes.
    blend
        What `nested` is the score of: every row by weights of a search that did not see it, (N, K).
    """

    weights: Doubles
    metric: str
    in_sample: float
    nested: Figure
    equal: Figure
    single: Figure
    alone: tuple[float, ...]
    num_rows: int
    num_folds: int
    greater_is_better: bool
    blend: Doubles

    @property
    def gains(self) -> bool:
        """Whether the search is better than equal weights and than one member."""
        return all(self.better(self.nested, other) for other in (self.equal, self.single))

    def better(self, one: Figure, other: Figure) -> bool:
        """Whether one score is truly better than the other."""
        up = one.value > other.value
        return up if self.greater_is_better else one.value < other.value

    def text(self) -> str:
        """Scores, one under the other, and what follows from them."""
        lines = [
            f"{self.metric} on {self.num_rows} out-of-fold rows (95 % intervals)",
            f"nested, {self.num_folds} searches  {self.nested}",
            f"in-sample           {self.in_sample:.4f}  (too good: the rows chose the weights)",
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
    metric: str,
    folds: Folds,
    *,
    how: str = "greedy",
    per_class: bool = False,
    steps: int = 50,
    bags: int = 0,
    seed: int = 0,
) -> Searched:
    """Search weights, and score the search.

    Parameters
    ----------
    members, targets, metric, how, per_class, steps, bags, seed
        See :func:`~comptool.decisions.ensembles.search.search`.
    folds
        Fold of each row, shape (N,); at least two.

    Raises
    ------
    UsageError
        If the search cannot be done with this metric.
    InputError
        If there are fewer than two folds.
    """
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
        metric=metric,
        in_sample=metrics.score(metric, targets, by_class(members, weights)),
        nested=worth(blend),
        equal=worth(by_class(members, mean)),
        single=worth(_held_out(members, targets, folds, best_one)),
        alone=tuple(metrics.score(metric, targets, member) for member in members),
        num_rows=len(targets),
        num_folds=len(np.unique(folds)),
        greater_is_better=rises(metric, targets),
        blend=blend,
    )


def signed(metric: str, targets: Targets, probabilities: Floats) -> float:
    """The metric, its sign turned if it falls, to be compared with others."""
    value = round(metrics.score(metric, targets, probabilities), DIGITS)
    return value if rises(metric, targets) else -value


def rises(metric: str, targets: Targets) -> bool:
    """Whether a higher value of a metric is a better one."""
    task = "multilabel" if targets.ndim == 2 else "multiclass"
    return metrics.table(task).find(metric).greater_is_better


def _held_out(members: Sequence[Floats], targets: Targets, folds: Folds, weigh: Weigh) -> Doubles:
    """Every row blended with weights that were chosen on the other folds."""
    blend = np.empty(members[0].shape)
    for fold in np.unique(folds):
        held = folds == fold
        weights = weigh([member[~held] for member in members], targets[~held])
        blend[held] = by_class([member[held] for member in members], weights)
    return blend


def score_of(metric: str, targets: Targets, blend: Floats, seed: int) -> Figure:
    """A metric with its interval over resamples of the rows."""

    def measure(rows: Rows) -> float:
        return metrics.score(metric, targets[rows], blend[rows])

    return figure_of_rows(measure, len(targets), RESAMPLES, seed)
