"""Comparison of recalibration methods on simulated test sets.

Which recalibration would have helped: all of them on simulated test sets.

Out-of-fold rows are cut into two halves, class by class. Methods are fitted on one half; test sets
with the presumed class shares are drawn, with replacement, from the other; then the halves change
places, and all is done again with other halves. No row that a method is scored on has been fitted
to. The sizes of the classes are drawn too (multinomial), because no test set has exactly the
shares that it is presumed to have, and a method that relies on them should pay for it.

Every method meets the same test sets, so gains over doing nothing are taken set by set. Intervals
hold 95 % of the test sets: what can happen on one.

Several labels (:func:`compare_cells`): rows are halved within those whose rarest class is the same,
so that a rare class is in both. A test set in which the metric is not defined, having no present
cell, is drawn again. All methods keep the order of the rows within each class, so that none changes
a metric that asks for nothing else: there only doing nothing is scored, and nothing is fitted.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from comptool import metrics
from comptool.competition.config import Competition, load
from comptool.errors import ComptoolError, InputError, UsageError
from comptool.io import provenance
from comptool.io.predictions import Predictions
from comptool.io.provenance import PredictionFacts
from comptool.metrics.metric_registry import Metric
from comptool.postprocess import inputs
from comptool.postprocess.calibration.config import THRESHOLDS, CalibrationConfig
from comptool.postprocess.calibration.context import (
    TRAIN,
    UNIFORM,
    Apply,
    CalibrationContext,
    Doubles,
    Floats,
    Indices,
    LabelledRows,
    rows_to_one,
)
from comptool.postprocess.calibration.methods import CELL_METHODS, METHODS
from comptool.postprocess.calibration.multilabel_methods import AVERAGES, Targets
from comptool.postprocess.calibration.quota import has_heads
from comptool.postprocess.calibration.recalibration import (
    Fit,
    basis_of,
    f_score_of,
    fit_of,
    usable_metric,
)
from comptool.postprocess.inputs import class_counts
from comptool.postprocess.oof import networks_of, own_evidence
from comptool.tasks.label_matrix import PRESENT

NONE = "none"
SETS = 100
SPLITS = 5
INTERVAL = (2.5, 97.5)
# A simulated test set has at most so many rows; more would only make intervals shorter.
LARGEST_SET = 5_000
# Several labels: in words, what test sets are drawn as.
AS_HELD_OUT = "as frequent as in the out-of-fold rows"
# So many test sets in a row without a present cell: the rows say nothing of such small ones.
MOST_DRAWS = 1_000


def compare_file(
    source: Path | None,
    settings: CalibrationConfig,
    *,
    methods: Sequence[str] | None = None,
    competition: Path | None = None,
    seed: int = 0,
) -> tuple[str, dict[str, object]]:
    """All methods compared for the test set of a prediction file: for a reader, for a program.

    Parameters
    ----------
    source
        Predictions, whose number of rows is that of the simulated test sets and whose run has the
        out-of-fold rows; None if ``settings`` name these.
    settings
        Options of methods, out-of-fold rows and target prior.
    methods
        Names; None for all.
    competition
        A ``comptool.toml``.
    seed
        Of the simulation.

    Raises
    ------
    UsageError, InputError
        If there are no out-of-fold rows, or they are no evidence.
    """
    settings.check_compare(methods)
    about = load(competition)
    facts = PredictionFacts() if source is None else provenance.facts(source, PredictionFacts)
    if about.kind.cells:
        settings.check_cells()
        predictions = None if source is None else inputs.read_cells(source, facts)
        comparisons = [
            compared_cells(predictions, facts, settings, about, methods=methods, seed=seed)
        ]
    else:
        if methods and THRESHOLDS in methods:
            raise UsageError("--method thresholds is for several labels per image")
        settings.check_single()
        rows = None if source is None else len(inputs.read_multiclass(source, facts))
        comparisons = compared(
            source, rows, facts, settings, competition, methods=methods, seed=seed
        )
    text = "\n\n".join(one.text() for one in comparisons)
    return text, {"comparisons": [one.summary() for one in comparisons]}


@dataclass(frozen=True)
class Standing:
    """How one method did on the simulated test sets."""

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
    """Methods compared on simulated test sets."""

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


def halves(strata: Indices, rng: np.random.Generator) -> Iterator[tuple[Indices, Indices]]:
    """Rows to fit on and rows to draw from, ten times."""
    for _ in range(SPLITS):
        side = np.zeros(len(strata), dtype=np.bool_)
        for index in np.unique(strata):
            rows = rng.permutation(np.flatnonzero(strata == index))
            # An odd row goes to either half.
            side[rows[: (len(rows) + int(rng.integers(2))) // 2]] = True
        yield np.flatnonzero(side), np.flatnonzero(~side)
        yield np.flatnonzero(~side), np.flatnonzero(side)


def ranked(values: Mapping[str, Sequence[float]], metric: Metric) -> tuple[Standing, ...]:
    """The standings, the best first; of equal gains, doing nothing comes first."""
    sign = metric.sign
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


# One class per image.


def compared(
    source: Path | None,
    num_rows: int | None,
    facts: PredictionFacts,
    settings: CalibrationConfig,
    competition: Path | None,
    *,
    methods: Sequence[str] | None = None,
    num_sets: int = SETS,
    seed: int = 0,
) -> list[Comparison]:
    """The methods of one class per image compared on simulated test sets."""
    about = load(competition)
    labelled = own_evidence(settings.oof, facts, about)
    classes, source = labelled.predictions.classes, source or labelled.path
    metric = usable_metric(about.metric)
    if not facts.runs:
        facts = replace(facts, runs=[str(folder) for folder in networks_of(labelled.path)])
    usual = [UNIFORM, TRAIN] if class_counts(facts) else [UNIFORM]
    priors = [settings.target_prior] if settings.target_prior else usual
    found = []
    for prior in priors:
        basis = basis_of(source, classes, facts, prior, labelled, metric, competition=competition)
        quotas = has_heads(basis.context, settings.top_k_head, settings.head_classes)
        usable = [m.name for m in METHODS if quotas or "head_classes" not in m.takes]
        found.append(
            compare(
                basis.context,
                {name: settings.options_of(METHODS.find(name)) for name in methods or usable},
                num_rows=min(num_rows or len(labelled), LARGEST_SET),
                prior=basis.prior,
                num_sets=num_sets,
                seed=seed,
            )
        )
    return found


def supported(
    source: Path,
    predictions: Predictions,
    facts: PredictionFacts,
    settings: CalibrationConfig,
    competition: Path | None,
) -> str:
    """Whether out-of-fold rows say that the method helps, in one line; never an error."""
    if not settings.oof and not facts.runs:
        return "no run is recorded with these predictions: --oof RUN would say whether this helps"
    try:
        comparisons = compared(
            source,
            len(predictions),
            facts,
            settings,
            competition,
            methods=[settings.method],
        )
    except ComptoolError as error:
        return f"no out-of-fold rows say whether this helps: {error}"
    parts = []
    for one in comparisons:
        it = next(standing for standing in one.standings if standing.method != NONE)
        says = "helps" if it.helps else "hurts" if it.gain_high < 0 else "may help or hurt"
        gain = f"{it.gain:+.4f}, {it.gain_low:+.4f} to {it.gain_high:+.4f}"
        parts.append(f"{says} if the test classes are {one.prior} ({gain} {one.metric})")
    return f"by {comparisons[0].num_evidence} out-of-fold rows, {settings.method} " + "; ".join(
        parts
    )


def compare(
    context: CalibrationContext,
    methods: Mapping[str, Mapping[str, Any]] | Sequence[str],
    *,
    num_rows: int,
    prior: str,
    num_sets: int = SETS,
    seed: int = 0,
) -> Comparison:
    """Score methods, and doing nothing, on simulated test sets."""
    evidence, shares = context.evidence, context.target
    if evidence is None or shares is None:
        raise UsageError("a comparison needs out-of-fold rows (--oof RUN) and class shares")
    _check_rows(evidence, shares)
    rng = np.random.default_rng(seed)
    given = methods if isinstance(methods, Mapping) else {name: {} for name in methods}
    options: dict[str, Mapping[str, Any]] = {NONE: {}, **given}
    names = list(options)
    values: dict[str, list[float]] = {name: [] for name in names}
    pairs = list(halves(evidence.targets, rng))
    for number, (fit, held) in enumerate(pairs):
        fitted = context.with_evidence(evidence.take(fit))
        applied = {name: METHODS.load(name)(fitted, **options[name]) for name in names}
        held_out = evidence.take(held)
        for _ in range(number, num_sets, len(pairs)):
            drawn = held_out.take(_drawn_rows(held_out.targets, shares, num_rows, rng))
            for name in names:
                values[name].append(_score(context.metric, drawn, applied[name]))
    standings = ranked(values, metrics.find(context.metric, evidence.targets))
    return Comparison(standings, context.metric, prior, num_rows, num_sets, len(evidence))


def _check_rows(evidence: LabelledRows, shares: Doubles) -> None:
    short = np.flatnonzero((shares > 0) & (evidence.counts() < 2))
    if short.size:
        raise UsageError(
            f"{short.size} classes have fewer than two out-of-fold rows (class numbers "
            f"{', '.join(map(str, short[:3]))}): test sets cannot be simulated from them"
        )


def _drawn_rows(
    targets: Indices, shares: Doubles, num_rows: int, rng: np.random.Generator
) -> Indices:
    sizes = rng.multinomial(num_rows, shares / shares.sum())
    return np.concatenate(
        [
            rng.choice(np.flatnonzero(targets == index), sizes[index])
            for index in np.flatnonzero(sizes)
        ]
    )


def _score(metric: str, drawn: LabelledRows, apply: Apply) -> float:
    answer = apply(rows_to_one(drawn.probabilities))
    return metrics.score(metric, drawn.targets, answer.probabilities, pred=answer.labels)


# Several labels per image.


def compared_cells(
    predictions: Predictions | None,
    facts: PredictionFacts,
    settings: CalibrationConfig,
    about: Competition,
    *,
    methods: Sequence[str] | None = None,
    num_sets: int = SETS,
    seed: int = 0,
) -> Comparison:
    """The methods of several labels compared on simulated test sets."""
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
    averages = AVERAGES if settings.average is None else (settings.average,)
    fits: dict[str, Fit] = {}
    for name in dict.fromkeys([NONE, *(methods or CELL_METHODS.names)]):
        if name == THRESHOLDS:
            fits |= {f"{name} {one}": fit_of(name, settings, one, beta) for one in averages}
        else:
            fits[name] = fit_of(name, settings, AVERAGES[0], beta)
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
    """Score methods on simulated test sets."""
    metrics.score(metric, targets, probabilities)
    rng = np.random.default_rng(seed)
    tied = metrics.find(metric, targets).of_order
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
                values[name].append(metrics.score(metric, targets[held[rows]], now[rows]))
    note = ""
    if tied:
        note = f"{metric} asks for the order of the rows of each class, which all of these keep"
        values = dict.fromkeys(methods, values[NONE])
    standings = ranked(values, metrics.find(metric, targets))
    return Comparison(standings, metric, AS_HELD_OUT, num_rows, num_sets, len(targets), note)


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
            metrics.score(metric, targets[rows], plain[rows])
        except InputError:
            continue
        return rows
    raise InputError(
        f"{metric} is not defined on test sets of {num_rows} rows drawn from the out-of-fold rows: "
        "hardly any has a present cell"
    )
