"""Losses and heads on real images of several labels each, beside trees on hand features.

    COMPTOOL_REAL_DATA=DIR python benchmarks/multilabel.py [--partial FILE] [--quick]

UC Merced: 674 images, 17 labels, the folds of ``comptool split --folds 3``. The network is small
(MobileNetV3, 96 pixels) and starts from weights that a run on EuroSAT gave, since published ones
cannot be had without a network connection. Each row of the result is one ``comptool train --fold
all``; its figure is the macro mAP of the last epoch on the held-out rows, per fold, so that no
choice of an epoch flatters it. The extra trees answer the same rows. ``mean_with_trees`` is the
mean of the trees' and the network's probabilities, those of the best epoch (``oof.csv``). Prints
one JSON object; with ``--partial`` a stopped run goes on.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pandas as pd
from hand_features import histograms
from program import Results, comptool, long_options, real_images
from safetensors.numpy import load_file, save_file
from sklearn.ensemble import ExtraTreesClassifier

from comptool.metrics.curve_areas import average_precisions

BACKBONE = "mobilenetv3_small_100"
SIZE, FOLDS = 96, 3
WEIGHTS = "eurosat.safetensors"
# Name of the row: what follows the backbone's name, and the loss.
ROWS = {
    "bce": ("", "bce"),
    "asl": ("", "asl"),
    "partial-asl": ("", "partial-asl"),
    "zlpr": ("", "zlpr"),
    "two-way": ("", "two-way"),
    "asl_ml-decoder": ("+ml-decoder", "asl"),
    "asl_q2l": ("+q2l", "asl"),
}
Floats = npt.NDArray[np.floating]


def pretrain(folder: Path, images: Path, epochs: int) -> dict[str, object]:
    """Train the backbone on EuroSAT's training part and keep its weights without the classifier."""
    work = folder / "eurosat"
    work.mkdir()
    (work / "data").symlink_to(images)
    comptool(work, "init", "data")
    comptool(work, "split", "--from-column", "split")
    done = comptool(
        work, "train", "--model", BACKBONE, "--pretrained", "no", "--img-size", 64,
        "--batch-size", 64, "--epochs", epochs, "--device", "cpu",
    )  # fmt: skip
    weights = load_file(work / "weights" / BACKBONE / "best.safetensors")
    mine = "encoders.0."
    save_file(
        {name.removeprefix(mine): value for name, value in weights.items() if mine in name},
        folder / WEIGHTS,
    )
    return {"validation_accuracy": done.result["score"], "train_seconds": done.seconds}


def prepare(folder: Path, images: Path) -> None:
    """The images, scaled once so that no run spends its time on decoding, and their folds."""
    data = folder / "data"
    (data / "images").mkdir(parents=True)
    table = pd.read_csv(images / "train.csv", dtype=str)
    small = table["img_path"].str.replace(".jpg", ".png")
    for source, target in zip(table["img_path"], small, strict=True):
        image = cv2.imread(str(images / source))
        scaled = cv2.resize(image, (SIZE, SIZE), interpolation=cv2.INTER_AREA)
        cv2.imwrite(str(data / target), scaled)
    table.assign(img_path=small).to_csv(data / "train.csv", index=False)
    comptool(folder, "init", "data")
    comptool(folder, "split", "--folds", FOLDS)


def network(folder: Path, name: str, head: str, loss: str, options: list[object]) -> dict:
    """Macro mAP of the last epoch on each fold."""
    done = comptool(
        folder, "train", "--model", BACKBONE + head, "--run-name", name, "--loss", loss,
        "--fold", "all", "--img-size", SIZE, "--device", "cpu", "--force", *options,
    )  # fmt: skip
    run = folder / "weights" / name
    histories = [pd.read_csv(run / f"fold-{fold}" / "metrics.csv") for fold in range(FOLDS)]
    scores = [float(history["val_map"].iloc[-1]) for history in histories]
    trees = pd.read_csv(folder / "trees.csv")
    oof = pd.read_csv(run / "oof.csv").set_index("img_id").loc[trees["img_id"]]
    both = (oof[trees.columns[2:]].to_numpy() + trees.iloc[:, 2:].to_numpy()) / 2
    return {
        **summary(scores),
        "mean_with_trees": summary(by_fold(folder, both))["map"],
        "seconds": done.seconds,
        "cpu_seconds": done.cpu_seconds,
    }


