"""What `recalibrate --compare` advises, and what each method does on hidden rows.

A model is trained under some class shares, perhaps too sure of itself, and has out-of-fold rows of
these shares. The hidden rows have other shares, of which the user presumes something right or
wrong. Each repetition draws all of it anew. The gain of a method is that of the accuracy over doing
nothing, fitted to all out-of-fold rows, on ``HIDDEN`` test sets; the regret of a choice is what it
lacks to the best method there. Advice harms if its gain is below 0.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from benchmarks.evidence.families import Population, read_logits, simulated
from benchmarks.evidence.rates import rate
from comptool.postprocess.calibration.compare import NONE, Comparison, compare, estimates, method_of
from comptool.postprocess.calibration.context import (
    ACCURACY,
    CalibrationContext,
    LabelledRows,
    rows_to_one,
)
from comptool.postprocess.calibration.label_shift import estimate_shares
from comptool.postprocess.calibration.methods import METHODS

CLASSES, TEST_ROWS, HIDDEN, SETS = 5, 500, 8, 40
POOL = 60_000  # rows that test sets of the simulated families are drawn from
METHOD_NAMES = ("prior", "prior estimated", "sinkhorn", "quota-optimal", "logit-adjust", "vector",
                "temperature")  # fmt: skip
RISKS = (0.025, 0.1, 0.2, 0.3, 0.5)
UNIFORM = np.full(CLASSES, 1 / CLASSES)
LONG = np.array([0.6, 0.2, 0.1, 0.06, 0.04])
TURNED = LONG[::-1].copy()


@dataclass(frozen=True)
class Setting:
    """How a repetition is drawn."""

    rows: int  # out-of-fold rows
    trained: NDArray[np.float64]
    true: NDArray[np.float64]  # shares of the hidden rows
    presumed: str  # "uniform", "trained", "true", "long tail" or "estimated"
    sharpness: float = 1.0


SETTINGS = {
    "no shift": Setting(500, UNIFORM, UNIFORM, "true"),
    "no shift, too sure": Setting(500, UNIFORM, UNIFORM, "true", 3.0),
    "no shift, estimated": Setting(500, LONG, LONG, "estimated"),
    "long tail to equal": Setting(500, LONG, UNIFORM, "true"),
    "long tail to equal, 4000 rows": Setting(4_000, LONG, UNIFORM, "true"),
    "long tail to equal, too sure": Setting(500, LONG, UNIFORM, "true", 3.0),
    "long tail to equal, estimated": Setting(500, LONG, UNIFORM, "estimated"),
    "long tail to equal, too sure, estimated": Setting(4_000, LONG, UNIFORM, "estimated", 3.0),
    "equal to long tail": Setting(4_000, UNIFORM, LONG, "true"),
    "tail turned": Setting(500, LONG, TURNED, "true"),
    "wrongly presumed equal": Setting(500, LONG, LONG, "uniform"),
    "wrongly presumed equal, 4000 rows": Setting(4_000, LONG, LONG, "uniform"),
    "wrongly presumed as trained": Setting(500, LONG, UNIFORM, "trained"),
}  # fmt: skip


@dataclass(frozen=True)
class Drawn:
    """One repetition: the comparison, and the true gain of each method."""

    compared: Comparison
    gains: dict[str, float]

    def choice(self, risk: float) -> str:
        """The method that is advised at a risk."""
        return self.compared.choice(risk).method

    def old_choice(self) -> str:
        """The first line, unless its interval of test sets reaches 0."""
        first = self.compared.standings[0]
        return first.method if first.gain_low > 0 else NONE


def repetition(
    setting: Setting,
    rng: np.random.Generator,
    population: Population | None = None,
    names: Sequence[str] = METHOD_NAMES,
    num_sets: int = SETS,
) -> Drawn:
    """Draw a model with its rows and hidden rows, compare, and score everything."""
    if population is None:
        kept = {"strengths": (1.2,), "sharpness": setting.sharpness, "classes": CLASSES}
        labelled = simulated(rng, setting.rows, shares=setting.trained, **kept)
        hidden = _under(simulated(rng, POOL, shares=setting.true, **kept), setting)
    else:
        order = rng.permutation(len(population.labels))
        chosen = _drawn(population.labels[order], setting.trained, setting.rows, rng)
        labelled = population.rows(order[chosen])
        rest = np.setdiff1d(order, order[chosen])
        hidden = population.rows(rest)
    evidence = LabelledRows(labelled.probabilities()[0], labelled.labels)
    pool = hidden.probabilities()[0]
    sets = [_drawn(hidden.labels, setting.true, TEST_ROWS, rng) for _ in range(HIDDEN)]
    target, replicates = _presumed(setting, evidence, pool[sets[0]])
    known = CalibrationContext(
        evidence, setting.trained, target, classes=tuple(map(str, range(len(target))))
    )
    found = compare(
        known, {name: {} for name in names}, num_rows=TEST_ROWS, prior=setting.presumed,
        num_sets=num_sets, seed=int(rng.integers(2**31)), replicates=replicates,
        other=(setting.trained, "trained") if np.ptp(target - setting.trained) > 0.01 else None,
    )  # fmt: skip
    gains = {}
    for name in (NONE, *names):
        own = replace(known, target=None) if estimates(name) else known
        apply = METHODS.load(method_of(name))(own)
        scores = []
        for rows in sets:
            answer = apply(rows_to_one(pool[rows]))
            truth = hidden.labels[rows]
            scores.append(
                ACCURACY.score(truth, answer.probabilities, pred=answer.labels)
                - ACCURACY.score(truth, pool[rows])
            )
        gains[name] = float(np.mean(scores))
    return Drawn(found, gains)


def _under(population: Population, setting: Setting) -> Population:
    """The same evidence with the logits of a model that was trained under its own shares."""
    change = np.log(setting.trained / setting.trained.sum()) - np.log(
        setting.true / setting.true.sum()
    )
    return Population(population.labels, population.logits + setting.sharpness * change)


def _drawn(
    labels: NDArray[np.int64], shares: NDArray[np.float64], rows: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Indices of rows with these expected shares, without replacement, each class present."""
    sizes = np.maximum(rng.multinomial(rows, shares / shares.sum()), 2)
    parts = [
        rng.choice(np.flatnonzero(labels == c), min(size, int((labels == c).sum())), replace=False)
        for c, size in enumerate(sizes)
    ]
    return rng.permutation(np.concatenate(parts))


