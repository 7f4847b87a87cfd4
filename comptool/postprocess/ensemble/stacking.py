"""Stacking and the mean of temperature-scaled members, both fitted to out-of-fold rows.

Stack: D. H. Wolpert, "Stacked generalization", Neural Networks 5, 1992, as a logistic model of the
members' log-probabilities (several labels: log-odds; numbers: a linear model, L. Breiman, "Stacked
regressions", Machine Learning 24, 1996). With X[m, k] the logarithm of member m for class k,
divided by the temperature of the member, the logit of a class is

    z[k] = bias[k] + sum over m of X[m, k] * (shared[m] + per_class[m, k])
                   + sum over m and j of X[m, j] * across[m, j, k]

``shared`` has one weight per member, whatever the number of classes; the other two are tried where
they have few enough parameters. The squares of ``bias``, ``per_class``, ``across``, and of the
differences of ``shared`` from its mean, are penalised: the limit is the geometric mean of the
members with one temperature. Penalties, and which parts there are, have the least loss on inner
folds.

Differs from Wolpert: the loss is the log-loss (numbers: the squared error), whatever the metric of
the competition; for a mean over classes, the classes have equal weights in it. Differs from
Breiman: weights may be below 0.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt
import scipy

from comptool.errors import UsageError
from comptool.io.records import FittedCombination
from comptool.metrics.metric_registry import Floats, Targets
from comptool.postprocess.calibration.context import LabelledRows, logarithms
from comptool.postprocess.calibration.multilabel_methods import log_odds
from comptool.postprocess.calibration.multilabel_methods import temperature as of_cells
from comptool.postprocess.calibration.scaling import best_temperature
from comptool.postprocess.ensemble.combine import by_class
from comptool.tasks import Task, of_targets

Doubles = npt.NDArray[np.float64]
Folds = npt.NDArray[np.integer]


class Combination(Protocol):
    """A way to combine M members, (N, K) each."""

    def __call__(self, members: Sequence[Floats], /) -> Doubles:
        """Probabilities of the ensemble, (N, K)."""

    def record(self) -> FittedCombination | None:
        """The parameters as JSON; None for a mean, whose weights stand with the members."""


TEMPERATURE_MEAN: Final = "temperature-mean"
STACK: Final = "stack"
# A penalty of 100 holds a parameter as tightly as about a hundred rows would. Of the shared weights
# and the bias, of the weights per class, and of those across classes; each path begins with the
# largest.
PENALTIES = ((1_000.0, 100.0, 10.0, 1.0), (1_000.0, 100.0, 10.0), (1_000.0, 100.0, 10.0))
# Weights per class, or across classes, are not tried above this number of parameters.
MOST_PARAMETERS = 2_500


@dataclass(frozen=True)
class TemperatureMean:
    """Equal mean of M members, each divided by its temperature."""

    temperatures: Doubles  # (M,)
    cells: bool

    def __call__(self, members: Sequence[Floats]) -> Doubles:
        """Probabilities of the ensemble, (N, K)."""
        total = np.zeros(members[0].shape)
        for member, temperature in zip(members, self.temperatures, strict=True):
            total += _activated(_logits(member, self.cells) / temperature, self.cells)
        return np.minimum(total / len(members), 1)

    def record(self) -> FittedCombination:
        """The parameters as JSON."""
        return FittedCombination(method=TEMPERATURE_MEAN, temperatures=self.temperatures.tolist())


def temperature_mean(members: Sequence[Floats], targets: Targets) -> TemperatureMean:
    """Fit the temperature of each member, (N, K) each; a UsageError for numbers."""
    task = of_targets(targets)
    if task.numbers:
        raise UsageError(f"--method {TEMPERATURE_MEAN} is of probabilities, and the task is {task}")
    return TemperatureMean(_temperatures(members, targets, task), task.cells)


def _temperatures(members: Sequence[Floats], targets: Targets, task: Task) -> Doubles:
    if task.cells:
        found = [float(str(of_cells(targets, one).facts["temperature"])) for one in members]
    else:
        found = [best_temperature(LabelledRows(one, targets)) for one in members]
    return np.array(found)


def _logits(member: Floats, cells: bool) -> Doubles:
    return log_odds(member) if cells else logarithms(member)


def _activated(logits: Doubles, cells: bool) -> Doubles:
    found: Doubles = scipy.special.expit(logits) if cells else scipy.special.softmax(logits, axis=1)
    return found


@dataclass(frozen=True)
class Stack:
    """A fitted stack; a part that it does not have is None."""

    shared: Doubles  # (M,)
    bias: Doubles  # (K,)
    per_class: Doubles | None = None  # (M, K)
    across: Doubles | None = None  # (M, K, K)
    cells: bool = False
    numbers: bool = False

    def __call__(self, members: Sequence[Floats]) -> Doubles:
        """Probabilities or numbers of the ensemble, (N, K)."""
        if self.numbers:
            return self.logits(np.stack(members).astype(np.float64))
        return _activated(self.logits(_features(members, self.cells)), self.cells)

    def logits(self, features: Doubles) -> Doubles:
        """The sums of the module's formula, (N, K), of features (M, N, K)."""
        num_members, num_rows, num_classes = features.shape
        found = (self.shared @ features.reshape(num_members, -1)).reshape(num_rows, num_classes)
        found += self.bias
        if self.per_class is not None:
            found += np.einsum("mk,mnk->nk", self.per_class, features)
        if self.across is not None:
            for feature, mixing in zip(features, self.across, strict=True):
                found += feature @ mixing
        return np.asarray(found, dtype=np.float64)

    def record(self) -> FittedCombination:
        """The parameters as JSON."""
        there = {name: part for name in PARTS if (part := getattr(self, name)) is not None}
        parts = {name: part.tolist() for name, part in there.items()}
        return FittedCombination(method=STACK, **parts)


