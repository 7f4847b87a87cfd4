"""The advice has no more regret than fixed ways: a few repetitions of the study of it."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binomtest

from comptool.metrics import find

ROOT = Path(__file__).parents[3]
ACCURACY = find("accuracy", "multiclass")
REPEATS = 12


@pytest.fixture(scope="module")
def study():
    """The module of the study, which is not installed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "path", [str(ROOT), *sys.path])
        return import_module("benchmarks.evidence.ensembles")


@pytest.fixture(scope="module", params=["miscalibrated members", "near-copies"])
def repetitions(request, study):
    family = study.FAMILIES[request.param]
    return [
        study.repetition(
            study.simulated(np.random.default_rng(seed), 5_200, **family), 200, ACCURACY
        )
        for seed in range(REPEATS)
    ]


def test_the_advice_is_as_good_as_equal_weights_on_hidden_rows(repetitions):
    """By chance, half of the repetitions lose more than a fifth of a point of 5,000 rows."""
    scores = [
        (one["scores"][one["chosen"]["advice"]], one["scores"]["equal weights"])
        for one in repetitions
    ]
    kept = sum(advice > equal - 0.002 for advice, equal in scores)
    assert binomtest(kept, REPEATS, 0.5, alternative="greater").pvalue < 0.05


def test_the_regret_of_the_advice_is_that_of_the_best_fixed_way(repetitions, study):
    found = study.summary(repetitions)
    mean, error = found["advice_minus_best_fixed"]
    assert mean <= 0.2 + 2 * error
    assert found["regret"]["advice"][0] <= found["regret"]["best single member"][0]


def test_what_is_said_to_be_better_is(repetitions, study):
    found = study.summary(repetitions)
    if found["right_when_said"] is not None:
        assert found["right_when_said"][2] > 0.9
