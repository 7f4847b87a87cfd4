from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from comptool.io.runs import FINISHED
from comptool.tracking.inventory import Run, lineages_of, with_lineages
from comptool.tracking.scores import Record
from comptool.tracking.tracking_report import FEWEST, correlations


def records(local, public, private=None, metric="map") -> list[Record]:
    private = [None] * len(local) if private is None else private
    return [
        Record("t", f"{n}.csv", str(n), "leaderboard", metric, two, three, one, "")
        for n, (one, two, three) in enumerate(zip(local, public, private, strict=True))
    ]


def ranks(values) -> list[float]:
    """Mean ranks, equal values sharing theirs."""
    return [
        sum(other < value for other in values) + sum(other == value for other in values) / 2
        for value in values
    ]


def test_the_correlations_are_those_of_their_definitions():
    local, public = [0.5, 0.6, 0.55, 0.7, 0.6], [0.4, 0.62, 0.5, 0.66, 0.58]
    (found,) = correlations(records(local, public))
    r = np.corrcoef(local, public)[0, 1]
    half = 1.959964 / np.sqrt(len(local) - 3)
    assert (found.part, found.metric, found.n) == ("public", "map", 5)
    assert found.pearson == pytest.approx(r)
    assert found.low == pytest.approx(np.tanh(np.arctanh(r) - half))
    assert found.high == pytest.approx(np.tanh(np.arctanh(r) + half))
    assert found.spearman == pytest.approx(np.corrcoef(ranks(local), ranks(public))[0, 1])
    assert str(found) == (
        "local and public map, 5 submissions\n"
        f"    Pearson {r:.2f} (95 %: {found.low:.2f} to {found.high:.2f}), "
        f"Spearman {found.spearman:.2f}"
    )


@pytest.mark.parametrize(("number", "told"), [(1, "1 submission"), (3, "3 submissions")])
def test_too_few_submissions_are_said_to_be_too_few(number, told):
    (found,) = correlations(records([0.5, 0.6, 0.7][:number], [0.4, 0.5, 0.6][:number]))
    assert found.pearson is None
    assert str(found) == f"local and public map, {told} with both: too few, {FEWEST} are needed"


def test_scores_that_are_all_equal_have_no_correlation():
    (found,) = correlations(records([0.5] * 4, [0.1, 0.2, 0.3, 0.4]))
    assert found.spearman is None
    assert str(found) == (
        "local and public map, 4 submissions: undefined, all scores of a side are equal"
    )


def test_metrics_and_parts_are_told_apart_and_unknown_scores_count_nowhere():
    made = [
        *records([0.1, 0.2, None], [0.3, 0.4, 0.5], [None, 0.6, 0.7]),
        *records([0.8], [None], [0.9], metric="auc"),
    ]
    found = {(one.metric, one.part): one.n for one in correlations(made)}
    assert found == {("map", "public"): 2, ("map", "private"): 1, ("auc", "private"): 1}
    assert correlations([]) == []


NUMBERS = st.integers(0, 1000).map(lambda number: number / 1000)


@given(st.lists(st.tuples(NUMBERS, NUMBERS), min_size=4, max_size=12), st.data())
def test_neither_the_order_nor_repeated_records_nor_the_units_matter(pairs, data):
    local, public = map(list, zip(*pairs, strict=True))
    made = records(local, public)
    mixed = [*made, *data.draw(st.lists(st.sampled_from(made), max_size=4))]
    mixed = data.draw(st.permutations(mixed))
    in_percent = records([100 * value for value in local], public)
    one, two, three = (correlations(some)[0] for some in (made, mixed, in_percent))
    for other in (two, three):
        assert other.n == one.n == len(pairs)
        for name in ("pearson", "spearman"):
            first, second = getattr(one, name), getattr(other, name)
            assert first == second or first == pytest.approx(second, abs=1e-9)


