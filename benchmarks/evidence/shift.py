"""How well a shift is found, and how near a weighted score comes to that of the test set.

Rows have eight features; the first is shifted by so many standard deviations in the test set. An
answer is right with a probability that falls with the first feature (``hard``) or does not depend
on it (``even``), so that the true test score is known from the test rows themselves. The error of
an estimate is its distance from that score, in points.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np

from benchmarks.evidence.rates import rate
from comptool.competition.likeness import effective_rows, importance
from comptool.inspection.shift import area, unseen

SETTINGS = {
    f"{rows} rows, {shift:g} sd, {kind}": (rows, shift, kind)
    for rows, shift, kind in (
        (300, 0.0, "hard"),
        (300, 0.5, "hard"),
        (300, 1.0, "hard"),
        (2000, 0.0, "hard"),
        (2000, 0.25, "hard"),
        (2000, 0.5, "hard"),
        (2000, 1.0, "hard"),
        (2000, 1.0, "even"),
    )
}
FEATURES = 8


def study(options: argparse.Namespace) -> dict[str, Any]:
    """Rate of shifts that are found, and errors of the plain and the weighted score."""
    found = {}
    for number, (name, setting) in enumerate(SETTINGS.items()):
        if options.only and name not in options.only:
            continue
        results = [
            once(np.random.default_rng([options.seed, number, one]), *setting)
            for one in range(options.repeats)
        ]
        told, area_, plain, weighted, effective = map(np.array, zip(*results, strict=True))
        better = int((np.abs(weighted) < np.abs(plain)).sum())
        found[name] = {
            "shift found": rate(int(told.sum()), len(told)),
            "auc": round(float(np.mean(area_)), 3),
            "plain error": round(float(np.abs(plain).mean()), 2),
            "weighted error": round(float(np.abs(weighted).mean()), 2),
            "weighted is nearer": rate(better, len(told)),
            "rows worth": round(float(np.mean(effective)), 2),
        }
    return {"shift": found}


def once(
    random: np.random.Generator, rows: int, shift: float, kind: str
) -> tuple[bool, float, float, float, float]:
    """One pair of sets: shift found, area, errors plain and weighted in points, share of rows."""
    labels = np.repeat([0, 1], rows)
    features = random.standard_normal((2 * rows, FEATURES))
    features[labels == 1, 0] += shift
    chance = (
        1 / (1 + np.exp(1.5 * features[:, 0] - 1)) if kind == "hard" else np.full(2 * rows, 0.7)
    )
    right = random.random(2 * rows) < chance
    probability = unseen(features.astype(np.float32), labels, None, 0)
    weights = importance(probability[labels == 0], rows)
    estimate = area(labels, probability, None, 0)
    truth = chance[labels == 1].mean()
    plain, weighted = (
        100 * (np.average(right[labels == 0], weights=one) - truth) for one in (None, weights)
    )
    share = effective_rows(weights) / rows
    return estimate.low > 0.5, float(estimate.value), float(plain), float(weighted), share
