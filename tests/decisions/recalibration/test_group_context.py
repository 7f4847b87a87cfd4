"""Rows blended with their groups: by hand, by their laws, and chosen where groups say something."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit, softmax

from comptool.errors import InputError, UsageError
from comptool.metrics import find
from comptool.postprocess.calibration.compare import NONE, compare, compare_cells, halves
from comptool.postprocess.calibration.context import CalibrationContext, LabelledRows
from comptool.postprocess.calibration.group_context import (
    blended,
    cells_context,
    context,
    fit_blend,
    nested,
)
from comptool.postprocess.calibration.multilabel_methods import nothing

ACCURACY = find("accuracy", "multiclass")
UNIFORM = np.full(3, 1 / 3)


def grouped(seed, *, groups=150, size=4, purity=0.9, strength=1.0):
    """Weak predictions of rows whose group is mostly of one class."""
    rng = np.random.default_rng(seed)
    numbers = np.repeat(np.arange(groups), size)
    own = rng.integers(0, 3, groups)[numbers]
    targets = np.where(rng.random(len(own)) < purity, own, rng.integers(0, 3, len(own)))
    features = rng.normal(0, 1, (len(own), 3)) + strength * np.eye(3)[targets]
    return LabelledRows(softmax(strength * features, axis=1), targets, numbers)


def cells(seed, groups=150, size=4):
    """Two labels that the rows of a group share."""
    rng = np.random.default_rng(seed)
    numbers = np.repeat(np.arange(groups), size)
    targets = (rng.random((groups, 2)) < 0.3).astype(int)[numbers]
    return targets, expit(rng.normal(0, 1, targets.shape) + 1.5 * targets - 1), numbers


def test_the_mean_the_maximum_and_the_power_mean_by_hand():
    p, groups = np.array([[0.9, 0.1], [0.5, 0.5], [0.2, 0.8]]), np.array([7, 7, 3])
    mean = blended(p, groups, strength=1)
    np.testing.assert_allclose(mean, [[0.7, 0.3], [0.7, 0.3], [0.2, 0.8]])
    most = blended(p, groups, strength=1, pool="max", one=False)
    np.testing.assert_allclose(most[:2], [[0.9, 0.5], [0.9, 0.5]])
    np.testing.assert_allclose(
        blended(p, groups, strength=1, pool="max")[0], [0.9 / 1.4, 0.5 / 1.4]
    )
    power = blended(p, groups, strength=0.5, pool="power", exponent=2, one=False)
    assert power[0, 0] == pytest.approx(0.45 + 0.5 * np.sqrt((0.81 + 0.25) / 2))


@pytest.mark.parametrize("pool", ["mean", "max", "power"])
@pytest.mark.parametrize("one", [True, False])
def test_laws_of_blends(pool, one):
    rng = np.random.default_rng(0)
    p, groups = rng.dirichlet(np.ones(4), 60), rng.integers(0, 25, 60)
    found = blended(p, groups, strength=0.4, pool=pool, one=one)
    assert ((found >= 0) & (found <= 1)).all()
    if one:
        np.testing.assert_allclose(found.sum(axis=1), 1)
    alone = np.bincount(groups)[groups] == 1
    assert alone.any()
    np.testing.assert_array_equal(found[alone], p[alone])
    assert (blended(p, groups, strength=0, pool=pool, one=one) == p).all()
    order = rng.permutation(60)
    np.testing.assert_allclose(
        blended(p[order], groups[order], strength=0.4, pool=pool, one=one), found[order]
    )
    renamed = rng.permutation(25)[groups]
    np.testing.assert_allclose(blended(p, renamed, strength=0.4, pool=pool, one=one), found)


def test_a_strength_is_chosen_where_groups_are_of_one_class_and_helps_on_others():
    rows, others = grouped(0), grouped(1)
    fitted = fit_blend(rows.targets, rows.probabilities, rows.groups, ACCURACY, one=True)
    assert fitted.strength >= 0.5
    plain = ACCURACY.score(others.targets, others.probabilities)
    moved = ACCURACY.score(others.targets, fitted.move(others.probabilities, others.groups))
    assert moved > plain + 0.1


def test_groups_that_say_nothing_are_nearly_left_alone():
    rows, others = (grouped(seed, purity=0.0, strength=2.5, groups=1_000) for seed in (2, 3))
    fitted = fit_blend(rows.targets, rows.probabilities, rows.groups, ACCURACY, one=True)
    assert fitted.strength <= 0.3
    plain = ACCURACY.score(others.targets, others.probabilities)
    moved = ACCURACY.score(others.targets, fitted.move(others.probabilities, others.groups))
    assert moved > plain - 0.01


def test_the_nested_rows_are_those_of_strengths_of_other_groups():
    rows = grouped(3, groups=10)
    options = {"pool": "max"}
    found = nested(
        rows.targets, rows.probabilities, rows.groups, ACCURACY, one=True, options=options
    )
    held = rows.groups % 5 == 2
    fitted = fit_blend(
        rows.targets[~held], rows.probabilities[~held], rows.groups[~held], ACCURACY, one=True,
        **options,
    )  # fmt: skip
    wanted = fitted.move(rows.probabilities[held], rows.groups[held])
    np.testing.assert_allclose(found[held], wanted)


def test_one_group_of_all_rows_is_refused():
    rows = grouped(4, groups=1, size=50)
    with pytest.raises(InputError, match="all out-of-fold rows are in one group"):
        nested(rows.targets, rows.probabilities, rows.groups, ACCURACY, one=True, options={})


def test_the_method_blends_the_test_set_by_its_own_groups():
    rows, p = grouped(5), np.array([[0.9, 0.05, 0.05], [0.3, 0.4, 0.3], [0.2, 0.6, 0.2]])
    known = CalibrationContext(rows, groups=np.array([0, 0, 1]))
    answer = context(known, pool="mean")(p)
    assert answer.labels.tolist() == [0, 0, 1]
    assert answer.kept.tolist() == [False, False, True]
    given = context(CalibrationContext(groups=np.array([0, 0, 1])), strength=0.5)(p)
    np.testing.assert_allclose(given.probabilities[0], [0.75, 0.1375, 0.1125])


@pytest.mark.parametrize("known", [CalibrationContext(grouped(0)), CalibrationContext()])
def test_without_groups_of_the_test_set_there_is_no_context(known):
    with pytest.raises(UsageError, match="--by COLUMN"):
        context(known)


def test_halves_keep_groups_whole():
    rows = grouped(6, groups=31)
    pairs = list(halves(rows.targets, np.random.default_rng(0), rows.groups))
    assert len(pairs) == 10
    for fit, held in pairs:
        assert not set(rows.groups[fit]) & set(rows.groups[held])
        assert sorted([*fit, *held]) == list(range(len(rows)))


def test_a_comparison_finds_the_gain_of_groups():
    known = CalibrationContext(grouped(7), UNIFORM, UNIFORM)
    methods = {"context mean": {"pool": "mean"}, "context max": {"pool": "max"}, "vector": {}}
    found = compare(known, methods, num_rows=300, prior="uniform", num_sets=20)
    by_name = {one.method: one for one in found.standings}
    assert found.standings[0].method.startswith("context")
    assert by_name["context mean"].gain_low > 0.05
    assert abs(by_name["vector"].gain) < 0.05


def test_a_comparison_does_not_find_a_gain_where_there_is_none():
    rows = grouped(8, purity=0.0, strength=2.5, groups=500)
    known = CalibrationContext(rows, UNIFORM, UNIFORM)
    found = compare(known, {"context": {}}, num_rows=500, prior="uniform", num_sets=20)
    assert max(one.gain for one in found.standings) < 0.01


def of_few_groups(*numbers):
    """Rows in 60 pure groups of classes 0 and 1; class 2 has a group for each number of rows."""
    rng, own = np.random.default_rng(11), [4] * 60
    groups = np.repeat(np.arange(60 + len(numbers)), [*own, *numbers])
    targets = np.where(groups < 60, groups % 2, 2)
    return LabelledRows(softmax(rng.normal(0, 1, (len(groups), 3)), axis=1), targets, groups)


def test_a_class_in_one_group_is_refused_by_its_name():
    known = CalibrationContext(of_few_groups(6), UNIFORM, UNIFORM, classes=("elk", "cow", "yak"))
    with pytest.raises(InputError, match=r"of a class are in one group.*found 'yak'"):
        compare(known, {"vector": {}}, num_rows=60, prior="uniform", num_sets=20)
    without = CalibrationContext(of_few_groups(6), None, np.array([0.5, 0.5, 0]))
    assert compare(without, {"vector": {}}, num_rows=60, prior="", num_sets=20).note == ""


def test_halves_that_lack_a_class_are_left_out():
    rows = of_few_groups(6, 6)
    # One group of class 2 has more rows of class 0, so both may be in one half.
    mixed = LabelledRows(
        np.append(rows.probabilities, np.full((9, 3), 1 / 3), axis=0),
        np.append(rows.targets, np.zeros(9, int)),
        np.append(rows.groups, np.full(9, rows.groups.max())),
    )
    found = compare(
        CalibrationContext(mixed, UNIFORM, UNIFORM), {"vector": {}}, num_rows=60, prior="",
        num_sets=20,
    )  # fmt: skip
    assert "of 10 halves are not used: all rows of a class are in one" in found.note


def test_test_sets_whose_groups_lack_a_class_are_told():
    known = CalibrationContext(of_few_groups(6, 6), UNIFORM, UNIFORM)
    found = compare(known, {"vector": {}}, num_rows=60, prior="uniform", num_sets=40)
    number = int(found.note.split()[0])
    # Each half has 31 groups, one of class 2: in (30/31)^31 = 36 % of draws it is not there.
    assert 4 <= number <= 26
    assert found.note == (
        f"{number} of 40 test sets are of groups that lack a class: the other classes have its "
        "share"
    )


def test_cells_are_blended_and_compared_by_a_metric_of_order():
    targets, p, groups = cells(0)
    metric = find("map", "multilabel")

    def blend(*rows, groups):
        return cells_context(*rows, groups=groups, metric=metric)

    fitted = blend(targets, p, groups=groups)
    others, q, theirs = cells(1)
    assert metric.score(others, fitted.move(q, theirs)) > metric.score(others, q) + 0.05
    found = compare_cells(
        targets, p, {NONE: nothing, "vector": nothing}, metric, num_rows=300, num_sets=20,
        groups=groups, blends={"context": blend},
    )  # fmt: skip
    assert [one.method for one in found.standings] == ["context", NONE, "vector"]
    assert found.standings[0].gain_low > 0
    assert found.standings[2].gain == 0
    assert "which the methods without groups keep" in found.note
