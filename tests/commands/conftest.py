"""What the commands read: tables of pairs, prediction files, runs with out-of-fold rows."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import save_file
from scipy.special import softmax

from comptool.io.predictions import Predictions, write_predictions

TOML = """name = "x"
task = "{task}"
metric = "{metric}"
[data]
train = "folds.csv"
test = "test.csv"
id = "id"
label = {label}
[modalities]
rgb = "path"
"""
VEHICLES = """
task = "multiclass"
metric = "accuracy"
[data]
folder = "data"
train = "train.csv"
test = "test.csv"
id = "image_id"
label = "kind"
[modalities]
sar = "sar_path"
eo = "eo_path"
"""
FOUR_ROWS = (
    "image_id,sedan,bus,van\n007,0.9,0.1,0.0\n1e5,0.8,0.0,0.2\nNA,0.7,0.2,0.1\nü,0.6,0.1,0.3\n"
)
FOUR_CLASSES = ("bare soil/sand", "Ärger, roof", "sea", "tree")
CLASSES = ("a", "b", "c")
PAIRS = "image_id,sar_path,eo_path,class_id"


@pytest.fixture(scope="session")
def tiny() -> list[str]:
    """Options of the smallest training of pairs."""
    return [
        "--model", "test_efficientnet-dual", "--pretrained", "no", "--img-size", "32",
        "--batch-size", "4", "--workers", "0", "--device", "cpu",
    ]  # fmt: skip


@pytest.fixture(scope="session")
def write_rows() -> Callable[..., None]:
    """Write a table: ``write_rows("folds.csv", rows, "image_id,...")``; by default of pairs."""

    def put(name: str, rows: list[list[object]], columns: str = PAIRS) -> None:
        with Path(name).open("w", newline="", encoding="utf-8") as stream:
            csv.writer(stream).writerows([columns.split(","), *rows])

    return put


@pytest.fixture
def rows(tmp_path, monkeypatch, write_rows) -> list[list[str]]:
    """24 pairs of three classes in ``train.csv``, in the working directory."""
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(0)
    Path("images").mkdir()
    found = []
    for index in range(24):
        for name in ("sar", "eo"):
            chip = random.integers(0, 90, (32, 32), dtype=np.uint8)
            chip[4 : 8 + 5 * (index % 3)] += 100
            cv2.imwrite(f"images/{name}{index}.png", chip)
        row = [f"s{index}", f"images/sar{index}.png", f"images/eo{index}.png"]
        found.append([*row, "abc"[index % 3]])
    write_rows("train.csv", found)
    return found


@pytest.fixture(scope="session")
def put() -> Callable[..., None]:
    """Write a text file and, with facts, its record: ``put("p.csv", text, runs=["one"])``."""

    def write_text(path: str | Path, text: str, **facts: object) -> None:
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        if facts:
            record = path.with_name(path.name + ".meta.json")
            record.write_text(json.dumps({"facts": facts}))

    return write_text


@pytest.fixture
def predictions(put, tmp_path) -> Callable[..., Path]:
    """Write a prediction file of four rows, or another text; with facts, its record too."""

    def write_four(
        name: str = "preds.csv", text: str = FOUR_ROWS, facts: dict[str, object] | None = None
    ) -> Path:
        put(tmp_path / name, text, **(facts or {}))
        return tmp_path / name

    return write_four


@pytest.fixture
def vehicles(comptool, put):
    """A competition of buses and vans in the empty folder, with predictions of its test table."""
    put("comptool.toml", VEHICLES)
    put("data/train.csv", "image_id,sar_path,eo_path,kind\nt1,a/1.png,b/1.png,bus\n"
        "t2,a/2.png,b/2.png,van\n")  # fmt: skip
    ids = ["007", "1e5", "NA", "x", "y"]
    rows = [f"{one},s/{one}.png,e/{one}.png,n\n" for one in ids]
    put("data/test.csv", "image_id,sar_path,eo_path,note\n" + "".join(rows))
    # In another order than the test table.
    text = "image_id,bus,van\ny,0.5,0.5\nx,0.03,0.97\nNA,0.96,0.04\n1e5,0.99,0.01\n007,0.98,0.02\n"
    put("submissions/preds.csv", text, class_counts={"bus": 900, "van": 3}, runs=["one"])
    return comptool


@pytest.fixture(scope="session")
def kept() -> Callable[..., dict[str, list[str]]]:
    """Label, confidence and round by id of a table of pseudo-labelled vehicles."""

    def read(path: str = "pseudo.csv") -> dict[str, list[str]]:
        lines = Path(path).read_text().splitlines()
        assert lines[0].startswith("image_id,sar_path,eo_path,kind,confidence,round,fold")
        return {line.split(",")[0]: line.split(",")[3:6] for line in lines[1:]}

    return read


@pytest.fixture(scope="session")
def cells() -> Callable[..., np.ndarray]:
    """Cells 1, 0 and -1 of four classes, the last of them rare: ``cells(50, unknown=0.1)``."""

    def draw(rows: int = 200, seed: int = 0, unknown: float = 0.0) -> np.ndarray:
        random = np.random.default_rng(seed)
        matrix = (random.random((rows, 4)) < [0.5, 0.3, 0.1, 0.05]).astype(int)
        matrix[random.random(matrix.shape) < unknown] = -1
        return matrix

    return draw


@pytest.fixture(scope="session")
def table() -> Callable[..., pd.DataFrame]:
    """The training table of such cells: ``table(matrix, scene=groups)``; -1 is blank."""

    def frame(matrix: np.ndarray, **columns: list[str]) -> pd.DataFrame:
        made = pd.DataFrame({"id": [f"{n:03}" for n in range(len(matrix))], **columns})
        for name, column in zip(FOUR_CLASSES, matrix.T, strict=True):
            made[name] = [{1: "1", 0: "0", -1: ""}[int(cell)] for cell in column]
        return made

    return frame


@pytest.fixture
def runs(comptool):
    """A maker of runs of different skill: ``runs(task)`` gives their prediction files.

    Their checkpoints have a header and no weights. ``presumed`` are the class shares that they were
    trained on and that their probabilities presume; in the out-of-fold rows all are as frequent.
    """

    def make(
        task="multiclass",
        skills=(2.0, 1.2, 0.2),
        rows=240,
        presumed=(1, 1, 1),
        tests=2,
        **facts,
    ):
        rng = np.random.default_rng(0)
        if task == "multiclass":
            targets = rng.integers(0, 3, rows)
            truth, labels = np.eye(3)[targets], [[CLASSES[t]] for t in targets]
            header, columns = ["y"], '"y"'
        else:
            truth = (rng.random((rows, 3)) < 0.3).astype(float)
            labels, header = truth.astype(int).astype(str).tolist(), list(CLASSES)
            columns = '["a", "b", "c"]'
        metric = "accuracy" if task == "multiclass" else "map"
        Path("comptool.toml").write_text(TOML.format(task=task, metric=metric, label=columns))
        ids = np.array([f"r{row:04d}" for row in range(rows)], dtype=object)
        lines = [",".join(["id", "path", *header, "fold"])]
        lines += [
            ",".join([one, f"{one}.png", *label, str(row % 4)])
            for row, (one, label) in enumerate(zip(ids, labels, strict=True))
        ]
        Path("folds.csv").write_text("\n".join(lines) + "\n")
        named = "".join(f"t{row},t{row}.png\n" for row in range(tests))
        Path("test.csv").write_text(f"id,path\n{named}")
        files = []
        for number, skill in enumerate(skills):
            logits = rng.normal(0, 1, (rows, 3)) + skill * truth
            if task == "multiclass":
                logits = skill * logits + np.log(presumed)
            p = softmax(logits, axis=1) if task == "multiclass" else 1 / (1 + np.exp(-logits))
            files.append(
                write(task, f"run{number}", ids, p, np.arange(rows) % 4, tests, presumed, **facts)
            )
        return files

    make.run = comptool
    return make


@pytest.fixture
def listing(comptool):
    """What ``comptool runs`` says, its runs and files by their names."""

    def listed(*arguments):
        result = comptool("runs", "--json", *arguments)
        assert result.exit_code == 0, result.output
        found = json.loads(result.stdout)
        for part in ("runs", "files"):
            found[part] = {one["name"]: one for one in found[part]}
        return found

    return listed


def note(path, command, facts):
    """Write a record as older versions did, without a digest: tests change the file after it."""
    record = path.with_name(path.name + ".meta.json")
    record.write_text(json.dumps({"command": command, "facts": facts}))


def write(task, name, ids, p, fold, tests, presumed, **facts):
    held, file = Path(f"weights/{name}/oof.csv"), Path(f"submissions/preds_{name}.csv")
    known = {"task": task, "classes": list(CLASSES), "runs": [f"weights/{name}"], "leak": None}
    write_predictions(held, Predictions(ids, CLASSES, p, fold=fold))
    note(held, "train", known | facts)
    test = np.array([f"t{row}" for row in range(tests)], dtype=object)
    write_predictions(file, Predictions(test, CLASSES, p[:tests]))
    note(file, "infer", known | facts)
    counts = {one: round(100 * share) for one, share in zip(CLASSES, presumed, strict=True)}
    header = {
        "format": 1,
        "model": {"name": "x", "options": {}},
        "modalities": ["rgb"],
        "img_size": {"rgb": [8, 8]},
        "channels": {"rgb": 1},
        "mean": {"rgb": [0.5]},
        "std": {"rgb": [0.5]},
        "class_counts": counts,
        "trained_counts": counts,
        **known,
        **facts,
    }
    weights = {"weight": np.zeros(1, dtype=np.float32)}
    save_file(weights, held.parent / "best.safetensors", metadata={"comptool": json.dumps(header)})
    return file
