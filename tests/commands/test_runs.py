"""``comptool runs``: what there is, its scores here, and those that were recorded."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from comptool.io.predictions import read_predictions
from comptool.io.tables import read_table
from comptool.metrics import score

ANSWERS = Path("answers.csv")


def accuracy(run: str) -> float:
    """Of a run's out-of-fold rows."""
    held = read_predictions(Path(f"weights/{run}/oof.csv"))
    labels = read_table(Path("folds.csv")).set_index("id")["y"]
    targets = np.array(["abc".index(labels[name]) for name in held.ids])
    return score("accuracy", targets, held.probabilities)


def test_runs_and_files_are_listed_with_scores_and_what_they_are_from(runs, listing):
    runs(skills=(2.0, 0.5), metric="accuracy")
    found = listing()
    assert found["metric"] == "accuracy"
    for name, run in found["runs"].items():
        assert run["state"] == "finished"
        assert run["local"]["value"] == pytest.approx(accuracy(name))
        assert run["local"]["low"] < run["local"]["value"] < run["local"]["high"]
        assert run["local"]["rows"] == 240
    for name, file in found["files"].items():
        run = name.removeprefix("preds_").removesuffix(".csv")
        assert (file["steps"], file["runs"]) == (["infer"], [run])
        assert file["local"]["value"] == pytest.approx(accuracy(run))
        assert file["record"] is None
    assert found["records"] == found["correlations"] == []


def test_the_interval_is_about_that_of_a_share(runs, listing):
    runs(skills=(1.2,), rows=600)
    run = listing("--bootstrap", "1000")["runs"]["run0"]
    p = run["local"]["value"]
    half = 1.96 * np.sqrt(p * (1 - p) / 600)
    assert run["local"]["high"] - run["local"]["low"] == pytest.approx(2 * half, rel=0.1)
    run = listing("--bootstrap", "0")["runs"]["run0"]
    assert (run["local"]["value"], run["local"]["low"]) == (p, None)


def test_multi_label_runs_are_scored_by_their_metric(runs, listing):
    runs(task="multilabel", skills=(2.0,))
    found = listing()
    held = read_predictions(Path("weights/run0/oof.csv"), sums_to_one=False)
    table = read_table(Path("folds.csv"))
    targets = table[list("abc")].to_numpy().astype(int)
    expected = score("map", targets, held.probabilities)
    assert found["metric"] == "map"
    assert found["runs"]["run0"]["local"]["value"] == pytest.approx(expected)


def test_scores_are_kept_and_made_anew_when_what_they_depend_on_changes(runs, listing):
    runs(skills=(1.0,))
    first = listing()["runs"]["run0"]["local"]
    kept = Path("weights/.local_scores.json")
    document = json.loads(kept.read_text())
    for one in document.values():
        one["rows"] = -1
    kept.write_text(json.dumps(document))
    assert listing()["runs"]["run0"]["local"]["rows"] == -1
    table = Path("folds.csv").read_text().replace("r0000,r0000.png,a", "r0000,r0000.png,b")
    Path("folds.csv").write_text(table.replace("r0000,r0000.png,c", "r0000,r0000.png,a"))
    assert listing()["runs"]["run0"]["local"]["rows"] == 240
    assert listing()["runs"]["run0"]["local"]["value"] == pytest.approx(accuracy("run0"))
    kept.write_text("no JSON")
    assert listing()["runs"]["run0"]["local"]["rows"] == first["rows"]


def test_a_recalibrated_file_has_the_score_of_what_was_recalibrated(runs, listing):
    file, *_ = runs(skills=(1.0,), tests=40)
    done = runs.run("recalibrate", file, "--top-k-head", "1", "--fraction", "0.3", "-q")
    assert done.exit_code == 0, done.output
    found = listing()["files"]["recalibrated.csv"]
    assert found["steps"] == ["recalibrate", "infer"]
    assert found["local"]["value"] == pytest.approx(accuracy("run0"))
    assert found["local"]["note"] == "before recalibration"
    text = runs.run("runs").stdout
    assert re.search(r"^recalibrated.csv +~0\.\d{4} ", text, re.MULTILINE)


