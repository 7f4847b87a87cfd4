"""How right the pseudo-labels of a rule will be, and rules that promise a wanted precision."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from comptool.classes import against
from comptool.competition import Competition
from comptool.decisions.expected_precision import (
    not_reached,
    precision,
    threshold_by_class,
    threshold_for,
)
from comptool.decisions.own_evidence import own_evidence
from comptool.decisions.pseudocells import sure_cells
from comptool.decisions.pseudolabel import Rule, sure
from comptool.errors import ComptoolError, InputError, UsageError
from comptool.evaluation.out_of_fold import Labelled
from comptool.label_matrix import ABSENT, PRESENT

# Above every probability: no row of the class is kept.
NEVER = 1.0


@dataclass(frozen=True)
class Wanted:
    """What out-of-fold rows are asked for.

    Parameters
    ----------
    precision
        The least precision that thresholds are to promise, 0 to 1, or None to report alone.
    per_class
        Whether each class has a threshold of its own.
    oof
        Run or out-of-fold file; None for the run that made the predictions.
    """

    precision: float | None = None
    per_class: bool = False
    oof: str | None = None

    def check(self, rule: Rule) -> None:
        """Refuse what contradicts the rule.

        Raises
        ------
        UsageError
            If something does.
        """
        if self.per_class and self.precision is None:
            raise UsageError("--per-class chooses thresholds for a --precision, and there is none")
        if self.precision is None:
            return
        if rule.threshold is not None or rule.quantile is not None or rule.lower is not None:
            raise UsageError(
                "--precision chooses the threshold; --threshold, --quantile and --lower give one"
            )


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
    """

    rule: Rule
    notes: list[str] = field(default_factory=list)
    expected: dict[str, object] = field(default_factory=dict)


def promise(
    rule: Rule,
    wanted: Wanted,
    classes: Sequence[str],
    facts: Mapping[str, Any],
    competition: Competition,
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
    if not needed and not runs:
        return Promise(rule)
    try:
        labelled = own_evidence(wanted.oof, facts, competition)
        _check_classes(labelled, classes)
    except ComptoolError as error:
        if needed:
            raise
        return Promise(rule, [f"no out-of-fold rows say how many will be right: {error}"])
    told = [labelled.note] if labelled.note else []
    if competition.task == "multilabel":
        chosen = _for_cells(rule, wanted, labelled)
        cells = _of_cells(chosen, labelled)
        return Promise(chosen, [*told, *cells.notes], cells.expected)
    chosen, notes = _for_rows(rule, wanted, labelled, classes)
    found = _of_rows(chosen, labelled)
    return Promise(chosen, [*told, *notes, *found.notes], found.expected)


def _check_classes(labelled: Labelled, classes: Sequence[str]) -> None:
    if labelled.predictions.classes != tuple(classes):
        raise InputError(
            "its classes are not those of the predictions: "
            f"{against(labelled.predictions.classes, classes)}",
            file=labelled.path,
        )


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
    pairs = zip(classes, found, strict=True)
    said = ", ".join(f"{name} {'none' if one is None else f'{one:.4f}'}" for name, one in pairs)
    return replace(rule, class_thresholds=thresholds), [f"thresholds: {said}"]


def _of_rows(rule: Rule, labelled: Labelled) -> Promise:
    p = labelled.predictions.probabilities
    kept = sure(p, rule)
    right = (p.argmax(axis=1) == labelled.targets) & kept
    found = precision(int(right.sum()), int(kept.sum()))
    note = f"expected precision {found} of {labelled.path}, if the test rows are like these"
    return Promise(rule, [note], {"precision": found.summary(), **_source(labelled.path)})


def _for_cells(rule: Rule, wanted: Wanted, labelled: Labelled) -> Rule:
    if wanted.precision is None:
        return rule
    if wanted.per_class:
        raise UsageError("--per-class is for one class per image; multi-label has two thresholds")
    known = labelled.targets >= 0
    p, present = labelled.predictions.probabilities[known], labelled.targets[known] == PRESENT
    upper = threshold_for(p, present, wanted.precision)
    lower = threshold_for(1 - p, ~present, wanted.precision)
    if upper is None:
        raise not_reached(wanted.precision, p, present)
    below = 0.0 if lower is None else 1 - lower
    return replace(rule, threshold=upper, lower=min(below, upper))


def _of_cells(rule: Rule, labelled: Labelled) -> Promise:
    """Of cells that are answered and known: present ones and absent ones by themselves."""
    answers = sure_cells(labelled.predictions.probabilities, rule)
    notes, expected = [], _source(labelled.path)
    for answer, word in ((PRESENT, "present"), (ABSENT, "absent")):
        kept = (answers == answer) & (labelled.targets >= 0)
        right = np.count_nonzero(kept & (labelled.targets == answer))
        found = precision(int(right), int(np.count_nonzero(kept)))
        notes.append(f"expected precision of {word} cells {found} of {labelled.path}")
        expected[word] = found.summary()
    if rule.lower is not None:
        notes.insert(0, f"threshold {rule.threshold}, absent below {rule.lower:.4f}")
    return Promise(rule, notes, expected)


def _source(path: Path) -> dict[str, object]:
    return {"out_of_fold": str(path)}
