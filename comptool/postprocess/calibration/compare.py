"""Comparison of recalibration methods on simulated test sets.

Which recalibration would have helped: all of them on simulated test sets.

Out-of-fold rows are cut into two halves, class by class. Methods are fitted on one half; test sets
with the presumed class shares are drawn, with replacement, from the other; then the halves change
places, and all is done again with other halves. No row that a method is scored on has been fitted
to. The sizes of the classes are drawn too (multinomial), because no test set has exactly the
shares that it is presumed to have, and a method that relies on them should pay for it.

Every method meets the same test sets, so gains over doing nothing are taken set by set. Intervals
hold 95 % of the test sets: what can happen on one.

Which recalibration of several labels would have helped, on test sets drawn from held-out rows.

As :mod:`.comparing` has it: methods are fitted on one half of the out-of-fold rows and scored on
test sets drawn with replacement from the other, then the halves change places, and all is done
again with other halves. Rows are halved within those whose rarest class is the same, so that a rare
class is in both. A test set in which the metric is not defined, having no present cell, is drawn
again. All methods keep the order of the rows within each class, so that none changes a metric that
asks for nothing else: there only doing nothing is scored, and nothing is fitted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from comptool.competition.label_matrix import PRESENT
from comptool.errors import InputError, UsageError
from comptool.metrics import multiclass
from comptool.postprocess.calibration.cells import Fitted
from comptool.postprocess.calibration.context import (
    Apply,
    CalibrationContext,
    Doubles,
    Floats,
    Indices,
    LabelledRows,
    rows_to_one,
)
from comptool.postprocess.calibration.methods import METHODS
from comptool.postprocess.calibration.thresholds import Targets

NONE = "none"
SETS = 100
SPLITS = 5
INTERVAL = (2.5, 97.5)


@dataclass(frozen=True)
class Standing:
    """How one method did on the simulated test sets.

    Parameters
    ----------
    method
        Its name.
    score, low, high
        Mean of the metric over the test sets, and the interval that holds 95 % of them.
    gain, gain_low, gain_high
        The same of the gain over doing nothing, on the same set; above 0 is better whichever way
        the metric goes.
    wins
        Share of the test sets on which it is better than doing nothing, 0 to 1.
    """

    method: str
    score: float
    low: float
    high: float
    gain: float
    gain_low: float
    gain_high: float
    wins: float

    @property
    def helps(self) -> bool:
        """Whether the gain is above 0 on (nearly) all test sets."""
        return self.gain_low > 0


@dataclass(frozen=True)
class Comparison:
    """Methods compared on simulated test sets.

    Parameters
    ----------
    standings
        The best first; doing nothing is among them.
    metric
        Name of the metric.
    prior
        What the test set's class shares were presumed to be, in words.
    num_rows, num_sets
        Rows of a simulated test set, and how many there were.
    num_evidence
        Out-of-fold rows they were drawn from.
    note
        What else a reader has to know; empty or one sentence.
    """

    standings: tuple[Standing, ...]
    metric: str
    prior: str
    num_rows: int
    num_sets: int
    num_evidence: int
    note: str = ""

    def verdict(self) -> str:
        """What to do, in one sentence."""
        best = self.standings[0]
        under = f"if the test classes are {self.prior}"
        if best.method == NONE:
            return f"{under}, doing nothing is best"
        figures = f"{best.gain:+.4f} ({best.gain_low:+.4f} to {best.gain_high:+.4f})"
        if not best.helps:
            return (
                f"{under}, doing nothing is best: the gain of {best.method}, the best of the "
                f"others, is {figures} and may be none"
            )
        return f"{under}, {best.method} is best: {figures} over doing nothing"

    def text(self) -> str:
        """The table and the verdict."""
        width = max(len(one.method) for one in self.standings)
        lines = [
            f"{self.metric} on {self.num_sets} test sets of {self.num_rows} rows drawn from "
            f"{self.num_evidence} out-of-fold rows, classes {self.prior}",
            f"{'method':<{width}}  score   95 % of the sets    gain     95 % of the sets   better",
        ]
        for one in self.standings:
            gain = f"{one.gain:+.4f}  {one.gain_low:+.4f} to {one.gain_high:+.4f}  {one.wins:6.0%}"
            lines.append(
                f"{one.method:<{width}}  {one.score:.4f}  {one.low:.4f} to {one.high:.4f}  "
                f"{'' if one.method == NONE else gain}".rstrip()
            )
        return "\n".join([*lines, *filter(None, [self.note]), self.verdict()])

    def summary(self) -> dict[str, object]:
        """The comparison as one JSON object."""
        return {
            "metric": self.metric,
            "prior": self.prior,
            "test_sets": self.num_sets,
            "rows": self.num_rows,
            "out_of_fold_rows": self.num_evidence,
            "methods": [asdict(one) for one in self.standings],
            "note": self.note,
            "verdict": self.verdict(),
        }


def compare(
    known: CalibrationContext,
    methods: Sequence[str],
    *,
    num_rows: int,
    prior: str,
    num_sets: int = SETS,
    seed: int = 0,
) -> Comparison:
    """Score methods, and doing nothing, on simulated test sets.

    Parameters
    ----------
    known
        With out-of-fold rows, and the class shares that test sets are drawn with (``target``).
    methods
        Names of methods.
    num_rows
        Rows of a test set, at least 1.
    prior
        The shares in words, for the reader.
    num_sets
        How many test sets are drawn, at least 10.
    seed
        Of every random choice.

    Raises
    ------
    UsageError
        If a class that has a share has fewer than two out-of-fold rows.
    """
    evidence, shares = known.evidence, known.target
    if evidence is None or shares is None:
        raise UsageError("a comparison needs out-of-fold rows (--oof RUN) and class shares")
    _check_rows(evidence, shares)
    rng = np.random.default_rng(seed)
    names = list(dict.fromkeys([NONE, *methods]))
    values: dict[str, list[float]] = {name: [] for name in names}
    pairs = list(halves(evidence.targets, rng))
    for number, (fit, held) in enumerate(pairs):
        fitted = known.with_evidence(evidence.take(fit))
        applied = {name: METHODS.load(name)(fitted) for name in names}
        held_out = evidence.take(held)
        for _ in range(number, num_sets, len(pairs)):
            drawn = held_out.take(_drawn(held_out.targets, shares, num_rows, rng))
            for name in names:
                values[name].append(_score(known.metric, drawn, applied[name]))
    standings = ranked(values, multiclass.METRICS.find(known.metric))
    return Comparison(standings, known.metric, prior, num_rows, num_sets, len(evidence))


def _check_rows(evidence: LabelledRows, shares: Doubles) -> None:
    short = np.flatnonzero((shares > 0) & (evidence.counts() < 2))
    if short.size:
        raise UsageError(
            f"{short.size} classes have fewer than two out-of-fold rows (class numbers "
            f"{', '.join(map(str, short[:3]))}): test sets cannot be simulated from them"
        )


def halves(strata: Indices, rng: np.random.Generator) -> Iterator[tuple[Indices, Indices]]:
    """Rows to fit on and rows to draw from, ten times.

    Parameters
    ----------
    strata
        A number for each row, shape (M,); half of the rows of each number go to either side.
    rng
        Source of the lots.
    """
    for _ in range(SPLITS):
        side = np.zeros(len(strata), dtype=np.bool_)
        for index in np.unique(strata):
            rows = rng.permutation(np.flatnonzero(strata == index))
            # An odd row goes to either half.
            side[rows[: (len(rows) + int(rng.integers(2))) // 2]] = True
        yield np.flatnonzero(side), np.flatnonzero(~side)
        yield np.flatnonzero(~side), np.flatnonzero(side)


def _drawn(targets: Indices, shares: Doubles, num_rows: int, rng: np.random.Generator) -> Indices:
    sizes = rng.multinomial(num_rows, shares / shares.sum())
    return np.concatenate(
        [
            rng.choice(np.flatnonzero(targets == index), sizes[index])
            for index in np.flatnonzero(sizes)
        ]
    )


def _score(metric: str, drawn: LabelledRows, apply: Apply) -> float:
    answer = apply(rows_to_one(drawn.probabilities))
    return multiclass.score(metric, drawn.targets, answer.probabilities, pred=answer.labels)


def ranked(
    values: Mapping[str, Sequence[float]], metric: multiclass.Metric
) -> tuple[Standing, ...]:
    """The standings, the best first; of equal gains, doing nothing comes first.

    Parameters
    ----------
    values
        The metric on every test set, by method; doing nothing is among them.
    metric
        Says which way is up.
    """
    sign = 1 if metric.greater_is_better else -1
    plain = np.array(values[NONE])
    standings = [
        _standing(name, found, sign * (np.array(found) - plain)) for name, found in values.items()
    ]
    return tuple(sorted(standings, key=lambda one: (-one.gain, one.method != NONE)))


def _standing(name: str, values: Sequence[float], gains: Doubles) -> Standing:
    low, high = np.percentile(values, INTERVAL).tolist()
    gain_low, gain_high = np.percentile(gains, INTERVAL).tolist()
    return Standing(
        method=name,
        score=float(np.mean(values)),
        low=low,
        high=high,
        gain=float(gains.mean()),
        gain_low=gain_low,
        gain_high=gain_high,
        wins=float((gains > 0).mean()),
    )


PRIOR = "as frequent as in the out-of-fold rows"
# Decided by the order of the rows within each class alone.
OF_ORDER = ("map", "auc")
# So many test sets in a row without a present cell: the rows say nothing of such small ones.
MOST_DRAWS = 1_000

Fit = Callable[[Targets, Floats], Fitted]


def compare_cells(
    targets: Targets,
    probabilities: Floats,
    methods: Mapping[str, Fit],
    metric: str,
    *,
    num_rows: int,
    num_sets: int = SETS,
    seed: int = 0,
) -> Comparison:
    """Score methods on simulated test sets.

    Parameters
    ----------
    targets
        Out-of-fold cells of shape (M, K): 1 present, 0 absent, -1 unknown.
    probabilities
        Floats of shape (M, K) in [0, 1].
    methods
        By name; doing nothing is among them.
    metric
        A name of `comptool.metrics.multiclass.MULTILABEL_METRICS`.
    num_rows, num_sets, seed
        See :func:`~comptool.postprocess.calibration.compare.compare`.

    Raises
    ------
    InputError
        If the metric is not defined on the rows, or on nearly all test sets of so few.
    """
    multiclass.score(metric, targets, probabilities)
    rng = np.random.default_rng(seed)
    tied = metric in OF_ORDER
    differing = {NONE: methods[NONE]} if tied else methods
    values: dict[str, list[float]] = {name: [] for name in differing}
    pairs = list(halves(_rarest(targets), rng))
    for number, (fit, held) in enumerate(pairs):
        moved = {
            name: method(targets[fit], probabilities[fit]).move(probabilities[held])
            for name, method in differing.items()
        }
        for _ in range(number, num_sets, len(pairs)):
            rows = _drawn_cells(targets[held], moved[NONE], num_rows, metric, rng)
            for name, now in moved.items():
                values[name].append(multiclass.score(metric, targets[held[rows]], now[rows]))
    note = ""
    if tied:
        note = f"{metric} asks for the order of the rows of each class, which all of these keep"
        values = dict.fromkeys(methods, values[NONE])
    standings = ranked(values, multiclass.MULTILABEL_METRICS.find(metric))
    return Comparison(standings, metric, PRIOR, num_rows, num_sets, len(targets), note)


def _rarest(targets: Targets) -> Indices:
    """The class of each row with the fewest present cells in all, -1 for a row without one."""
    present = targets == PRESENT
    places = np.argsort(present.sum(axis=0), kind="stable")
    first: Indices = places[present[:, places].argmax(axis=1)]
    return np.where(present.any(axis=1), first, -1)


def _drawn_cells(
    targets: Targets, plain: Doubles, num_rows: int, metric: str, rng: np.random.Generator
) -> Indices:
    """Rows of a test set on which the metric is defined."""
    for _ in range(MOST_DRAWS):
        rows = rng.integers(len(targets), size=num_rows)
        try:
            multiclass.score(metric, targets[rows], plain[rows])
        except InputError:
            continue
        return rows
    raise InputError(
        f"{metric} is not defined on test sets of {num_rows} rows drawn from the out-of-fold rows: "
        "hardly any has a present cell"
    )
