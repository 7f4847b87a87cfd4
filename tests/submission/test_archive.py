"""MAVOC's zip: one results.csv at its root."""

from __future__ import annotations

import os
import zipfile

import pytest

from comptool.errors import InputError, OutputExistsError, SubmissionError
from comptool.submission.delivery import read_submission, write_zip


@pytest.fixture
def csv(tmp_path):
    path = tmp_path / "mavoc.csv"
    path.write_text("image_id,class_id\n007,1\n")
    return path


def test_a_zip_reads_back_as_the_table(csv, tmp_path):
    write_zip(tmp_path / "a.zip", csv)
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        assert archive.namelist() == ["results.csv"]
        assert archive.read("results.csv") == csv.read_bytes()
    assert read_submission(tmp_path / "a.zip").to_dict("list") == {
        "image_id": ["007"],
        "class_id": ["1"],
    }


def test_the_bytes_do_not_depend_on_the_clock(csv, tmp_path):
    write_zip(tmp_path / "a.zip", csv)
    os.utime(csv, (1, 1))
    write_zip(tmp_path / "b.zip", csv)
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()


def test_a_zip_is_not_replaced_unasked(csv, tmp_path):
    write_zip(tmp_path / "a.zip", csv)
    with pytest.raises(OutputExistsError):
        write_zip(tmp_path / "a.zip", csv)
    write_zip(tmp_path / "a.zip", csv, force=True)


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (["out/results.csv"], "'out/results.csv'"),
        (["results.csv", "notes.txt"], "'results.csv', 'notes.txt'"),
        ([], "nothing"),
    ],
)
def test_a_zip_with_anything_else_is_refused(tmp_path, names, found):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, "id,y\n1,1\n")
    with pytest.raises(SubmissionError) as error:
        read_submission(path)
    assert str(error.value) == f"{path}: holds {found}; one results.csv at its root is expected"


def test_a_broken_zip_is_refused(tmp_path):
    (tmp_path / "a.zip").write_bytes(b"PK nothing")
    with pytest.raises(SubmissionError, match=r"a.zip: is not a readable zip"):
        read_submission(tmp_path / "a.zip")


def test_a_table_without_rows_is_refused_by_its_own_name(tmp_path):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("results.csv", "id,y\n")
    with pytest.raises(SubmissionError) as error:
        read_submission(path)
    assert str(error.value) == f"{path}/results.csv: has a header and no rows"


def test_a_file_that_is_not_there_is_bad_input(tmp_path):
    with pytest.raises(InputError, match="there is no such file"):
        read_submission(tmp_path / "a.csv")
