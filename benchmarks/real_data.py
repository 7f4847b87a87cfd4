"""Real images through the real command line, beside baselines that need no network.

    COMPTOOL_REAL_DATA=DIR python benchmarks/real_data.py [--only mstar eurosat unicorn] [--quick]

``mstar`` (SAR vehicle chips, a quarter of each class held out by lot) and ``eurosat`` (its given
split): MobileNetV2 from random weights through init, split, train, infer, submit and score. The
held-out rows are the competition's test set: training and the choice of the best epoch never see
them. The baselines fit on all training rows and answer the same held-out rows: extra trees on
histograms of colour and edges, a support vector machine on the middle of the grey image.
``unicorn``: a dual-stream network is trained on a small practice competition and taken through
infer, tta, pseudolabel, recalibrate and submit on 826 real pairs, which have no labels: what is
shown is that the chain holds. Prints one JSON object; with ``--partial`` a stopped run goes on.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from hand_features import histograms, pixels
from program import Results, comptool, long_options, real_images
from sklearn.base import ClassifierMixin
from sklearn.ensemble import ExtraTreesClassifier
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

MODEL = "mobilenetv2"
COLUMNS = ["image_id", "image_path"]


@dataclass(frozen=True)
class Settings:
    """How a network is trained; ``quick`` is the number of epochs of a look at the whole."""

    size: int
    batch_size: int
    epochs: int
    augment: str
    quick: int = 2


SETTINGS = {
    "mstar": Settings(96, 16, 40, "flips"),
    "eurosat": Settings(64, 64, 14, "flips"),
}


def held_out(table: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Training and held-out rows: by the column ``split``, else a quarter of each class."""
    frame = pd.read_csv(table, dtype=str)
    if "split" in frame:
        return frame[frame["split"] == "train"], frame[frame["split"] == "val"]
    return tuple(train_test_split(frame, test_size=0.25, random_state=0, stratify=frame["label"]))


def write_download(folder: Path, images: Path, train: pd.DataFrame, test: pd.DataFrame) -> None:
    """The rows as an organiser would hand them out; the answers beside the folder."""
    data = folder / "data"
    data.mkdir()
    (data / "images").symlink_to(images / "images")
    answers = test[["image_id", "label"]]
    train[[*COLUMNS, "label"]].to_csv(data / "train.csv", index=False)
    test[COLUMNS].to_csv(data / "test.csv", index=False)
    sample = answers.assign(label=train["label"].min())
    sample.to_csv(data / "sample_submission.csv", index=False)
    answers.to_csv(folder / "answers.csv", index=False)


def network(folder: Path, name: str, settings: Settings, epochs: int) -> dict[str, object]:
    """Accuracy on the held-out rows through the command line, and where the time went."""
    comptool(folder, "init", "data", "--name", name)
    comptool(folder, "split", "--val", 0.1)
    options: list[object] = ["--model", MODEL, "--pretrained", "no", "--epochs", epochs]
    options += ["--img-size", settings.size, "--batch-size", settings.batch_size]
    options += ["--augment", settings.augment, "--device", "cpu"]
    trained = comptool(folder, "train", *options)
    inferred = comptool(folder, "infer", "--device", "cpu")
    comptool(folder, "submit")
    graded = comptool(
        folder, "score", f"submissions/{name}.csv", "--answers", "answers.csv", "--public", 0
    )
    history = pd.read_csv(folder / "weights" / MODEL / "metrics.csv")
    return {
        "options": " ".join(map(str, options)),
        "accuracy": round(graded.result["private"], 4),
        "best_validation_accuracy": round(float(history["val_accuracy"].max()), 4),
        "seconds_per_step": rounded(settings.batch_size / history["images_per_second"].median()),
        "train_seconds": trained.seconds,
        "train_cpu_seconds": trained.cpu_seconds,
        "infer_seconds": inferred.seconds,
    }


def baseline(
    images: Path,
    train: pd.DataFrame,
    test: pd.DataFrame,
    feature: Callable[[Path], object],
    model: ClassifierMixin,
) -> dict[str, object]:
    """Accuracy of a model on features that need no training, and its seconds."""
    start = time.perf_counter()
    seen, unseen = (
        [feature(images / path) for path in rows["image_path"]] for rows in (train, test)
    )
    model.fit(seen, train["label"])
    accuracy = float((model.predict(unseen) == test["label"]).mean())
    return {"accuracy": round(accuracy, 4), "seconds": rounded(time.perf_counter() - start)}


