"""The file contracts: what is read comes back, what is wrong is named, nothing is half written."""

from __future__ import annotations

import gzip
import os
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from comptool.errors import InputError, OutputExistsError
from comptool.io.atomic import atomic_output, refuse_existing
from comptool.io.predictions import Predictions, read_predictions, write_predictions
from comptool.io.tables import read_table, write_table

AWKWARD = ["007", "1e5", "NA", "nan", "null", "1.0", "a,b", 'q"q', "Straße 東", " padded "]


def predictions(ids, classes=("0", "1"), **columns) -> Predictions:
    probabilities = np.full((len(ids), len(classes)), 1 / len(classes))
    return Predictions(np.array(ids, dtype=object), tuple(classes), probabilities, **columns)


@pytest.mark.parametrize("suffix", [".csv", ".csv.gz", ".parquet"])
def test_awkward_ids_survive_a_table(tmp_path, suffix):
    path = tmp_path / f"t{suffix}"
    write_table(path, pd.DataFrame({"id": AWKWARD, "label": ["0"] * len(AWKWARD)}))
    assert read_table(path)["id"].tolist() == AWKWARD


texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=6)


@settings(max_examples=60, deadline=None)
@given(st.data(), st.integers(1, 4), st.integers(1, 5), st.sampled_from([".csv", ".parquet"]))
def test_text_and_whole_numbers_read_back(tmp_path_factory, data, width, rows, suffix):
    columns = {
        f"c{index}": data.draw(st.lists(texts, min_size=rows, max_size=rows))
        for index in range(width)
    }
    path = tmp_path_factory.mktemp("t") / f"t{suffix}"
    write_table(path, pd.DataFrame(columns, dtype=str).assign(fold=range(-1, rows - 1)))
    back = read_table(path)
    assert back.pop("fold").tolist() == [str(row - 1) for row in range(rows)]
    assert back.to_dict("list") == columns


def test_a_table_is_written_as_pandas_writes_it(tmp_path):
    frame = pd.DataFrame(
        {"id": AWKWARD, "empty": [""] * len(AWKWARD), "fold": range(len(AWKWARD))}
    ).astype({"id": str, "empty": str})
    write_table(tmp_path / "t.csv", frame)
    assert (tmp_path / "t.csv").read_text() == frame.to_csv(index=False, lineterminator="\n")


def test_a_byte_order_mark_crlf_and_quoted_commas_are_understood(tmp_path):
    path = tmp_path / "t.csv"
    path.write_bytes('\ufeffid,"a,b"\r\n007,"x,y"\r\n1e5,\r\n'.encode())
    table = read_table(path)
    assert table.columns.tolist() == ["id", "a,b"]
    assert table.to_numpy().tolist() == [["007", "x,y"], ["1e5", ""]]


def test_predictions_in_a_zip_or_gz_are_read_as_they_are(tmp_path):
    plain = tmp_path / "p.csv"
    write_predictions(plain, predictions(["007", "1e5"]))
    with zipfile.ZipFile(tmp_path / "p.zip", "w") as archive:
        archive.write(plain, "results.csv")
    (tmp_path / "p.csv.gz").write_bytes(gzip.compress(plain.read_bytes()))
    wanted = read_predictions(plain)
    for name in ("p.zip", "p.csv.gz"):
        found = read_predictions(tmp_path / name)
        assert (found.ids.tolist(), found.classes) == (wanted.ids.tolist(), wanted.classes)
        np.testing.assert_array_equal(found.probabilities, wanted.probabilities)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("p.zip", ": cannot be unpacked (File is not a zip file)"),
        ("p.csv.gz", ": cannot be unpacked (Not a gzipped file (b'a\\r'))"),
        ("p.csv", ", row 1: this row has 2 cells and the header has 1"),
    ],
)
def test_bytes_that_are_no_predictions_are_refused(tmp_path, name, message):
    (tmp_path / name).write_bytes(b"a\rb,c\n1,2\n")
    with pytest.raises(InputError) as error:
        read_predictions(tmp_path / name)
    assert str(error.value).startswith(f"{tmp_path / name}{message}")