PARTS = ("shared", "bias", "per_class", "across")


def restored(
    record: FittedCombination, num_members: int, num_classes: int, task: Task
) -> Combination:
    """The combination of a record; a ValueError names parameters of another shape."""
    if record.method == TEMPERATURE_MEAN:
        temperatures = _shaped(record.temperatures, "temperatures", (num_members,))
        if task.numbers or not (temperatures > 0).all():
            raise ValueError("combination.temperatures must be above 0, of probabilities")
        return TemperatureMean(temperatures, task.cells)
    across = (num_members, num_classes, num_classes)
    shapes = [across[:1], across[1:2], across[:2], across]
    found = {
        name: _shaped(values, name, shape)
        for name, shape in zip(PARTS, shapes, strict=True)
        if (values := getattr(record, name)) or len(shape) == 1
    }
    return Stack(**found, cells=task.cells, numbers=task.numbers)


def _shaped(values: object, name: str, shape: tuple[int, ...]) -> Doubles:
    with suppress(ValueError):  # of ragged lists
        if (found := np.array(values, dtype=np.float64)).shape == shape:
            return found
    raise ValueError(f"combination.{name} must have the shape {shape}")


def permuted(record: FittedCombination, order: Sequence[int]) -> FittedCombination:
    """The record with its members in another order."""
    parts = {"temperatures", *PARTS} - {"bias"}
    moved = {
        name: [values[place] for place in order] if (values := getattr(record, name)) else []
        for name in parts
    }
    return FittedCombination(method=record.method, bias=record.bias, **moved)


def _features(members: Sequence[Floats], cells: bool) -> Doubles:
    found = np.stack([_logits(one, cells) for one in members])
    # A constant of a row means nothing to a softmax, but it would to weights across classes.
    return found if cells else found - found.mean(axis=2, keepdims=True)


Loss = Callable[[Doubles], tuple[Doubles, Doubles]]


def balance(targets: Targets) -> Doubles:
    """Weights of N rows, (N,), with the mean 1, so that every class among them counts the same."""
    counts = np.bincount(targets)
    weights: Doubles = len(targets) / (counts > 0).sum() / counts[targets]
    return weights


