"""``comptool runs``: what there is, its scores here, and those that were recorded."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from comptool import provenance
from comptool.evaluation.metrics import score
from comptool.predictions import read_predictions
from comptool.tables import read_table
from comptool.tracking.records import read_records

ANSWERS = Path("answers.csv")


def known(runs, *arguments) -> dict:
    result = runs.run("runs", "--json", *arguments)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def named(found: list[dict]) -> dict[str, dict]:
    return {one["name"]: one for one in found}


def accuracy(run: str) -> float:
    """Of a run's out-of-fold rows."""
    held = read_predictions(Path(f"weights/{run}/oof.csv"))
    labels = read_table(Path("folds.csv")).set_index("id")["y"]
    targets = np.array(["abc".index(labels[name]) for name in held.ids])
    return score("accuracy", targets, held.probabilities)


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


def test_runs_and_files_are_listed_with_scores_and_what_they_are_from(runs):
    runs(skills=(2.0, 0.5), metric="accuracy")
    found = known(runs)
    assert found["metric"] == "accuracy"
    for name, run in named(found["runs"]).items():
        assert run["state"] == "finished"
        assert run["local"]["value"] == pytest.approx(accuracy(name))
        assert run["local"]["low"] < run["local"]["value"] < run["local"]["high"]
        assert run["local"]["rows"] == 240
    for name, file in named(found["files"]).items():
        run = name.removeprefix("preds_").removesuffix(".csv")
        assert (file["steps"], file["runs"]) == (["infer"], [run])
        assert file["local"]["value"] == pytest.approx(accuracy(run))
        assert file["record"] is None
    assert found["records"] == found["correlations"] == []


def test_the_interval_is_about_that_of_a_share(runs):
    runs(skills=(1.2,), rows=600)
    (run,) = known(runs, "--bootstrap", "1000")["runs"]
    p = run["local"]["value"]
    half = 1.96 * np.sqrt(p * (1 - p) / 600)
    assert run["local"]["high"] - run["local"]["low"] == pytest.approx(2 * half, rel=0.1)
    (run,) = known(runs, "--bootstrap", "0")["runs"]
    assert (run["local"]["value"], run["local"]["low"]) == (p, None)


def test_multi_label_runs_are_scored_by_their_metric(runs):
    runs(task="multilabel", skills=(2.0,))
    found = known(runs)
    held = read_predictions(Path("weights/run0/oof.csv"), task="multilabel")
    table = read_table(Path("folds.csv"))
    targets = table[list("abc")].to_numpy().astype(int)
    expected = score("map", targets, held.probabilities)
    assert found["metric"] == "map"
    assert found["runs"][0]["local"]["value"] == pytest.approx(expected)


def test_scores_are_kept_and_made_anew_when_what_they_depend_on_changes(runs):
    runs(skills=(1.0,))
    first = known(runs)["runs"][0]["local"]
    kept = Path("weights/.local_scores.json")
    document = json.loads(kept.read_text())
    for one in document.values():
        one["rows"] = -1
    kept.write_text(json.dumps(document))
    assert known(runs)["runs"][0]["local"]["rows"] == -1
    table = Path("folds.csv").read_text().replace("r0000,r0000.png,a", "r0000,r0000.png,b")
    Path("folds.csv").write_text(table.replace("r0000,r0000.png,c", "r0000,r0000.png,a"))
    assert known(runs)["runs"][0]["local"]["rows"] == 240
    assert known(runs)["runs"][0]["local"]["value"] == pytest.approx(accuracy("run0"))
    kept.write_text("no JSON")
    assert known(runs)["runs"][0]["local"]["rows"] == first["rows"]


def test_a_recalibrated_file_has_the_score_of_what_was_recalibrated(runs):
    file, *_ = runs(skills=(1.0,), tests=40)
    done = runs.run("recalibrate", file, "--top-k-head", "1", "--fraction", "0.3", "-q")
    assert done.exit_code == 0, done.output
    found = named(known(runs)["files"])["recalibrated.csv"]
    assert found["steps"] == ["recalibrate", "infer"]
    assert found["local"]["value"] == pytest.approx(accuracy("run0"))
    assert found["local"]["note"] == "before recalibration"
    text = runs.run("runs").stdout
    assert re.search(r"^recalibrated.csv +~0\.\d{4} ", text, re.MULTILINE)