def test_predictions_with_a_byte_order_mark_and_crlf(tmp_path):
    path = tmp_path / "p.csv"
    path.write_bytes('\ufeffimg,"a,b",c\r\n007,0.25,0.75\r\n'.encode())
    back = read_predictions(path)
    assert (back.id_column, back.classes, back.ids[0]) == ("img", ("a,b", "c"), "007")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty (0 bytes)"),
        ("id,a,b\n", "has a header and no rows"),
        ("id\n1\n", "has no probability column (found 'id')"),
        ("id,a,a\n1,.5,.5\n", "the header repeats a column (found 'a')"),
        ("id,a,\n1,.5,.5\n", "the header has a column without a name (found 'id', 'a', '')"),
        (
            "id,a,b\n1,1,0\n1,1,0\n2,1,0\n",
            ", row 2, column 'id': duplicate id (found '1')",
        ),
        ("id,a,b\n1,1,0\n,1,0\n", ", row 2, column 'id': the id is blank"),
        ("id,a,b\n1,1,0\n2,x,0\n", ", row 2, column 'a': is not a number (found 'x')"),
        ("id,a,b\n1,1,0\n2,1,\n", ", row 2, column 'b': is not a number (NaN or blank)"),
        ("id,a,b\n1,NaN,0\n", ", row 1, column 'a': is not a number (NaN or blank)"),
        ("id,a,b\n1,inf,0\n", ", row 1, column 'a': is not a probability between 0 and 1"),
        ("id,a,b\n1,-0.5,1.5\n", ", row 1, column 'a': is not a probability between 0 and 1"),
        (
            "id,a,b\n1,.5,.5\n2,.5,.9\n",
            ", row 2: the 2 probabilities of this row do not sum to one",
        ),
        (
            "id,a,b,extra\n1,.5,.5,.7\n",
            ", row 1: the 3 probabilities of this row do not sum to one",
        ),
        ("id,a,fold\n1,1,x\n", ", column 'fold': is not a whole number in every row"),
    ],
)
def test_wrong_predictions_are_named_by_place_and_value(tmp_path, text, message):
    path = tmp_path / "p.csv"
    path.write_text(text)
    with pytest.raises(InputError) as caught:
        read_predictions(path)
    assert str(caught.value).removeprefix(str(path)).removeprefix(": ").startswith(message)


def test_multilabel_probabilities_need_not_sum_to_one(tmp_path):
    path = tmp_path / "p.csv"
    path.write_text("id,a,b\n1,.9,.9\n")
    assert read_predictions(path, sums_to_one=False).probabilities.tolist() == [[0.9, 0.9]]


@pytest.mark.parametrize("name", ["missing.csv", "missing.parquet"])
def test_a_missing_file_is_named(tmp_path, name):
    with pytest.raises(InputError, match="there is no such file"):
        read_table(tmp_path / name)


