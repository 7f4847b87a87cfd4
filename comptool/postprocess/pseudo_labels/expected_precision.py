"""Expected precision of pseudo-labels, and the threshold for a target precision.

Of the out-of-fold rows with a confidence above a threshold, the share of correct answers estimates
the precision of pseudo-labels above it, provided that test rows are distributed like training rows.
The interval is C. J. Clopper and E. S. Pearson's (Biometrika 26(4), 1934), which is never too
short at a threshold that was given.

A threshold that is searched among many would be the luckiest one. Instead the thresholds are tested
in a fixed order, from the highest down, each with an exact binomial test of "the precision is below
the target" at the whole risk, and the search ends at the first that is not rejected (fixed-sequence
testing: W. Maurer, L. A. Hothorn, W. Lehmacher 1995; for thresholds of a classifier A. N.
Angelopoulos et al., "Learn then Test", arXiv 2110.01052). The first threshold that breaks the
promise is rejected with at most that probability, so that no more is spent on the others. The order
begins where the test can succeed with some wrong rows; where, follows from the number of rows
alone. The bound is exact if rows are independent and the precision falls with the confidence, or
if the first threshold that breaks the promise is not above the beginning of the order.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import betainc, betaincinv

from comptool.competition.config import Competition
from comptool.errors import ComptoolError, InputError
from comptool.io.provenance import PredictionFacts
from comptool.postprocess.oof import Labelled, own_evidence, side_by_side
from comptool.postprocess.pseudo_labels.config import RISK, PrecisionTarget, Rule
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


def threshold_for(
    confidence: Floats, right: Mask, wanted: float, risk: float = RISK
) -> float | None:
    """The lowest threshold of a precision of ``wanted``, by a fixed sequence of tests.

    Parameters
    ----------
    confidence, right
        Confidence of N rows, and whether their answers are correct, (N,).
    wanted
        Target precision, 0 to 1.
    risk
        Upper bound of the probability that the precision above the threshold is lower, 0 to 1.

    Returns
    -------
    The threshold, which rows have to exceed; 0 if all rows are kept; None if no threshold passes.
    """
    first = first_test(len(confidence), wanted, risk)
    if first is None:
        return None
    order = np.argsort(-confidence, kind="stable")
    values, hits = confidence[order].astype(np.float64), right[order]
    # Ties are kept together: only the last row of each confidence can be the end.
    stops = np.flatnonzero(np.append(values[1:] != values[:-1], True))
    tested = stops[stops + 1 >= first]
    passed = _passes(np.cumsum(hits.astype(np.int64))[tested], tested + 1, wanted, risk)
    number = len(passed) if passed.all() else int(passed.argmin())
    if not number:
        return None
    last = int(tested[number - 1])
    return float(values[last + 1]) if last + 1 < len(values) else 0.0


def first_test(rows: int, wanted: float, risk: float = RISK) -> int | None:
    """Number of most confident rows at which the tests begin; None if there are too few rows.

    A test with so many wrong rows succeeds that it needs a tenth of the rows, at least with one,
    or with none if there are too few rows for that. A longer beginning loses strict thresholds, a
    shorter one ends the whole search at one wrong row.
    """
    numbers = np.arange(1, rows + 1)
    tenth = rows // 10
    wrong = (
        int(_passes(np.arange(tenth, -1, -1), np.full(tenth + 1, tenth), wanted, risk).sum()) - 1
    )
    for allowed in range(max(wrong, 1), -1, -1):
        passed = _passes(np.maximum(numbers - allowed, 0), numbers, wanted, risk)
        if passed.any():
            return int(passed.argmax()) + 1
    return None


def threshold_by_class(
    probabilities: Floats, targets: Indices, wanted: float, risk: float = RISK
) -> list[float | None]:
    """`threshold_for` among the rows predicted as each class; the risk is that of each class."""
    answers, confidence = probabilities.argmax(axis=1), probabilities.max(axis=1)
    found = []
    for index in range(probabilities.shape[1]):
        rows = answers == index
        found.append(threshold_for(confidence[rows], targets[rows] == index, wanted, risk))
    return found


def agreeing(answers: npt.NDArray[Any], members: Sequence[Floats], task: Task) -> Mask:
    """Mask of the rows (multi-label: cells) with these answers in all members."""
    same: Mask = np.all([task.answers(member) == answers for member in members], axis=0)
    return same


def not_reached(wanted: float, confidence: Floats, right: Mask, risk: float = RISK) -> InputError:
    """The error for an unreachable precision; names the best that can be reached."""
    if not len(right):
        return InputError("there is no out-of-fold row to estimate the precision from")
    low, high = 0, math.ceil(1000 * wanted)  # thousandths: reached, and not
    while high - low > 1:
        middle = (low + high) // 2
        if threshold_for(confidence, right, middle / 1000, risk) is None:
            high = middle
        else:
            low = middle
    reason = f"no threshold reaches a precision of {wanted} at a risk of {risk}"
    if not low:
        return InputError(f"{reason}, nor any other precision: too few rows are right")
    best = threshold_for(confidence, right, low / 1000, risk) or 0.0
    kept = confidence > best
    return InputError(
        f"{reason}: the best is {precision(int(right[kept].sum()), int(kept.sum()))}",
        mend=f"Ask for at most --precision {low / 1000:.3f}",
    )


def _passes(right: Indices, answered: Indices, wanted: float, risk: float) -> Mask:
    """Whether so many right answers are likelier than ``risk`` at no precision below ``wanted``."""
    wrong = answered - right
    tail = np.where(right > 0, betainc(np.maximum(right, 1), wrong + 1, wanted), 1.0)
    passed: Mask = tail <= risk
    return passed


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
    known = facts.out_of_fold is not None or any(Path(run).is_dir() for run in runs)
    if not needed and not known:
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
        if not all(facts.traced for facts in agree):
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
    figures = {"precision": found.summary()}
    return _expected(rule, wanted, notes, figures, labelled, classes, each)


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
    each = [precision(*one) for one in counts]
    return _expected(rule, wanted, notes, figures, labelled, classes, each)


def _for_rows(
    rule: Rule, wanted: PrecisionTarget, labelled: Labelled, classes: Sequence[str]
) -> tuple[Rule, list[str]]:
    if wanted.precision is None:
        return rule, []
    target, risk = wanted.precision, wanted.risk_of_search
    p = labelled.predictions.probabilities
    confidence, right = p.max(axis=1), p.argmax(axis=1) == labelled.targets
    if not wanted.per_class:
        threshold = threshold_for(confidence, right, target, risk)
        if threshold is None:
            raise not_reached(target, confidence, right, risk)
        note = f"threshold {threshold:.4f}{_promise(wanted)}"
        return replace(rule, threshold=threshold), [note]
    found = threshold_by_class(p, labelled.targets, target, risk)
    if all(one is None for one in found):
        raise not_reached(target, confidence, right, risk)
    thresholds = tuple(NEVER if one is None else one for one in found)
    texts = ["none" if one is None else f"{one:.4f}" for one in found]
    note = _listed(classes, texts) + _promise(wanted)
    return replace(rule, class_thresholds=thresholds), [note]


def _for_cells(
    rule: Rule, wanted: PrecisionTarget, labelled: Labelled, classes: Sequence[str]
) -> tuple[Rule, list[str]]:
    if wanted.precision is None:
        return rule, []
    target, risk = wanted.precision, wanted.risk_of_search
    known, present = labelled.targets >= 0, labelled.targets == PRESENT
    p, all_p = labelled.predictions.probabilities, labelled.predictions.probabilities[known]
    if not wanted.per_class:
        upper, lower = _bounds(all_p, present[known], target, risk)
        if upper == NEVER:
            raise not_reached(target, all_p, present[known], risk)
        note = f"threshold {upper:.4f}, absent below {lower:.4f}{_promise(wanted)}"
        return replace(rule, threshold=upper, lower=lower), [note]
    cells = [(p[rows, k], present[rows, k]) for k, rows in enumerate(known.T)]
    uppers, lowers = zip(*(_bounds(*one, target, risk) for one in cells), strict=True)
    if set(uppers) == {NEVER}:
        raise not_reached(target, all_p, present[known], risk)
    texts = [
        f"{'none' if upper == NEVER else f'{upper:.4f}'} (absent below {lower:.4f})"
        for upper, lower in zip(uppers, lowers, strict=True)
    ]
    note = _listed(classes, texts) + _promise(wanted)
    return replace(rule, class_thresholds=uppers, class_lowers=lowers), [note]


def _promise(wanted: PrecisionTarget) -> str:
    """What the tests of the thresholds promise."""
    sure, each = f"{100 * (1 - wanted.risk_of_search):g} % confidence", ""
    if wanted.per_class:
        each = " for each class by itself"
    return f" (a precision of at least {wanted.precision:g} with {sure}{each})"


def _bounds(p: Floats, present: Mask, wanted: float, risk: float) -> tuple[float, float]:
    """Thresholds for present and absent cells; `NEVER` and 0 if the precision is not reached."""
    upper = threshold_for(p, present, wanted, risk)
    lower = threshold_for(1 - p, ~present, wanted, risk)
    above = NEVER if upper is None else upper
    return above, 0.0 if lower is None else min(1 - lower, above)


def _expected(
    rule: Rule,
    wanted: PrecisionTarget,
    notes: list[str],
    figures: Mapping[str, object],
    labelled: Labelled,
    classes: Sequence[str],
    by_class: Sequence[ExpectedPrecision],
) -> PrecisionThreshold:
    each = {name: one.summary() for name, one in zip(classes, by_class, strict=True)}
    expected = {**figures, "by_class": each, "out_of_fold": str(labelled.path)}
    if wanted.precision is not None:
        risk = wanted.risk_of_search
        expected["promise"] = {"precision": wanted.precision, "risk": risk}
    return PrecisionThreshold(rule, notes, expected, tuple(by_class))


def _listed(classes: Sequence[str], values: Sequence[str]) -> str:
    return "thresholds: " + ", ".join(
        f"{name} {value}" for name, value in zip(classes, values, strict=True)
    )
