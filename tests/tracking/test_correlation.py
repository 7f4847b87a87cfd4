from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

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
