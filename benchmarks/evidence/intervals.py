"""Coverage of the intervals, and how often ``pseudolabel --precision`` breaks its promise.

Every repetition draws rows of a family (see `families`), asks comptool for an interval or a
threshold, and compares it with the true value: that of many rows of the same family, or one that
follows from its definition.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.evidence.families import simulated
from benchmarks.evidence.rates import rate
from comptool.postprocess.pseudo_labels.expected_precision import threshold_by_class, threshold_for

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
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
    from scipy.special import betaincinv

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

    def drawn(rows: int) -> tuple[Floats, NDArray[np.int64]]:
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


PARTS: dict[str, Callable[[int, int], dict[str, object]]] = {
    "promises": promises,
    "promises by class": promises_by_class,
}


def study(options: argparse.Namespace) -> dict[str, object]:
    """The parts that ``--only`` names, or all."""
    wanted = options.only or list(PARTS)
    return {name: PARTS[name](options.repeats, options.seed) for name in wanted}
