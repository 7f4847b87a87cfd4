"""How often the advice of a comparison harms, on a few repetitions of the study's settings."""

from __future__ import annotations

import numpy as np
from scipy.stats import binomtest

from benchmarks.evidence.recalibration import SETTINGS, Drawn, repetition
from comptool.postprocess.calibration.compare import NONE

REPEATS = 12
FAST = ("prior", "prior estimated", "sinkhorn", "temperature")


def drawn(name: str) -> list[Drawn]:
    rng = np.random.default_rng(0)
    return [repetition(SETTINGS[name], rng, names=FAST, num_sets=20) for _ in range(REPEATS)]


def seldom(hits: int, most: float) -> bool:
    """Whether so many hits do not speak against a rate of at most ``most``, at 1 %."""
    return binomtest(hits, REPEATS, most, alternative="greater").pvalue > 0.01


def test_advice_seldom_harms_where_nothing_helps():
    found = drawn("no shift")
    assert seldom(sum(one.gains[one.choice(0.2)] < -0.002 for one in found), 0.2)


def test_advice_takes_a_gain_that_is_there():
    found = drawn("long tail to equal")
    best = np.mean([max(one.gains.values()) for one in found])
    assert best > 0.05
    assert seldom(sum(one.choice(0.2) == NONE for one in found), 0.05)
    assert np.mean([one.gains[one.choice(0.2)] for one in found]) > 0.7 * best


def test_wrongly_presumed_shares_cost_little_by_the_method_that_is_chosen():
    found = drawn("wrongly presumed equal")
    lost = np.mean([one.gains["sinkhorn"] for one in found])
    assert lost < -0.1
    assert np.mean([one.gains[one.choice(0.2)] for one in found]) > lost / 3