def test_a_file_that_is_older_than_what_it_is_from_is_stale(runs):
    file, *_ = runs(skills=(1.0,), tests=40)
    runs.run("recalibrate", file, "--top-k-head", "1", "--fraction", "0.3", "-q")
    lines = file.read_text().splitlines()
    file.write_text("\n".join([lines[0], *lines[:0:-1]]) + "\n")
    found = named(known(runs)["files"])["recalibrated.csv"]
    assert found["warnings"] == [f"stale: {file} has changed since"]


def test_broken_and_unfinished_runs_are_listed_as_such(runs):
    runs(skills=(1.0,))
    good = Path("weights/run0/best.safetensors").read_bytes()
    for name, content in (("broken", good[:-20]), ("empty", b"")):
        Path("weights", name).mkdir()
        Path("weights", name, "best.safetensors").write_bytes(content)
    Path("weights/foreign").mkdir()
    weights = {"w": np.zeros(1, np.float32)}
    save_file(weights, Path("weights/foreign/best.safetensors"))
    for name, state in (("begun", "running"), ("spoilt", "")):
        Path("weights", name).mkdir()
        Path("weights", name, "run.json").write_text(json.dumps({"state": state}) if state else "?")
    for fold, state in enumerate(("finished", "stopped")):
        Path(f"weights/half/fold-{fold}").mkdir(parents=True)
        Path(f"weights/half/fold-{fold}/best.safetensors").write_bytes(good)
        Path(f"weights/half/fold-{fold}/run.json").write_text(json.dumps({"state": state}))
    Path("weights/half/run.json").write_text(json.dumps({"state": "stopped", "num_folds": 5}))
    Path("weights/notes").mkdir()
    Path("submissions/foreign.csv").write_text("id,y\n1,a\n")
    Path("submissions/lost.csv").write_text("id,y\n1,a\n")
    Path("submissions/lost.csv.meta.json").write_text("?")
    found = known(runs)
    states = {name: run["state"] for name, run in named(found["runs"]).items()}
    assert states.pop("run0") == "finished"
    assert states.pop("half") == "stopped, 1 of 5 folds finished"
    assert states.pop("begun") == "running, no checkpoint yet"
    assert states.pop("spoilt") == "unfinished, no checkpoint yet"
    for name in ("broken", "empty", "foreign"):
        assert states.pop(name).startswith(f"broken: weights/{name}/best.safetensors: ")
    assert states == {}
    files = named(found["files"])
    assert (files["foreign.csv"]["steps"], files["foreign.csv"]["local"]["rows"]) == ([], 0)
    assert files["lost.csv"]["warnings"][0].startswith("submissions/lost.csv.meta.json: ")


def test_a_run_without_some_classes_is_said_to_be_one(runs):
    runs(skills=(1.0,), dropped=["c"])
    (run,) = known(runs)["runs"]
    assert run["note"].startswith("weights/run0 was trained without c (--drop-classes): ")
    assert run["note"] in runs.run("runs").stdout
    result = runs.run("review", "run0")
    assert f"warning: {run['note']}\n" in result.stderr


def test_a_run_that_saw_its_validation_has_no_local_score(runs):
    runs(skills=(1.0,), leak="it was trained on them")
    (run,) = known(runs)["runs"]
    assert "value" not in run["local"]
    assert "is no evidence: it was trained on them" in run["local"]["note"]


def test_scores_on_answers_are_recorded_and_correlated(uploads):
    for number in range(4):
        file = f"submissions/run{number}.csv"
        result = uploads.run("score", file, "--answers", ANSWERS, "--record", "--public", "0.5")
        assert result.exit_code == 0, result.output
        assert f"recorded of {file} (submit, infer, run{number}): accuracy public " in result.stderr
    found = known(uploads)
    files = named(found["files"])
    for number in range(4):
        one = files[f"run{number}.csv"]["record"]
        assert one["source"] == "answers"
        assert one["sha256"] == provenance.sha256(Path(one["file"]))
        assert one["local"] == pytest.approx(accuracy(f"run{number}"))
    public, private = found["correlations"]
    assert (public["part"], private["part"], public["n"]) == ("public", "private", 4)
    local = [files[f"run{number}.csv"]["record"]["local"] for number in range(4)]
    shown = [files[f"run{number}.csv"]["record"]["public"] for number in range(4)]
    assert public["pearson"] == pytest.approx(np.corrcoef(local, shown)[0, 1])
    assert "local against public accuracy: Pearson " in uploads.run("runs").stdout