def trees(folder: Path, images: Path) -> dict[str, object]:
    """Extra trees on histograms of the full-size images, on the same folds."""
    rows = pd.read_csv(folder / "folds.csv")
    labels = rows.drop(columns=["img_id", "img_path", "fold"])
    paths = rows["img_path"].str.replace(".png", ".jpg")
    features = np.stack([histograms(images / path) for path in paths])
    answers = np.zeros(labels.shape)
    for fold in range(FOLDS):
        held = (rows["fold"] == fold).to_numpy()
        model = ExtraTreesClassifier(300, min_samples_leaf=2, n_jobs=-1, random_state=0)
        model.fit(features[~held], labels[~held])
        probabilities = model.predict_proba(features[held])
        answers[held] = np.stack([one[:, 1] for one in probabilities], axis=1)
    table = pd.concat(
        [rows[["img_id", "fold"]], pd.DataFrame(answers, columns=labels.columns)], axis=1
    )
    table.to_csv(folder / "trees.csv", index=False)
    return summary(by_fold(folder, answers))


def by_fold(folder: Path, probabilities: Floats) -> list[float]:
    """Macro mAP of each fold, of probabilities in the order of ``folds.csv``."""
    rows = pd.read_csv(folder / "folds.csv")
    labels = rows.drop(columns=["img_id", "img_path", "fold"]).to_numpy(np.int8)
    folds = rows["fold"].to_numpy()
    return [
        float(average_precisions(labels[folds == fold], probabilities[folds == fold]).mean())
        for fold in range(FOLDS)
    ]


def summary(scores: list[float]) -> dict[str, object]:
    """Mean and standard deviation over the folds, and each."""
    return {
        "map": round(float(np.mean(scores)), 4),
        "deviation": round(float(np.std(scores, ddof=1)), 4),
        "folds": [round(score, 4) for score in scores],
    }


def measure(folder: Path, data: Path, results: Results, quick: bool) -> None:
    """Every row that is not known yet."""
    prepare(folder, data / "ucmerced")
    results.found.pop("extra_trees", None)  # its table is needed, and it takes a second
    results.get("extra_trees", lambda: trees(folder, data / "ucmerced"))
    kept = results.path and results.path.with_suffix(".safetensors")
    if kept and kept.is_file():
        (folder / WEIGHTS).write_bytes(kept.read_bytes())
    else:
        results.found.pop("eurosat", None)
    results.get("eurosat", lambda: pretrain(folder, data / "eurosat", 1 if quick else 8))
    if kept:
        kept.write_bytes((folder / WEIGHTS).read_bytes())
    start: list[object] = ["--pretrained", WEIGHTS, "--epochs", 1 if quick else 20]
    start += ["--batch-size", 16, "-j", 0]
    for name, (head, loss) in ROWS.items():
        results.get(name, lambda row=(name, head, loss): network(folder, *row, start))


def main() -> None:
    """Measure and print."""
    parser = long_options(__doc__, "1 epoch")
    options = parser.parse_args()
    data = real_images(parser)
    results = Results(options.partial)
    with tempfile.TemporaryDirectory() as folder:
        measure(Path(folder), data, results, options.quick)
    document = {
        "benchmark": "multilabel",
        "backbone": BACKBONE,
        "size": SIZE,
        "quick": options.quick,
    }
    print(json.dumps(document | {"results": results.found}, indent=2))


if __name__ == "__main__":
    main()
