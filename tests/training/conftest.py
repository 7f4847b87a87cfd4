"""A tiny competition of image pairs, and a training of it in this process."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
import pytest

TINY = {
    "model": "test_efficientnet-dual",
    "pretrained": "no",
    "img_size": ("32",),
    "epochs": 3,
    "batch_size": 4,
    "workers": 0,
    "device": "cpu",
}


def write_images(folder: Path, name: str, kind: int, random: np.random.Generator) -> list[str]:
    """A SAR and an EO chip with a bright shape that tells the class."""
    height, width = [(10, 10), (4, 14), (3, 3)][kind % 3]
    paths = []
    for modality, side in (("sar", 40), ("eo", 32)):
        chip = random.integers(0, 80, (side, side), dtype=np.uint8)
        y, x = random.integers(2, side - 14, 2)
        chip[y : y + height, x : x + width] = 220
        path = f"images/{modality}_{name}.png"
        (folder / "images").mkdir(exist_ok=True)
        cv2.imwrite(str(folder / path), chip)
        paths.append(path)
    return paths


def write_csv(path: Path, header: list[str], rows: list[list[object]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(header)
        writer.writerows(rows)


HEADER = ["image_id", "sar_path", "eo_path", "class_id"]


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """The working directory: train.csv of 24 pairs, eight of each of the classes a, b, c."""
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(0)
    rows = [
        [f"s{index:02}", *write_images(tmp_path, f"{index:02}", index, random), "abc"[index % 3]]
        for index in range(24)
    ]
    write_csv(tmp_path / "train.csv", HEADER, rows)
    return tmp_path


@pytest.fixture
def folds(folder) -> Path:
    """``folds.csv`` with three folds of nine, nine and six rows."""
    rows = list(csv.reader((folder / "train.csv").open()))
    write_csv(
        folder / "folds.csv",
        [*HEADER, "fold"],
        [[*row, index // 3 % 3] for index, row in enumerate(rows[1:])],
    )
    return folder / "folds.csv"


@pytest.fixture
def pseudo(folder) -> Callable[..., Path]:
    """Write ``pseudo.csv`` with pairs of their own: ``pseudo([["t1", "a"], ["t2", "b"]])``."""

    def write(labels: list[list[object]], columns: tuple[str, ...] = ()) -> Path:
        random = np.random.default_rng(1)
        rows = []
        for identity, label, *rest in labels:
            paths = write_images(folder, str(identity), "abc".find(str(label)), random)
            rows.append([identity, *paths, label, *rest])
        write_csv(folder / "pseudo.csv", [*HEADER, *columns], rows)
        return folder / "pseudo.csv"

    return write


def planned(name: str, given: dict[str, object], *, resume=False, force=False):
    from comptool.training.data import make_plan
    from comptool.training.resume import run_folder, settle

    place = run_folder(name, "", None)
    settings, files = settle(place, given, resume=resume)
    return make_plan(settings, files, place, force=force, resume=resume)


@pytest.fixture(scope="session")
def plan_of() -> Callable[..., object]:
    """The plan of a training on pairs: ``plan_of(loss="focal")``."""
    return lambda **given: planned("run", TINY | given)


@pytest.fixture(scope="session")
def plan_scenes() -> Callable[..., object]:
    """The plan of a training on scenes: ``plan_scenes(loss="asl")``."""
    return lambda **given: planned("run", TINY | SCENES | given)


@pytest.fixture
def fit(folder) -> Callable[..., object]:
    """Train in this process: ``fit("run", epochs=2)``; gives the outcome."""
    from comptool.training.trainer import train

    def run(name="run", *, resume=False, force=False, say=lambda text: None, **given):
        plan = planned(name, given if resume else TINY | given, resume=resume, force=force)
        return train(plan, say, quiet=True, force=force)

    return run


@pytest.fixture(scope="session")
def history() -> Callable[..., list[dict[str, str]]]:
    """The rows of a run's ``metrics.csv``: ``history("run")``."""
    return lambda run="run": list(csv.DictReader(Path("weights", run, "metrics.csv").open()))


SCENES = {"model": "test_efficientnet", "batch_size": 8}
SCENE_CLASSES = ("sea", "golf course", "road", "ship")
SCENE_TOML = """name = "scenes"
task = "multilabel"
metric = "map"
[data]
train = "scenes.csv"
id = "id"
label = ["sea", "golf course", "road", "ship"]
[modalities]
image = "path"
"""


