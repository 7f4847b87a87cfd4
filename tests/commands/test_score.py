"""``comptool score`` as it is typed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest


@pytest.fixture
def cup(tmp_path) -> Path:
    """Five answers, of which s.csv has four right; ids 2 and 4 are public."""
    (tmp_path / "cup").mkdir()
    (tmp_path / "cup/answers.csv").write_text("id,y\n1,a\n2,b\n3,b\n4,a\n5,a\n")
    (tmp_path / "s.csv").write_text("id,y\n5,a\n4,b\n3,b\n2,b\n1,a\n")
    return tmp_path


def test_both_scores_are_the_result(comptool, cup):
    result = comptool("score", "s.csv", "--answers", "cup/answers.csv", "--public", "0.5")
    assert result.exit_code == 0
    assert result.stdout == "accuracy  public 0.66667 (3 rows)  private 1.00000 (2 rows)\n"
    assert result.stderr == ""


def test_the_result_as_json(comptool, cup):
    result = comptool(
        "score", "s.csv", "--answers", "cup/answers.csv", "--public", "0.5", "--json", "-q"
    )
    assert json.loads(result.stdout) == {
        "submission": "s.csv",
        "metric": "accuracy",
        "public": pytest.approx(2 / 3),
        "private": 1.0,
        "num_public": 3,
        "num_private": 2,
    }


def test_three_tenths_are_public_unless_told(comptool, cup):
    plain = comptool("score", "s.csv", "--answers", "cup/answers.csv")
    assert (
        plain.stdout
        == comptool("score", "s.csv", "--answers", "cup/answers.csv", "--public", "0.3").stdout
    )
    nothing = comptool("score", "s.csv", "--answers", "cup/answers.csv", "--public", "0")
    assert nothing.stdout == "accuracy  private 0.80000 (5 rows)\n"


def test_a_zip_as_submit_writes_it_is_graded_too(comptool, cup):
    Path("comptool.toml").write_text(
        'name = "cup"\ntask = "multiclass"\nmetric = "accuracy"\n[data]\n'
        'sample-submission = "s.csv"\nid = "id"\nlabel = "y"\n[modalities]\nimage = "{id}.png"\n'
    )
    Path("p.csv").write_text("id,a,b\n" + "".join(f"{row},0.9,0.1\n" for row in range(1, 6)))
    assert comptool("submit", "p.csv", "--zip", "-q").exit_code == 0
    result = comptool("score", "submissions/cup.zip", "--answers", "cup/answers.csv")
    assert (
        result.stdout
        == comptool("score", "submissions/cup.csv", "--answers", "cup/answers.csv").stdout
    )


@pytest.mark.parametrize("answered", ["aaaaa", "abbab", "bbbbb"])
@pytest.mark.parametrize("true", ["1\n2\n3\n2\n1\n", "1\n2\n1\n2\n1\n"])
def test_class_numbers_from_1_are_read_as_submit_writes_them(comptool, cup, answered, true):
    classes = "abc" if "3" in true else "ab"
    Path("comptool.toml").write_text(
        'name = "cup"\ntask = "multiclass"\nmetric = "accuracy"\n'
        f"[data]\nclasses = {[*classes]}\n"
        'sample-submission = "s.csv"\nid = "id"\nlabel = "y"\n[modalities]\n'
        'image = "{id}.png"\n'
    )
    numbers = true.split()
    Path("s.csv").write_text("id,y\n" + "".join(f"{n + 1},{y}\n" for n, y in enumerate(numbers)))
    Path("cup/answers.csv").write_text(Path("s.csv").read_text())
    rows = [",".join(str(int(one == name)) for one in classes) for name in answered]
    lines = [f"{n + 1},{row}" for n, row in enumerate(rows)]
    Path("p.csv").write_text("\n".join([f"id,{','.join(classes)}", *lines, ""]))
    told = comptool("submit", "p.csv").stderr
    assert "class numbers: 1=a, 2=b" in told
    result = comptool(
        "score", "submissions/cup.csv", "--answers", "cup/answers.csv", "--public", "0"
    )
    share = sum(name == classes[int(n) - 1] for name, n in zip(answered, numbers, strict=True)) / 5
    assert result.stdout == f"accuracy  private {share:.5f} (5 rows)\n"


def test_nothing_is_written(comptool, cup):
    before = sorted(cup.rglob("*"))
    assert comptool("score", "s.csv", "--answers", "cup/answers.csv").exit_code == 0
    dry = comptool("score", "s.csv", "--answers", "cup/answers.csv", "--dry-run")
    assert (dry.exit_code, dry.stdout) == (0, "")
    assert dry.stderr == "would read s.csv and cup/answers.csv; nothing is written\n"
    assert sorted(cup.rglob("*")) == before


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["gone.csv"], 3, "comptool score: gone.csv: there is no such file\n"),
        (["cup"], 3, "comptool score: cup: is a folder; a table is needed\n"),
        (["s.csv", "--metric", "auc"], 2,
         "comptool score: auc needs probabilities, and s.csv holds one class a row\n"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line(comptool, cup, arguments, code, message):
    result = comptool("score", *arguments, "--answers", "cup/answers.csv")
    assert (result.exit_code, result.stdout, result.stderr) == (code, "", message)


def test_answers_have_to_be_named(comptool, cup):
    result = comptool("score", "s.csv")
    assert result.exit_code == 2
    assert "Missing option '--answers'" in result.stderr


def test_the_program_itself_from_within_the_folder(program, cup):
    result = program("score", "../s.csv", "--answers", "answers.csv", cwd=cup / "cup")
    assert (result.returncode, result.stderr) == (0, "")


def test_a_lost_class_column_is_named(comptool, cup):
    Path("p.csv").write_text("id,a,c\n1,0.5,0.25\n2,0.25,0.25\n")
    Path("a.csv").write_text("id,y\n1,a\n2,b\n")
    result = comptool("score", "p.csv", "--answers", "a.csv")
    assert (result.exit_code, result.stdout) == (3, "")
    assert result.stderr == (
        "comptool score: p.csv: has no column for the class 'b' (its classes are 'a', 'c'). Bring "
        "the column back, or make the file again: comptool infer\n"
    )
    Path("cells.csv").write_text("id,a,b,c\n1,1,0,1\n2,0,1,0\n")
    result = comptool("score", "p.csv", "--answers", "cells.csv")
    assert result.stderr == (
        "comptool score: p.csv: has no column for the class 'b' of cells.csv. Bring the column "
        "back, or write the submission again: comptool submit\n"
    )
