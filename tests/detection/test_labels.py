"""Which downloads are multi-label, and what their classes are."""

from __future__ import annotations

import json
import shlex

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from comptool.competition.sample_summary import summarise
from comptool.competition.samples import training_samples
from comptool.errors import InputError
from comptool.io.sample_columns import SampleColumns
from comptool.tasks.labels import asked_classes


def test_columns_of_zeros_and_ones_are_labels(download, rows, detect):
    folder = download(
        6,
        train=rows("img_id,img_path,sea,sand,tree", "{n},{n}.png,{even},1,0", range(6)),
    )
    found = detect(folder)
    assert (found.task, found.metric, found.labels) == (
        "multilabel",
        "map",
        ("sea", "sand", "tree"),
    )
    assert training_samples(found).labels == found.labels


def test_labels_joined_by_blanks_are_several(download, rows, detect):
    folder = download(6, train=rows("id,labels", "{n},a b{even}", range(6)))
    found = detect(folder)
    assert (found.task, found.label, found.labels) == ("multilabel", "labels", ())


@pytest.mark.parametrize(
    ("header", "cells"),
    [
        ("id,labels", '"golf course, sea" sea'),
        ("id,what", '"sea, sand, tree" "tree, sea"'),
        ("id,Target", "'16 0' 25"),
        ("id,tags", "'sea sand' sea"),
    ],
)
def test_lists_are_known_by_parts_that_come_again(header, cells, download, detect):
    one, two = shlex.split(cells, posix=False)
    cells = [cell.replace("'", "") for cell in (one, two)] * 3
    text = "\n".join([header, *(f"{n},{cell}" for n, cell in enumerate(cells)), ""])
    found = detect(download(6, train=text))
    name = header.removeprefix("id,")
    assert (found.task, found.label) == ("multilabel", name)
    assert f"task: multilabel ({name} holds lists of labels)" in found.findings


@pytest.mark.parametrize("cells", [("0,0", "1,5"), ("0,37", "0,05"), ("-1,5", "2,37")])
@pytest.mark.parametrize("row", ["{};{}", '{},"{}"'])
def test_decimal_commas_are_no_lists(cells, row, download, detect):
    lines = [row.format(n, cell) for n, cell in enumerate(cells * 3)]
    folder = download(6, train="\n".join([row.format("id", "label").replace('"', ""), *lines, ""]))
    with pytest.raises(InputError) as error:
        detect(folder)
    assert str(error.value) == (
        f"{folder / 'train.csv'}, row 1, column 'label': has decimal commas (found '{cells[0]}', "
        f"'{cells[1]}'). Write 3.3 for 3,3; if these are lists of classes, say --task multilabel"
    )
    assert detect(folder, task="multilabel").task == "multilabel"


def test_pairs_of_class_numbers_are_lists(download, detect):
    lines = [f'{n},"{n % 3},{n % 3 + 1}"' for n in range(6)]
    assert detect(download(6, train="\n".join(["id,label", *lines, ""]))).task == "multilabel"


def test_class_names_with_blanks_or_commas_are_no_lists(download, detect):
    names = ("golf course", "sea", '"soil, bare"', "tennis court") * 3
    lines = [f"{n},{name}" for n, name in enumerate(names)]
    folder = download(12, train="\n".join(["id,label", *lines, ""]))
    found = detect(folder)
    assert found.task == "multiclass"
    assert set(training_samples(found).frame["label"]) == {name.strip('"') for name in names}


def test_a_column_per_class_in_the_sample_submission_tells_lists(download, rows, detect):
    folder = download(
        8,
        train=rows("id,label", "{n},sea s{even}", range(6)),
        sample=rows("id,s1,sea,s0", "{n},0.5,0.5,0.5", range(6, 8)),
    )
    found = detect(folder)
    assert (found.task, found.label) == ("multilabel", "label")
    samples = training_samples(found)
    assert samples.labels == ("s1", "sea", "s0")
    assert samples.label_matrix()[0].tolist() == [0, 1, 1]


def test_the_sample_submission_gives_the_labels_their_order(download, rows, detect):
    folder = download(
        8,
        train=rows("id,label,sea,bare soil/sand,Ä,cloudy", "{n},x,{even},1,,0", range(6)),
        sample=rows("id,Ä,sea,bare soil/sand", "{n},0.5,0.5,0.5", range(6, 8)),
    )
    found = detect(folder)
    assert found.labels == ("Ä", "sea", "bare soil/sand")
    assert (
        "label columns: 3 of 0 and 1 ('Ä', 'sea', 'bare soil/sand'); in the order of the sample "
        "submission; not in the sample submission, so not a label: 'cloudy'"
    ) in found.findings
    assert training_samples(found).label_matrix()[1].tolist() == [-1, 1, 1]


