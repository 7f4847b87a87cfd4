"""The regret of ways to combine members, and of the recommendation of ``ensemble --search auto``.

Each repetition draws labelled rows, lets every way choose and fit on them, and scores the result on
hidden rows. The regret of a way is what the best of the ways has more there, in points of the
accuracy or the balanced accuracy. The fixed ways are always the same one; the others choose by the
nested scores:

- ``advice``: what the command recommends, the stack or what the paired interval of the log-loss
  shows to be better;
- ``advice by metric``: equal weights or what the paired interval of the metric shows to be better;
- ``highest nested score``: the best nested score, whatever the interval;
- ``advice on greedy``: what ``--search greedy`` recommends, which knows neither stack nor
  temperatures.
"""

from __future__ import annotations

import argparse
import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.evidence.families import Population, read_logits, simulated
from benchmarks.evidence.rates import rate
from comptool.metrics import Metric, find
from comptool.postprocess.ensemble.nested_cv import (
    ALL_SEARCHES,
    EQUAL,
    SINGLE,
    ScoredCombination,
    searched,
)

HIDDEN = 20_000
FOLDS = 5
FIXED = (EQUAL, SINGLE, *ALL_SEARCHES)
LONG_TAIL = [1 / place for place in range(1, 11)]
BALANCED = "balanced accuracy"
FAMILIES: dict[str, dict[str, Any]] = {
    "equal members": {"strengths": [1.5] * 5},
    "unequal members": {"strengths": [2.0, 1.7, 1.5, 1.2, 0.8], "shared": 0.0},
    "one good member": {"strengths": [2.5, 1.0, 1.0, 1.0], "shared": 0.0},
    "near-copies": {"strengths": [1.5] * 5, "shared": 0.95},
    "miscalibrated members": {"strengths": [1.5] * 5, "sharpness": [4.0, 0.4, 1.0, 1.0, 2.0]},
    "long tail": {"strengths": [1.5] * 5, "shares": LONG_TAIL},
    "50 classes": {"strengths": [2.3] * 4, "classes": 50},
    BALANCED: {"strengths": [1.5] * 5, "shares": LONG_TAIL},
}
ROWS = (150, 500, 4000)
SETTINGS = {
    f"{name}, {rows:,} rows": (rows, family) for rows in ROWS for name, family in FAMILIES.items()
}


def study(options: argparse.Namespace) -> dict[str, Any]:
    """Regret of all ways in each setting."""
    names = list(SETTINGS)
    if options.logits:
        names += [f"{options.logits.name}, {rows:,} rows" for rows in ROWS]
    wanted = [one for one in names if not options.only or one in options.only]
    return {"settings": {name: setting(name, options) for name in wanted}}


def setting(name: str, options: argparse.Namespace) -> dict[str, Any]:
    """Mean regrets, and how often the advice is right, of ``options.repeats`` repetitions."""
    found = []
    for repeat in range(options.repeats):
        # A setting draws the same whatever else is run.
        random = np.random.default_rng([options.seed, zlib.crc32(name.encode()), repeat])
        metric = find("accuracy", "multiclass")
        if name.startswith(BALANCED):
            metric = find("balanced-accuracy", "multiclass")
        if name in SETTINGS:
            rows, family = SETTINGS[name]
            population = simulated(random, rows + HIDDEN, **family)
        else:
            rows = int(name.split(", ")[1].split()[0].replace(",", ""))
            population = read_logits(options.logits)
            population = population.rows(random.permutation(len(population.labels)))
        if name.startswith(BALANCED):
            # Members of a balanced training do not presume the shares.
            shares = np.array(LONG_TAIL) / sum(LONG_TAIL)
            population = Population(population.labels, population.logits - np.log(shares))
        found.append(repetition(population, rows, metric))
    return summary(found)


def repetition(population: Population, rows: int, metric: Metric) -> dict[str, Any]:
    """The hidden score of each way, fitted to the first ``rows`` of a population."""
    members = population.probabilities()
    seen, hidden = list(members[:, :rows]), list(members[:, rows:])
    folds = np.arange(rows) % FOLDS
    *beside, last = ALL_SEARCHES
    labels, truth = population.labels[:rows], population.labels[rows:]
    result = searched(seen, labels, metric, folds, how=last, beside=beside, steps=20)
    scores = {one.name: metric.score(truth, one.combination(hidden)) for one in result.candidates}
    found = result.recommended
    return {
        "scores": scores,
        "said": found.evidence.low > 0,
        "chosen": {
            "advice": found.name,
            "advice by metric": by_metric(result.candidates),
            "highest nested score": max(result.candidates, key=lambda one: one.nested.value).name,
            "advice on greedy": on_greedy(result.candidates),
        },
    }


def on_greedy(candidates: Sequence[ScoredCombination]) -> str:
    """The recommendation among equal weights, the best member and the greedy search."""
    better = [
        one
        for one in candidates
        if one.name in (SINGLE, "greedy") and one.evidence.low > 0 and not one.gain.high < 0
    ]
    return max(better, key=lambda one: one.evidence.value, default=candidates[0]).name


def by_metric(candidates: Sequence[ScoredCombination]) -> str:
    """The largest gain of the metric whose interval is above 0, else equal weights."""
    found = [one for one in candidates if one.gain.low > 0]
    return max(found, key=lambda one: one.gain.value, default=candidates[0]).name


def summary(found: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Figures of the repetitions of one setting; regrets are in points, with standard errors."""
    regrets = {name: points([best(one) - one["scores"][name] for one in found]) for name in FIXED}
    for rule in found[0]["chosen"]:
        regrets[rule] = points([best(one) - one["scores"][one["chosen"][rule]] for one in found])
    fixed = min(FIXED, key=lambda name: regrets[name][0])
    more = [one["scores"][fixed] - one["scores"][one["chosen"]["advice"]] for one in found]
    said = [one for one in found if one["said"]]
    on_greedy = [one for one in found if one["chosen"]["advice on greedy"] != EQUAL]
    return {
        "repetitions": len(found),
        "score": {
            name: round(float(np.mean([one["scores"][name] for one in found])), 4) for name in FIXED
        },
        "regret": regrets,
        "best_fixed": fixed,
        "advice_minus_best_fixed": points(more),
        "advice_taken": dict(Counter(one["chosen"]["advice"] for one in found)),
        "said_to_be_better": rate(len(said), len(found)),
        "right_when_said": right(said, "advice"),
        "greedy_said_to_be_better": rate(len(on_greedy), len(found)),
        "greedy_right_when_said": right(on_greedy, "advice on greedy"),
    }


def right(said: Sequence[Mapping[str, Any]], rule: str) -> list[float] | None:
    """How often a choice is better than equal weights on hidden rows; None if never said."""
    hits = [one["scores"][one["chosen"][rule]] > one["scores"][EQUAL] for one in said]
    return rate(sum(hits), len(hits)) if hits else None


def best(one: Mapping[str, Any]) -> float:
    """The hidden score of the best way of a repetition."""
    return max(one["scores"].values())


def points(differences: Sequence[float]) -> list[float]:
    """Mean and its standard error, in points."""
    values: NDArray[np.float64] = 100 * np.array(differences)
    error = values.std(ddof=1) / np.sqrt(len(values)) if len(values) > 1 else 0.0
    return [round(float(values.mean()), 3), round(float(error), 3)]