def _loss(targets: Targets, task: Task, weights: Doubles) -> Loss:
    """Loss of each row, (N,), of logits, (N, K), and its gradient; ``weights`` of rows, (N,)."""
    if task.numbers:
        return lambda z: (((z - targets) ** 2).sum(axis=1) / 2, z - targets)
    if task.cells:
        return partial(_loss_of_cells, targets)
    return partial(_loss_of_classes, targets, weights)


def _loss_of_cells(targets: Targets, z: Doubles) -> tuple[Doubles, Doubles]:
    known, present = targets != -1, targets == 1
    each = np.logaddexp(0, z) - present * z
    return (each * known).sum(axis=1), known * (scipy.special.expit(z) - present)


def _loss_of_classes(targets: Targets, weights: Doubles, z: Doubles) -> tuple[Doubles, Doubles]:
    rows = np.arange(len(targets))
    logs = z - z.max(axis=1, keepdims=True)
    shares = np.exp(logs)
    sums = shares.sum(axis=1, keepdims=True)
    losses = (np.log(sums[:, 0]) - logs[rows, targets]) * weights
    shares /= sums
    shares[rows, targets] -= 1
    return losses, shares * weights[:, None]


@dataclass(frozen=True)
class _Rows:
    """Labelled rows as features, (M, N, K), with their targets and weights, (N,)."""

    features: Doubles
    targets: Targets
    task: Task
    weights: Doubles

    def take(self, chosen: npt.NDArray[np.bool_]) -> _Rows:
        features = np.ascontiguousarray(self.features[:, chosen])
        return _Rows(features, self.targets[chosen], self.task, self.weights[chosen])

    def losses(self, stack: Stack) -> Doubles:
        return _loss(self.targets, self.task, self.weights)(stack.logits(self.features))[0]

    def start(self) -> Stack:
        """The geometric mean; of numbers, the mean."""
        num_members, _, num_classes = self.features.shape
        return Stack(np.full(num_members, 1 / num_members), np.zeros(num_classes))

    def fit(self, penalties: Sequence[float], start: Stack) -> Stack:
        """The stack with the least penalised loss, a convex problem.

        ``penalties`` as in `PENALTIES`, one of each row; parts without a penalty are left out.
        """
        num_members, _, num_classes = self.features.shape
        largest = (num_members, num_classes, num_classes)
        shapes = [largest[:1], largest[1:2], largest[:2], largest][: len(penalties) + 1]
        sizes = [int(np.prod(shape)) for shape in shapes]
        held = np.repeat([penalties[0], *penalties], sizes)
        loss = _loss(self.targets, self.task, self.weights)
        flat = self.features.reshape(num_members, -1)

        def unpacked(values: Doubles) -> Stack:
            parts = np.split(values, np.cumsum(sizes)[:-1])
            shaped = [part.reshape(to) for part, to in zip(parts, shapes, strict=True)]
            return Stack(**dict(zip(PARTS, shaped, strict=False)))  # type: ignore[arg-type]

        def penalised(values: Doubles) -> tuple[float, Doubles]:
            stack = unpacked(values)
            losses, slope = loss(stack.logits(self.features))
            slopes = [flat @ slope.ravel(), slope.sum(axis=0)]
            if stack.per_class is not None:
                slopes.append(np.einsum("mnk,nk->mk", self.features, slope).ravel())
            if stack.across is not None:
                slopes.append(np.stack([one.T @ slope for one in self.features]).ravel())
            away = values.copy()
            away[:num_members] -= stack.shared.mean()
            total = float(losses.sum() + held @ away**2 / 2)
            return total, np.concatenate(slopes) + held * away

        known = [getattr(start, name) for name in PARTS[: len(shapes)]]
        first = np.concatenate(
            [
                np.zeros(n) if one is None else one.ravel()
                for one, n in zip(known, sizes, strict=True)
            ]
        )
        options = {"maxiter": 200, "ftol": 1e-8, "gtol": 1e-6 * len(self.targets)}
        found = scipy.optimize.minimize(
            penalised, first, jac=True, method="L-BFGS-B", options=options
        )
        return unpacked(found.x)


