"""Multi-label predictions moved so that each class's best threshold becomes one half."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from comptool.classes import against
from comptool.decisions.decision import Decision
from comptool.decisions.ensemble import ANSWERED
from comptool.decisions.label_thresholds import AVERAGES, Doubles, best_thresholds, to_half
from comptool.errors import InputError
from comptool.evaluation.f_scores import macro_f_beta, micro_f_beta
from comptool.evaluation.out_of_fold import Labelled, nested_folds
from comptool.predictions import Predictions

SCORES = dict(zip(AVERAGES, (macro_f_beta, micro_f_beta), strict=True))


def by_thresholds(
    predictions: Predictions, labelled: Labelled, *, average: str, beta: float
) -> tuple[Decision, list[str]]:
    """Move the probabilities to the thresholds that are best on out-of-fold rows.

    Parameters
    ----------
    predictions
        Multi-label predictions of N rows.
    labelled
        Out-of-fold rows of the runs that made them.
    average, beta
        See :func:`comptool.decisions.label_thresholds.best_thresholds`.

    Returns
    -------
    Decision, list of str
        The order within each class stays; answers are probabilities above one half. The sentences
        hold the F-score of thresholds on rows that did not choose them.

    Raises
    ------
    InputError
        If the classes differ, or no class has a present cell.
    """
    if labelled.predictions.classes != predictions.classes:
        raise InputError(
            "its classes are not those of the predictions: "
            f"{against(labelled.predictions.classes, predictions.classes)}",
            file=labelled.path,
        )
    targets, p = labelled.targets, labelled.predictions.probabilities
    thresholds = best_thresholds(targets, p, average=average, beta=beta)
    moved = to_half(predictions.probabilities, thresholds)
    score = SCORES[average]
    plain, in_sample = (score(targets, p, bound, beta) for bound in (ANSWERED, thresholds))
    nested = score(targets, _held_out(labelled, average, beta), ANSWERED, beta)
    found: dict[str, object] = {
        "method": "thresholds",
        "average": average,
        "beta": beta,
        "thresholds": dict(zip(predictions.classes, thresholds.tolist(), strict=True)),
        "out_of_fold": str(labelled.path),
        "plain": plain,
        "nested": nested,
        "in_sample": in_sample,
    }
    result = Decision(
        replace(predictions, probabilities=moved, pred=None),
        before=(predictions.probabilities > ANSWERED).sum(axis=0),
        after=(moved > ANSWERED).sum(axis=0),
        facts=found,
    )
    notes = [
        f"{average} F{beta:g} on {len(labelled)} rows of {labelled.path}: {plain:.4f} at 0.5, "
        f"{nested:.4f} by thresholds that other rows chose, {in_sample:.4f} in-sample (too good)",
        "each class's threshold has become one half",
    ]
    if nested <= plain:
        notes.insert(1, "doing nothing is best: the thresholds gain nothing on rows not seen")
    return result, notes


def _held_out(labelled: Labelled, average: str, beta: float) -> Doubles:
    """The rows of each fold, moved by thresholds that the other folds chose."""
    p = labelled.predictions.probabilities
    folds = nested_folds(labelled.predictions.ids, labelled.predictions.fold)
    moved = np.empty(p.shape)
    for fold in np.unique(folds):
        held = folds == fold
        chosen = best_thresholds(labelled.targets[~held], p[~held], average=average, beta=beta)
        moved[held] = to_half(p[held], chosen)
    return moved