def test_an_uploads_scores_are_typed_in_and_outlive_the_file(uploads):
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
    of_file = named(known(uploads)["files"])["run0.csv"]["record"]
    assert (of_file["public"], of_file["private"]) == (0.71, 0.69)
    assert re.search(r"^run0.csv .*0\.71000  0\.69000  20", uploads.run("runs").stdout, re.M)
    file.write_bytes(Path("submissions/run1.csv").read_bytes())
    assert named(known(uploads)["files"])["run0.csv"]["record"] is None
    text = uploads.run("runs").stdout
    assert re.search(
        r"^replaced since +score .*\nsubmissions/run0.csv +0\.\d{4}  accuracy  0\.71000  0\.69000",
        text,
        re.MULTILINE,
    )
    assert "local against public accuracy: 1 submissions with both scores are too few" in text


def test_the_best_come_first_by_the_score_that_is_asked_for(uploads):
    for number, value in ((0, 0.3), (1, 0.9), (2, 0.6)):
        file = f"submissions/run{number}.csv"
        uploads.run("runs", "--record", file, "--public", value, "--private", 1 - value)
    files = [f"run{number}.csv" for number in range(4)]

    def order(by):
        return [
            one["name"] for one in known(uploads, "--sort", by)["files"] if one["name"] in files
        ]

    assert order("public")[:3] == ["run1.csv", "run2.csv", "run0.csv"]
    assert order("private")[:3] == ["run0.csv", "run2.csv", "run1.csv"]
    assert order("name") == files
    by_score = [one["name"] for one in known(uploads, "--sort", "score")["runs"]]
    assert by_score == sorted(by_score, key=accuracy, reverse=True)


def test_lower_losses_come_first(runs):
    runs(skills=(0.2, 2.0), metric="logloss")
    text = Path("comptool.toml").read_text()
    Path("comptool.toml").write_text(text.replace('"accuracy"', '"logloss"'))
    best, worst = known(runs, "--sort", "score")["runs"]
    assert (best["name"], worst["name"]) == ("run1", "run0")
    assert best["local"]["value"] < worst["local"]["value"]


def test_the_tables_fit_into_80_columns_whatever_names_are_like(uploads):
    long = Path("weights/convnextv2_tiny.fcmae_ft_in22k_in1k-dual-pseudo-2")
    Path("weights/run3").rename(long)
    Path("submissions/run2.csv").rename(f"submissions/{'x' * 60}.csv")
    uploads.run("runs", "--record", "submissions/run0.csv", "--public", "0.7", "--private", "0.7")
    rows = [line for line in uploads.run("runs").stdout.splitlines() if not line.startswith(" ")]
    tables = [line for line in rows if not line.startswith(("local against", "score:"))]
    assert len(tables) > 10
    assert max(map(len, tables)) <= 80
    assert any(line.startswith("convnextv2_…l-pseudo-2") for line in tables)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--public", "0.7"], 2, "--public and --private are scores of a file; name it with "
         "--record FILE"),
        (["--record", "submissions/run0.csv"], 2, "no score of submissions/run0.csv is given: "
         "--public, --private or both"),
        (["--record", "submissions/run0.csv", "--public", "nan"], 2, "a score is a finite number"),
        (["--record", "gone.csv", "--public", "0.7"], 3, "gone.csv: there is no such file"),
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


def test_an_empty_folder_has_nothing_to_list(comptool):
    result = comptool("runs")
    assert (result.exit_code, result.stdout) == (
        0, "there are no runs and no prediction files here\n",
    )  # fmt: skip
    assert list(Path().iterdir()) == []


def test_without_a_competition_the_rest_is_told(runs):
    runs(skills=(1.0,))
    Path("comptool.toml").unlink()
    for name in ("folds.csv", "test.csv"):
        Path(name).unlink()
    found = known(runs)
    assert (found["metric"], found["runs"][0]["local"]["rows"]) == ("", 0)
    file = named(found["files"])["preds_run0.csv"]
    assert file["runs"] == ["run0"]
    result = runs.run("runs", "-q", "--record", "submissions/preds_run0.csv", "--public", "0.7")
    assert (result.exit_code, result.stderr) == (
        2, "comptool runs: no competition says which metric it is: --competition FILE\n",
    )  # fmt: skip


def test_no_torch_is_needed(runs, program):
    runs(skills=(1.0,))
    blocked = Path("blocked")
    blocked.mkdir()
    Path(blocked, "torch.py").write_text("raise ImportError('torch was imported')\n")
    result = program("runs", env={**os.environ, "PYTHONPATH": str(blocked.resolve())})
    assert result.returncode == 0, result.stderr
    assert "run0" in result.stdout
