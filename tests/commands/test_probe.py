"""``comptool embed`` and ``comptool probe``: features of a network, and classes from them."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
import timm
import torch
from safetensors.torch import save_file
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from comptool.io.predictions import Predictions, read_predictions, write_predictions
from comptool.training.probe import METHODS, fit

TINY = (
    "--model", "test_efficientnet", "--modality", "eo", "--img-size", "16",
    "--pretrained", "tiny.safetensors",
)  # fmt: skip
ROWS, CLASSES = 120, ("a", "b", "c")


@pytest.fixture
def network(pairs):
    """A timm network, whose weights are in ``tiny.safetensors``."""
    torch.manual_seed(5)
    model = timm.create_model("test_efficientnet", num_classes=10).eval()
    save_file(model.state_dict(), "tiny.safetensors")
    return model


def of_timm(model, table: str, column: str, turned: bool = False) -> np.ndarray:
    config = model.pretrained_cfg
    found = []
    for cell in pd.read_csv(table)[column]:
        image = cv2.imread(str(Path("data") / cell), cv2.IMREAD_GRAYSCALE)
        image = np.repeat(image[..., None], 3, axis=2)[:, :: -1 if turned else 1].astype(np.float32)
        scaled = (image / 255 - config["mean"]) / config["std"]
        images = torch.tensor(scaled.transpose(2, 0, 1)[None], dtype=torch.float32)
        with torch.inference_mode():
            found.append(model.forward_head(model.forward_features(images), pre_logits=True))
    return torch.cat(found).numpy()


@pytest.mark.parametrize("backend", ["onnx", "torch"])
def test_features_are_those_that_timm_gives(comptool, network, backend):
    result = comptool("embed", *TINY, "--backend", backend, "-j", 0, "--json")
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["outputs"] == ["embeddings.npy", "embeddings_test.npy"]
    for table, name in (
        ("data/train.csv", "embeddings.npy"),
        ("data/test.csv", "embeddings_test.npy"),
    ):
        found = read_predictions(Path(name), numbers=True)
        ids = pd.read_csv(table).iloc[:, 0].astype(str)
        assert list(found.ids) == list(ids)
        wanted = of_timm(network, table, "eo_path")
        np.testing.assert_allclose(found.probabilities, wanted, atol=1e-4 * np.abs(wanted).max())
        np.testing.assert_array_equal(np.load(name), found.probabilities)


def test_features_of_views_are_averaged(comptool, network):
    Path("views.json").write_text('["identity", "horizontal"]')
    result = comptool("embed", *TINY, "--transforms", "views.json", "-j", 0, "-o", "v.parquet")
    assert result.exit_code == 0, result.stderr
    both = [of_timm(network, "data/train.csv", "eo_path", turned) for turned in (False, True)]
    wanted = np.mean(both, axis=0)
    found = read_predictions(Path("v.parquet"), numbers=True).probabilities
    np.testing.assert_allclose(found, wanted, atol=1e-4 * np.abs(wanted).max())
    facts = json.loads(Path("v.parquet.meta.json").read_text())["facts"]
    assert facts["views"] == ["identity", "horizontal"] and facts["test"] == "v_test.parquet"


def test_a_head_of_its_own_has_no_features(comptool, network):
    result = comptool("embed", *TINY[2:], "--model", "test_efficientnet+cosine")
    assert result.exit_code == 2
    assert "features are those before the head; take --model test_efficientnet" in result.stderr


@pytest.fixture
def embedded(comptool):
    """Features of 120 rows of three classes, and of 30 test rows; ``side`` tells the classes."""
    random = np.random.default_rng(0)
    targets = np.arange(ROWS + 30) % 3
    centres = random.normal(size=(3, 8))
    features = (centres[targets] + random.normal(size=(len(targets), 8))).astype(np.float32)
    ids = np.array([f"r{number}" for number in range(len(targets))], object)
    names = tuple(f"x{number}" for number in range(8))
    frame = pd.DataFrame({"id": ids, "path": "x.png"})
    frame["side"] = [["left", "right", ""][one] for one in targets]
    frame["age"] = np.where(targets == 0, "", (targets * 10).astype(str))
    frame["label"] = np.array(CLASSES)[targets]
    frame["fold"] = np.arange(len(targets)) % 4
    frame[:ROWS].to_csv("folds.csv", index=False)
    frame[:ROWS].drop(columns="fold").to_csv("train.csv", index=False)
    frame[ROWS:].drop(columns=["label", "fold"]).to_csv("test.csv", index=False)
    cv2.imwrite("x.png", np.zeros((8, 8), np.uint8))
    Path("comptool.toml").write_text(
        'task = "multiclass"\nmetric = "accuracy"\n[data]\ntrain = "train.csv"\n'
        'test = "test.csv"\nid = "id"\nlabel = "label"\n[modalities]\nrgb = "path"\n'
    )
    for name, part in (("e.csv", slice(0, ROWS)), ("e_test.csv", slice(ROWS, None))):
        write_predictions(Path(name), Predictions(ids[part], names, features[part]))
    return features, targets


@pytest.mark.parametrize("method", METHODS)
def test_predictions_are_those_of_other_rows_alone(comptool, embedded, method):
    _, targets = embedded
    result = comptool("probe", "e.csv", "--method", method, "--json")
    assert result.exit_code == 0, result.stderr
    document = json.loads(result.stdout)
    assert document["outputs"] == ["submissions/probe.csv", "submissions/oof_probe.csv"]
    held = read_predictions(Path("submissions/oof_probe.csv"))
    assert held.classes == CLASSES and len(held) == ROWS
    right = held.probabilities.argmax(axis=1) == targets[:ROWS]
    assert document["score"] == pytest.approx(right.mean()) and right.mean() > 0.7
    test = read_predictions(Path("submissions/probe.csv"))
    assert (test.probabilities.argmax(axis=1) == targets[ROWS:]).mean() > 0.6
    # A label that changes moves no prediction of its own fold.
    frame = pd.read_csv("folds.csv", dtype=str, keep_default_na=False)
    frame.loc[frame["fold"] == "2", "label"] = "a"
    frame.to_csv("folds.csv", index=False)
    result = comptool("probe", "e.csv", "--method", method, "--force")
    assert result.exit_code == 0, result.stderr
    again = read_predictions(Path("submissions/oof_probe.csv"))
    own = held.fold == 2
    np.testing.assert_array_equal(again.probabilities[own], held.probabilities[own])
    assert not np.array_equal(again.probabilities, held.probabilities)


def test_the_linear_probe_is_scikit_learns(embedded):
    features, targets = embedded
    scaled = StandardScaler().fit_transform(features)
    classify, strength = fit("linear", scaled, targets, 3)
    other = LogisticRegression(C=strength, tol=1e-8, max_iter=2000).fit(scaled, targets)
    np.testing.assert_allclose(classify(scaled), other.predict_proba(scaled), atol=0.02)


def test_a_group_is_not_torn_when_the_strength_is_chosen():
    random = np.random.default_rng(0)
    centres = random.normal(size=(40, 60))
    groups = np.repeat(np.arange(40), 5).astype(object)
    targets = np.repeat(random.integers(2, size=40), 5)  # what is alike within a group is no class
    features = np.repeat(centres, 5, axis=0) + 0.01 * random.normal(size=(200, 60))
    torn = fit("knn", features, targets, 2)[1]
    whole = fit("knn", features, targets, 2, groups)[1]
    assert whole > torn


def test_columns_join_the_features(comptool, embedded):
    plain = json.loads(comptool("probe", "e.csv", "--json").stdout)["score"]
    result = comptool("probe", "e.csv", "--columns", "age:num,side:cat", "--json", "--force")
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["score"] == 1.0 > plain
    test = read_predictions(Path("submissions/probe.csv"))
    assert (test.probabilities.argmax(axis=1) == embedded[1][ROWS:]).all()


def test_later_commands_take_its_rows_as_evidence(comptool, embedded):
    assert comptool("probe", "e.csv").exit_code == 0
    assert comptool("probe", "e.csv", "--method", "lda", "-o", "submissions/l.csv").exit_code == 0
    result = comptool(
        "ensemble", "submissions/probe.csv", "submissions/l.csv", "--search", "greedy"
    )
    assert result.exit_code == 0, result.stderr
    for command in (
        ("recalibrate", "submissions/probe.csv", "--compare"),
        ("recalibrate", "submissions/ensemble.csv", "--compare", "-o", "submissions/r.csv"),
        ("evaluate", "submissions/oof_probe.csv"),
        ("pseudolabel", "submissions/probe.csv", "--precision", "0.5"),
    ):
        result = comptool(*command)
        assert result.exit_code == 0, (command, result.stderr)


def test_cells_are_learnt_class_by_class(comptool, embedded):
    _, targets = embedded
    cells = np.eye(3, dtype=int)[targets[:ROWS]].astype(str)
    cells[::7, 1] = ""  # not annotated
    frame = pd.read_csv("folds.csv", dtype=str).drop(columns="label")
    frame[list(CLASSES)] = cells
    frame.to_csv("folds.csv", index=False)
    text = Path("comptool.toml").read_text().replace("multiclass", "multilabel")
    text = text.replace('"accuracy"', '"map"').replace('label = "label"', 'label = ["a", "b", "c"]')
    Path("comptool.toml").write_text(text)
    frame.drop(columns="fold").to_csv("train.csv", index=False)
    result = comptool("probe", "e.csv", "--json")
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["score"] > 0.8
    refused = comptool("probe", "e.csv", "--method", "knn", "--force")
    assert refused.exit_code == 2
    assert "--method knn is for one class per image; take --method linear" in refused.stderr


@pytest.mark.parametrize(
    ("options", "code", "sentence"),
    [
        (("none.npy",), 3, "none.npy: there is no such file"),
        (("short.csv",), 3, "lacks the features of 20 of 120 rows"),
        (("e.csv", "--columns", "age"), 2, "a column is given as NAME:num or NAME:cat"),
        (("e.csv", "--columns", "side:num"), 3, "is not a number"),
        (("e.csv", "--columns", "height:num"), 3, "has no column 'height' (--columns)"),
        (("e.csv", "--columns", "age:num,age:cat"), 2, "--columns names 'age' twice"),
        (("e.csv", "--columns", "age:num", "--method", "knn"), 2, "is for --method linear and lda"),
        (("e.csv", "lone.csv"), 3, "has no features of the test set beside it"),
    ],
)
def test_what_cannot_be_probed_is_told_in_one_sentence(comptool, embedded, options, code, sentence):
    pd.read_csv("e.csv")[: ROWS - 20].to_csv("short.csv", index=False)
    pd.read_csv("e.csv").to_csv("lone.csv", index=False)
    result = comptool("probe", *options)
    assert (result.exit_code, result.stdout) == (code, "")
    assert sentence in result.stderr and "Traceback" not in result.stderr
    assert not Path("submissions").exists()