def test_a_class_that_the_training_table_lacks_is_named(download, rows, detect):
    folder = download(
        8,
        train=rows("id,sea,sand,bare-soil", "{n},{even},1,0", range(6)),
        sample=rows("id,sea,sand,bare_soil", "{n},0.5,0.5,0.5", range(6, 8)),
    )
    with pytest.raises(InputError) as error:
        detect(folder)
    assert str(error.value) == (
        f"{folder / 'train.csv'}: the sample submission has classes without a column in "
        "the training table (found 'bare_soil'). Its other columns are 'bare-soil'; the names "
        "have to agree"
    )


def test_a_wrong_value_does_not_hide_a_class_that_is_asked_for(download, rows, detect):
    text = rows("id,sea,sand", "{n},{even},1", range(6)) + "6,maybe,1\n"
    folder = download(
        9,
        train=text,
        sample=rows("id,sea,sand", "{n},0.5,0.5", range(7, 9)),
    )
    samples = training_samples(detect(folder))
    assert samples.labels == ("sea", "sand")
    with pytest.raises(InputError, match=r"row 7, column 'sea': a label is 1 \(present\).*'maybe'"):
        samples.label_matrix()


def test_a_class_with_a_wrong_cell_is_told_where_nothing_else_names_it(download, rows, detect):
    folder = download(
        7,
        train=rows("id,sea,sand,tree,count", "{n},{even},1,0,{n}5", range(6)) + "6,0,2,1,1\n",
    )
    found = detect(folder)
    assert found.labels == ("sea", "tree")
    assert [one for one in found.findings if one.startswith("problem")] == [
        "problem: column 'sand' is not a label column: row 7 has '2', not 0, 1, -1 or blank; "
        "mend the table, or name the labels with --label"
    ]


def test_a_few_notes_in_a_blank_column_are_no_labels_gone_wrong(download, rows, detect):
    folder = download(
        7,
        train=rows("id,sea,sand,note", "{n},{even},1,", range(6)) + "6,0,1,cloudy\n",
    )
    found = detect(folder)
    assert found.labels == ("sea", "sand")
    assert not [one for one in found.findings if one.startswith("problem")]


def test_a_wholly_blank_column_among_labels_is_a_class_that_nobody_annotated(
    download, rows, detect
):
    folder = download(
        6,
        train=rows("id,note,where,sea,pier,sand,car", "{n},,x{even},{even},,1,", range(6)),
    )
    found = detect(folder)
    assert found.labels == ("sea", "pier", "sand", "car")
    assert any("without annotations: 'pier', 'car'" in one for one in found.findings)
    assert (training_samples(found).label_matrix()[:, [1, 3]] == -1).all()


@pytest.mark.parametrize("name", ["confidence", "round"])
def test_a_class_called_like_a_column_of_pseudo_labels_is_refused_at_once(
    tmp_path, name, write, rows, detect
):
    images = [f"{n}.png" for n in range(6)]
    folder = write(tmp_path, *images, train=rows(f"id,sea,{name}", "{n},{even},1", range(6)))
    found = detect(folder)
    with pytest.raises(InputError, match=f"pseudo-label tables.*'{name}'.*Rename the class"):
        training_samples(found)
    assert f"'{name}'" in str(summarise(found).obstacle)


def test_a_class_called_like_a_column_of_prediction_files_is_told(tmp_path, write, rows, detect):
    train = rows("id,sea,sand,pred", "{n},{even},1,0", range(6))
    images = [f"{n}.png" for n in range(8)]
    found = detect(write(tmp_path / "alone", *images, train=train))
    assert found.labels == ("sea", "sand")
    assert any("problem: column 'pred' is not a label" in one for one in found.findings)
    sample = rows("id,sea,sand,pred", "{n},0,0,0", range(6, 8))
    folder = write(tmp_path / "asked", *images, train=train, sample=sample)
    with pytest.raises(InputError, match=r"cannot be called like.*'pred'.*Rename the class"):
        detect(folder)


def test_a_sample_submission_of_lists_is_ranked_by_an_f1(download, rows, detect):
    folder = download(
        8,
        train=rows("id,sea,sand,tree,cars,dock", "{n},{even},1,0,0,1", range(6)),
        sample=rows("id,labels", "{n},sea sand", range(6, 8)),
    )
    found = detect(folder)
    assert (found.task, found.metric) == ("multilabel", "macro-f1")
    assert found.labels == ("sea", "sand", "tree", "cars", "dock")