def _presumed(
    setting: Setting, evidence: LabelledRows, test: NDArray[np.float64]
) -> tuple[NDArray[np.float64], tuple[NDArray[np.float64], ...]]:
    if setting.presumed == "estimated":
        estimate = estimate_shares(test, evidence)
        return estimate.shares, estimate.replicates
    by_name = {
        "uniform": np.full(len(setting.true), 1 / len(setting.true)),
        "long tail": _long_tail(len(setting.true)),
        "trained": setting.trained,
        "true": setting.true,
    }
    return by_name[setting.presumed], ()


def _long_tail(num_classes: int) -> NDArray[np.float64]:
    """Shares from 1 to a tenth of it."""
    shares = np.geomspace(1, 0.1, num_classes)
    return shares / shares.sum()


def summary(found: Sequence[Drawn]) -> dict[str, object]:
    """Mean gains of the methods, and regret, gain and harm of the advice at each risk."""
    best = np.array([max(one.gains.values()) for one in found])
    names = list(found[0].gains)

    def of(choices: Sequence[str]) -> dict[str, object]:
        gains = np.array([one.gains[name] for one, name in zip(found, choices, strict=True)])
        return {
            "gain": round(float(gains.mean()), 4),
            "regret": round(float((best - gains).mean()), 4),
            "harms": rate(int((gains < 0).sum()), len(found)),
            "harms_by_a_point": rate(int((gains < -0.01).sum()), len(found)),
            "advises": rate(sum(name != NONE for name in choices), len(found)),
        }

    return {
        "repetitions": len(found),
        "methods": {name: of([name] * len(found)) for name in names},
        "interval of one set (before)": of([one.old_choice() for one in found]),
        "advice": {f"{risk:g}": of([one.choice(risk) for one in found]) for risk in RISKS},
    }


def study(options: argparse.Namespace) -> dict[str, object]:
    """All settings, or those of ``--only``; with ``--logits`` those of its rows as well."""
    results = {}
    for number, (name, setting) in enumerate(SETTINGS.items()):
        if options.only and name not in options.only:
            continue
        rng = np.random.default_rng([options.seed, number])
        results[name] = summary([repetition(setting, rng) for _ in range(options.repeats)])
    if options.logits is not None:
        population = strongest(read_logits(options.logits))
        for number, (name, setting) in enumerate(of_logits(population).items(), len(SETTINGS)):
            if options.only and name not in options.only:
                continue
            rng = np.random.default_rng([options.seed, number])
            results[name] = summary(
                [repetition(setting, rng, population) for _ in range(options.repeats)]
            )
    return {"settings": results}


def strongest(population: Population) -> Population:
    """The member with the greatest accuracy alone."""
    right = (population.logits.argmax(axis=2) == population.labels).mean(axis=1)
    best = int(right.argmax())
    return Population(population.labels, population.logits[best : best + 1])


def of_logits(population: Population) -> dict[str, Setting]:
    """Settings of a model that was trained with equal shares."""
    num_classes = population.logits.shape[2]
    equal = np.full(num_classes, 1 / num_classes)
    long = _long_tail(num_classes)
    return {
        "logits, no shift": Setting(500, equal, equal, "true"),
        "logits, to a long tail": Setting(500, equal, long, "true"),
        "logits, to a long tail, estimated": Setting(500, equal, long, "estimated"),
        "logits, wrongly presumed long tail": Setting(500, equal, equal, "long tail"),
    }
