"""``comptool infer``: file in, file out, and one line per mistake."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from comptool.io.predictions import read_predictions

PREDS = Path("submissions/preds.csv")


def infer(comptool, *arguments):
    return comptool("infer", "-j", "0", "--device", "cpu", *arguments)


def error_of(comptool, *arguments, code=3):
    result = infer(comptool, *arguments)
    assert result.exit_code == code, result.output
    assert result.stdout == ""
    return result.stderr.splitlines()[-1].removeprefix("comptool infer: ")


def test_the_latest_run_predicts_the_test_set_without_arguments(comptool, pairs):
    pairs("old", seed=1)
    latest = pairs("new", class_counts={"a": 90, "b": 9, "c": 1})
    os.utime("weights/old/best.safetensors", (1, 1))
    result = comptool("infer")
    assert result.exit_code == 0, result.output
    assert result.stdout == "submissions/preds.csv\n"
    assert result.stderr.splitlines() == [
        "run: weights/new (the latest)",
        "samples: 9 of data/test.csv",
        "output: submissions/preds.csv",
    ]
    predictions = read_predictions(PREDS)
    assert predictions.id_column == "id"
    assert predictions.classes == ("a", "b", "c")
    assert predictions.ids.tolist() == [f"te00{number}" for number in range(9)]
    assert predictions.pred is None
    record = json.loads(Path("submissions/preds.csv.meta.json").read_text())
    assert record["facts"].pop("computed") == {
        "device": "cpu",
        "backend": "onnx",
        "precision": "float32",
    }
    assert len(record["facts"].pop("samples")) == 64
    assert record["facts"] == {
        "task": "multiclass",
        "classes": ["a", "b", "c"],
        "metric": "accuracy",
        "class_counts": {"a": 90, "b": 9, "c": 1},
        "runs": ["weights/new"],
    }
    assert set(record["inputs"]) == {"data/test.csv", "weights/new/best.safetensors"}
    assert record["arguments"]["batch_size"] == 64
    assert record["arguments"]["runs"] is None
    assert latest.name == "new"


def test_several_runs_are_averaged_and_told_as_json(comptool, pairs):
    for number in range(2):
        pairs(f"run{number}", size=16 + 16 * number, seed=number)
    shutil.copy("data/EO_te001.png", "data/EO_te002.png")
    result = infer(comptool, "run0", "weights/run1", "--json", "-o", "out/both.csv")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout) == {
        "output": "out/both.csv",
        "runs": ["weights/run0", "weights/run1"],
        "rows": 9,
        "warnings": ["1 group of pixel-identical eo images: te001 = te002"],
    }
    assert "warning: 1 group of pixel-identical eo images: te001 = te002" in result.stderr
    each = []
    for number in range(2):
        infer(comptool, f"run{number}", "-q", "-o", f"{number}.csv")
        each.append(read_predictions(Path(f"{number}.csv")).probabilities)
    both = read_predictions(Path("out/both.csv")).probabilities
    np.testing.assert_allclose(both, np.mean(each, axis=0), atol=1e-6)


def test_quiet_leaves_only_the_result(comptool, pairs):
    pairs("one")
    result = infer(comptool, "--quiet")
    assert (result.stdout, result.stderr) == ("submissions/preds.csv\n", "")


def test_another_table_can_be_predicted_into_parquet(comptool, pairs):
    pairs("one")
    lines = Path("data/test.csv").read_text().splitlines()
    Path("data/few.csv").write_text("\n".join([lines[0], lines[5], lines[2]]) + "\n")
    assert infer(comptool, "--test", "data/few.csv", "-o", "few.parquet").exit_code == 0
    assert read_predictions(Path("few.parquet")).ids.tolist() == ["te004", "te001"]


def test_a_dry_run_writes_nothing(comptool, pairs):
    pairs("one")
    before = sorted(Path().rglob("*"))
    result = infer(comptool, "--dry-run")
    assert result.exit_code == 0
    assert result.stdout == ""
    assert "run: weights/one (the latest)" in result.stderr
    assert sorted(Path().rglob("*")) == before


def test_precision_can_be_half_but_not_two_at_once(comptool, pairs):
    pairs("one")
    infer(comptool, "--fp32", "-q", "-o", "full.csv")
    infer(comptool, "--bf16", "-q", "-o", "half.csv")
    full, half = (read_predictions(Path(f"{name}.csv")) for name in ("full", "half"))
    np.testing.assert_allclose(full.probabilities, half.probabilities, atol=0.1)
    assert error_of(comptool, "--fp16", "--bf16", code=2) == (
        "--bf16 and --fp16 contradict each other; give one"
    )


def test_an_existing_output_is_kept_unless_forced(comptool, pairs):
    pairs("one")
    PREDS.parent.mkdir()
    PREDS.write_text("mine")
    message = "submissions/preds.csv: exists already. Replace it with --force"
    assert error_of(comptool) == message
    assert PREDS.read_text() == "mine"
    assert infer(comptool, "--force").exit_code == 0
    assert len(read_predictions(PREDS)) == 9


def test_runs_that_cannot_be_averaged_are_named(comptool, pairs):
    pairs("abc")
    pairs("abd", classes=["a", "b", "d"])
    pairs("eo", modalities=["eo"])
    assert error_of(comptool, "abc", "abd") == (
        "weights/abd: its classes are not those of weights/abc, and their predictions cannot be "
        "averaged: a, b, d against a, b, c. Predict with each by itself"
    )
    pairs("bac", classes=["b", "a", "c"])
    assert error_of(comptool, "abc", "bac") == (
        "weights/bac: its classes are not those of weights/abc, and their predictions cannot be "
        "averaged: the same 3 in another order. Predict with each by itself"
    )
    assert error_of(comptool, "abc", "eo") == (
        "weights/eo: its modalities are not those of weights/abc, and their predictions cannot be "
        "averaged: eo against sar, eo. Predict with each by itself"
    )


@pytest.mark.parametrize("command", ["infer", "tta"])
def test_a_folded_run_with_folds_to_go_is_refused(comptool, pairs, command):
    pairs("k/fold-0")
    Path("weights/k/run.json").write_text('{"state": "running", "num_folds": 3}')
    Path("weights/k/fold-0/run.json").write_text('{"state": "finished"}')
    result = comptool(command, "-j", "0", "-q")
    assert (result.exit_code, result.stdout) == (3, "")
    assert result.stderr == (
        f"comptool {command}: weights/k: 1 of 3 folds are finished. Go on with: comptool train "
        "--run-name k --resume\n"
    )
    assert not Path("submissions").exists()
    assert comptool(command, "weights/k/fold-0", "-j", "0", "-q").exit_code == 0


def test_a_run_that_was_stopped_is_told(comptool, pairs):
    pairs("one")
    Path("weights/one/run.json").write_text('{"state": "stopped"}')
    result = infer(comptool, "--json")
    said = (
        "weights/one is not finished (stopped); its best checkpoint so far is used. Go on with: "
        "comptool train --run-name one --resume"
    )
    assert result.exit_code == 0, result.output
    assert result.stderr.splitlines()[1] == f"warning: {said}"
    assert json.loads(result.stdout)["warnings"] == [said]


def test_a_run_of_another_competition_is_named(comptool, pairs):
    pairs("other", modalities=["eo", "lidar"])
    assert error_of(comptool) == (
        "weights/other: this run takes the modalities eo, lidar, and the competition has sar, eo. "
        "Correct [modalities] in comptool.toml"
    )
    shutil.rmtree("weights/other")
    pairs("labels", task="multilabel")
    assert error_of(comptool) == (
        "weights/labels: this run was trained for another competition; its task against the "
        "competition's: multilabel against multiclass. Name another run, or correct comptool.toml"
    )


def test_a_run_of_another_class_list_is_named_however_late_they_differ(comptool, pairs):
    names = [f"class-{number}" for number in range(7)]
    pairs("seven", classes=names)
    facts = Path("comptool.toml")
    wanted = json.dumps([*names[:6], "class-x"])
    facts.write_text(
        facts.read_text().replace('label = "label"', f'label = "label"\nclasses = {wanted}')
    )
    assert error_of(comptool) == (
        "weights/seven: this run was trained for another competition; its classes against the "
        "competition's: class-6 against class-x. Name another run, or correct comptool.toml"
    )


def test_an_unknown_run_is_named_with_the_nearest(comptool, pairs):
    pairs("mobilenetv2-dual")
    assert "Did you mean mobilenetv2-dual?" in error_of(comptool, "mobilenetv2-daul")


def test_without_any_run_the_command_that_makes_one_is_named(comptool, pairs):
    assert error_of(comptool) == "weights: no trained run here. Make one: comptool train"


@pytest.mark.parametrize("damage", ["truncated", "not comptool's", "another network's"])
def test_a_damaged_checkpoint_is_named_and_nothing_is_written(comptool, pairs, damage):
    path = pairs("one") / "best.safetensors"
    if damage == "truncated":
        path.write_bytes(path.read_bytes()[:5000])
    elif damage == "not comptool's":
        save_file({"weight": np.zeros(3)}, path)
    else:
        pairs("two", model={"name": "mobilenetv2", "options": {}}, modalities=["eo"])
        path = Path("weights/two/best.safetensors")
    message = error_of(comptool, path.parent.name)
    assert message.startswith(f"weights/{path.parent.name}/best.safetensors: ")
    assert not PREDS.exists()


def test_a_truncated_image_is_named_and_nothing_is_written(comptool, pairs):
    pairs("one")
    image = Path("data/SAR_te004.png")
    image.write_bytes(image.read_bytes()[:60])
    assert error_of(comptool) == f"{image}: this image is truncated. Download it again"
    assert not PREDS.exists()


def test_a_missing_image_is_an_error_or_a_black_chip(comptool, pairs):
    pairs("one")
    Path("data/SAR_te004.png").unlink()
    assert error_of(comptool) == (
        "data/test.csv, column 'sar_path': sample 'te004' has no sar image; there is no "
        "data/SAR_te004.png. Allow it with --missing-modality zero"
    )
    result = infer(comptool, "--missing-modality", "zero")
    assert result.exit_code == 0
    assert "warning: 1 sar image is missing: te004" in result.stderr


def test_a_missing_test_table_is_named(comptool, pairs):
    pairs("one")
    assert error_of(comptool, "--test", "none.csv") == "none.csv: there is no such file"


def test_real_defects_of_unicorn_are_named(comptool, pairs, real_data):
    pairs("one")
    Path("comptool.toml").write_text(
        f'task = "multiclass"\nmetric = "accuracy"\n[data]\nfolder = "{real_data}/unicorn"\n'
        'test = "test.csv"\nid = "image_id"\nlabel = "class_id"\n'
        '[modalities]\nsar = "sar_path"\neo = "eo_path"\n'
    )
    result = infer(comptool, "--json")
    assert result.exit_code == 0, result.output
    blank, same = json.loads(result.stdout)["warnings"]
    assert blank == "2 sar images are all zero: 109488, 199199"
    assert same.startswith("6 groups of pixel-identical sar images: 109488 = 199199, ")
    assert len(read_predictions(PREDS)) == 826
