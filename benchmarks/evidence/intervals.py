"""Coverage of the intervals, and how often ``pseudolabel --precision`` breaks its promise.

Every repetition draws rows of a family (see `families`), asks comptool for an interval or a
threshold, and compares it with the true value: that of many rows of the same family, or one that
follows from its definition.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from unittest.mock import patch

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaincinv

from benchmarks.evidence.families import simulated
from benchmarks.evidence.rates import rate
from comptool import tasks
from comptool.metrics import find
from comptool.metrics.bootstrap import (
    IntervalEstimate,
    figures_with_intervals,
    metric_with_interval,
    share_with_interval,
)
from comptool.metrics.multiclass import Confusion, class_shares
from comptool.metrics.reliability import Confidences
from comptool.postprocess.ensemble import nested_cv
from comptool.postprocess.ensemble.combine import by_class
from comptool.postprocess.pseudo_labels.expected_precision import threshold_by_class, threshold_for
from comptool.tracking.scores import Record
from comptool.tracking.tracking_report import correlations

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
Labels = NDArray[np.int64]
Drawn = tuple[Floats, Floats]

LARGE = 400_000


def scores(random: np.random.Generator, rows: int) -> Drawn:
    """Calibrated confidences of one member of ten classes, and the chance that each is right."""
    p = simulated(random, rows, strengths=(2.0,)).probabilities()[0].max(axis=1)
    return p, p


def noisy(random: np.random.Generator, rows: int) -> Drawn:
    """The same with 3 % of the right answers marked as wrong."""
    confidence, chance = scores(random, rows)
    return confidence, 0.97 * chance


def flat(random: np.random.Generator, rows: int) -> Drawn:
    """Confidences that say nothing of the answers, 88 % of which are right."""
    return random.random(rows), np.full(rows, 0.88)


def best_at_once(confidence: Floats, right: Mask, wanted: float) -> float | None:
    """The lowest threshold whose own interval promises enough: what a search must not do."""
    order = np.argsort(-confidence, kind="stable")
    hits, answered = np.cumsum(right[order]), np.arange(1, len(right) + 1)
    low = np.where(hits > 0, betaincinv(np.maximum(hits, 1), answered - hits + 1, 0.025), 0)
    good = np.flatnonzero(low >= wanted)
    if not good.size:
        return None
    last = good[-1]
    return float(confidence[order][last + 1]) if last + 1 < len(right) else 0.0


@dataclass
class Truth:
    """Precision and share of the rows above every threshold, by many rows."""

    confidence: Floats  # falling
    precision: Floats

    @classmethod
    def of(cls, drawn: Drawn) -> Truth:
        """By rows drawn once."""
        confidence, chance = drawn
        order = np.argsort(-confidence)
        return cls(confidence[order], np.cumsum(chance[order]) / np.arange(1, len(chance) + 1))

    def above(self, threshold: float) -> tuple[float, float]:
        """Precision above the threshold, and the share of rows above it."""
        number = int(np.searchsorted(-self.confidence, -threshold))
        return float(self.precision[max(number, 1) - 1]), number / len(self.confidence)

    def most(self, wanted: float) -> float:
        """The share of rows that a threshold of this precision keeps at best."""
        good = np.flatnonzero(self.precision >= wanted)
        return float((good[-1] + 1) / len(self.precision)) if good.size else 0.0


Search = Callable[[Floats, Mask, float], float | None]
SCORES: dict[str, Callable[[np.random.Generator, int], Drawn]] = {
    "calibrated": scores,
    "3 % label noise": noisy,
    "flat score": flat,
}


def promises(repeats: int, seed: int) -> dict[str, object]:
    """Broken promises and power of ``--precision``, and of a search by each interval alone."""
    found: dict[str, object] = {}
    searches: dict[str, Search] = {"tests in order": threshold_for, "best at once": best_at_once}
    for name, family in SCORES.items():
        random = np.random.default_rng(seed)
        truth = Truth.of(family(random, LARGE))
        for rows in (200, 1000, 5000):
            drawn = []
            for _ in range(repeats):
                confidence, chance = family(random, rows)
                drawn.append((confidence, random.random(rows) < chance))
            for wanted in (0.9, 0.95):
                row: dict[str, object] = {"share at best": round(truth.most(wanted), 3)}
                for search_name, search in searches.items():
                    chosen = [search(*one, wanted) for one in drawn]
                    above = [truth.above(one) for one in chosen if one is not None]
                    broken = sum(precision < wanted for precision, _ in above)
                    row[search_name] = {
                        "returned": rate(len(above), repeats),
                        "broken": rate(broken, repeats),
                        "broken of returned": rate(broken, len(above)) if above else None,
                        "share kept": round(sum(share for _, share in above) / repeats, 3),
                    }
                found[f"{name}, {rows} rows, precision {wanted}"] = row
    return found


def promises_by_class(repeats: int, seed: int) -> dict[str, object]:
    """Broken promises of ``--per-class``, of all classes and repetitions."""
    found: dict[str, object] = {}
    classes = 5
    shares = (0.4, 0.3, 0.15, 0.1, 0.05)
    random = np.random.default_rng(seed)

    def drawn(rows: int) -> tuple[Floats, Labels]:
        one = simulated(random, rows, classes=classes, strengths=(2.0,), shares=shares)
        return one.probabilities()[0], one.labels

    p, _ = drawn(LARGE)
    answers, sure = p.argmax(axis=1), p.max(axis=1)
    truths = [Truth.of((sure[answers == k], sure[answers == k])) for k in range(classes)]
    for rows in (500, 2000):
        chosen = [threshold_by_class(*drawn(rows), 0.9) for _ in range(repeats)]
        above = [
            [truth.above(one) for one in column if one is not None]
            for truth, column in zip(truths, zip(*chosen, strict=True), strict=True)
        ]
        for share, truth, column in zip(shares, truths, above, strict=True):
            found[f"class of {share}, {rows} rows, precision 0.9"] = {
                "share at best": round(truth.most(0.9), 3),
                "returned": rate(len(column), repeats),
                "broken": rate(sum(precision < 0.9 for precision, _ in column), repeats),
                "share kept": round(sum(kept for _, kept in column) / repeats, 3),
            }
    return found


SHARES = tuple(np.geomspace(1, 0.05, 8))
PREVALENCE = np.geomspace(0.3, 0.03, 6)
RESAMPLES = 400


def one_class(random: np.random.Generator, rows: int, strength: float) -> tuple[Labels, Floats]:
    """Class of each row, and calibrated probabilities, of eight classes of unequal shares."""
    drawn = simulated(random, rows, classes=len(SHARES), strengths=(strength,), shares=SHARES)
    return drawn.labels, drawn.probabilities()[0]


def several(random: np.random.Generator, rows: int) -> tuple[Labels, Floats]:
    """Present classes of each row, and probabilities, of six rare or common classes."""
    targets = (random.random((rows, len(PREVALENCE))) < PREVALENCE).astype(np.int64)
    evidence = 2 * (2 * targets + random.standard_normal(targets.shape) - 1)
    odds = np.exp(evidence) * PREVALENCE / (1 - PREVALENCE)
    return targets, odds / (1 + odds)


def class_accuracies(repeats: int, seed: int) -> dict[str, object]:
    """Coverage of the accuracy of each class, of a share and by resamples of the rows."""
    found: dict[str, object] = {}
    for strength in (2.0, 4.0):
        random = np.random.default_rng(seed)
        targets, p = one_class(random, LARGE, strength)
        truth = class_shares(Confusion.of(targets, p).matrix())
        for rows in (100, 500):
            held, all_right = np.zeros((2, len(SHARES))), np.zeros(len(SHARES))
            seen = np.zeros(len(SHARES))
            for number in range(repeats):
                targets, p = one_class(random, rows, strength)
                confusion = Confusion.of(targets, p)
                matrix = confusion.matrix()
                resampled = figures_with_intervals(
                    lambda weights, of=confusion: class_shares(of.matrix(weights)),
                    rows, 200, number,
                )  # fmt: skip
                for k, number_of_class in enumerate(matrix.sum(axis=1)):
                    if number_of_class:
                        seen[k] += 1
                        all_right[k] += matrix[k, k] == number_of_class
                        one_share = share_with_interval(float(matrix[k, k]), float(number_of_class))
                        for row, one in enumerate((one_share, resampled[k])):
                            held[row, k] += one.low <= truth[k] <= one.high
            for k in (0, 4, 7):
                mean = rows * SHARES[k] / sum(SHARES)
                found[f"recall {truth[k]:.2f}, {mean:.0f} rows of the class on average"] = {
                    "interval of a share": rate(int(held[0, k]), int(seen[k])),
                    "bootstrap": rate(int(held[1, k]), int(seen[k])),
                    "all right": round(all_right[k] / seen[k], 3),
                }
    return found


def calibration_error(repeats: int, seed: int) -> dict[str, object]:
    """How often the error lies in the range of a calibrated model, and in a bootstrap interval."""
    found: dict[str, object] = {}
    for sharpness in (1.0, 1.3, 2.0):
        random = np.random.default_rng(seed)

        def drawn(
            rows: int, random: np.random.Generator = random, by: float = sharpness
        ) -> Confidences:
            one = simulated(random, rows, strengths=(2.0,), sharpness=by)
            return Confidences.of(one.labels, one.probabilities()[0])

        truth = drawn(LARGE).reliability(np.ones(LARGE)).error if sharpness > 1 else 0.0
        for rows in (200, 1000):
            inside = covered = 0
            values, expected = [], []
            for number in range(repeats):
                one = drawn(rows)
                (figure,) = figures_with_intervals(
                    lambda weights, of=one: np.array([of.reliability(weights).error]),
                    rows, 200, number,
                )  # fmt: skip
                errors = one.errors_if_calibrated(200, number)
                low, high = np.quantile(errors, (0.025, 0.975))
                inside += low <= figure.value <= high
                covered += figure.low <= truth <= figure.high
                values.append(figure.value)
                expected.append(errors.mean())
            found[f"logits times {sharpness}, {rows} rows"] = {
                "within the range of a calibrated model": rate(inside, repeats),
                "bootstrap covers the true error": rate(covered, repeats),
                "true error": round(truth, 4),
                "mean error": round(float(np.mean(values)), 4),
                "mean expected if calibrated": round(float(np.mean(expected)), 4),
            }
    return found


def metrics_of_rows(repeats: int, seed: int) -> dict[str, object]:
    """Coverage of the bootstrap intervals of metrics, for the value on endless rows."""
    found: dict[str, object] = {}
    kinds = {
        "multiclass": (lambda random, rows: one_class(random, rows, 2.0), MULTICLASS),
        "multilabel": (several, MULTILABEL),
    }
    for task, (family, names) in kinds.items():
        random = np.random.default_rng(seed)
        large = family(random, LARGE)
        metrics = {name: find(name, tasks.find(task)) for name in names}
        truths = {name: metric.prepare(*large)() for name, metric in metrics.items()}
        for rows in (100, 300, 1000):
            held = dict.fromkeys(names, 0)
            biases: dict[str, list[float]] = {name: [] for name in names}
            for number in range(repeats):
                drawn = family(random, rows)
                for name, metric in metrics.items():
                    one = metric_with_interval(metric.prepare(*drawn), rows, RESAMPLES, number)
                    held[name] += one.low <= truths[name] <= one.high
                    biases[name].append(one.value - truths[name])
            for name in names:
                found[f"{task} {name}, {rows} rows"] = {
                    "covered": rate(held[name], repeats),
                    "true value": round(truths[name], 4),
                    "bias": round(float(np.mean(biases[name])), 4),
                }
    return found


def correlated_runs(repeats: int, seed: int) -> dict[str, object]:
    """Coverage of the correlation of local and leaderboard scores, with near-copies of runs."""
    found: dict[str, object] = {}
    for title, copies in {
        "8 runs": [1] * 8,
        "8 runs of 5 near-copies": [5] * 8,
        "20 runs of 2 near-copies": [2] * 20,
        "8 runs, one of 20 near-copies": [20, *[1] * 7],
    }.items():
        for noise in (0.05, 0.5):
            random = np.random.default_rng(seed)
            of = np.repeat(np.arange(len(copies)), copies)
            lineages = {str(number): str(lineage) for number, lineage in enumerate(of)}
            held = {"lineages known": 0, "all independent": 0}
            for _ in range(repeats):
                local = random.standard_normal(len(copies))
                public = CORRELATION * local
                public += np.sqrt(1 - CORRELATION**2) * random.standard_normal(len(copies))
                # Copies differ alike in both scores, so that their correlation stays the same.
                shift = noise * random.standard_normal((2, len(of)))
                shift[1] = CORRELATION * shift[0] + np.sqrt(1 - CORRELATION**2) * shift[1]
                pairs = zip(local[of] + shift[0], public[of] + shift[1], strict=True)
                records = [
                    Record("", "", str(n), "", "m", float(two), None, float(one), "")
                    for n, (one, two) in enumerate(pairs)
                ]
                for name, known in zip(held, (lineages, None), strict=True):
                    (one_found,) = correlations(records, known)
                    low, high = one_found.low, one_found.high
                    held[name] += low is not None and low <= CORRELATION <= (high or 0)
            found[f"{title}, which differ by {noise}"] = {
                name: rate(count, repeats) for name, count in held.items()
            }
    return found


def chosen_on_rows(repeats: int, seed: int) -> dict[str, object]:
    """Coverage of the nested scores of searched weights and of chosen views, by accuracy."""
    found: dict[str, object] = {}
    accuracy = find("accuracy", tasks.find("multiclass"))
    for title, strengths, shared in (
        ("members of unequal skill", (2.0, 1.7, 1.5, 1.2), 0.0),
        ("views, of which some harm", (2.0, 1.9, 1.0, 0.5), 0.8),
    ):
        random = np.random.default_rng(seed)
        hidden = simulated(random, HIDDEN, strengths=strengths, shared=shared)
        beyond = list(hidden.probabilities())
        views = "views" in title
        for rows in (100, 300):
            held = {"given folds": [0, 0], "all partitions": [0, 0]}
            for number in range(repeats):
                drawn = simulated(random, rows, strengths=strengths, shared=shared)
                tables, folds = list(drawn.probabilities()), np.arange(rows) % 5
                for name, partitions in zip(held, (1, nested_cv.PARTITIONS), strict=True):
                    with patch.object(nested_cv, "PARTITIONS", partitions):
                        scores: tuple[tuple[IntervalEstimate, float], ...]
                        if views:
                            of = {str(place): one for place, one in enumerate(tables)}
                            choice = nested_cv.choose_views(
                                of, "0", drawn.labels, accuracy, folds, seed=number
                            )
                            true = accuracy.score(hidden.labels, by_class(beyond, choice.weights))
                            plain = accuracy.score(hidden.labels, beyond[0])
                            scores = ((choice.choice, true), (choice.gain, true - plain))
                        else:
                            search = nested_cv.searched(
                                tables, drawn.labels, accuracy, folds, seed=number
                            )
                            true = accuracy.score(hidden.labels, by_class(beyond, search.weights))
                            scores = ((search.nested, true),)
                    for place, (one, truth) in enumerate(scores):
                        held[name][place] += one.low <= truth <= one.high
            for place, what in enumerate(("score", "gain over the plain image")[: 1 + views]):
                found[f"{title}, {rows} rows, {what}"] = {
                    name: rate(counts[place], repeats) for name, counts in held.items()
                }
    return found


HIDDEN = 20_000
CORRELATION = 0.6
MULTICLASS = ("accuracy", "balanced-accuracy", "macro-f1", "kappa", "logloss")
MULTILABEL = ("map", "macro-f1")

PARTS: dict[str, Callable[[int, int], dict[str, object]]] = {
    "promises": promises,
    "promises by class": promises_by_class,
    "class accuracy": class_accuracies,
    "calibration error": calibration_error,
    "metrics": metrics_of_rows,
    "runs": correlated_runs,
    "chosen on rows": chosen_on_rows,
}


def study(options: argparse.Namespace) -> dict[str, object]:
    """The parts that ``--only`` names, or all."""
    wanted = options.only or list(PARTS)
    return {name: PARTS[name](options.repeats, options.seed) for name in wanted}