@pytest.mark.parametrize("name", ["t.csv", "t.csv.gz", "t.parquet"])
def test_bytes_that_are_no_table_are_refused(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(bytes(range(256)) * 4)
    with pytest.raises(InputError, match=r"t\.(csv|parquet): is no|t\.csv\.gz: cannot be"):
        read_table(path)


def test_a_required_column_is_asked_for_with_what_there_is(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("image,y\n1,2\n")
    with pytest.raises(InputError, match="no column is called 'id' \\(found 'image', 'y'\\)"):
        read_table(path, required=["id"])


def test_a_class_called_like_a_reserved_column_is_refused(tmp_path):
    with pytest.raises(InputError, match="reserved column \\(found 'pred'\\)"):
        write_predictions(tmp_path / "p.csv", predictions(["1"], classes=("a", "pred")))


def test_an_output_is_kept_unless_forced(tmp_path):
    path = tmp_path / "t.csv"
    write_table(path, pd.DataFrame({"id": ["old"]}))
    with pytest.raises(OutputExistsError, match=r"exists already\. Replace it with --force"):
        write_table(path, pd.DataFrame({"id": ["new"]}))
    assert path.read_text() == "id\nold\n"
    write_table(path, pd.DataFrame({"id": ["new"]}), force=True)
    assert path.read_text() == "id\nnew\n"


def test_a_failure_while_writing_leaves_the_old_file_and_no_rest(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("old")
    with pytest.raises(ZeroDivisionError), atomic_output(path, force=True) as temporary:
        temporary.write_text("half")
        raise ZeroDivisionError
    assert [entry.name for entry in tmp_path.iterdir()] == ["t.csv"]
    assert path.read_text() == "old"


def test_a_result_can_be_read_by_the_group(tmp_path):
    old = os.umask(0o022)
    try:
        write_table(tmp_path / "t.csv", pd.DataFrame({"id": ["1"]}))
    finally:
        os.umask(old)
    assert (tmp_path / "t.csv").stat().st_mode & 0o777 == 0o644


def test_kill_9_during_a_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("old")
    code = (
        "import sys, time; from pathlib import Path; from comptool.io.tables import atomic_output\n"
        "with atomic_output(Path(sys.argv[1]), force=True) as temporary:\n"
        "    temporary.write_text('half'); print('half', flush=True); time.sleep(60)"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE, text=True
    )
    assert child.stdout.readline() == "half\n"
    child.send_signal(signal.SIGKILL)
    child.wait()
    assert path.read_text() == "old"


def test_writers_at_the_same_time_leave_one_whole_file(tmp_path):
    path = tmp_path / "t.csv"
    code = (
        "import sys; from pathlib import Path; from comptool.io.tables import atomic_output\n"
        "for _ in range(50):\n"
        "    with atomic_output(Path(sys.argv[1]), force=True) as temporary:\n"
        "        temporary.write_text(sys.argv[2] * 10_000)"
    )
    writers = [subprocess.Popen([sys.executable, "-c", code, str(path), who]) for who in "ab"]
    while any(writer.poll() is None for writer in writers):
        if path.exists():
            assert path.read_text() in ("a" * 10_000, "b" * 10_000)
        time.sleep(0.01)
    assert [writer.returncode for writer in writers] == [0, 0]
    assert [entry.name for entry in tmp_path.iterdir()] == ["t.csv"]


def test_a_full_disk_is_told_and_the_old_file_stays(tmp_path, file_limit):
    path = tmp_path / "t.csv"
    path.write_text("old")
    frame = pd.DataFrame({"id": ["x" * 100] * 5000})
    many = predictions([f"{row:0100}" for row in range(5000)])
    with file_limit(64 * 1024):
        with pytest.raises(InputError, match=r"could not be written .* nothing was changed"):
            write_table(path, frame, force=True)
        with pytest.raises(InputError, match=r"could not be written .* nothing was changed"):
            write_predictions(path, many, force=True)
    assert path.read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["t.csv"]


def test_a_read_only_folder_is_told_before_any_work(tmp_path, no_right):
    with pytest.raises(InputError, match="this folder cannot be written to"):
        refuse_existing(tmp_path / "new" / "t.csv")


def test_a_file_in_the_place_of_a_folder_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="is a file where a folder is needed"):
        refuse_existing(tmp_path / "file" / "t.csv")
    with pytest.raises(InputError, match="is a folder; a file is to be written"):
        refuse_existing(tmp_path)


def test_rows_are_taken_in_the_order_asked_for():
    taken = predictions(["a", "b", "c"], fold=np.array([0, 1, 2])).take(np.array([2, 0]))
    assert taken.ids.tolist() == ["c", "a"]
    assert taken.fold.tolist() == [2, 0]


def test_paths_are_shown_as_typed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"^x\.csv: there is no such file$"):
        read_table(Path("x.csv"))
