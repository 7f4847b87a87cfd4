"""Expected precision of pseudo-labels, and the threshold for a target precision.

Of the out-of-fold rows with a confidence above a threshold, the share of correct answers estimates
the precision of pseudo-labels above it, provided that test rows are distributed like training rows.
The interval is C. J. Clopper and E. S. Pearson's (Biometrika 26(4), 1934), which is never too
short. The threshold for a target precision is the lowest at which the lower end of the interval
reaches the target; choosing by the estimate itself would be optimistic, as many thresholds are
compared.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import betaincinv

from comptool.competition.config import Competition
from comptool.errors import ComptoolError, InputError
from comptool.io.provenance import PredictionFacts
from comptool.postprocess.oof import Labelled, own_evidence, side_by_side
from comptool.postprocess.pseudo_labels.config import PrecisionTarget, Rule
from comptool.postprocess.pseudo_labels.selection import NONE, sure, sure_cells
from comptool.tasks import Task
from comptool.tasks.labels import ABSENT, PRESENT, UNKNOWN

Floats = npt.NDArray[np.floating]
Doubles = npt.NDArray[np.float64]
Indices = npt.NDArray[np.integer]
Mask = npt.NDArray[np.bool_]

LEVEL = 0.95


@dataclass(frozen=True)
class ExpectedPrecision:
    """Share of correct answers with its 95 % interval; NaN, 0 and 1 without an answer."""

    right: int
    answered: int
    value: float
    low: float
    high: float

    def __str__(self) -> str:
        if not self.answered:
            return "not known: no out-of-fold row is as confident"
        interval = f"({self.low:.3f} to {self.high:.3f})"
        return f"{self.value:.3f} {interval} by {self.answered} out-of-fold answers"

    def brief(self) -> str:
        """Value and interval, for a table."""
        known = f"{self.value:.3f} ({self.low:.3f} to {self.high:.3f})"
        return known if self.answered else "not known"

    def summary(self) -> dict[str, object]:
        """The figures for a record; the value is None without an answer."""
        return {**asdict(self), "value": self.value if self.answered else None}


def precision(right: int, answered: int) -> ExpectedPrecision:
    """Precision from counts."""
    low, high = (float(end[0]) for end in _interval(np.array([right]), np.array([answered])))
    return ExpectedPrecision(
        right, answered, right / answered if answered else float("nan"), low, high
    )


def threshold_for(confidence: Floats, right: Mask, wanted: float) -> float | None:
    """The lowest threshold whose interval of the precision is above ``wanted``; None if none is."""
    order = np.argsort(-confidence, kind="stable")
    values, hits = confidence[order].astype(np.float64), right[order]
    # Ties are kept together: only the last row of each confidence can be the end.
    stops = np.flatnonzero(np.append(values[1:] != values[:-1], True)[: len(values)])
    low, _ = _interval(np.cumsum(hits.astype(np.int64))[stops], stops + 1)
    good = np.flatnonzero(low >= wanted)
    if not good.size:
        return None
    last = int(good[-1])
    return float(values[stops[last + 1]]) if last + 1 < len(stops) else 0.0


def threshold_by_class(
    probabilities: Floats, targets: Indices, wanted: float
) -> list[float | None]:
    """`threshold_for` among the rows predicted as each class."""
    answers, confidence = probabilities.argmax(axis=1), probabilities.max(axis=1)
    found = []
    for index in range(probabilities.shape[1]):
        rows = answers == index
        found.append(threshold_for(confidence[rows], targets[rows] == index, wanted))
    return found


def agreeing(answers: npt.NDArray[Any], members: Sequence[Floats], task: Task) -> Mask:
    """Mask of the rows (multi-label: cells) with these answers in all members."""
    same: Mask = np.all([task.answers(member) == answers for member in members], axis=0)
    return same


def not_reached(wanted: float, confidence: Floats, right: Mask) -> InputError:
    """The error for an unreachable precision; names the best that can be reached."""
    if not len(right):
        return InputError("there is no out-of-fold row to estimate the precision from")
    order = np.argsort(-confidence, kind="stable")
    low, _ = _interval(np.cumsum(right[order].astype(np.int64)), np.arange(1, len(right) + 1))
    best = int(low.argmax())
    return InputError(
        f"no threshold reaches a precision of {wanted}: the best is "
        f"{precision(int(right[order[: best + 1]].sum()), best + 1)}",
        mend=f"Ask for at most --precision {np.floor(1000 * low[best]) / 1000:.3f}",
    )


def _interval(right: Indices, answered: Indices) -> tuple[Doubles, Doubles]:
    tail = (1 - LEVEL) / 2
    wrong = answered - right
    low = betaincinv(np.maximum(right, 1), wrong + 1, tail)
    high = betaincinv(right + 1, np.maximum(wrong, 1), 1 - tail)
    return np.where(right > 0, low, 0.0), np.where(wrong > 0, high, 1.0)


# Threshold above every probability: no row of the class is kept.
NEVER = 1.0


@dataclass(frozen=True)
class PrecisionThreshold:
    """A rule with its thresholds, and their expected precision; empty without evidence."""

    rule: Rule
    notes: list[str] = field(default_factory=list)
    expected: dict[str, object] = field(default_factory=dict)
    by_class: tuple[ExpectedPrecision, ...] = ()


def promise(
    rule: Rule,
    wanted: PrecisionTarget,
    classes: Sequence[str],
    facts: PredictionFacts,
    competition: Competition,
    agree: Sequence[PredictionFacts] = (),
) -> PrecisionThreshold:
    """Choose the thresholds for the target precision, and estimate the precision of the rule.

    ``agree`` are the facts of files that have to agree; rows on which their own out-of-fold rows
    disagree are not counted.
    """
    wanted.check(rule)
    runs = facts.runs or []
    needed = wanted.precision is not None or wanted.oof is not None
    if not needed and not any(Path(run).is_dir() for run in runs):
        return PrecisionThreshold(rule)
    try:
        labelled = own_evidence(wanted.oof, facts, competition)
        labelled.check_classes(classes)
    except ComptoolError as error:
        if needed:
            raise
        return PrecisionThreshold(rule, [f"no out-of-fold rows to estimate the precision: {error}"])
    notes = [labelled.note] if labelled.note else []
    if agree:
        labelled, note = _agreed(labelled, agree, competition)
        notes.append(note)
    found: PrecisionThreshold = competition.kind.step("precision")(rule, wanted, labelled, classes)
    return replace(found, notes=[*notes, *found.notes])


def _agreed(
    labelled: Labelled, agree: Sequence[PredictionFacts], competition: Competition
) -> tuple[Labelled, str]:
    """The rows (multi-label: cells) on which the out-of-fold rows of all files agree."""
    task = competition.kind
    try:
        if not all(facts.runs for facts in agree):
            raise InputError("no run is recorded with a file of --agree")
        found = [labelled, *(own_evidence(None, facts, competition) for facts in agree)]
        first, *others = (one.probabilities for one in side_by_side(found))
    except ComptoolError as error:
        return labelled, f"the expected precision ignores the agreement: {error}"
    same = agreeing(task.answers(first), others, task)
    note = f"expected precision of {int(same.sum())} of {same.size} out-of-fold"
    if task.cells:
        unknown = np.where(same, labelled.targets, UNKNOWN)
        return replace(labelled, targets=unknown), f"{note} cells, on which the files agree"
    rows = replace(
        labelled, predictions=labelled.predictions.take(same), targets=labelled.targets[same]
    )
    return rows, f"{note} rows, on which the files agree"


def expect_of_rows(
    rule: Rule, wanted: PrecisionTarget, labelled: Labelled, classes: Sequence[str]
) -> PrecisionThreshold:
    """Thresholds for one class per image, and their expected precision."""
    rule, notes = _for_rows(rule, wanted, labelled, classes)
    p = labelled.predictions.probabilities
    answers = np.where(sure(p, rule), p.argmax(axis=1), NONE)
    right = answers == labelled.targets
    found = precision(int(right.sum()), int((answers != NONE).sum()))
    each = [
        precision(int((right & (answers == k)).sum()), int((answers == k).sum()))
        for k in range(len(classes))
    ]
    notes.append(f"expected precision {found} of {labelled.path}, if the test rows are like these")
    return _expected(rule, notes, {"precision": found.summary()}, labelled, classes, each)


def expect_of_cells(
    rule: Rule, wanted: PrecisionTarget, labelled: Labelled, classes: Sequence[str]
) -> PrecisionThreshold:
    """Thresholds for multi-label cells, and the expected precision of present and absent ones."""
    rule, notes = _for_cells(rule, wanted, labelled, classes)
    answers = sure_cells(labelled.predictions.probabilities, rule)
    answers = np.where(labelled.targets >= 0, answers, UNKNOWN)
    right, figures = answers == labelled.targets, {}
    for answer, word in ((PRESENT, "present"), (ABSENT, "absent")):
        kept = answers == answer
        found = precision(int((kept & right).sum()), int(kept.sum()))
        notes.append(f"expected precision of {word} cells {found} of {labelled.path}")
        figures[word] = found.summary()
    kept = answers == PRESENT
    counts = zip((kept & right).sum(axis=0).tolist(), kept.sum(axis=0).tolist(), strict=True)
    return _expected(rule, notes, figures, labelled, classes, [precision(*one) for one in counts])


def _for_rows(
    rule: Rule, wanted: PrecisionTarget, labelled: Labelled, classes: Sequence[str]
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
    note = _listed(classes, ["none" if one is None else f"{one:.4f}" for one in found])
    return replace(rule, class_thresholds=thresholds), [note]


def _for_cells(
    rule: Rule, wanted: PrecisionTarget, labelled: Labelled, classes: Sequence[str]
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
    texts = [
        f"{'none' if upper == NEVER else f'{upper:.4f}'} (absent below {lower:.4f})"
        for upper, lower in zip(uppers, lowers, strict=True)
    ]
    return replace(rule, class_thresholds=uppers, class_lowers=lowers), [_listed(classes, texts)]


def _bounds(p: Floats, present: Mask, wanted: float) -> tuple[float, float]:
    """Thresholds for present and absent cells; `NEVER` and 0 if the precision is not reached."""
    upper, lower = threshold_for(p, present, wanted), threshold_for(1 - p, ~present, wanted)
    above = NEVER if upper is None else upper
    return above, 0.0 if lower is None else min(1 - lower, above)


def _expected(
    rule: Rule,
    notes: list[str],
    figures: Mapping[str, object],
    labelled: Labelled,
    classes: Sequence[str],
    by_class: Sequence[ExpectedPrecision],
) -> PrecisionThreshold:
    each = {name: one.summary() for name, one in zip(classes, by_class, strict=True)}
    expected = {**figures, "by_class": each, "out_of_fold": str(labelled.path)}
    return PrecisionThreshold(rule, notes, expected, tuple(by_class))


def _listed(classes: Sequence[str], values: Sequence[str]) -> str:
    return "thresholds: " + ", ".join(
        f"{name} {value}" for name, value in zip(classes, values, strict=True)
    )