def fit_stack(
    members: Sequence[Floats], targets: Targets, folds: Folds, *, balanced: bool = False
) -> Stack:
    """Fit a stack of M members, (N, K) each, to labelled rows.

    ``folds``, (N,), are the inner folds by whose rows the penalties are chosen; there are two or
    more. ``balanced``: classes count the same, however many rows they have.
    """
    task = of_targets(targets)
    weights = balance(targets) if balanced and targets.ndim == 1 else np.ones(len(targets))
    if task.numbers:
        return _stack_of_numbers(members, targets, folds, task)
    temperatures = _temperatures(members, targets, task)
    features = _features(members, task.cells) / temperatures[:, None, None]
    found = _fitted(_Rows(features, targets, task, weights), folds)
    return Stack(
        found.shared / temperatures,
        found.bias,
        None if found.per_class is None else found.per_class / temperatures[:, None],
        None if found.across is None else found.across / temperatures[:, None, None],
        cells=task.cells,
    )


def _stack_of_numbers(
    members: Sequence[Floats], targets: Targets, folds: Folds, task: Task
) -> Stack:
    """Of numbers with mean 0 and, so that penalties are in rows, errors of variance 1."""
    tables = np.stack(members).astype(np.float64)
    middle, error = targets.mean(axis=0), (tables.mean(axis=0) - targets).std(axis=0)
    scale = np.where(error > 0, error, 1)
    ones = np.ones(len(targets))
    rows = _Rows((tables - middle) / scale, (targets - middle) / scale, task, ones)
    found = _fitted(rows, folds)
    bias = middle + scale * found.bias - found.shared.sum() * middle
    return Stack(found.shared, bias, numbers=True)


def _fitted(rows: _Rows, folds: Folds) -> Stack:
    """The fit to all rows with the parts and penalties of the least loss on inner folds.

    A larger penalty, or a part less, is taken where its loss is within a standard error of the
    difference (L. Breiman and others, "Classification and Regression Trees", 1984, section 3.4.3):
    with a few hundred rows, the least loss is often that of a fit that is too free.
    """
    names = np.unique(folds)

    def crossed(penalties: list[float], starts: list[Stack]) -> tuple[list[Stack], Doubles]:
        """The fit without each inner fold, and the loss of each row in its own, (N,)."""
        fits, losses = [], np.empty(len(folds))
        for fold, start in zip(names, starts, strict=True):
            held = folds == fold
            # One copy at a time: of thousands of classes, features take gigabytes.
            fits.append(rows.take(~held).fit(penalties, start))
            losses[held] = rows.take(held).losses(fits[-1])
        return fits, losses

    starts = [rows.start()] * len(names)
    num_members, _, num_classes = rows.features.shape
    chosen: list[float] = []
    least: Doubles | None = None
    for power, grid in enumerate(PENALTIES):
        parameters = num_members * num_classes**power
        if power and (parameters > MOST_PARAMETERS or rows.task.numbers):
            break
        tried: list[tuple[list[Stack], Doubles]] = []
        for penalty in grid:
            tried.append(crossed([*chosen, penalty], tried[-1][0] if tried else starts))
        best = min((losses for _, losses in tried), key=np.sum)
        taken = next(i for i, (_, losses) in enumerate(tried) if not _is_higher(losses, best))
        if least is not None and not _is_higher(least, tried[taken][1]):
            break
        (starts, least), chosen = tried[taken], [*chosen, grid[taken]]
    return rows.fit(chosen, rows.start())


def _is_higher(losses: Doubles, others: Doubles) -> bool:
    """Whether losses of the same N rows are higher by more than a standard error."""
    more = losses - others
    return bool(more.mean() > more.std() / np.sqrt(len(more)))


@dataclass(frozen=True)
class WeightedMean:
    """Arithmetic mean with weights of shape (M,) or (M, K)."""

    weights: Doubles

    def __call__(self, members: Sequence[Floats]) -> Doubles:
        """Probabilities of the ensemble, (N, K)."""
        return by_class(members, self.weights)

    def record(self) -> None:
        """Weights are recorded with the members."""
