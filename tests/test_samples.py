"""Samples from tables and folders, and what is refused in them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comptool.competition import samples
from comptool.competition.config import Competition
from comptool.competition.samples import read_samples, training_samples
from comptool.errors import InputError
from comptool.tasks.labels import class_counts, class_names


@pytest.fixture
def pairs(tmp_path) -> Competition:
    """Two pairs in a table with path columns."""
    train = tmp_path / "train.csv"
    train.write_text("id,sar,eo,y\n007,s/1.png,e/1.png,b\n1e5,s/2.png,,a\n")
    return Competition(
        name="x", task="multiclass", metric="accuracy", folder=tmp_path, train=train,
        label="y", group="scene", modalities={"sar": "sar", "eo": "eo"},
    )  # fmt: skip


def test_training_samples_of_a_table(pairs):
    found = training_samples(pairs)
    assert found.frame["id"].tolist() == ["007", "1e5"]
    assert (found.id, found.label, found.group) == ("id", "y", None)
    assert found.paths == {"sar": "sar", "eo": "eo"}
    assert found.frame["eo"].tolist() == ["e/1.png", ""]
    assert (found.folder, found.source) == (pairs.folder, pairs.train)
    assert len(found) == 2


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("3,/etc/x.png,e.png,a", "row 3, column 'sar': this path leaves the data folder; "),
        ("3,a/../../x.png,e.png,a", "row 3, column 'sar': this path leaves the data folder; "),
        ("3,s.png,..,a", "row 3, column 'eo': this path leaves the data folder; "),
        ("3,s.png,C:\\x.png,a", "row 3, column 'eo': this path leaves the data folder; "),
        ("3,,,a", "row 3, column 'sar': this row has no image path"),
        ("3,s.png,e.png, ", "row 3, column 'y': the label is blank"),
        (",s.png,e.png,a", "row 3, column 'id': the id is blank"),
        ("007,s.png,e.png,a", "row 3, column 'id': duplicate id (found '007')"),
    ],
)
def test_a_wrong_row_is_named(pairs, row, message):
    with pairs.train.open("a") as stream:
        stream.write(row + "\n")
    with pytest.raises(InputError) as error:
        training_samples(pairs)
    assert str(error.value).startswith(f"{pairs.train}, {message}")


@pytest.mark.parametrize("path", ["a/../b.png", "..b/c..png", "./a.png", "a...png"])
def test_dots_that_stay_inside_are_kept(pairs, path):
    pairs.train.write_text(f"id,sar,eo,y\n1,{path},e.png,a\n")
    assert training_samples(pairs).frame["sar"].tolist() == [path]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"id": "key"}, "no column is called 'key' (found 'id', 'sar', 'eo' and 1 more). Name"),
        ({"label": "z"}, "no column is called 'z' (found 'id', 'sar', 'eo' and 1 more)"),
        ({"modalities": {"nir": "n"}}, "no column is called 'n', which should hold the image"),
        ({"modalities": {"nir": "{m}.png"}}, "no column is called 'm', which the pattern "),
    ],
)
def test_a_missing_column_is_named(pairs, changes, message):
    with pytest.raises(InputError) as error:
        training_samples(replace(pairs, **changes))
    assert str(error.value).startswith(f"{pairs.train}: {message}")


def test_a_label_outside_the_fixed_classes_is_refused(pairs):
    with pytest.raises(InputError) as error:
        training_samples(replace(pairs, classes=("a", "c")))
    assert str(error.value) == (
        f"{pairs.train}, row 1, column 'y': the label is not one of 'classes' in comptool.toml "
        "(found 'b')"
    )


def test_a_competition_without_data_says_so(pairs):
    with pytest.raises(InputError, match="the competition has no training data"):
        training_samples(replace(pairs, train=None))
    with pytest.raises(InputError, match="the competition has no test data"):
        samples.test_samples(pairs)


@pytest.fixture
def patterned(tmp_path) -> Competition:
    """Ids only; images of two sensors in a folder each."""
    for name in ("s/SAR_1.png", "s/SAR_2.png", "e/EO_1.png"):
        (tmp_path / "img" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "img" / name).touch()
    train = tmp_path / "train.csv"
    train.write_text("id,y\n2,b\n1,a\n")
    return Competition(
        name="x", task="multiclass", metric="accuracy", folder=tmp_path, train=train, label="y",
        train_images=tmp_path / "img", modalities={"sar": "SAR_{id}.png", "eo": "EO_{id}.png"},
    )  # fmt: skip


def test_patterns_become_path_columns(patterned):
    found = training_samples(patterned)
    assert found.paths == {"sar": "sar_path", "eo": "eo_path"}
    assert found.frame.to_dict("list") == {
        "id": ["2", "1"],
        "y": ["b", "a"],
        "sar_path": ["img/s/SAR_2.png", "img/s/SAR_1.png"],
        "eo_path": ["", "img/e/EO_1.png"],
    }


def test_an_id_without_any_image_is_named_with_what_was_looked_for(patterned):
    with patterned.train.open("a") as stream:
        stream.write("3,a\n4,a\n")
    with pytest.raises(InputError) as error:
        training_samples(patterned)
    assert str(error.value).startswith(
        f"{patterned.train}, row 3, column 'id': no image SAR_{{id}}.png or EO_{{id}}.png below "
        f"{patterned.train_images} (found '3', '4')"
    )


def test_two_images_of_one_name_are_refused(patterned):
    (patterned.folder / "img" / "SAR_2.png").touch()
    with pytest.raises(InputError) as error:
        training_samples(patterned)
    assert str(error.value) == (
        f"{patterned.train}, row 1: two images have the name 'SAR_2.png' (found 'img/SAR_2.png', "
        "'img/s/SAR_2.png'). Name their folder with 'train-images' or 'test-images' in "
        "comptool.toml"
    )


def test_a_table_with_a_record_knows_its_data_folder(pairs, tmp_path):
    made = tmp_path / "run" / "folds.csv"
    made.parent.mkdir()
    made.write_text("id,sar,eo,y,scene,fold\n1,s.png,e.png,a,q,0\n2,s.png,,b,q,-1\n")
    Path(f"{made}.meta.json").write_text(json.dumps({"facts": {"folder": ".."}}))
    found = read_samples(made, pairs, labelled=True)
    assert found.folder.resolve() == tmp_path.resolve()
    assert found.frame["fold"].tolist() == [0, -1]
    assert found.group == "scene"


def test_a_table_without_a_record_stands_in_its_data_folder(pairs, tmp_path):
    table = tmp_path / "more" / "test.csv"
    table.parent.mkdir()
    table.write_text("id,sar,eo\n9,a.png,b.png\n")
    found = read_samples(table, pairs, labelled=False)
    assert (found.folder, found.label) == (table.parent, None)
    with pytest.raises(InputError, match="no column is called 'y'"):
        read_samples(table, pairs, labelled=True)


def test_a_table_of_the_competition_keeps_the_competitions_folder(pairs, tmp_path):
    inner = tmp_path / "tables"
    inner.mkdir()
    pairs.train.rename(inner / "train.csv")
    moved = replace(pairs, train=inner / "train.csv")
    assert read_samples(inner / "train.csv", moved, labelled=True).folder == tmp_path


def test_a_table_of_ids_finds_its_images_by_pattern(patterned, tmp_path):
    table = tmp_path / "ids.csv"
    table.write_text("id\n1\n")
    wanted = replace(patterned, test_images=patterned.train_images)
    found = read_samples(table, wanted, labelled=False)
    assert found.frame["eo_path"].tolist() == ["img/e/EO_1.png"]


@pytest.mark.parametrize("fold", ["-2", "0.5", "", "x", "9" * 30])
def test_a_fold_that_is_none_is_refused(pairs, tmp_path, fold):
    table = tmp_path / "folds.csv"
    table.write_text(f"id,sar,eo,y,fold\n1,s,e,a,0\n2,s,e,b,{fold}\n")
    with pytest.raises(InputError) as error:
        read_samples(table, pairs, labelled=True)
    assert str(error.value) == (
        f"{table}, row 2, column 'fold': a fold is -1 (always training) or 0, 1, 2 and so on "
        f"(found '{fold}')"
    )


def test_the_id_of_a_sample_submission_may_have_another_name(pairs, tmp_path):
    (tmp_path / "1.png").touch()
    sample = tmp_path / "sample.csv"
    sample.write_text("Key,y\n1,a\n")
    one = replace(pairs, sample_submission=sample, modalities={"image": "{id}.png"})
    assert samples.test_samples(one).frame.to_dict("list") == {"id": ["1"], "image_path": ["1.png"]}


@given(st.lists(st.integers(-50, 50), min_size=1))
def test_whole_numbers_are_ordered_as_numbers(numbers):
    labels = [str(number) for number in numbers]
    assert [int(name) for name in class_names(labels)] == sorted(set(numbers))
    counts = class_counts(labels)
    assert tuple(counts) == class_names(labels)
    assert sum(counts.values()) == len(labels)


def test_numbers_inside_words_are_ordered_as_numbers():
    labels = [f"class{number}" for number in range(12)]
    assert class_names(reversed(labels)) == tuple(labels)
    assert class_names(["c2-b10", "c2-b9", "c10-b1", "a"]) == ("a", "c2-b9", "c2-b10", "c10-b1")
    assert class_names(["10", "9", "a"]) == ("9", "10", "a")


@given(st.lists(st.text("a1 0Z9-", max_size=6), min_size=1), st.randoms())
def test_class_order_does_not_depend_on_the_order_of_rows(labels, random):
    shuffled = random.sample(labels, len(labels))
    names = class_names(labels)
    assert class_names(shuffled) == names
    assert sorted(names) == sorted(set(labels))


def test_numbers_written_in_two_ways_stay_two_classes():
    assert class_names(["1", "01"]) == ("01", "1")
    assert class_names(["a1", "a01", "a1b"]) == ("a01", "a1", "a1b")