@pytest.fixture
def scenes(folder) -> Callable[..., None]:
    """A multi-label competition: ``scenes()`` writes 32 pictures, a bright quarter per class.

    ``folds.csv`` validates every fourth row. Every fifth cell of training is not annotated.
    ``scenes(change)`` passes each row of cells through ``change(number, cells)`` first.
    """

    def write(change: Callable[[int, list[object]], list[object]] | None = None) -> None:
        random = np.random.default_rng(2)
        rows = []
        for number in range(32):
            chip = random.integers(0, 60, (32, 32, 3), dtype=np.uint8)
            # Every combination of the four occurs, in training and in validation.
            cells: list[object] = [(number // 4 * 5 + number) >> bit & 1 for bit in range(4)]
            for quarter, cell in enumerate(cells):
                y, x = 16 * (quarter // 2), 16 * (quarter % 2)
                chip[y : y + 16, x : x + 16] += np.uint8(150 * int(str(cell)))
            cv2.imwrite(str(folder / f"images/scene{number}.png"), chip)
            if number % 4:
                cells = [-1 if (number + place) % 5 == 0 else c for place, c in enumerate(cells)]
            if change is not None:
                cells = change(number, cells)
            rows.append([f"n{number:02}", f"images/scene{number}.png", *cells])
        header = ["id", "path", *SCENE_CLASSES]
        write_csv(folder / "scenes.csv", header, rows)
        folds = [[*row, 0 if number % 4 == 0 else -1] for number, row in enumerate(rows)]
        write_csv(folder / "folds.csv", [*header, "fold"], folds)
        (folder / "comptool.toml").write_text(SCENE_TOML)

    return write


@pytest.fixture
def learn(scenes, fit) -> Callable[..., object]:
    """Train on the scenes in this process: ``learn("run", loss="bce")``; gives the outcome."""

    def run(name="run", **given):
        if not Path("comptool.toml").exists():
            scenes()
        if not given.get("resume"):
            given = SCENES | given
        return fit(name, **given)

    return run


@pytest.fixture
def write_prior(folder) -> Callable[..., None]:
    """Write ``prior.csv``: ``write_prior(("sea", 0.4), ("road", 0.1))``."""
    return lambda *rows: write_csv(folder / "prior.csv", ["class", "prior"], list(rows))


@pytest.fixture
def at_forward() -> Callable[..., object]:
    """``with at_forward(n, act)``: ``act`` is called in the n-th forward pass of a model."""
    from torch.nn.modules.module import register_module_forward_hook

    from comptool.models.streams import StreamModel

    @contextmanager
    def hooked(number: int, act: Callable[[], None]) -> Iterator[None]:
        count = 0

        def hook(module, *_):
            nonlocal count
            if isinstance(module, StreamModel):
                count += 1
                if count == number:
                    act()

        handle = register_module_forward_hook(hook)
        try:
            yield
        finally:
            handle.remove()

    return hooked


@pytest.fixture
def kept() -> Callable[[str], dict[str, object]]:
    """Everything of a run that must not depend on interruptions, times left out."""
    import torch
    from safetensors.torch import load_file

    def read(name: str) -> dict[str, object]:
        run = Path("weights") / name
        state = torch.load(run / "last.pt", weights_only=True)
        rows = list(csv.DictReader((run / "metrics.csv").open()))
        for row in rows:
            del row["seconds"], row["images_per_second"]
        for row in state["progress"].pop("history"):
            del row["seconds"], row["images_per_second"]
        # Of files that hold times.
        del state["progress"]["digests"]
        best = load_file(run / "best.safetensors")
        return {
            "weights": state["weights"],
            "optimisation": state["optimisation"],
            "progress": state["progress"],
            "best": best,
            "metrics": rows,
            "oof": (run / "oof.csv").read_bytes() if (run / "oof.csv").exists() else None,
        }

    return read


def assert_same(first, second, place: str = "") -> None:
    """Equal to the last bit, tensors included."""
    import torch

    if isinstance(first, dict):
        assert first.keys() == second.keys(), place
        for key in first:
            assert_same(first[key], second[key], f"{place}/{key}")
    elif isinstance(first, (list, tuple)):
        assert len(first) == len(second), place
        for index, pair in enumerate(zip(first, second, strict=True)):
            assert_same(*pair, f"{place}/{index}")
    elif isinstance(first, torch.Tensor):
        assert torch.equal(first, second), place
    else:
        assert first == second, place


@pytest.fixture
def same() -> Callable[..., None]:
    return assert_same
