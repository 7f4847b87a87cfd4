"""Tables as organisers write them: separators, encodings, comments, headers, JSON."""

from __future__ import annotations

import gzip
import json
import zipfile

import pytest

from comptool.errors import InputError
from comptool.io.tables import read_table
from comptool.io.text_tables import USUAL, text_form

PLAIN = {"id": ["a1", "b2"], "label": ["straße", "sea"]}


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("id,label\na1,straße\nb2,sea\n".encode(), ""),
        ("id\tlabel\r\na1\tstraße\r\nb2\tsea\r\n".encode(), "tabs"),
        ("\ufeffid;label\na1;straße\nb2;sea\n".encode(), "semicolons"),
        ("id\tlabel\na1\tstraße\nb2\tsea\n".encode("utf-16"), "tabs; UTF-16"),
        ("id,label\na1,straße\nb2,sea\n".encode("latin-1"), "Latin-1"),
        ("id label\na1 straße\nb2 sea\n".encode(), "blanks"),
        ("# by us\n# v2\nid,label\na1,straße\nb2,sea\n".encode(), "comment lines: 2"),
        ("# by us\n# id,label\na1,straße\nb2,sea\n".encode(), "comment lines: 1"),
    ],
)
def test_a_text_table_is_read_as_it_is_written(tmp_path, content, told):
    (tmp_path / "t.txt").write_bytes(content)
    assert read_table(tmp_path / "t.txt").to_dict("list") == PLAIN
    assert str(text_form(tmp_path / "t.txt")) == told


def test_cells_with_other_separators_stay_whole(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text('id,label\na;b,"x;y"\nc,z\n')
    assert read_table(path).to_dict("list") == {"id": ["a;b", "c"], "label": ["x;y", "z"]}
    path.write_text("id\tlabels\na\tx,y\nb\tz\n")
    assert read_table(path)["labels"].tolist() == ["x,y", "z"]


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("a.png,cat\nb.png,dog\n", ["id", "label"]),
        ("a.PNG\nb.PNG\n", ["id"]),
        ("7,3\n8,1\n", ["id", "label"]),
        ("00f3a1,cat\n00f3a2,dog\n00f3a3,cat\n", ["id", "label"]),
        ("a000,cat\na001,dog\na002,cat\n", ["id", "label"]),
        ("a9,0.25\na10,0.5\n", ["id", "label"]),
        ("a0,cat\n00f3a2,dog\nb1,cat\n", ["a0", "cat"]),
        ("a.png,cat,3\nb.png,dog,4\n", ["column1", "column2", "column3"]),
        ("id,label\n00f3a2,dog\n", ["id", "label"]),
        ("id,0,1\na,1,0\n", ["id", "0", "1"]),
    ],
)
def test_a_missing_header_is_known_by_what_the_first_row_holds(tmp_path, text, columns):
    path = tmp_path / "t.csv"
    path.write_text(text)
    table = read_table(path)
    assert list(table.columns) == columns
    assert len(table) == text.count("\n") - (columns[0] == text.split(",")[0])


def test_a_nameless_index_has_the_name_that_pandas_gives_it(tmp_path):
    (tmp_path / "t.csv").write_text(",id\n0,a\n1,b\n")
    assert list(read_table(tmp_path / "t.csv").columns) == ["Unnamed: 0", "id"]


@pytest.mark.parametrize(
    ("text", "columns", "mark"),
    [
        ("#id,label\na,b\n", ["id", "label"], "#"),
        ("# by us\n#  id,label\na,b\n", ["id", "label"], "#  "),
        ("#,id\n0,a\n", ["Unnamed: 0", "id"], "#"),
        ('"#id",label\na,b\n', ["#id", "label"], ""),
        ("# by us\nid,label\na,b\n", ["id", "label"], ""),
    ],
)
def test_the_mark_of_a_comment_is_no_part_of_a_header(tmp_path, text, columns, mark):
    path = tmp_path / "t.csv"
    path.write_text(text)
    assert list(read_table(path).columns) == columns
    assert text_form(path).mark == mark


def test_packed_tables_are_read_in_place(tmp_path):
    with gzip.open(tmp_path / "t.csv.gz", "wt") as stream:
        stream.write("id;label\na1;straße\nb2;sea\n")
    with zipfile.ZipFile(tmp_path / "t.csv.zip", "w") as archive:
        archive.writestr("t.csv", "id;label\na1;straße\nb2;sea\n")
    for name in ("t.csv.gz", "t.csv.zip"):
        assert read_table(tmp_path / name).to_dict("list") == PLAIN
    (tmp_path / "t.csv.zip").write_bytes(b"no zip")
    with pytest.raises(InputError, match=r"t\.csv\.zip: "):
        read_table(tmp_path / "t.csv.zip")


def test_a_form_that_is_given_is_not_guessed(tmp_path):
    (tmp_path / "t.csv").write_text("id;label\na;b\n")
    assert list(read_table(tmp_path / "t.csv", form=USUAL).columns) == ["id;label"]


@pytest.mark.parametrize(
    ("name", "content", "rows"),
    [
        ("t.json", [{"id": 1, "y": "a"}, {"id": "002", "y": None}], [["1", "a"], ["002", ""]]),
        ("t.json", {"a.png": "cat", "b.png": 3}, [["a.png", "cat"], ["b.png", "3"]]),
        (
            "t.json",
            {
                "images": [
                    {"id": 7, "file_name": "x.jpg", "tags": []},
                    {"id": 9, "file_name": "y"},
                ],
                "annotations": [
                    {"image_id": 9, "category_id": 4},
                    {"image_id": 7, "category_id": 2},
                    {"image_id": 9, "category_id": 2},
                    {"image_id": 9, "category_id": 4},
                ],
                "categories": [{"id": 2, "name": "red fox"}, {"id": 4, "name": "owl"}],
            },
            [["7", "x.jpg", "2", "red fox"], ["9", "y", "4; 2", "owl; red fox"]],
        ),
        ("t.json", {"images": [{"id": 7, "file_name": "x.jpg"}]}, [["7", "x.jpg"]]),
    ],
)
def test_json_tables(tmp_path, name, content, rows):
    (tmp_path / name).write_text(json.dumps(content))
    assert read_table(tmp_path / name).to_numpy().tolist() == rows


def test_a_changed_json_file_is_read_again(tmp_path):
    path = tmp_path / "t.json"
    for label in ("cat", "horse"):
        path.write_text(json.dumps({"a": label}))
        table = read_table(path)
        assert table["label"].tolist() == [label]
        table["label"] = "changed"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is not readable as JSON (Expecting property name"),
        ('{"a": [1]}', "holds no table (found 'a'). A list of records, {id: label}, or 'images'"),
        ('{"images": [{"file_name": "a"}], "annotations": [{"image_id": 1}]}', "an image has no"),
        ("[]", "has a header and no rows"),
    ],
)
def test_json_without_rows_is_refused(tmp_path, content, message):
    (tmp_path / "t.json").write_text(content)
    with pytest.raises(InputError) as error:
        read_table(tmp_path / "t.json")
    assert str(error.value).startswith(f"{tmp_path / 't.json'}: {message}")
