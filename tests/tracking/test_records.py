from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from filelock import FileLock
from hypothesis import given, settings
from hypothesis import strategies as st

from comptool.errors import InputError
from comptool.tracking import scores
from comptool.tracking.scores import Record, add_record, of_file, read_records

HEADER = "time,file,sha256,source,metric,public,private,local,made_from"
SCORES = st.none() | st.floats(allow_nan=False, allow_infinity=False)
TEXTS = st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=10)


def record(file="a.csv", public=0.5, private=None, local=0.25, sha256="0") -> Record:
    return Record("t", file, sha256, "leaderboard", "map", public, private, local, "infer, run")


@settings(max_examples=25)
@given(st.lists(st.builds(Record, *[TEXTS] * 5, SCORES, SCORES, SCORES, TEXTS), max_size=4))
def test_what_is_recorded_is_read_again(tmp_path_factory, made):
    path = tmp_path_factory.mktemp("scores") / "scores.csv"
    for one in made * 2:
        add_record(one, path)
    distinct = {
        (one.sha256, one.source, one.metric, one.public, one.private): one for one in reversed(made)
    }
    assert read_records(path) == [
        one for one in made if any(one is kept for kept in distinct.values())
    ]


def test_the_table_can_be_read_by_a_person(tmp_path):
    path = tmp_path / "new" / "scores.csv"
    add_record(record("a, b.csv"), path)
    add_record(record(public=None, private=1, local=None), path)
    assert path.read_text().splitlines() == [
        HEADER,
        't,"a, b.csv",0,leaderboard,map,0.5,,0.25,"infer, run"',
        't,a.csv,0,leaderboard,map,,1.0,,"infer, run"',
    ]


def test_several_programs_record_at_once_and_nothing_is_lost(tmp_path):
    path = tmp_path / "scores.csv"
    program = (
        "import sys; from pathlib import Path\n"
        "from comptool.tracking.scores import Record, add_record\n"
        "for n in range(10):\n"
        "    name = f'{sys.argv[2]}-{n}'\n"
        "    add_record(Record('t', name, name, 's', 'm', n, None, None, ''), Path(sys.argv[1]))\n"
    )
    running = [subprocess.Popen([sys.executable, "-c", program, str(path), name]) for name in "abc"]
    assert [one.wait(timeout=120) for one in running] == [0, 0, 0]
    found = read_records(path)
    assert sorted(one.file for one in found) == [f"{name}-{n}" for name in "abc" for n in range(10)]
    for name in "abc":
        own = [one.public for one in found if one.file.startswith(name)]
        assert own == list(range(10))


def test_one_score_recorded_by_two_programs_at_once_is_one_row(tmp_path):
    path = tmp_path / "scores.csv"
    program = (
        "import sys; from pathlib import Path\n"
        "from comptool.tracking.scores import Record, add_record\n"
        "for n in range(10):\n"
        "    add_record(Record(sys.argv[2], 'a.csv', '0', 's', 'm', n, None, None, ''),"
        " Path(sys.argv[1]))\n"
    )
    running = [subprocess.Popen([sys.executable, "-c", program, str(path), time]) for time in "12"]
    assert [one.wait(timeout=120) for one in running] == [0, 0]
    assert sorted(one.public or 0 for one in read_records(path)) == list(range(10))


def test_a_score_recorded_again_is_the_first_and_another_score_is_another(tmp_path):
    path = tmp_path / "scores.csv"
    first = record()
    again = replace(first, time="later", file="copy.csv", local=None)
    assert add_record(first, path) is first
    assert add_record(again, path) == first
    others = [
        replace(first, **change)
        for change in (
            {"public": 0.75},
            {"private": 0.5},
            {"sha256": "1"},
            {"metric": "f1"},
            {"source": "answers"},
        )
    ]
    for one in others:
        assert add_record(one, path) is one
    assert read_records(path) == [first, *others]


def test_a_program_that_never_stops_writing_is_told_of(tmp_path, monkeypatch):
    path = tmp_path / "scores.csv"
    monkeypatch.setattr(scores, "PATIENCE", 0.1)
    with FileLock(tmp_path / ".scores.csv.lock"), pytest.raises(InputError) as error:
        add_record(record(), path)
    assert str(error.value) == (
        f"{path}: another program has been writing to it for 0 seconds. If none is running, delete "
        f"{tmp_path / '.scores.csv.lock'}"
    )
    assert not path.exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"{HEADER}\nt,a,0,s,m,0.5,,,x\nt,a,0,s,m,high,,,x\n",
         "row 2, column 'public': is not a number (found 'high')"),
        (f"{HEADER}\nt,a,0,s,m,,inf,,x\n", "row 1, column 'private': is not a number"),
        ("file,public\na,0.5\n", "no column is called 'time'"),
        ("", "is empty (0 bytes)"),
    ],
)  # fmt: skip
def test_a_table_that_was_spoilt_is_refused_and_kept(tmp_path, text, message):
    path = tmp_path / "scores.csv"
    path.write_text(text)
    with pytest.raises(InputError) as error:
        add_record(record(), path)
    assert message in str(error.value)
    assert str(path) in str(error.value)
    assert path.read_text() == text


def test_a_header_alone_has_no_records_and_takes_some(tmp_path):
    path = tmp_path / "scores.csv"
    path.write_text(HEADER + "\n")
    assert read_records(path) == read_records(tmp_path / "none.csv") == []
    add_record(record(), path)
    assert read_records(path) == [record()]


def test_a_file_is_known_by_its_bytes(tmp_path):
    one, two = tmp_path / "a.csv", tmp_path / "b.csv"
    one.write_text("x")
    two.write_text("x")
    assert of_file(one) == of_file(two)
    two.write_text("y")
    assert of_file(one) != of_file(two)
    with pytest.raises(InputError, match=r"c\.csv: there is no such file"):
        of_file(Path("c.csv"))