def single_stream(folder: Path, images: Path, quick: bool) -> dict[str, object]:
    """A network and the baselines on one set of labelled images."""
    settings = SETTINGS[images.name]
    train, test = held_out(images / "train.csv")
    write_download(folder, images, train, test)
    trees = ExtraTreesClassifier(300, n_jobs=-1, random_state=0)
    machine = make_pipeline(StandardScaler(), SVC(C=10))
    return {
        "train_rows": len(train),
        "held_out_rows": len(test),
        "classes": int(train["label"].nunique()),
        MODEL: network(folder, images.name, settings, settings.quick if quick else settings.epochs),
        "extra_trees_on_histograms": baseline(images, train, test, histograms, trees),
        "svm_on_pixels": baseline(images, train, test, pixels, machine),
    }


def unicorn(folder: Path, images: Path, quick: bool) -> dict[str, object]:
    """The chain from a practice competition to a checked submission of the real pairs."""
    (folder / "unicorn").symlink_to(images)
    # `init` ends with exit code 3 where there is nothing to train on.
    (folder / "unicorn.toml").write_text(
        'name = "unicorn"\ntask = "multiclass"\nmetric = "accuracy"\n[data]\nfolder = "unicorn"\n'
        'test = "test.csv"\nsample-submission = "sample_submission.csv"\nid = "image_id"\n'
        'label = "class_id"\n[modalities]\nsar = "sar_path"\neo = "eo_path"\n',
        encoding="utf-8",
    )
    run = f"{MODEL}-dual"
    steps: dict[str, tuple[object, ...]] = {
        "simulate": ("simulate", "mavoc", "-o", "practice", "--scale", 0.01 if quick else 0.02),
        "init": ("init", "practice"),
        "split": ("split", "--balance", "under", "--cap", 1000),
        "train": ("train", "--model", run, "--loss", "focal", "--label-smoothing", 0.1,
                  "--img-size", 64, "--batch-size", 16, "--pretrained", "no", "--device", "cpu",
                  "--epochs", 1 if quick else 10),
        "infer": ("infer", run),
        "tta": ("tta", run, "--transforms", "flips"),
        "pseudolabel": ("pseudolabel", "--quantile", 0.9),
        "recalibrate": ("recalibrate", "--top-k-head", 4, "--fraction", 0.1),
        "submit": ("submit", "--zip"),
        "check": ("submit", "--check-only", "submissions/unicorn.zip"),
    }  # fmt: skip
    # These look at the real pairs; recalibrate needs predictions alone.
    real = {"infer", "tta", "pseudolabel", "submit", "check"}
    done = {
        name: comptool(folder, *step, *(("--competition", "unicorn.toml") if name in real else ()))
        for name, step in steps.items()
    }
    answers = pd.read_csv(folder / "submissions" / "unicorn.csv", dtype=str)
    return {
        "warnings": done["infer"].result["warnings"],
        "pseudo_labels": done["pseudolabel"].result["rows"],
        "submitted_rows": len(answers),
        "blank_answers": int(answers.isna().to_numpy().sum()),
        "checked_rows": done["check"].result["rows"],
        "answers_per_class": answers.iloc[:, 1].value_counts().sort_index().to_dict(),
        "seconds": {name: step.seconds for name, step in done.items()},
    }


def rounded(value: float) -> float:
    """Three digits after the point."""
    return round(float(value), 3)


PARTS = {"mstar": single_stream, "eurosat": single_stream, "unicorn": unicorn}


def part(name: str, images: Path, quick: bool) -> dict[str, object]:
    """One part in a folder of its own, and its seconds."""
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        found = PARTS[name](Path(folder), images, quick)
    return found | {"total_seconds": rounded(time.perf_counter() - start)}


def main() -> None:
    """Measure and print."""
    parser = long_options(__doc__, "1 or 2 epochs")
    parser.add_argument("--only", nargs="+", choices=list(PARTS), default=list(PARTS))
    options = parser.parse_args()
    data = real_images(parser)
    results = Results(options.partial)
    for name in options.only:
        results.get(name, lambda name=name: part(name, data / name, options.quick))
    document = {"benchmark": "real_data", "quick": options.quick}
    document |= {name: results.found[name] for name in options.only}
    print(json.dumps(document, indent=2))


if __name__ == "__main__":
    main()
