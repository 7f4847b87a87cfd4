"""Packed tables that are damaged, encrypted, or hold more than a table can need."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from comptool.errors import ComptoolError, InputError
from comptool.io.npy import read_npy
from comptool.io.predictions import Predictions, read_predictions, write_predictions
from comptool.io.tables import read_table
from comptool.io.text_tables import text_form
from comptool.submission.delivery import MEMBER, read_submission

CSV = b"id,a,b\n" + b"".join(b"i%d,0.25,0.75\n" % number for number in range(300))
READERS = (read_table, read_predictions)


def zipped(content: bytes, method: int = zipfile.ZIP_DEFLATED, name: str = MEMBER) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        archive.writestr(name, content)
    return file.getvalue()


PACKERS: dict[str, Callable[[bytes], bytes]] = {
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
    ".zip": zipped,
}


@pytest.fixture
def small_limits(monkeypatch) -> None:
    """A megabyte is what a file of any size may hold."""
    monkeypatch.setattr("comptool.limits.ALWAYS", 10**6)


@pytest.mark.parametrize("suffix", PACKERS)
def test_a_packed_table_is_read(tmp_path, suffix):
    path = tmp_path / f"t.csv{suffix}"
    path.write_bytes(PACKERS[suffix](CSV))
    assert len(read_table(path)) == 300
    assert read_predictions(path).probabilities[299].tolist() == [0.25, 0.75]


@pytest.mark.parametrize("suffix", PACKERS)
@pytest.mark.parametrize("read", READERS)
def test_a_bomb_is_refused_before_it_unfolds(tmp_path, small_limits, monkeypatch, suffix, read):
    path = tmp_path / f"t.csv{suffix}"
    content = b"id,a,b\n" + b"i,0.5,0.5\n" * 500_000
    path.write_bytes(PACKERS[suffix](content))
    with pytest.raises(InputError) as error:
        read(path)
    size = path.stat().st_size / 1e6
    assert str(error.value) == (
        f"{path}: holds more than {max(1e6, 1e8 * size) / 1e9:.1f} GB in {size:.1f} MB. If that is "
        "right, unpack it by hand, or set COMPTOOL_MAX_UNPACKED_GB to the gigabytes allowed"
    )
    monkeypatch.setenv("COMPTOOL_MAX_UNPACKED_GB", "0.01")
    with (
        pytest.raises(InputError, match="duplicate id")
        if read is read_predictions
        else (pytest.MonkeyPatch.context())
    ):
        assert len(read(path)) == 500_000


def test_a_submission_is_no_bomb(tmp_path, small_limits):
    path = tmp_path / "s.zip"
    path.write_bytes(zipped(b"id,y\n" + b"1,a\n" * 10**6))
    with pytest.raises(ComptoolError, match=r"s\.zip: holds more than 0\.0 GB in 0\.0 MB"):
        read_submission(path)


def test_a_zip_that_says_less_than_it_holds(tmp_path):
    path = tmp_path / "t.csv.zip"
    content = bytearray(zipped(CSV))
    place = content.find(b"PK\x01\x02") + 24
    content[place : place + 4] = (100).to_bytes(4, "little")
    path.write_bytes(content)
    for read in READERS:
        with pytest.raises(InputError, match="cannot be unpacked"):
            read(path)


@pytest.mark.parametrize(
    ("place", "value", "reason"),
    [(6, 1, "it is encrypted; unpack it with its password"), (8, 99, "That compression method")],
)
def test_a_zip_that_cannot_be_read(tmp_path, place, value, reason):
    path = tmp_path / "t.csv.zip"
    content = bytearray(zipped(CSV))
    content[place] = content[content.find(b"PK\x01\x02") + place + 2] = value
    path.write_bytes(content)
    for read in READERS:
        with pytest.raises(InputError, match=rf"t\.csv\.zip: cannot be unpacked \({reason}"):
            read(path)
    with pytest.raises(ComptoolError):
        read_submission(path)


def test_a_zip_in_a_zip_is_not_opened(tmp_path):
    path = tmp_path / "t.csv.zip"
    path.write_bytes(zipped(zipped(CSV), name="t.csv.zip"))
    for read in READERS:
        with pytest.raises(InputError):
            read(path)


@pytest.mark.parametrize("suffix", ["", *PACKERS])
def test_damaged_tables_are_one_sentence(tmp_path, mutants, suffix, capfd):
    path = tmp_path / f"t.csv{suffix}"
    whole = PACKERS[suffix](CSV) if suffix else CSV
    for mutant in mutants(whole, 250):
        path.write_bytes(mutant)
        text_form(path)
        for read in (*READERS, read_submission):
            try:
                read(path)
            except ComptoolError as error:
                assert "\n" not in str(error), mutant
    assert capfd.readouterr() == ("", "")


def test_damaged_arrays_are_one_sentence(tmp_path, mutants, capfd):
    path = tmp_path / "t.csv"
    path.write_bytes(CSV)
    predictions = read_predictions(path)
    write_predictions(tmp_path / "p.npy", predictions)
    whole = (tmp_path / "p.npy").read_bytes()
    for mutant in mutants(whole, 400):
        (tmp_path / "p.npy").write_bytes(mutant)
        try:
            assert isinstance(read_predictions(tmp_path / "p.npy"), Predictions)
        except InputError as error:
            assert "\n" not in str(error), mutant
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    "header",
    [
        "{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000, 100), }",
        "{'descr': '<f8', 'fortran_order': False, 'shape': (99999999999999999999999,), }",
        "{'descr': '<f8', 'fortran_order': False, 'shape': (-1, 5), }",
        "{'descr': '|O', 'fortran_order': False, 'shape': (2,), }",
        "{'descr': '<U0', 'fortran_order': False, 'shape': (1000000000000,), }",
        "{'descr': " + "[" * 2000,
    ],
)
def test_an_array_that_claims_too_much_takes_no_memory(header):
    text = header.encode() + b"\n"
    content = b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + bytes(80)
    with pytest.raises(ValueError):
        read_npy(io.BytesIO(content), len(content))


@pytest.mark.parametrize("text", ["[" * 100_000, '[{"a": ' + "9" * 5000 + "}]", '{"a": 1e999999}'])
@pytest.mark.parametrize("name", ["t.json", "t.jsonl"])
def test_json_that_python_refuses(tmp_path, name, text):
    path: Path = tmp_path / name
    path.write_text(text)
    try:
        read_table(path)
    except InputError as error:
        assert "\n" not in str(error)
