"""How right the pseudo-labels of a rule will be, and rules that promise a wanted precision."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from comptool.competition import Competition
from comptool.decisions.config import Rule, Wanted
from comptool.decisions.expected_precision import (
    Floats,
    Mask,
    Precision,
    agreeing,
    answered,
    not_reached,
    precision,
    threshold_by_class,
    threshold_for,
)
from comptool.decisions.own_evidence import own_evidence, side_by_side
from comptool.decisions.pseudocells import sure_cells
from comptool.decisions.pseudolabel import NONE, sure
from comptool.errors import ComptoolError, InputError
from comptool.evaluation.out_of_fold import Labelled
from comptool.label_matrix import ABSENT, PRESENT, UNKNOWN

# Above every probability: no row of the class is kept.
NEVER = 1.0


@dataclass(frozen=True)
class Promise:
    """A rule and what out-of-fold rows say of it.

    Parameters
    ----------
    rule
        With its thresholds chosen.
    notes
        Sentences for the person who asked.
    expected
        The figures for the record; empty without evidence.
    by_class
        Expected precision of each class's labels, of K or, without evidence, of none.
    """

    rule: Rule
    notes: list[str] = field(default_factory=list)
    expected: dict[str, object] = field(default_factory=dict)
    by_class: tuple[Precision, ...] = ()


def promise(
    rule: Rule,
    wanted: Wanted,
    classes: Sequence[str],
    facts: Mapping[str, Any],
    competition: Competition,
    agree: Sequence[Mapping[str, Any]] = (),
) -> Promise:
    """Choose the thresholds that are wanted, and say what the rule promises.

    Parameters
    ----------
    rule
        What was asked for.
    wanted
        What out-of-fold rows are asked for.
    classes
        The K classes of the predictions.
    facts
        What is recorded with them.
    competition
        Says where labels are found.
    agree
        What is recorded with files that have to agree: rows that their own out-of-fold rows answer
        otherwise are not counted.

    Raises
    ------
    UsageError
        If ``wanted`` contradicts the rule.
    InputError
        If out-of-fold rows are needed and cannot be had, or no threshold promises the precision.
    """
    wanted.check(rule)
    runs = facts.get("runs") or []
    needed = wanted.precision is not None or wanted.oof is not None
    if not needed and not any(Path(run).is_dir() for run in runs):
        return Promise(rule)
    try:
        labelled = own_evidence(wanted.oof, facts, competition)
        labelled.check_classes(classes)
    except ComptoolError as error:
        if needed:
            raise
        return Promise(rule, [f"no out-of-fold rows say how many will be right: {error}"])
    told = [labelled.note] if labelled.note else []
    if agree:
        labelled, note = _agreed(labelled, agree, competition)
        told.append(note)
    multilabel = competition.task == "multilabel"
    choose, weigh = (_for_cells, _of_cells) if multilabel else (_for_rows, _of_rows)
    chosen, notes = choose(rule, wanted, labelled, classes)
    found = weigh(chosen, labelled, classes)
    return replace(found, notes=[*told, *notes, *found.notes])


def _agreed(
    labelled: Labelled, agree: Sequence[Mapping[str, Any]], competition: Competition
) -> tuple[Labelled, str]:
    """The rows, or multi-label cells, on which the out-of-fold rows of all files agree."""
    task = competition.task
    try:
        if not all(facts.get("runs") for facts in agree):
            raise InputError("no run is recorded with a file of --agree")
        found = [labelled, *(own_evidence(None, facts, competition) for facts in agree)]
        first, *others = (one.probabilities for one in side_by_side(found))
    except ComptoolError as error:
        return labelled, f"the expected precision leaves the agreement out: {error}"
    same = agreeing(answered(first, task), others, task)
    note = f"expected precision of {int(same.sum())} of {same.size} out-of-fold"
    if task == "multilabel":
        unknown = np.where(same, labelled.targets, UNKNOWN)
        return replace(labelled, targets=unknown), f"{note} cells, on which the files agree"
    rows = replace(
        labelled, predictions=labelled.predictions.take(same), targets=labelled.targets[same]
    )
    return rows, f"{note} rows, on which the files agree"


def _for_rows(
    rule: Rule, wanted: Wanted, labelled: Labelled, classes: Sequence[str]
) -> tuple[Rule, list[str]]:
    if wanted.precision is None:
        return rule, []
    p = labelled.predictions.probabilities
    confidence, right = p.max(axis=1), p.argmax(axis=1) == labelled.targets
    if not wanted.per_class:
        threshold = threshold_for(confidence, right, wanted.precision)
        if threshold is None:
            raise not_reached(wanted.precision, confidence, right)
        return replace(rule, threshold=threshold), [f"threshold {threshold:.4f}"]
    found = threshold_by_class(p, labelled.targets, wanted.precision)
    if all(one is None for one in found):
        raise not_reached(wanted.precision, confidence, right)
    thresholds = tuple(NEVER if one is None else one for one in found)
    said = _listed(classes, ["none" if one is None else f"{one:.4f}" for one in found])
    return replace(rule, class_thresholds=thresholds), [said]


def _of_rows(rule: Rule, labelled: Labelled, classes: Sequence[str]) -> Promise:
    p = labelled.predictions.probabilities
    answers = np.where(sure(p, rule), p.argmax(axis=1), NONE)
    right = answers == labelled.targets
    found = precision(int(right.sum()), int((answers != NONE).sum()))
    each = [
        precision(int((right & (answers == k)).sum()), int((answers == k).sum()))
        for k in range(len(classes))
    ]
    note = f"expected precision {found} of {labelled.path}, if the test rows are like these"
    return _promise(rule, [note], {"precision": found.summary()}, labelled, classes, each)


def _for_cells(
    rule: Rule, wanted: Wanted, labelled: Labelled, classes: Sequence[str]
) -> tuple[Rule, list[str]]:
    if wanted.precision is None:
        return rule, []
    known, present = labelled.targets >= 0, labelled.targets == PRESENT
    p, all_p = labelled.predictions.probabilities, labelled.predictions.probabilities[known]
    if not wanted.per_class:
        upper, lower = _bounds(all_p, present[known], wanted.precision)
        if upper == NEVER:
            raise not_reached(wanted.precision, all_p, present[known])
        note = f"threshold {upper:.4f}, absent below {lower:.4f}"
        return replace(rule, threshold=upper, lower=lower), [note]
    cells = [(p[rows, k], present[rows, k]) for k, rows in enumerate(known.T)]
    uppers, lowers = zip(*(_bounds(*one, wanted.precision) for one in cells), strict=True)
    if set(uppers) == {NEVER}:
        raise not_reached(wanted.precision, all_p, present[known])
    said = _listed(
        classes,
        [
            f"{'none' if upper == NEVER else f'{upper:.4f}'} (absent below {lower:.4f})"
            for upper, lower in zip(uppers, lowers, strict=True)
        ],
    )
    return replace(rule, class_thresholds=uppers, class_lowers=lowers), [said]


def _bounds(p: Floats, present: Mask, wanted: float) -> tuple[float, float]:
    """Above and below which cells are present and absent; `NEVER` and 0 where nothing promises."""
    upper, lower = threshold_for(p, present, wanted), threshold_for(1 - p, ~present, wanted)
    above = NEVER if upper is None else upper
    return above, 0.0 if lower is None else min(1 - lower, above)


def _of_cells(rule: Rule, labelled: Labelled, classes: Sequence[str]) -> Promise:
    """Of cells that are answered and known: present ones and absent ones by themselves."""
    answers = sure_cells(labelled.predictions.probabilities, rule)
    answers = np.where(labelled.targets >= 0, answers, UNKNOWN)
    right, notes, figures = answers == labelled.targets, [], {}
    for answer, word in ((PRESENT, "present"), (ABSENT, "absent")):
        kept = answers == answer
        found = precision(int((kept & right).sum()), int(kept.sum()))
        notes.append(f"expected precision of {word} cells {found} of {labelled.path}")
        figures[word] = found.summary()
    kept = answers == PRESENT
    counts = zip((kept & right).sum(axis=0).tolist(), kept.sum(axis=0).tolist(), strict=True)
    return _promise(rule, notes, figures, labelled, classes, [precision(*one) for one in counts])


def _promise(
    rule: Rule,
    notes: list[str],
    figures: Mapping[str, object],
    labelled: Labelled,
    classes: Sequence[str],
    by_class: Sequence[Precision],
) -> Promise:
    each = {name: one.summary() for name, one in zip(classes, by_class, strict=True)}
    expected = {**figures, "by_class": each, "out_of_fold": str(labelled.path)}
    return Promise(rule, notes, expected, tuple(by_class))


def _listed(classes: Sequence[str], values: Sequence[str]) -> str:
    return "thresholds: " + ", ".join(
        f"{name} {value}" for name, value in zip(classes, values, strict=True)
    )
