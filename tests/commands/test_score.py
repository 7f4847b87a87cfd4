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