def test_a_file_that_is_older_than_what_it_is_from_is_stale(runs, listing):
    file, *_ = runs(skills=(1.0,), tests=40)
    runs.run("recalibrate", file, "--top-k-head", "1", "--fraction", "0.3", "-q")
    lines = file.read_text().splitlines()
    file.write_text("\n".join([lines[0], *lines[:0:-1]]) + "\n")
    found = listing()["files"]["recalibrated.csv"]
    assert found["warnings"] == [f"stale: {file} has changed since"]


def test_broken_and_unfinished_runs_are_listed_as_such(runs, listing):
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
    Path("submissions/spoilt.csv").write_text("id,y\n1,a\n")
    Path("submissions/spoilt.csv.meta.json").write_text('{"facts": {"runs": 3}}')
    found = listing()
    states = {name: run["state"] for name, run in found["runs"].items()}
    assert states.pop("run0") == "finished"
    assert states.pop("half") == "stopped, 1 of 5 folds finished"
    assert states.pop("begun") == "running, no checkpoint yet"
    assert states.pop("spoilt").startswith("weights/spoilt/run.json: is not readable as JSON (")
    for name in ("broken", "empty", "foreign"):
        assert states.pop(name).startswith(f"broken: weights/{name}/best.safetensors: ")
    assert states == {}
    files = found["files"]
    assert (files["foreign.csv"]["steps"], files["foreign.csv"]["local"]["rows"]) == ([], 0)
    assert files["lost.csv"]["warnings"][0].startswith("submissions/lost.csv.meta.json: ")
    told = "its record is damaged: facts.runs must be a list, found 3"
    assert told in files["spoilt.csv"]["warnings"][0]


def test_a_run_without_some_classes_is_said_to_be_one(runs, listing):
    runs(skills=(1.0,), dropped=["c"])
    run = listing()["runs"]["run0"]
    assert run["note"].startswith("weights/run0 was trained without c (--drop-classes): ")
    assert run["note"] in runs.run("runs").stdout
    result = runs.run("review", "run0")
    assert f"warning: {run['note']}\n" in result.stderr


def test_a_run_that_saw_its_validation_has_no_local_score(runs, listing):
    runs(skills=(1.0,), leak="it was trained on them")
    run = listing()["runs"]["run0"]
    assert "value" not in run["local"]
    assert "cannot serve as evidence: it was trained on them" in run["local"]["note"]


def test_lower_losses_come_first(runs, listing):
    runs(skills=(0.2, 2.0), metric="logloss")
    text = Path("comptool.toml").read_text()
    Path("comptool.toml").write_text(text.replace('"accuracy"', '"logloss"'))
    found = listing("--sort", "score")["runs"]
    assert list(found) == ["run1", "run0"]
    assert found["run1"]["local"]["value"] < found["run0"]["local"]["value"]


def test_an_empty_folder_has_nothing_to_list(comptool):
    result = comptool("runs")
    assert (result.exit_code, result.stdout) == (
        0, "there are no runs and no prediction files here\n",
    )  # fmt: skip
    assert list(Path().iterdir()) == []


def test_without_a_competition_the_rest_is_told(runs, listing):
    runs(skills=(1.0,))
    Path("comptool.toml").unlink()
    for name in ("folds.csv", "test.csv"):
        Path(name).unlink()
    found = listing()
    assert (found["metric"], found["runs"]["run0"]["local"]["rows"]) == ("", 0)
    file = found["files"]["preds_run0.csv"]
    assert file["runs"] == ["run0"]
    result = runs.run("runs", "-q", "--record", "submissions/preds_run0.csv", "--public", "0.7")
    assert (result.exit_code, result.stderr) == (
        2, "comptool runs: the metric is unknown without a competition: add --competition FILE\n",
    )  # fmt: skip


def test_no_torch_is_needed(runs, program):
    runs(skills=(1.0,))
    blocked = Path("blocked")
    blocked.mkdir()
    Path(blocked, "torch.py").write_text("raise ImportError('torch was imported')\n")
    result = program("runs", env={**os.environ, "PYTHONPATH": str(blocked.resolve())})
    assert result.returncode == 0, result.stderr
    assert "run0" in result.stdout
