"""Comparison of recalibration methods on simulated test sets.

Out-of-fold rows are split into halves, stratified by class. Methods are fitted on one half; test
sets with the presumed class shares are drawn, with replacement, from the other; then the halves are
swapped, and everything is repeated with other halves. No method is scored on rows that it was
fitted to. Class sizes are drawn too (multinomial): a real test set never has exactly the presumed
shares, and a method that relies on them should pay for it.

All methods are scored on the same test sets, so the gain over doing nothing is computed per set.
Intervals hold 95 % of the test sets: they describe the result on a single one.

With groups (``--by``), halves and test sets are of whole groups: as many as there are in the half
are drawn with replacement, and the rows are drawn from theirs. Halves that lack a class with a
share are left out; if the groups drawn lack one, the other classes have its share. The method
context blends a row with its group as it is among the out-of-fold rows, whatever the presumed
shares.

Several labels (:func:`compare_cells`): the split is stratified by the rarest class of each row, so
that both halves have rare classes. A test set without a present cell, for which the metric is
undefined, is drawn again. All methods but context keep the order of the rows within each class, so
none changes a metric that depends on this order alone: there only doing nothing and context are
scored.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from comptool.competition.config import Competition, load
from comptool.errors import ComptoolError, InputError, UsageError, UserFunctionError
from comptool.io import provenance
from comptool.io.predictions import Predictions
from comptool.io.provenance import PredictionFacts
from comptool.metrics import Metric
from comptool.metrics.bootstrap import NORMAL
from comptool.postprocess import inputs
from comptool.postprocess.calibration.config import RISK, THRESHOLDS, CalibrationConfig
from comptool.postprocess.calibration.context import (
    EQUALLY,
    ESTIMATED,
    LIKE_TRAINING,
    TRAIN,
    UNIFORM,
    CalibrationContext,
    Doubles,
    Floats,
    Indices,
    LabelledRows,
    rows_to_one,
)
from comptool.postprocess.calibration.cost import has_costs
from comptool.postprocess.calibration.group_context import POOLS, Blend, rows_of
from comptool.postprocess.calibration.methods import CELL_METHODS, METHODS
from comptool.postprocess.calibration.multilabel_methods import AVERAGES, Targets
from comptool.postprocess.calibration.quota import has_heads
from comptool.postprocess.calibration.recalibration import (
    Fit,
    basis_of,
    check_method,
    f_score_of,
    fit_of,
    usable_metric,
)
from comptool.postprocess.inputs import class_counts
from comptool.postprocess.oof import networks_of, own_evidence
from comptool.tasks.labels import PRESENT

NONE = "none"
SETS = 100
SPLITS = 5
INTERVAL = (2.5, 97.5)
# Shares that differ by less from the presumed ones are the same.
SAME_SHARES = 0.01
# Largest simulated test set; more rows would only make the intervals shorter.
LARGEST_SET = 5_000
# Class shares of simulated test sets with several labels.
AS_HELD_OUT = "as frequent as in the out-of-fold rows"
# Attempts to draw a test set with a present cell.
MOST_DRAWS = 1_000


def compare_file(
    source: Path | None,
    settings: CalibrationConfig,
    *,
    methods: Sequence[str] | None = None,
    competition: Path | None = None,
    seed: int = 0,
) -> tuple[str, dict[str, object]]:
    """Compare the named methods, or all, for a prediction file; gives the text and the JSON object.

    The simulated test sets have as many rows as the predictions ``source``, whose run has the
    out-of-fold rows; None if ``settings`` name these. ``competition`` is a ``comptool.toml``, by
    default the one here; ``seed`` is that of the simulation.

    Raises
    ------
    UsageError, InputError
        If there are no out-of-fold rows, or models may have been trained on them.
    """
    settings.check_compare(methods)
    about = load(competition)
    facts = PredictionFacts() if source is None else provenance.facts(source, PredictionFacts)
    if about.kind.cells:
        settings.check_cells()
        predictions = None if source is None else inputs.read_cells(source, facts, about.kind)
        comparisons = [
            compared_cells(predictions, facts, settings, about, methods=methods, seed=seed)
        ]
    else:
        for name in methods or (NONE,):
            check_method(name, about.kind)
        settings.check_single()
        own = None if source is None else inputs.read_multiclass(source, facts)
        comparisons = compared(
            source, own, facts, settings, competition, methods=methods, seed=seed
        )
    text = "\n\n".join(one.text() for one in comparisons)
    return text, {"comparisons": [one.summary() for one in comparisons]}


@dataclass(frozen=True)
class Standing:
    """Result of one method on the simulated test sets.

    ``low``, ``high``, ``gain_low`` and ``gain_high`` hold 95 % of the test sets: they describe one
    set. ``expected_low`` and ``expected_high`` are the interval of 95 % of the expected gain, which
    only has the uncertainty of the out-of-fold rows, and ``risk``, 0 to 1, is the chance that the
    expected gain is below 0.
    """

    method: str
    score: float
    low: float
    high: float
    gain: float  # over doing nothing; above 0 is better, whatever the metric
    gain_low: float
    gain_high: float
    wins: float  # share of the test sets with a gain, 0 to 1
    expected_low: float = 0.0
    expected_high: float = 0.0
    risk: float = 0.0
    instead: float | None = None  # the gain if the test set has the other shares; None: unknown


@dataclass(frozen=True)
class Comparison:
    """Methods compared on simulated test sets."""

    standings: tuple[Standing, ...]  # best first, including doing nothing
    metric: str
    prior: str  # presumed class shares, in words
    num_rows: int  # of a simulated test set
    num_sets: int
    num_evidence: int
    note: str = ""
    risk: float = RISK  # of harm that is accepted
    other: str = ""  # the shares of `Standing.instead` in words; empty without them
    # Gain of each method on each test set, and what their errors follow from.
    gains: Mapping[str, Doubles] = field(default_factory=dict, repr=False, compare=False)
    noise: Noise | None = field(default=None, repr=False, compare=False)

    def choice(self, risk: float | None = None) -> Standing:
        """The method to take, or doing nothing.

        Of the methods with an expected gain whose risk is accepted, the one with the greatest; of
        those that are level with it, within one standard error of the difference, the one with the
        greatest sum of its gains under the presumed and the other shares: it gives up less than it
        saves if the presumed shares are wrong.
        """
        accepted = self.risk if risk is None else risk
        nothing = next(one for one in self.standings if one.method == NONE)
        sound = self._sound(accepted)
        if not sound:
            return nothing
        if self.noise is None or sound[0].instead is None:
            return sound[0]
        best = self.gains[sound[0].method]
        level = [
            one
            for one in sound
            if sound[0].gain - one.gain <= self.noise.error(best - self.gains[one.method])
        ]
        return max(level, key=lambda one: one.gain + (one.instead or 0))

    def _sound(self, risk: float) -> list[Standing]:
        """The methods with an expected gain whose risk is accepted, best first."""
        return [one for one in self.standings if one.gain > 0 and one.risk <= risk]

    def verdict(self) -> str:
        """The recommendation, one sentence."""
        best, chosen = self.standings[0], self.choice()
        under = f"if the test classes are {self.prior}"
        if best.method == NONE:
            return f"{under}, doing nothing is best"
        if chosen.method == NONE:
            return (
                f"{under}, doing nothing is best: the expected gain of {best.method}, the best of "
                f"the others, is {_expected(best)}, with a risk of harm of {best.risk:.0%}, more "
                f"than --risk ({self.risk:.0%})"
            )
        text = (
            f"{under}, {chosen.method} is best: the expected gain over doing nothing is "
            f"{_expected(chosen)}, with a risk of harm of {chosen.risk:.0%}"
        )
        if best.risk > self.risk:
            text += (
                f"; {best.method} has a greater expected gain ({best.gain:+.4f}), but a risk of "
                f"harm of {best.risk:.0%}"
            )
        level = self._sound(self.risk)[0]
        if chosen is not level and level.instead is not None and chosen.instead is not None:
            text += (
                f"; {level.method} is level ({level.gain:+.4f}) and costs more if the shares are "
                f"{self.other} ({level.instead:+.4f} against {chosen.instead:+.4f})"
            )
        return text

    def warning(self) -> str:
        """What the recommended method loses if the presumed shares are wrong, or nothing."""
        chosen = self.choice()
        if chosen.instead is None or chosen.instead >= 0:
            return ""
        return (
            f"if the test classes are {self.other} instead, {chosen.method} loses "
            f"{-chosen.instead:.4f} against doing nothing"
        )

    def text(self) -> str:
        """The table, the verdict and a warning."""
        width = max(len(one.method) for one in self.standings)
        title = f"if {self.other} instead"
        lines = [
            f"{self.metric} on {self.num_sets} test sets of {self.num_rows} rows drawn from "
            f"{self.num_evidence} out-of-fold rows, classes {self.prior}",
            f"{'method':<{width}}  score   expected gain (95 %)          risk  "
            f"gain in 95 % of the sets  better{f'  {title}' if self.other else ''}",
        ]
        for one in self.standings:
            gain = (
                f"{_expected(one)}  {one.risk:5.0%}  "
                f"{f'{one.gain_low:+.4f} to {one.gain_high:+.4f}':<24}  {one.wins:6.0%}"
            )
            if one.instead is not None:
                gain += f"  {one.instead:+.4f}"
            shown = "" if one.method == NONE else gain
            lines.append(f"{one.method:<{width}}  {one.score:.4f}  {shown}".rstrip())
        warnings = [f"warning: {text}" for text in [self.warning()] if text]
        return "\n".join([*lines, *filter(None, [self.note]), self.verdict(), *warnings])

    def summary(self) -> dict[str, object]:
        """The comparison as one JSON object."""
        return {
            "metric": self.metric,
            "prior": self.prior,
            "test_sets": self.num_sets,
            "rows": self.num_rows,
            "out_of_fold_rows": self.num_evidence,
            "accepted_risk": self.risk,
            "other": self.other,
            "methods": [asdict(one) for one in self.standings],
            "note": self.note,
            "choice": self.choice().method,
            "verdict": self.verdict(),
            "warning": self.warning(),
        }


def _expected(one: Standing) -> str:
    return f"{one.gain:+.4f} ({one.expected_low:+.4f} to {one.expected_high:+.4f})"


@dataclass(frozen=True)
class Noise:
    """The standard error of a mean over the test sets, for the rows that they were drawn from.

    There are two estimates, and the greater one counts. One is that of half-samples: the means of
    the sets of the two halves of a split differ by twice the error of the mean of all rows (P. J.
    McCarthy, "Pseudo-replication: half samples", Review of the International Statistical Institute
    37, 1969), apart from the noise of the draws. The other one is the variance within the sets of a
    half times ``ratio``: that of one row in a set to that of the rows it is drawn from.
    """

    pairs: Indices  # number of the pair of halves of each test set, (S,); 2 k + 1 swaps 2 k
    ratio: float

    def error(self, values: Doubles) -> float:
        """The standard error of the mean of these values, one of each test set."""
        names, numbers, counts = np.unique(self.pairs, return_inverse=True, return_counts=True)
        means = np.bincount(numbers, values) / counts
        freedom = max(len(values) - len(names), 1)
        within = float(((values - means[numbers]) ** 2).sum()) / freedom
        if len(values) == len(names):
            within = float(values.var())
        place = {int(name): index for index, name in enumerate(names)}
        both = [(place[n], place[n + 1]) for n in place if n % 2 == 0 and n + 1 in place]
        between = 0.0
        if both:
            gaps = [
                (means[a] - means[b]) ** 2 - within / counts[a] - within / counts[b]
                for a, b in both
            ]
            between = float(np.mean(gaps)) / 4
        return float(np.sqrt(max(between, within * self.ratio, 0.0) + within / len(values)))


def halves(
    strata: Indices, rng: np.random.Generator, groups: Indices | None = None
) -> Iterator[tuple[Indices, Indices]]:
    """Ten pairs of row indices, to fit on and to draw from, stratified by ``strata``.

    ``groups`` stay whole; the stratum of a group is the most frequent one of its rows.
    """
    if groups is not None:
        names, numbers = np.unique(groups, return_inverse=True)
        kinds, places = np.unique(strata, return_inverse=True)
        counts = np.zeros((len(names), len(kinds)), np.int64)
        np.add.at(counts, (numbers, places), 1)
        for one, other in halves(counts.argmax(axis=1), rng):
            if len(one) and len(other):
                yield np.flatnonzero(np.isin(numbers, one)), np.flatnonzero(np.isin(numbers, other))
        return
    for _ in range(SPLITS):
        side = np.zeros(len(strata), dtype=np.bool_)
        for index in np.unique(strata):
            rows = rng.permutation(np.flatnonzero(strata == index))
            # The half of an odd row is random.
            side[rows[: (len(rows) + int(rng.integers(2))) // 2]] = True
        yield np.flatnonzero(side), np.flatnonzero(~side)
        yield np.flatnonzero(~side), np.flatnonzero(side)


def ranked(
    values: Mapping[str, Sequence[float]],
    metric: Metric,
    noise: Noise,
    others: Mapping[str, Sequence[float]] | None = None,
) -> tuple[tuple[Standing, ...], dict[str, Doubles]]:
    """Standings by the metric on each test set, best first, and the gains on each set.

    Doing nothing wins ties. ``others`` are the values on sets of the other shares.
    """
    gains = _gains(values, metric)
    instead = _gains(others, metric) if others else {}
    standings = [
        _standing(name, found, gains[name], noise, instead.get(name))
        for name, found in values.items()
    ]
    return tuple(sorted(standings, key=lambda one: (-one.gain, one.method != NONE))), gains


def _gains(values: Mapping[str, Sequence[float]], metric: Metric) -> dict[str, Doubles]:
    plain = np.array(values[NONE])
    return {name: metric.sign * (np.array(found) - plain) for name, found in values.items()}


def _standing(
    name: str, values: Sequence[float], gains: Doubles, noise: Noise, instead: Doubles | None
) -> Standing:
    low, high = np.percentile(values, INTERVAL).tolist()
    gain_low, gain_high = np.percentile(gains, INTERVAL).tolist()
    gain, error = float(gains.mean()), noise.error(gains)
    return Standing(
        method=name,
        score=float(np.mean(values)),
        low=low,
        high=high,
        gain=gain,
        gain_low=gain_low,
        gain_high=gain_high,
        wins=float((gains > 0).mean()),
        expected_low=gain - NORMAL * error,
        expected_high=gain + NORMAL * error,
        risk=_below(gain / error) if error > 0 else float(gain < 0),
        instead=None if instead is None else float(instead.mean()),
    )


def _below(z: float) -> float:
    """The chance that a normal value with the mean ``z`` and deviation 1 is below 0."""
    return math.erfc(z / math.sqrt(2)) / 2


def compared(
    source: Path | None,
    predictions: Predictions | None,
    facts: PredictionFacts,
    settings: CalibrationConfig,
    competition: Path | None,
    *,
    methods: Sequence[str] | None = None,
    seed: int = 0,
    priors: Sequence[str] | None = None,
) -> list[Comparison]:
    """Compare the methods for one class per image.

    Without a target prior, those of ``priors`` are presumed in turn; by default uniform shares and,
    if known, the training shares and those estimated from the predictions.
    """
    about = load(competition)
    labelled = own_evidence(settings.oof, facts, about)
    if predictions is not None:
        labelled.check_classes(predictions.classes)
    classes, source = labelled.predictions.classes, source or labelled.path
    rows = None if settings.by is None else rows_of(settings.by, about, labelled)
    metric = usable_metric(about, classes)
    if not facts.runs:
        facts = replace(facts, runs=[str(folder) for folder in networks_of(labelled.path)])
    usual = [UNIFORM, TRAIN] if class_counts(facts) else [UNIFORM]
    if priors is None:
        priors = [*usual, ESTIMATED] if predictions is not None else usual
    priors = [settings.target_prior] if settings.target_prior else priors
    found = []
    for prior in priors:
        basis = basis_of(
            source,
            classes,
            facts,
            prior,
            labelled,
            metric,
            competition=competition,
            predictions=predictions,
            seed=seed,
        )
        quotas = has_heads(basis.context, settings.top_k_head, settings.head_classes)
        usable = [
            m.name
            for m in METHODS
            if (quotas or "head_classes" not in m.takes)
            and (about.kind.ordered or not m.ordered)
            and (not m.costs or settings.cost or settings.tree or has_costs(metric))
            and (not m.grouped or settings.by is not None)
        ]
        context = basis.context
        if rows is not None and context.evidence is not None:
            context = replace(context, evidence=replace(context.evidence, groups=rows))
        options: dict[str, dict[str, Any]] = {}
        for name in methods or usable:
            entry = METHODS.find(name)
            lines: dict[str, dict[str, str]] = {name: {}}
            if entry.grouped:
                lines = by_pool(name, settings)
            if entry.estimates:
                lines[f"{name} {ESTIMATED}"] = {}
            options |= {line: settings.options_of(entry) | more for line, more in lines.items()}
        num_rows = len(labelled if predictions is None else predictions)
        one = compare(
            context,
            options,
            num_rows=min(num_rows, LARGEST_SET),
            prior=basis.prior,
            seed=seed,
            risk=RISK if settings.risk is None else settings.risk,
            other=_other_shares(context, prior, bool(class_counts(facts))),
            replicates=() if basis.estimate is None else basis.estimate.replicates,
        )
        if basis.estimate is not None:
            estimated = basis.estimate.note(classes, labelled_shares(context))
            one = replace(one, note="; ".join(filter(None, [estimated, one.note])))
        found.append(one)
    return found


def labelled_shares(context: CalibrationContext) -> Doubles:
    """The class shares of the out-of-fold rows."""
    assert context.evidence is not None
    return context.evidence.shares()


def _other_shares(
    context: CalibrationContext, prior: str, counted: bool
) -> tuple[Doubles, str] | None:
    """Shares that a presumption may be wrong for: those of training, and for these equal ones.

    None if they are the presumed ones, not known, or of classes without out-of-fold rows.
    """
    if context.target is None or context.evidence is None:
        return None
    num_classes = len(context.target)
    if prior == TRAIN:
        shares, words = np.full(num_classes, 1 / num_classes), EQUALLY
    elif counted:
        shares, words = context.counts("").shares(), LIKE_TRAINING
    else:
        return None
    near = float(np.abs(shares - context.target).max()) < SAME_SHARES
    short = ((shares > 0) & (context.evidence.counts() < 2)).any()
    return None if near or short else (shares, words)


def supported(
    source: Path,
    predictions: Predictions,
    facts: PredictionFacts,
    settings: CalibrationConfig,
    competition: Path | None,
    *,
    seed: int = 0,
) -> str:
    """One line on whether the method helps on a test set like this; raises nothing."""
    if not settings.oof and not facts.traced:
        return "no run is recorded with these predictions: --oof RUN estimates whether this helps"
    try:
        comparisons = compared(
            source,
            predictions,
            facts,
            settings,
            competition,
            methods=[settings.method],
            seed=seed,
            priors=[UNIFORM, TRAIN] if class_counts(facts) else [UNIFORM],
        )
    except ComptoolError as error:
        return f"no out-of-fold rows to estimate whether this helps: {error}"
    parts = []
    for one in comparisons:
        it = next(standing for standing in one.standings if standing.method != NONE)
        effect = "helps" if it.gain_low > 0 else "hurts" if it.gain_high < 0 else "may help or hurt"
        gain = f"{it.gain:+.4f}, {it.gain_low:+.4f} to {it.gain_high:+.4f}"
        parts.append(f"{effect} if the test classes are {one.prior} ({gain} {one.metric})")
    rows = comparisons[0].num_evidence
    return f"by {rows} out-of-fold rows, {settings.method} {'; '.join(parts)}"


def compare(
    context: CalibrationContext,
    methods: Mapping[str, Mapping[str, Any]] | Sequence[str],
    *,
    num_rows: int,
    prior: str,
    num_sets: int = SETS,
    seed: int = 0,
    risk: float = RISK,
    other: tuple[Doubles, str] | None = None,
    replicates: Sequence[Doubles] = (),
) -> Comparison:
    """Score methods, and doing nothing, on test sets drawn with the shares ``context.target``.

    Parameters
    ----------
    context
        With evidence and target shares.
    methods
        Options of each line of the table: a method, perhaps with a word after it.
    num_rows
        Rows of a test set.
    prior
        The target shares in words.
    num_sets, seed
        Of the simulation.
    risk
        Of harm that the choice accepts, 0 to 1.
    other
        Shares (K,), in words, that the test sets may have instead; the methods still presume the
        target.
    replicates
        Shares (K,) that test sets are drawn with in turn; empty: always the target.

    Raises
    ------
    UsageError
        Without evidence or target shares, or for a class that cannot be drawn.
    InputError
        If all rows of a class are in one group.
    """
    evidence, shares = context.evidence, context.target
    if evidence is None or shares is None:
        raise UsageError("a comparison needs out-of-fold rows (--oof RUN) and class shares")
    short = np.flatnonzero((shares > 0) & (evidence.counts() < 2))
    if short.size:
        raise UsageError(
            f"{short.size} classes have fewer than two out-of-fold rows (class numbers "
            f"{', '.join(map(str, short[:3]))}): test sets cannot be simulated from them"
        )
    # The sets of other shares have their own numbers, so that those of the target stay.
    rng, rng_other = np.random.default_rng(seed), np.random.default_rng([seed, 1])
    given = methods if isinstance(methods, Mapping) else {name: {} for name in methods}
    options: dict[str, Mapping[str, Any]] = {NONE: {}, **given}
    values: dict[str, list[float]] = {name: [] for name in options}
    others: dict[str, list[float]] = {name: [] for name in options}
    pairs = whole_pairs(halves(evidence.targets, rng, evidence.groups))
    num_pairs = len(pairs)
    # The shares of all test sets, none of a class that is in no set.
    possible = np.max([shares, *replicates, *([other[0]] if other else [])], axis=0) > 0
    if evidence.groups is not None:
        pairs = _with_classes(pairs, evidence, possible, context.names(len(shares)))
    notes, num_changed = [], 0
    if left := num_pairs - len(pairs):
        notes.append(f"{left} of {num_pairs} halves are not used: all rows of a class are in one")
    numbers = []
    for number, (fit, held) in enumerate(pairs):
        held_out = evidence.take(held)
        fitted = replace(context, evidence=evidence.take(fit), groups=held_out.groups)
        applied = {
            name: METHODS.load(method_of(name))(
                replace(fitted, target=None) if estimates(name) else fitted, **given
            )
            for name, given in options.items()
        }
        every = rows_to_one(held_out.probabilities)
        whole = {name: apply(every) for name, apply in applied.items() if of_groups(name)}
        for place in range(number, num_sets, len(pairs)):
            numbers.append(number)
            now = replicates[place % len(replicates)] if len(replicates) else shares
            drawn = [(values, now, rng)]
            # Half of the sets are enough for a mean.
            if other is not None and (place // len(pairs)) % 2 == 0:
                drawn.append((others, other[0], rng_other))
            for table, own, numbers_of in drawn:
                rows, changed = _drawn_rows(
                    held_out.targets, own, num_rows, numbers_of, held_out.groups
                )
                num_changed += changed and table is values
                for name, apply in applied.items():
                    if name in whole:
                        p, labels = whole[name].probabilities[rows], whole[name].labels[rows]
                    else:
                        answer = apply(every[rows])
                        p, labels = answer.probabilities, answer.labels
                    table[name].append(context.metric.score(held_out.targets[rows], p, pred=labels))
    known = shares > 0
    ratio = float(num_rows * (shares[known] ** 2 / evidence.counts()[known]).sum())
    noise = Noise(np.array(numbers), ratio)
    standings, gains = ranked(values, context.metric, noise, others if other else None)
    if num_changed:
        notes.append(
            f"{num_changed} of {num_sets} test sets are of groups that lack a class: the other "
            "classes have its share"
        )
    return Comparison(
        standings,
        context.metric.name,
        prior,
        num_rows,
        num_sets,
        len(evidence),
        "; ".join(notes),
        risk=risk,
        other=other[1] if other else "",
        gains=gains,
        noise=noise,
    )


def whole_pairs(pairs: Iterator[tuple[Indices, Indices]]) -> list[tuple[Indices, Indices]]:
    """The halves as a list; an InputError if there are none, as with a single group."""
    found = list(pairs)
    if not found:
        raise InputError("all out-of-fold rows are in one group: there are no halves of them")
    return found


def _with_classes(
    pairs: Sequence[tuple[Indices, Indices]],
    evidence: LabelledRows,
    possible: npt.NDArray[np.bool_],
    names: Sequence[str],
) -> list[tuple[Indices, Indices]]:
    """The pairs whose halves both have all possible classes; an InputError if there are none."""
    assert evidence.groups is not None
    found = [
        (fit, held)
        for fit, held in pairs
        if all((evidence.take(half).counts() > 0)[possible].all() for half in (fit, held))
    ]
    if found:
        return found
    single = [
        name
        for index, name in enumerate(names)
        if possible[index] and len(np.unique(evidence.groups[evidence.targets == index])) < 2
    ]
    if single:
        raise InputError(
            "all out-of-fold rows of a class are in one group: there are no halves with the class",
            values=single,
        )
    raise InputError("classes are in too few groups: no halves of the groups have all classes")


def method_of(label: str) -> str:
    """The method of a line of the table, which may name an option after it."""
    return label.partition(" ")[0]


def estimates(label: str) -> bool:
    """Whether the method of a line estimates the shares instead of presuming them."""
    return label.endswith(f" {ESTIMATED}")


def of_groups(label: str) -> bool:
    """Whether the method of a line blends groups."""
    return method_of(label) in METHODS and METHODS.find(method_of(label)).grouped


def by_pool(name: str, settings: CalibrationConfig) -> dict[str, dict[str, str]]:
    """Lines of a method of groups: one of each way to join them, unless one is given."""
    if settings.pool is not None:
        return {name: {}}
    return {f"{name} {pool}": {"pool": pool} for pool in POOLS}


def _groups_drawn(groups: Indices, rng: np.random.Generator) -> Indices:
    """The rows of as many groups as there are, drawn with replacement."""
    _, numbers, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    order = np.argsort(numbers, kind="stable")
    ends = np.cumsum(sizes)
    return np.concatenate(
        [order[ends[g] - sizes[g] : ends[g]] for g in rng.integers(len(sizes), size=len(sizes))]
    )


def _drawn_rows(
    targets: Indices,
    shares: Doubles,
    num_rows: int,
    rng: np.random.Generator,
    groups: Indices | None = None,
) -> tuple[Indices, bool]:
    """The rows of a test set, and whether a class with a share could not be drawn."""
    if groups is not None:
        pool = _groups_drawn(groups, rng)
        # A class of few groups may be in none of those drawn.
        there = shares * (np.bincount(targets[pool], minlength=len(shares)) > 0)
        if not there.any():
            return _drawn_rows(targets, shares, num_rows, rng, groups)
        drawn: Indices = pool[_drawn_rows(targets[pool], there, num_rows, rng)[0]]
        return drawn, bool((there < shares).any())
    sizes = rng.multinomial(num_rows, shares / shares.sum())
    parts = [rng.choice(np.flatnonzero(targets == c), sizes[c]) for c in np.flatnonzero(sizes)]
    return np.concatenate(parts), False


def compared_cells(
    predictions: Predictions | None,
    facts: PredictionFacts,
    settings: CalibrationConfig,
    about: Competition,
    *,
    methods: Sequence[str] | None = None,
    seed: int = 0,
) -> Comparison:
    """Compare the methods for several labels."""
    for name in methods or ():
        if name not in CELL_METHODS:
            raise UsageError(
                f"--method {name} is for one class per image; for several labels there are "
                f"{', '.join(CELL_METHODS.names[1:])}"
            )
    labelled = own_evidence(settings.oof, facts, about)
    if predictions is not None:
        labelled.check_classes(predictions.classes)
    metric = about.find_metric(classes=labelled.predictions.classes)
    beta = f_score_of(settings, metric)[1]
    averages = AVERAGES if settings.average is None else (settings.average,)
    fits: dict[str, Fit] = {}
    for name in dict.fromkeys([NONE, *(methods or CELL_METHODS.names)]):
        if CELL_METHODS.find(name).grouped:
            continue
        if name == THRESHOLDS:
            fits |= {f"{name} {one}": fit_of(name, settings, one, beta) for one in averages}
        else:
            fits[name] = fit_of(name, settings, AVERAGES[0], beta)
    rows = None if settings.by is None else rows_of(settings.by, about, labelled)
    blends = {}
    for name in (methods or CELL_METHODS.names) if rows is not None else ():
        if (entry := CELL_METHODS.find(name)).grouped:
            for line, more in by_pool(name, settings).items():
                blends[line] = partial(
                    entry.load(), metric=metric, **(settings.options_of(entry) | more)
                )
    num_rows = len(labelled if predictions is None else predictions)
    found = compare_cells(
        labelled.targets,
        labelled.predictions.probabilities,
        fits,
        metric,
        num_rows=min(num_rows, LARGEST_SET),
        seed=seed,
        risk=RISK if settings.risk is None else settings.risk,
        groups=rows,
        blends=blends,
    )
    return replace(found, note="; ".join(filter(None, [labelled.note, found.note])))


def compare_cells(
    targets: Targets,
    probabilities: Floats,
    methods: Mapping[str, Fit],
    metric: Metric,
    *,
    num_rows: int,
    num_sets: int = SETS,
    seed: int = 0,
    risk: float = RISK,
    groups: Indices | None = None,
    blends: Mapping[str, Callable[..., Blend]] | None = None,
) -> Comparison:
    """Score methods, with doing nothing among them, on test sets of several labels.

    ``blends`` are methods of groups, called with the keyword ``groups``.
    """
    metric.score(targets, probabilities)
    rng = np.random.default_rng(seed)
    tied = metric.order_only
    differing = {NONE: methods[NONE]} if tied else methods
    blends = blends or {}
    values: dict[str, list[float]] = {name: [] for name in (*differing, *blends)}
    pairs = whole_pairs(halves(_rarest(targets), rng, groups))
    numbers = []
    for number, (fit, held) in enumerate(pairs):
        moved = {
            name: method(targets[fit], probabilities[fit]).move(probabilities[held])
            for name, method in differing.items()
        }
        if groups is not None:
            moved |= {
                name: method(targets[fit], probabilities[fit], groups=groups[fit]).move(
                    probabilities[held], groups[held]
                )
                for name, method in blends.items()
            }
        own = None if groups is None else groups[held]
        for _ in range(number, num_sets, len(pairs)):
            numbers.append(number)
            rows = _drawn_cells(targets[held], moved[NONE], num_rows, metric, rng, own)
            for name, now in moved.items():
                values[name].append(metric.score(targets[held[rows]], now[rows]))
    note = ""
    if tied:
        note = (
            f"{metric.name} depends on the order of the rows of each class, which "
            f"{'the methods without groups' if blends else 'all methods'} keep"
        )
        values = dict.fromkeys(methods, values[NONE]) | {name: values[name] for name in blends}
    noise = Noise(np.array(numbers), num_rows / len(targets))
    standings, gains = ranked(values, metric, noise)
    return Comparison(
        standings,
        metric.name,
        AS_HELD_OUT,
        num_rows,
        num_sets,
        len(targets),
        note,
        risk=risk,
        gains=gains,
        noise=noise,
    )


def _rarest(targets: Targets) -> Indices:
    """The rarest present class of each row, -1 for a row without one."""
    present = targets == PRESENT
    places = np.argsort(present.sum(axis=0), kind="stable")
    first: Indices = places[present[:, places].argmax(axis=1)]
    return np.where(present.any(axis=1), first, -1)


def _drawn_cells(
    targets: Targets,
    plain: Doubles,
    num_rows: int,
    metric: Metric,
    rng: np.random.Generator,
    groups: Indices | None,
) -> Indices:
    """Draw the rows of a test set for which the metric is defined."""
    for _ in range(MOST_DRAWS):
        rows: Indices = rng.integers(len(targets), size=num_rows)
        if groups is not None:
            pool = _groups_drawn(groups, rng)
            rows = pool[rng.integers(len(pool), size=num_rows)]
        try:
            metric.score(targets[rows], plain[rows])
        except (InputError, UserFunctionError):
            continue
        return rows
    raise InputError(
        f"{metric.name} is not defined on test sets of {num_rows} rows drawn from the out-of-fold "
        "rows: almost none has a present cell"
    )
