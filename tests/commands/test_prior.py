"""``comptool prior``: mean probabilities of the classes over the rows that a run was trained on."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from comptool.io.provenance import recall
from comptool.training.class_prior import doubts

pytestmark = pytest.mark.usefixtures("unsealed")

CLASSES = ("sea", "golf course", "road")
TINY = [
    "--model", "test_efficientnet", "--pretrained", "no", "--img-size", "32", "-b", "4", "-j", "0",
    "--epochs", "1", "--device", "cpu", "-q",
]  # fmt: skip
IGNORE = ["--loss", "partial-asl", "--loss-option", "mode=ignore"]
TOML = """name = "scenes"
task = "multilabel"
metric = "map"
[data]
train = "folds.csv"
id = "id"
label = ["sea", "golf course", "road"]
[modalities]
image = "path"
"""


@pytest.fixture
def scenes(tmp_path, monkeypatch) -> Path:
    """``folds.csv`` of 12 pictures in two folds, some cells without a label."""
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(0)
    lines = [["id", "path", *CLASSES, "fold"]]
    for number in range(12):
        cv2.imwrite(f"{number}.png", random.integers(0, 256, (32, 32, 3), dtype=np.uint8))
        cells = [number & 1, number >> 1 & 1, "" if number % 5 == 0 else number >> 2 & 1]
        lines.append([f"n{number}", f"{number}.png", *cells, number % 2])
    with Path("folds.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows(lines)
    Path("comptool.toml").write_text(TOML)
    return tmp_path


def read(path: str = "prior.csv") -> dict[str, float]:
    return {row["class"]: float(row["prior"]) for row in csv.DictReader(Path(path).open())}


def probabilities(run: str, fold: str) -> np.ndarray:
    """Of the rows that are not of that fold."""
    import torch

    from comptool.data.dataset import normalise
    from comptool.models.checkpoint_file import load_checkpoint

    model, header = load_checkpoint(Path("weights") / run)
    rows = [row for row in csv.DictReader(Path("folds.csv").open()) if row["fold"] != fold]
    chips = [cv2.imread(row["path"])[:, :, ::-1].copy() for row in rows]
    images = torch.from_numpy(np.stack(chips)).permute(0, 3, 1, 2)
    with torch.no_grad():
        logits = model(normalise(images, header.mean["image"], header.std["image"]))
    return torch.sigmoid(logits).numpy()


def test_the_prior_is_the_mean_over_the_training_rows_of_the_run(scenes, comptool):
    assert comptool("train", *TINY, *IGNORE).exit_code == 0
    result = comptool("prior", "test_efficientnet", "-b", "5", "-j", "0")
    assert (result.exit_code, result.stdout) == (0, "prior.csv\n"), result.stderr
    assert result.stderr.splitlines() == [
        "the prior of 3 classes by weights/test_efficientnet, into prior.csv, from the 6 rows it "
        "was trained on"
    ]
    expected = probabilities("test_efficientnet", "0").mean(axis=0)
    assert tuple(read()) == CLASSES
    assert list(read().values()) == pytest.approx(expected.tolist(), abs=1e-6)
    record = recall(Path("prior.csv"))
    assert record.facts == {"run": "weights/test_efficientnet", "rows": 6}
    assert set(record.inputs) == {"folds.csv"}
    again = comptool("train", *TINY, "--loss", "partial-asl", "--prior", "prior.csv",
                     "--run-name", "selective")  # fmt: skip
    assert (again.exit_code, again.stdout) == (0, "weights/selective\n"), again.stderr


def test_a_folded_run_asks_each_member_for_its_own_training_rows(scenes, comptool):
    assert comptool("train", *TINY, *IGNORE, "--fold", "all").exit_code == 0
    result = comptool("prior", "-q", "--json", "-o", "p.csv", "-j", "0")
    parts = [probabilities(f"test_efficientnet/fold-{fold}", str(fold)) for fold in (0, 1)]
    expected = np.concatenate(parts).mean(axis=0)
    document = json.loads(result.stdout)
    assert document["output"] == "p.csv"
    assert list(document["prior"].values()) == pytest.approx(expected.tolist(), abs=1e-6)
    assert read("p.csv") == document["prior"]


def test_a_run_that_took_unknown_cells_for_negatives_is_warned_of(scenes, comptool):
    assert comptool("train", *TINY, "--loss", "partial-asl").exit_code == 0
    result = comptool("prior", "--dry-run")
    assert result.stderr.splitlines()[0] == (
        "WARNING: weights/test_efficientnet was trained in mode 'selective', which takes cells "
        "without a label for absent ones; an estimate needs --loss-option mode=ignore"
    )
    assert not Path("prior.csv").exists()


@pytest.mark.parametrize("loss", ["zlpr", "two-way", "asl", "sigmoid-focal"])
def test_sigmoids_that_are_no_shares_are_warned_of(scenes, comptool, loss):
    assert comptool("train", *TINY, "--loss", loss).exit_code == 0
    result = comptool("prior", "--dry-run")
    assert result.stderr.splitlines()[0] == (
        f"WARNING: weights/test_efficientnet was trained with the loss '{loss}', whose sigmoids "
        "are no calibrated probabilities, and so their mean is no share; an estimate needs "
        "--loss partial-asl --loss-option mode=ignore, or --loss bce"
    )


def test_a_run_that_has_seen_no_negative_is_warned_of(scenes, comptool):
    lines = Path("folds.csv").read_text().splitlines()
    mapped = [f"{lines[0]},zero_is_unknown", *(f"{line},1" for line in lines[1:]), ""]
    Path("folds.csv").write_text("\n".join(mapped))
    trained = comptool("train", *[part for part in TINY if part != "-q"], *IGNORE)
    assert trained.exit_code == 0, trained.stderr
    assert "IT LEARNS THAT EVERYTHING IS PRESENT" in trained.stderr
    result = comptool("prior", "--dry-run")
    assert result.stderr.splitlines()[0] == (
        "WARNING: no cell that weights/test_efficientnet was trained on is annotated as absent: "
        "it has learnt that everything is present, and every prior comes out near 1; train it on "
        "a table without --map-zero-to-unknown"
    )


def test_a_prior_of_ones_speaks_against_itself():
    assert doubts(np.array([0.99, 0.901]))[0].startswith(
        "WARNING: every prior is above 0.9 (the least is 0.901): the run has seen hardly a class "
    )
    assert doubts(np.array([0.99, 0.9])) == []


def test_folds_that_are_not_all_trained_give_no_prior(scenes, comptool):
    assert comptool("train", *TINY, *IGNORE, "--fold", "all").exit_code == 0
    for folder in ("", "fold-1"):
        record = Path("weights/test_efficientnet", folder, "run.json")
        record.write_text(json.dumps(json.loads(record.read_text()) | {"state": "stopped"}))
    result = comptool("prior", "-q")
    assert (result.exit_code, result.stdout) == (3, "")
    assert result.stderr.startswith(
        "comptool prior: weights/test_efficientnet: 1 of 2 folds are finished"
    )
    assert not Path("prior.csv").exists()


def test_what_cannot_be_estimated_is_told(scenes, comptool):
    def told(*arguments: str) -> tuple[int, str]:
        result = comptool("prior", "-q", *arguments)
        assert result.stdout == ""
        return result.exit_code, result.stderr

    code, text = told("nowhere")
    assert (code, text.split(":")[1]) == (3, " weights")
    assert comptool("train", *TINY, *IGNORE).exit_code == 0
    Path("prior.csv").write_text("kept")
    assert told() == (
        3, "comptool prior: prior.csv: exists already. Replace it with --force\n",
    )  # fmt: skip
    Path("folds.csv").write_text(Path("folds.csv").read_text().replace(",1,0,0,", ",0,1,0,"))
    code, text = told("--force")
    assert (code, text) == (
        3,
        "comptool prior: weights/test_efficientnet: the rows of folds.csv are not those that it "
        "was trained on. Bring the table back, or train again\n",
    )
    assert Path("prior.csv").read_text() == "kept"


def test_a_prior_is_for_several_classes_per_image(pairs, comptool):
    pairs("net")
    (Path("weights/net") / "run.json").write_text(
        json.dumps({"arguments": {"model": "test_efficientnet-dual"}, "files": {}})
    )
    result = comptool("prior", "net")
    assert (result.exit_code, result.stderr) == (
        2,
        "comptool prior: a prior is for multilabel tasks, and that of weights/net is multiclass\n",
    )
