"""Multi-label runs: every class its own yes or no, from checkpoints to prediction files."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score

from comptool import metrics, models
from comptool.io.predictions import read_predictions
from comptool.io.records import header_of
from comptool.models.checkpoint_file import load_checkpoint, save_checkpoint

CLASSES = ("sea", "golf course", "roof, tiled", "quay/pier", "Österreich")
PREDS, TTA = Path("submissions/preds.csv"), Path("submissions/preds_tta.csv")
# Rows are images; nothing is known of the last class but absences, one row has no label at all.
CELLS = np.array(
    [
        [1, 0, -1, 0, 0],
        [0, 1, 1, -1, 0],
        [0, 0, 0, 0, 0],
        [1, 1, 0, 1, -1],
        [-1, 0, 1, 1, 0],
        [0, 1, 0, 0, 0],
        [1, -1, 1, 0, 0],
        [0, 0, 0, 1, 0],
    ]
)


def write_csv(path: str, header, rows) -> None:
    with Path(path).open("w", newline="") as stream:
        csv.writer(stream).writerows([header, *rows])


@pytest.fixture
def scenes(comptool) -> Callable[..., Path]:
    """A competition of eight training and six test images, and a maker of untrained runs."""
    rng = np.random.default_rng(0)
    Path("data").mkdir()
    for part, count in (("train", len(CELLS)), ("test", 6)):
        for number in range(count):
            coarse = rng.integers(0, 256, (4, 4, 3), dtype=np.uint8)
            image = cv2.resize(coarse, (40, 40), interpolation=cv2.INTER_NEAREST)
            cv2.imwrite(f"data/{part}{number}.png", image)
        rows = [[f"{part}{number}", f"{part}{number}.png"] for number in range(count)]
        if part == "train":
            rows = [[*row, *cells] for row, cells in zip(rows, CELLS.tolist(), strict=True)]
        header = ["img_id", "img_path", *(CLASSES if part == "train" else ())]
        write_csv(f"data/{part}.csv", header, rows)
    write_toml()

    def make(run: str, *, size: int = 32, seed: int = 0, bias: float = 0.0, **changes) -> Path:
        torch.manual_seed(seed)
        network = models.create("test_efficientnet", len(CLASSES))
        with torch.no_grad():
            network.classifier.weight *= 30  # of 0.05 or so: predictions that differ
            network.classifier.bias += bias
        header = {
            "model": {"name": "test_efficientnet", "options": {}},
            "task": "multilabel",
            "classes": list(CLASSES),
            "class_counts": dict.fromkeys(CLASSES, 3),
            "metric": "map",
            "modalities": ["image"],
            "img_size": {"image": [size, size]},
            "channels": {"image": 3},
            "mean": {"image": [0.4, 0.5, 0.6]},
            "std": {"image": [0.2, 0.3, 0.4]},
            "inputs": {"data/train.csv": None},
            "leak": None,
        }
        path = Path("weights", run)
        path.mkdir(parents=True)
        save_checkpoint(path / "best.safetensors", network, header_of(header | changes, path))
        rows = [[f"train{number}", 0, *[0.5] * len(CLASSES)] for number in range(len(CELLS))]
        write_csv(str(path / "oof.csv"), ["img_id", "fold", *CLASSES], rows)
        return path

    return make


def write_toml(classes=CLASSES, task: str = "multilabel") -> None:
    Path("comptool.toml").write_text(
        f'task = "{task}"\nmetric = "map"\n[data]\nfolder = "data"\ntrain = "train.csv"\n'
        f'test = "test.csv"\nid = "img_id"\nlabel = {json.dumps(list(classes))}\n'
        '[modalities]\nimage = "img_path"\n',
        encoding="utf-8",
    )


def by_hand(run: Path, part: str, count: int, size: int) -> np.ndarray:
    """Read, resize, normalise, sigmoid."""
    network, _ = load_checkpoint(run)
    images = []
    for number in range(count):
        image = cv2.imread(f"data/{part}{number}.png")[..., ::-1]
        image = cv2.resize(image, (size, size), interpolation=cv2.INTER_AREA) / 255
        images.append(((image - [0.4, 0.5, 0.6]) / [0.2, 0.3, 0.4]).transpose(2, 0, 1))
    with torch.no_grad():
        return network(torch.tensor(np.stack(images), dtype=torch.float32)).sigmoid().numpy()


def infer(comptool, *arguments):
    result = comptool("infer", "-j", "0", "--device", "cpu", *arguments)
    assert result.exit_code == 0, result.output
    return read_predictions(PREDS, sums_to_one=False)


def test_runs_of_two_input_sizes_are_averaged_in_one_pass(comptool, scenes):
    small, large = scenes("small", size=24), scenes("large", size=36, seed=1)
    found = infer(comptool, "small", "large")
    wanted = (by_hand(small, "test", 6, 24) + by_hand(large, "test", 6, 36)) / 2
    assert found.classes == CLASSES
    np.testing.assert_allclose(found.probabilities, wanted, atol=1e-6)
    assert found.probabilities.std(axis=0).min() > 1e-3
    facts = json.loads(Path(f"{PREDS}.meta.json").read_text())["facts"]
    assert (facts["task"], facts["metric"]) == ("multilabel", "map")
    assert facts["runs"] == ["weights/small", "weights/large"]


@pytest.mark.parametrize("precision", ["--bf16", "--fp16"])
def test_half_precision_keeps_sure_cells_apart_from_one(comptool, scenes, precision):
    """A sigmoid in half precision is exactly one from a logit of 8.4 on."""
    run = scenes("sure", bias=11.0)
    found = infer(comptool, "sure", precision).probabilities
    wanted = by_hand(run, "test", 6, 32)
    assert wanted.max() > 0.9999
    assert found.max() < 1
    np.testing.assert_allclose(found, wanted, atol=0.02)
    assert not np.array_equal(found, np.float32(wanted))


@pytest.mark.parametrize("merge", ["mean", "gmean", "max"])
def test_what_views_are_worth_is_told_by_average_precision_on_known_cells(comptool, scenes, merge):
    run = scenes("one")
    options = ["--transforms", "d4", "--merge", merge, "--json"]
    result = comptool("tta", "-j", "0", "--device", "cpu", *options)
    assert result.exit_code == 0, result.output
    evidence = json.loads(result.stdout)["evidence"]
    plain = by_hand(run, "train", len(CELLS), 32)
    wanted = [
        average_precision_score(CELLS[known, column], plain[known, column])
        for column, known in enumerate((CELLS != -1).T)
        if (CELLS[:, column] == 1).any()
    ]
    assert evidence["plain"] == pytest.approx(np.mean(wanted))
    assert evidence["rows"] == len(CELLS)
    assert f"map on 8 out-of-fold rows: {evidence['plain']:.4f} plain" in result.stderr
    found = read_predictions(TTA, sums_to_one=False).probabilities
    assert found.shape == (6, len(CLASSES))
    assert not np.allclose(found.sum(axis=1), 1)


def test_views_of_several_labels_are_chosen_by_average_precision(comptool, scenes):
    run = scenes("one")
    plain = by_hand(run, "train", len(CELLS), 32)
    rows = [[f"train{number}", number % 3, *row] for number, row in enumerate(plain.tolist())]
    write_csv(str(run / "oof.csv"), ["img_id", "fold", *CLASSES], rows)
    options = ["--transforms", "flips", "--search", "greedy", "--json"]
    result = comptool("tta", "-j", "0", "--device", "cpu", *options)
    assert result.exit_code == 0, result.output
    evidence = json.loads(result.stdout)["evidence"]
    assert (evidence["metric"], evidence["rows"], evidence["folds"]) == ("map", 8, 3)
    wanted = metrics.score("map", CELLS, plain)
    assert evidence["plain"]["value"] == pytest.approx(wanted)
    assert evidence["candidates"][0]["alone"] == pytest.approx(wanted)
    held = read_predictions(TTA.with_name("oof_preds_tta.csv"), sums_to_one=False)
    assert metrics.score("map", CELLS, held.probabilities) == pytest.approx(
        evidence["choice"]["value"]
    )


def test_a_turned_scene_has_the_prediction_of_the_scene_under_d4(comptool, scenes):
    scenes("one")
    command = ["tta", "-j", "0", "--transforms", "d4", "--merge", "gmean", "-q"]
    comptool(*command, "-o", "before.csv")
    for path in Path("data").glob("test*.png"):
        cv2.imwrite(str(path), np.ascontiguousarray(np.rot90(cv2.imread(str(path)))))
    comptool(*command, "-o", "after.csv")
    before, after = (
        read_predictions(Path(f"{name}.csv"), sums_to_one=False) for name in ("before", "after")
    )
    np.testing.assert_allclose(after.probabilities, before.probabilities, atol=1e-5)


def test_a_run_whose_classes_are_in_another_order_is_refused(comptool, scenes):
    scenes("one")
    write_toml((*CLASSES[1:], CLASSES[0]))
    result = comptool("infer")
    assert result.exit_code == 3
    assert result.stderr == (
        "comptool infer: weights/one: this run was trained for another competition; its classes "
        "against the competition's: the same 5 in another order. Name another run, or correct "
        "comptool.toml\n"
    )


def test_runs_that_disagree_on_the_classes_are_not_averaged(comptool, scenes):
    scenes("one")
    scenes("two", classes=[*CLASSES[:3], CLASSES[4], CLASSES[3]])
    result = comptool("infer", "one", "two")
    assert result.exit_code == 3
    assert result.stderr == (
        "comptool infer: weights/two: its classes are not those of weights/one, and their "
        "predictions cannot be averaged: the same 5 in another order. Predict with each by "
        "itself\n"
    )


def test_without_a_present_cell_there_is_no_evidence_and_there_are_predictions(comptool, scenes):
    scenes("one")
    rows = [[f"train{number}", f"train{number}.png", *[0] * 5] for number in range(len(CELLS))]
    write_csv("data/train.csv", ["img_id", "img_path", *CLASSES], rows)
    result = comptool("tta", "-j", "0")
    assert result.exit_code == 0, result.output
    assert "no evidence that TTA helps: " in result.stderr
    assert len(read_predictions(TTA, sums_to_one=False)) == 6
