"""Multi-label predictions recalibrated by a method of the family, and all methods compared."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from comptool.competition import Competition
from comptool.decisions.decision import Decision
from comptool.decisions.ensemble import ANSWERED
from comptool.decisions.label_thresholds import AVERAGES, Targets
from comptool.decisions.own_evidence import own_evidence
from comptool.decisions.recalibration import CELL_METHODS
from comptool.decisions.recalibration.cells import Fitted
from comptool.decisions.recalibration.comparing import NONE, SETS, Comparison
from comptool.decisions.recalibration.comparing_cells import Fit, compare_cells
from comptool.decisions.recalibration.config import THRESHOLDS, Settings
from comptool.decisions.recalibration.deciding import LARGEST_SET
from comptool.decisions.recalibration.known import Doubles, Floats
from comptool.errors import UsageError
from comptool.evaluation.f_scores import log_loss, macro_f_beta, micro_f_beta
from comptool.evaluation.out_of_fold import Labelled, nested_folds
from comptool.predictions import Predictions

SCORES = dict(zip(AVERAGES, (macro_f_beta, micro_f_beta), strict=True))


class Figure(NamedTuple):
    """What a method is fitted for: its name, the score of cells, and which way is up."""

    name: str
    score: Callable[[Targets, Floats], float]
    greater_is_better: bool


def decide_cells(
    predictions: Predictions, labelled: Labelled, settings: Settings, metric: str
) -> tuple[Decision, list[str]]:
    """Move multi-label probabilities as is best on out-of-fold rows.

    Parameters
    ----------
    predictions
        Multi-label predictions of N rows.
    labelled
        Out-of-fold rows of the runs that made them.
    settings
        The method, and the F-score that thresholds are best for.
    metric
        The competition's; what is not said of that F-score follows from it.

    Returns
    -------
    Decision, list of str
        The order within each class stays; answers are probabilities above one half. The sentences
        hold what the method is fitted for, on rows that it was not fitted to.

    Raises
    ------
    InputError
        If the classes differ, or no class has a present cell.
    """
    labelled.check_classes(predictions.classes)
    average, beta = f_score_of(settings, metric)
    fit = _fit(settings.method, average, beta)
    fitted = fit(labelled.targets, labelled.predictions.probabilities)
    moved = fitted.move(predictions.probabilities)
    figure = _figure(settings, average, beta)
    measured, notes = _measured(labelled, settings.method, figure, fitted, fit)
    facts = {"method": settings.method, **_by_class(fitted.facts, predictions.classes), **measured}
    result = Decision(
        replace(predictions, probabilities=moved, pred=None),
        before=(predictions.probabilities > ANSWERED).sum(axis=0),
        after=(moved > ANSWERED).sum(axis=0),
        facts=facts,
    )
    if settings.method == THRESHOLDS:
        notes.append("each class's threshold has become one half")
    return result, notes


def _figure(settings: Settings, average: str, beta: float) -> Figure:
    if settings.method == THRESHOLDS:
        score = partial(SCORES[average], threshold=ANSWERED, beta=beta)
        return Figure(f"{average} F{beta:g}", score, greater_is_better=True)
    return Figure("log-loss", log_loss, greater_is_better=False)


def _measured(
    labelled: Labelled, method: str, figure: Figure, fitted: Fitted, fit: Fit
) -> tuple[dict[str, object], list[str]]:
    """The figure as predicted, on rows not fitted to, and in-sample; for the record, in words."""
    targets, p = labelled.targets, labelled.predictions.probabilities
    plain, in_sample = figure.score(targets, p), figure.score(targets, fitted.move(p))
    nested = figure.score(targets, _held_out(labelled, fit))
    notes = [labelled.note] if labelled.note else []
    notes.append(
        f"{figure.name} on {len(labelled)} rows of {labelled.path}: {plain:.4f} as predicted, "
        f"{nested:.4f} by {method} fitted to other rows, {in_sample:.4f} in-sample (too good)"
    )
    if (nested - plain) * (1 if figure.greater_is_better else -1) <= 0:
        notes.append(f"doing nothing is best: {method} gains nothing on rows not seen")
    record = {"out_of_fold": str(labelled.path), "measure": figure.name, "plain": plain}
    return {**record, "nested": nested, "in_sample": in_sample}, notes


def compared_cells(
    predictions: Predictions | None,
    facts: Mapping[str, Any],
    settings: Settings,
    about: Competition,
    *,
    methods: Sequence[str] | None = None,
    num_sets: int = SETS,
    seed: int = 0,
) -> Comparison:
    """The methods of several labels compared on simulated test sets.

    Parameters
    ----------
    predictions
        Multi-label predictions, whose number of rows is that of a test set; None: as many rows as
        there are out-of-fold ones.
    facts
        What is recorded with them.
    settings
        Where the out-of-fold rows are.
    about
        The competition, whose metric is compared by.
    methods
        Names of those to compare with doing nothing; None for all.
    num_sets, seed
        See :func:`~comptool.decisions.recalibration.comparing_cells.compare_cells`.

    Raises
    ------
    UsageError
        If a method is none of several labels.
    InputError
        If there is no evidence, or the metric is not defined on it.
    """
    for name in methods or ():
        if name not in CELL_METHODS:
            raise UsageError(
                f"--method {name} decides for one class per image; for several labels there are "
                f"{', '.join(CELL_METHODS.names[1:])}"
            )
    labelled = own_evidence(settings.oof, facts, about)
    if predictions is not None:
        labelled.check_classes(predictions.classes)
    beta = f_score_of(settings, about.metric)[1]
    fits: dict[str, Fit] = {}
    for name in dict.fromkeys([NONE, *(methods or CELL_METHODS.names)]):
        if name == THRESHOLDS:
            fits |= {f"{name} {average}": _fit(name, average, beta) for average in AVERAGES}
        else:
            fits[name] = _fit(name, AVERAGES[0], beta)
    num_rows = len(labelled if predictions is None else predictions)
    found = compare_cells(
        labelled.targets,
        labelled.predictions.probabilities,
        fits,
        about.metric,
        num_rows=min(num_rows, LARGEST_SET),
        num_sets=num_sets,
        seed=seed,
    )
    return replace(found, note="; ".join(filter(None, [labelled.note, found.note])))


def f_score_of(settings: Settings, metric: str) -> tuple[str, float]:
    """Average and beta of the F-score that thresholds are best for: as given, or the metric's."""
    average = settings.average or ("micro" if metric.startswith("micro") else "macro")
    # The metric f-beta is an F2; nothing finds its thresholds exactly, and macro F2 is near.
    usual = 2.0 if metric == "f-beta" else 1.0
    return average, usual if settings.beta is None else settings.beta


def _fit(method: str, average: str, beta: float) -> Fit:
    options = {"average": average, "beta": beta} if method == THRESHOLDS else {}
    return partial(CELL_METHODS.load(method), **options)


def _held_out(labelled: Labelled, fit: Fit) -> Doubles:
    """The rows of each fold, moved as was fitted to the other folds."""
    p = labelled.predictions.probabilities
    folds = nested_folds(labelled.predictions.ids, labelled.predictions.fold)
    moved = np.empty(p.shape)
    for fold in np.unique(folds):
        held = folds == fold
        moved[held] = fit(labelled.targets[~held], p[~held]).move(p[held])
    return moved


def _by_class(facts: Mapping[str, object], classes: Sequence[str]) -> dict[str, object]:
    return {
        name: dict(zip(classes, value, strict=True)) if isinstance(value, list) else value
        for name, value in facts.items()
    }
