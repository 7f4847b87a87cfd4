"""The cells of multi-label tables, from columns and from joined lists."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from comptool.competition.config import Competition
from comptool.competition.samples import read_samples, training_samples
from comptool.errors import InputError
from comptool.tasks.labels import (
    matrix_of_columns,
    matrix_of_lists,
    positive_counts,
    split_lists,
    zero_to_unknown,
)

NAMES = st.text(st.characters(codec="utf-8", exclude_characters=",\r\n"), min_size=1).filter(
    lambda name: name == name.strip() and name.split()
)


@pytest.fixture
def scenes(tmp_path) -> Competition:
    """Three scenes of two classes, one of whose names has a blank and a slash."""
    train = tmp_path / "train.csv"
    train.write_text("id,path,sea,golf course/field\na,a.png,1,0\nb,b.png,,1.0\nc,c.png,-1,0.0\n")
    return Competition(
        name="x", task="multilabel", metric="map", folder=tmp_path, train=train, label="",
        labels=("golf course/field", "sea"), modalities={"image": "path"},
    )  # fmt: skip


@pytest.fixture
def joined(scenes) -> Competition:
    """Three scenes whose labels are one column of lists."""
    scenes.train.write_text('id,path,tags\na,a.png,"sea, golf course"\nb,b.png,\nc,c.png,sea\n')
    return replace(scenes, label="tags", labels=())


def test_columns_are_taken_by_name_and_blank_is_not_annotated(scenes):
    found = training_samples(scenes)
    assert found.labels == ("golf course/field", "sea")
    assert found.label is None
    matrix = found.label_matrix()
    assert matrix.dtype == np.int8
    assert matrix.tolist() == [[0, 1], [1, -1], [0, -1]]


def test_a_list_names_all_labels_of_its_sample(joined):
    found = training_samples(joined)
    assert (found.label, found.labels) == ("tags", ("golf course", "sea"))
    assert found.label_matrix().tolist() == [[1, 1], [0, 0], [0, 1]]


def test_the_sample_submission_orders_the_classes_of_lists(joined, tmp_path):
    sample = tmp_path / "sample_submission.csv"
    sample.write_text("id,sea,moon,golf course\nz,0.5,0.5,0.5\n")
    found = training_samples(replace(joined, sample_submission=sample))
    assert found.labels == ("sea", "moon", "golf course")
    sample.write_text("id,tags\nz,sea\n")
    found = training_samples(replace(joined, sample_submission=sample))
    assert found.labels == ("golf course", "sea")


def test_lists_of_another_table_have_the_classes_of_the_training_table(joined, tmp_path):
    extra = tmp_path / "extra.csv"
    extra.write_text("id,path,tags\nz,z.png,golf course\n")
    found = read_samples(extra, joined, labelled=True)
    assert found.labels == ("golf course", "sea")
    assert found.label_matrix().tolist() == [[1, 0]]
    extra.write_text("id,path,tags\ny,y.png,\nz,z.png,gulf course\n")
    with pytest.raises(InputError) as error:
        read_samples(extra, joined, labelled=True).label_matrix()
    assert str(error.value) == (
        f"{extra}, row 2, column 'tags': there is no such class; did you mean 'golf course' or "
        "'sea' (found 'gulf', 'course')"
    )


def test_numbered_classes_of_lists_are_in_the_order_of_their_numbers(joined):
    joined.train.write_text("id,path,tags\na,a.png,10 9\nb,b.png,9\n")
    assert training_samples(joined).labels == ("9", "10")


def test_another_value_is_named_with_its_row_and_column(scenes):
    scenes.train.write_text("id,path,sea,golf course/field\na,a.png,1,0\nb,b.png,yes,2\n")
    with pytest.raises(InputError) as error:
        training_samples(scenes).label_matrix()
    assert str(error.value) == (
        f"{scenes.train}, row 2, column 'golf course/field': a label is 1 (present), 0 (absent), "
        "-1 or blank (not annotated) (found '2')"
    )


@given(
    st.lists(NAMES, min_size=1, max_size=5, unique=True),
    st.integers(0, 2**32 - 1),
    st.sampled_from([{0: "0", 1: "1", -1: ""}, {0: "0.0", 1: " 1.0", -1: "-1"}]),
)
def test_what_is_written_into_columns_is_read_again_in_any_order(classes, seed, written):
    random = np.random.default_rng(seed)
    matrix = random.integers(-1, 2, size=(6, len(classes)))
    frame = pd.DataFrame(
        {name: [written[v] for v in column] for name, column in zip(classes, matrix.T, strict=True)}
    )
    order = random.permutation(len(classes))
    found = matrix_of_columns(Path("t.csv"), frame, [classes[place] for place in order])
    np.testing.assert_array_equal(found, matrix[:, order])


@given(st.lists(NAMES, min_size=2, max_size=5, unique=True), st.integers(0, 2**32 - 1))
def test_what_is_joined_by_commas_is_read_again(classes, seed):
    matrix = np.random.default_rng(seed).integers(2, size=(6, len(classes)))
    matrix[0] = 1
    lists = pd.Series(
        [", ".join(np.array(classes, dtype=object)[row == 1]) for row in matrix], name="tags"
    )
    np.testing.assert_array_equal(matrix_of_lists(Path("t.csv"), lists, classes), matrix)


def test_lists_of_one_class_each_may_have_blanks_in_its_name():
    lists = pd.Series(["golf course", "", "sea"])
    assert split_lists(lists, ("golf course", "sea")) == [["golf course"], [], ["sea"]]
    assert split_lists(lists) == [["golf", "course"], [], ["sea"]]


def test_counts_are_of_positives_and_zero_becomes_unknown():
    matrix = np.array([[1, 0], [1, -1], [0, 0]], dtype=np.int8)
    assert positive_counts(matrix, ("a", "b")) == {"a": 2, "b": 0}
    mapped = zero_to_unknown(matrix)
    assert mapped.tolist() == [[1, -1], [1, -1], [-1, -1]]
    assert mapped.dtype == np.int8
