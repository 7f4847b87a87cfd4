"""``comptool runs`` and ``score``: scores that were recorded, and how they go with those here."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from comptool.io import provenance
from comptool.io.tables import read_table
from comptool.tracking.scores import read_records

ANSWERS = Path("answers.csv")


@pytest.fixture
def uploads(runs):
    """Four runs, a submission of each, and answers that know the test rows."""
    files = runs(skills=(2.0, 1.2, 0.6, 0.2), tests=40)
    names = [f"t{row}" for row in range(40)]
    text = Path("comptool.toml").read_text()
    sample = 'sample-submission = "sample.csv"\n'
    Path("comptool.toml").write_text(text.replace('id = "id"\n', f'id = "id"\n{sample}'))
    Path("sample.csv").write_text("id,y\n" + "".join(f"{name},a\n" for name in names))
    labels = read_table(Path("folds.csv"))["y"][:40]
    answers = [f"{name},{label}\n" for name, label in zip(names, labels, strict=True)]
    ANSWERS.write_text("id,y\n" + "".join(answers))
    for file in files:
        output = f"submissions/{file.stem.removeprefix('preds_')}.csv"
        assert runs.run("submit", file, "-o", output, "-q").exit_code == 0
    return runs


def test_scores_on_answers_are_recorded_and_correlated(uploads, listing):
    for number in range(4):
        file = f"submissions/run{number}.csv"
        result = uploads.run("score", file, "--answers", ANSWERS, "--record", "--public", "0.5")
        assert result.exit_code == 0, result.output
        assert (
            f"recorded for {file} (submit, infer, run{number}): accuracy public " in result.stderr
        )
    found = listing()
    files = found["files"]
    for number in range(4):
        one = files[f"run{number}.csv"]["record"]
        assert one["source"] == "answers"
        assert one["sha256"] == provenance.sha256(Path(one["file"]))
        assert one["local"] == pytest.approx(found["runs"][f"run{number}"]["local"]["value"])
    public, private = found["correlations"]
    assert (public["part"], private["part"], public["n"]) == ("public", "private", 4)
    local = [files[f"run{number}.csv"]["record"]["local"] for number in range(4)]
    shown = [files[f"run{number}.csv"]["record"]["public"] for number in range(4)]
    assert public["pearson"] == pytest.approx(np.corrcoef(local, shown)[0, 1])
    assert "local and public accuracy, 4 submissions\n    Pearson " in uploads.run("runs").stdout


def test_an_uploads_scores_are_typed_in_and_outlive_the_file(uploads, listing):
    file = Path("submissions/run0.csv")
    result = uploads.run("runs", "--record", file, "--public", "0.71")
    assert (result.exit_code, result.stdout) == (0, "submissions/scores.csv\n"), result.stderr
    assert uploads.run("runs", "--record", file, "--private", "0.69").exit_code == 0
    first, second = read_records(Path("submissions/scores.csv"))
    assert (second.sha256, second.public, second.private) == (first.sha256, None, 0.69)
    assert (first.source, first.metric, first.public, first.private) == (
        "leaderboard", "accuracy", 0.71, None,
    )  # fmt: skip
    assert first.made_from == "submit, infer, run0"
    of_file = listing()["files"]["run0.csv"]["record"]
    assert (of_file["public"], of_file["private"]) == (0.71, 0.69)
    assert re.search(r"^run0.csv .*0\.71000  0\.69000  20", uploads.run("runs").stdout, re.M)
    file.write_bytes(Path("submissions/run1.csv").read_bytes())
    assert listing()["files"]["run0.csv"]["record"] is None
    text = uploads.run("runs").stdout
    assert re.search(
        r"^replaced since +score .*\nsubmissions/run0.csv +0\.\d{4}  accuracy  0\.71000  0\.69000",
        text,
        re.MULTILINE,
    )
    assert "local and public accuracy, 1 submission with both: too few, 4 are needed" in text


def test_the_best_come_first_by_the_score_that_is_asked_for(uploads, listing):
    for number, value in ((0, 0.3), (1, 0.9), (2, 0.6)):
        file = f"submissions/run{number}.csv"
        uploads.run("runs", "--record", file, "--public", value, "--private", 1 - value)
    files = [f"run{number}.csv" for number in range(4)]

    def order(by):
        return [name for name in listing("--sort", by)["files"] if name in files]

    assert order("public")[:3] == ["run1.csv", "run2.csv", "run0.csv"]
    assert order("private")[:3] == ["run0.csv", "run2.csv", "run1.csv"]
    assert order("name") == files
    values = [run["local"]["value"] for run in listing("--sort", "score")["runs"].values()]
    assert values == sorted(values, reverse=True)


def test_the_tables_fit_into_80_columns_whatever_names_are_like(uploads):
    long = Path("weights/convnextv2_tiny.fcmae_ft_in22k_in1k-dual-pseudo-2")
    Path("weights/run3").rename(long)
    Path("submissions/run2.csv").rename(f"submissions/{'x' * 60}.csv")
    uploads.run("runs", "--record", "submissions/run0.csv", "--public", "0.7", "--private", "0.7")
    rows = [line for line in uploads.run("runs").stdout.splitlines() if not line.startswith(" ")]
    assert len(rows) > 10
    assert max(map(len, rows)) <= 80
    assert any(line.startswith("convnextv2_…l-pseudo-2") for line in rows)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--public", "0.7"], 2, "--public and --private are scores of a file: add "
         "--record FILE"),
        (["--record", "submissions/run0.csv"], 2, "no score of submissions/run0.csv is given: "
         "--public, --private or both"),
        (["--record", "submissions/run0.csv", "--public", "nan"], 2, "a score is a finite number"),
        (["--record", "gone.csv", "--public", "0.7"], 3, "gone.csv: there is no such file"),
        (["--record", "submissions/run0.csv", "--public", "0.7", "--sort", "name"], 2, "--sort "
         "and --bootstrap are for the listing, which --record omits"),
    ],
)  # fmt: skip
def test_what_cannot_be_recorded_is_told_and_nothing_is_written(uploads, arguments, code, message):
    result = uploads.run("runs", "-q", *arguments)
    assert (result.exit_code, result.stderr) == (code, f"comptool runs: {message}\n")
    assert not Path("submissions/scores.csv").exists()


def test_a_dry_run_writes_nothing(uploads):
    file = "submissions/run0.csv"
    result = uploads.run("runs", "--dry-run", "--record", file, "--public", "0.7")
    assert result.stderr == f"would read {file}; would add to submissions/scores.csv\n"
    result = uploads.run("score", file, "--answers", ANSWERS, "--record", "--dry-run")
    assert result.stderr.endswith("would write submissions/scores.csv\n")
    assert uploads.run("runs", "--dry-run").stderr.endswith("nothing is written\n")
    assert not Path("submissions/scores.csv").exists()
    assert not Path("weights/.local_scores.json").exists()


def test_submissions_of_runs_that_differ_in_their_seed_are_not_independent(runs, listing):
    files = runs(skills=(2.0, 1.2, 0.6, 0.2), arguments={"model": "x", "lr": 0.1})
    for number, file in enumerate(files):
        recorded = runs.run("runs", "--record", file, "--public", 0.9 - number / 10)
        assert recorded.exit_code == 0, recorded.output
    found = listing()
    assert {one["lineage"] for one in found["runs"].values()} == {"run0"}
    (public,) = found["correlations"]
    assert (public["n"], public["lineages"], public["low"]) == (4, 1, None)
    text = runs.run("runs").stdout
    assert "local and public accuracy, 4 submissions of 1 independent lineage of runs\n" in text
    assert "(no interval from fewer than 4 lineages)" in text