def test_an_overview_counts_positives_and_unknown_cells(download, rows, detect):
    folder = download(
        6,
        train=rows("id,sea,sand", "{n},{even},", range(5)) + "5,-1,1\n",
    )
    assert summarise(detect(folder)).lines == [
        "6 training samples of 2 labels, positives from 1 (sand) to 2 (sea), 0.50 per sample, "
        "50.0% of the cells not annotated"
    ]
    (folder / "train.csv").write_text(rows("id,sea,sand", "{n},{even},{third}", range(6)))
    told = summarise(detect(folder, label=["sea", "sand"], task="multilabel"))
    assert told.lines == []
    assert str(told.obstacle) == (
        f"{folder / 'train.csv'}, row 3, column 'sand': a label is 1 (present), 0 "
        "(absent), -1 or blank (not annotated) (found '2')"
    )


def test_given_labels_that_the_sample_submission_does_not_ask_for_are_a_problem(
    download, rows, detect
):
    folder = download(
        8,
        train=rows("id,sea,sand,tree", "{n},{even},1,0", range(6)),
        sample=rows("id,sea,sand,tree", "{n},0.5,0.5,0.5", range(6, 8)),
    )
    told = summarise(detect(folder, label=["sea", "sand"], task="multilabel"))
    assert told.lines[1] == (
        "problem: the labels are not the classes of the sample submission: "
        "sea, sand against sea, sand, tree"
    )


@given(order=st.permutations(["Ä", "sea", "bare soil/sand", "a,b"]))
def test_the_order_of_the_training_columns_does_not_matter(
    tmp_path_factory, order, write, rows, detect
):
    header = "id," + ",".join(f'"{name}"' for name in order)
    cell = {"Ä": "1", "sea": "0", "bare soil/sand": "{even}", "a,b": ""}
    folder = write(
        tmp_path_factory.mktemp("law"),
        *[f"{n}.png" for n in range(8)],
        train=rows(header, "{n}," + ",".join(cell[name] for name in order), range(6)),
        sample=rows('id,Ä,sea,bare soil/sand,"a,b"', "{n},0.5,0.5,0.5,0.5", range(6, 8)),
    )
    samples = training_samples(detect(folder))
    assert samples.labels == ("Ä", "sea", "bare soil/sand", "a,b")
    assert samples.label_matrix().tolist() == [[1, 0, n % 2, -1] for n in range(6)]


def test_annotations_of_unknown_images_and_categories_are_counted(comptool, tmp_path, write):
    write(tmp_path, *(f"{n}.png" for n in range(6)))
    pairs = [(n, n % 2) for n in range(6)] + [(70, 0), (71, 1), (70, 1)]
    content = {
        "images": [{"id": n, "file_name": f"{n}.png"} for n in range(6)],
        "annotations": [{"image_id": n, "category_id": kind} for n, kind in pairs],
        "categories": [{"id": 0, "name": "cat"}],
    }
    (tmp_path / "train.json").write_text(json.dumps(content))
    result = comptool("init", ".")
    assert result.exit_code == 0, result.stderr
    assert (
        "train.json: of 9 annotations, 3 name images that are not in 'images' ('70', '71') and are "
        "left out; 5 name categories that are not in 'categories' ('1'), so categories are called "
        "by their ids\n"
    ) in result.stderr
    content["annotations"] = content["annotations"][:6]
    content["categories"].append({"id": 1, "name": "dog"})
    (tmp_path / "train.json").write_text(json.dumps(content))
    assert "name images that" not in comptool("init", ".", "--force").stderr


def test_an_index_before_the_id_of_the_sample_submission_is_no_class(download, rows, detect):
    names = "cat,dog"
    folder = download(
        6,
        train=rows(f"id,{names}", "{n},{even},1", range(6)),
        sample=rows(f",id,{names}", "{n},{n},0,0", range(6)),
    )
    found = detect(folder)
    assert found.labels == ("cat", "dog")
    assert asked_classes(found) == ("cat", "dog")
    joined = detect(download(6, train=rows("id,labels", "{n},cat dog", range(6))))
    assert training_samples(joined).labels == ("cat", "dog")


def test_a_nameless_column_of_ids_is_the_id_of_a_sample_submission():
    ids = pd.DataFrame({"Unnamed: 0": ["a", "b"], "cat": ["0", "0"], "dog": ["0", "0"]})
    assert SampleColumns.of(ids) == SampleColumns((), "Unnamed: 0", ("cat", "dog"))
    index = pd.DataFrame({"Unnamed: 0": ["0", "1"], "id": ["a", "b"], "dog": ["0", "0"]})
    assert SampleColumns.of(index) == SampleColumns(("Unnamed: 0",), "id", ("dog",))
    # The competition's id is in the middle: what is before it is kept.
    other = pd.DataFrame({"fold": ["0"], "id": ["a"], "cat": ["0"], "dog": ["0"]})
    assert SampleColumns.of(other, "id") == SampleColumns(("fold",), "id", ("cat", "dog"))
    assert SampleColumns.of(other, "dog").id == "fold"
