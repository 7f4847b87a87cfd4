"""Three small competitions as an organiser would hand them out, drawn with NumPy from one seed.

They depend on no code of the package, so that a change of its practice competitions leaves the
record as it is. Each function writes ``data/`` and ``answers.csv`` into an empty folder, and the
small files that its steps name.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

SIDE = 32
WRONG = 0.1  # share of the images that show another class than their label says
SCENES = ("sea", "golf course", "road", "ship", "forest", "bridge")


def pairs(folder: Path) -> None:
    """SAR and EO chips in class folders 0 to 3, a long tail; test pairs, a sample submission."""
    random = np.random.default_rng(1)
    for label, count in enumerate((36, 20, 14, 10)):
        for number in range(count):
            name = f"{label * 100 + number}"
            _pair(folder / "data/train" / str(label), name, _shown(random, label, 4), random)
    truth = [(f"{900 + number}", number % 4) for number in range(28)]
    for name, label in truth:
        _pair(folder / "data/test", name, _shown(random, label, 4), random)
    _table(folder / "data/sample_submission.csv", "image_id,class_id", [(n, 0) for n, _ in truth])
    _table(folder / "answers.csv", "image_id,class_id", truth)
    _table(folder / "shares.csv", "class,share", [(0, 0.4), (1, 0.3), (2, 0.2), (3, 0.1)])


def chips(folder: Path) -> None:
    """SAR chips with a table of classes and scenes, a long tail, copies and a constant image."""
    random = np.random.default_rng(2)
    classes = [label for label, n in enumerate((40, 22, 14, 9, 6)) for _ in range(n)]
    rows = []
    for number, label in enumerate(classes):
        path = f"train/SAR_{number:03d}.png"
        _write(folder / "data" / path, _chip(_shown(random, label, 5), random))
        rows.append((f"{number:03d}", path, f"scene{random.integers(30)}", label))
    chip = cv2.imread(str(folder / "data/train/SAR_001.png"), cv2.IMREAD_UNCHANGED)
    _write(folder / "data/train/SAR_030.png", chip)
    _write(folder / "data/train/SAR_050.png", np.clip(chip.astype(int) + 2, 0, 255))
    _write(folder / "data/train/SAR_060.png", np.zeros((SIDE, SIDE)))
    truth = [(f"t{number:02d}", number % 5) for number in range(30)]
    for name, label in truth:
        _write(folder / f"data/test/SAR_{name}.png", _chip(_shown(random, label, 5), random))
    tests = [(name, f"test/SAR_{name}.png") for name, _ in truth]
    _table(folder / "data/train.csv", "image_id,sar_path,scene,class_id", rows)
    _table(folder / "data/test.csv", "image_id,sar_path", tests)
    _table(folder / "data/sample_submission.csv", "image_id,class_id", [(n, 0) for n, _ in truth])
    _table(folder / "answers.csv", "image_id,class_id", truth)
    _table(folder / "weights.csv", "class,weight", [(label, label + 1) for label in range(5)])
    _table(folder / "corrections.csv", "id,label", [("003", 2), ("004", 1), ("031", "")])
    (folder / "views.toml").write_text(
        'views = ["identity", "rotate-180", "scale-1.25"]\nweights = [2, 1, 1]\n'
    )


def scenes(folder: Path) -> None:
    """Colour images of several classes each, a tenth of whose positives the table lacks."""
    random = np.random.default_rng(3)
    often = np.array([0.6, 0.45, 0.35, 0.3, 0.2, 0.15])
    parts = {}
    for part, count in (("train", 90), ("test", 30)):
        cells = (random.random((count, len(SCENES))) < often).astype(int)
        names = [f"{part.upper()}_{number:03d}" for number in range(count)]
        for name, present in zip(names, cells, strict=True):
            _write(folder / f"data/{part}/{name}.png", _scene(present, random))
        parts[part] = (names, cells)
    header = ",".join(SCENES)
    names, cells = parts["train"]
    deleted = cells * (random.random(cells.shape) > 0.1)
    paths = [[name, f"train/{name}.png"] for name in names]
    _cells(folder / "data/train.csv", f"img_id,img_path,{header}", paths, deleted)
    _cells(folder / "complete.csv", f"img_id,{header}", [[name] for name in names], cells)
    names, cells = parts["test"]
    _cells(folder / "answers.csv", f"img_id,{header}", [[name] for name in names], cells)
    sample = [[name] for name in names]
    _cells(folder / "data/sample_submission.csv", f"img_id,{header}", sample, 0 * cells)
    tests = [(name, f"test/{name}.png") for name in names]
    _table(folder / "data/test.csv", "img_id,img_path", tests)
    lists = [(name, "sea, road" if number else "ship") for number, name in enumerate(names)]
    _table(folder / "lists.csv", "img_id,labels", lists)
    policy = {"__class_fullname__": "HorizontalFlip", "p": 0.5}
    compose = {"__class_fullname__": "Compose", "p": 1.0, "transforms": [policy]}
    (folder / "policy.json").write_text(
        json.dumps({"__version__": "2.0.8", "transform": compose}), encoding="utf-8"
    )


def _shown(random: np.random.Generator, label: int, num_classes: int) -> int:
    return int(random.integers(num_classes)) if random.random() < WRONG else label


def _pair(folder: Path, name: str, kind: int, random: np.random.Generator) -> None:
    _write(folder / f"SAR_{name}.png", _chip(kind, random))
    colour = np.array([40 + 40 * kind, 90, 200 - 40 * kind])
    eo = _chip(kind, random)[..., None] * 0.5 + colour * 0.5
    _write(folder / f"EO_{name}.png", eo)


def _chip(kind: int, random: np.random.Generator) -> np.ndarray:
    """Speckle with a bright block that is longer, and lies otherwise, by its class."""
    chip = random.integers(0, 110, (SIDE, SIDE))
    height, width = ((4, 4), (4, 16), (16, 4), (12, 12), (6, 24))[kind]
    y, x = random.integers(2, SIDE - 2 - height), random.integers(2, SIDE - 2 - width)
    chip[y : y + height, x : x + width] += random.integers(70, 130)
    return chip


def _scene(present: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Noise with a stripe of each present class, in a colour and a height of its own."""
    scene = random.integers(0, 110, (SIDE, SIDE, 3))
    for kind in np.flatnonzero(present):
        y, x = 5 * kind, random.integers(0, SIDE // 2)
        colour = [60 + 130 * (kind & 1), 60 + 65 * (kind & 2), 60 + 32 * (kind & 4)]
        scene[y : y + 5, x : x + SIDE // 2] = colour + random.integers(-30, 30, 3)
    return scene


def _write(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    _, encoded = cv2.imencode(".png", np.clip(pixels, 0, 255).astype(np.uint8))
    path.write_bytes(encoded.tobytes())


def _cells(path: Path, header: str, names: Sequence[Sequence[str]], cells: np.ndarray) -> None:
    rows = [[*first, *row] for first, row in zip(names, cells.tolist(), strict=True)]
    _table(path, header, rows)


def _table(path: Path, header: str, rows: Sequence[Sequence[object]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerows([header.split(","), *rows])