def test_of_a_file_that_was_recorded_again_the_latest_score_counts():
    made = records([0.1, 0.2, 0.3, 0.4], [0.1, 0.2, 0.3, 0.1])
    again = Record("later", "3.csv", "3", "leaderboard", "map", 0.4, None, 0.4, "")
    (found,) = correlations([*made, again])
    assert found.n == 4
    assert found.pearson == pytest.approx(1)


def copied(lineages, copies, rng, noise=0.02, correlation=0.6):
    """Scores of near-copies, and the lineage of each by its digest."""
    local = rng.standard_normal(lineages)
    public = correlation * local + np.sqrt(1 - correlation**2) * rng.standard_normal(lineages)
    pairs = np.repeat(np.stack([local, public]), copies, axis=1)
    pairs = pairs + noise * rng.standard_normal(pairs.shape)
    of = {str(n): str(n // copies) for n in range(lineages * copies)}
    return records(*pairs.tolist()), of


def test_near_copies_count_as_one():
    one, _ = copied(5, 1, np.random.default_rng(0), noise=0)
    three, of = copied(5, 3, np.random.default_rng(0), noise=0)
    (alone,), (together,) = correlations(one), correlations(three, of)
    assert (together.n, together.lineages) == (15, 5)
    for name in ("pearson", "low", "high"):
        assert getattr(together, name) == pytest.approx(getattr(alone, name))
    assert "15 submissions of 5 independent lineages of runs\n    Pearson" in str(together)


def test_a_lineage_of_many_submissions_does_not_outvote_the_others():
    local = [0.1, 0.2, 0.3, 0.4] + 6 * [0.9]
    public = [0.4, 0.3, 0.2, 0.1] + 6 * [0.9]
    of = {str(n): "many" for n in range(4, 10)}
    (found,) = correlations(records(local, public), of)
    assert found.pearson == pytest.approx(np.corrcoef(local[:5], public[:5])[0, 1])


def test_few_lineages_have_no_interval():
    made, of = copied(2, 4, np.random.default_rng(0))
    (found,) = correlations(made, of)
    assert (found.low, found.high) == (None, None)
    assert "8 submissions of 2 independent lineages of runs\n    Pearson" in str(found)
    assert "(no interval from fewer than 4 lineages), Spearman" in str(found)


@pytest.mark.parametrize(("clustered", "least", "most"), [(True, 0.9, 0.99), (False, 0, 0.8)])
def test_the_interval_covers_the_correlation_if_near_copies_are_known(clustered, least, most):
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(300):
        made, of = copied(8, 5, rng)
        (found,) = correlations(made, of if clustered else None)
        held += found.low <= 0.6 <= found.high
    assert least <= held / 300 <= most


def run(name, settings="", parents=(), day=1):
    return Run(
        name, datetime(2026, 1, day, tzinfo=UTC), FINISHED, settings=settings, parents=parents
    )


def test_runs_of_the_same_settings_and_runs_that_start_from_them_are_one_lineage():
    made = with_lineages([
        run("second", "a", day=2), run("first", "a"), run("other", "b"), run("unknown"),
        run("tuned", "c", ("second",)), run("again", "d", ("tuned",)), run("lost", "e", ("gone",)),
        run("circle", "f", ("circle",)),
    ])  # fmt: skip
    assert {one.name: one.lineage for one in made} == {
        "second": "first", "first": "first", "other": "other", "unknown": "unknown",
        "tuned": "first", "again": "first", "lost": "gone", "circle": "circle",
    }  # fmt: skip


def test_a_submission_is_of_the_lineages_of_its_runs():
    runs = with_lineages([run("one", "a"), run("two", "a", day=2), run("three", "b")])
    words = ["submit, infer, one", "submit, tta, two", "submit, ensemble, infer, three, two",
             "submit, ensemble, one, three", "no record says", "", "submit"]  # fmt: skip
    plain = records([0.1] * 7, [0.1] * 7)
    made = [replace(one, made_from=text) for one, text in zip(plain, words, strict=True)]
    found = lineages_of(made, runs)
    assert found["0"] == found["1"] == "one"
    assert found["2"] == found["3"] == "one, three"
    assert [found[name] for name in "456"] == list("456")
