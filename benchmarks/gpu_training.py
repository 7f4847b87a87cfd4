"""Training on a CUDA device: ``comptool train`` against timm's train.py, and against its ceiling.

    python benchmarks/gpu_training.py [--timm-scripts FOLDER] [--turns 3] [--device cpu --quick]

JPEGs of random blobs, the same for both; each training is a whole process of three epochs from
random weights, and its speed is that of the last epoch by its own account (``metrics.csv``; timm's
mean of the epoch), so that start, first kernels and compilation are left out. Both do flips and a
cut-out, AdamW, mixed precision and channels_last, with batches of the same number of images, in
turn; ratios are medians over the turns, above 1 comptool is faster.

timm's train.py takes one image, ``mobilenetv2-dual`` two of 64 pixels: it is given images of 90
pixels, 8,100 in all against 8,192. ``loaders`` is comptool with ``--data-on cpu``, whose
worker processes load each batch. Where there are to be 2 cores, a process and all that it starts is
pinned to two. The share of the ceiling is that of ``comptool profile``.

timm's scripts are not part of its package: take the tag of the installed version from
https://github.com/huggingface/pytorch-image-models. Prints one JSON object, whose ``table`` has the
rows as Markdown; without a CUDA device, or without timm's scripts, rows are marked unmeasured.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
from cards import (
    NO_DEVICE,
    NO_SCRIPTS,
    Goal,
    card_options,
    device_name,
    is_here,
    pinned,
    ratio,
    unmeasured,
)
from program import comptool

CLASSES = 10
VALIDATED = 64
EPOCHS = 3
RATE = re.compile(r"Train: (\d+) \[.*?\([\d.]+s,\s+([\d.]+)/s\)")
LOADERS = ("--data-on", "cpu")


@dataclass(frozen=True)
class Setting:
    """What is trained: ``peer_size`` is the side of timm's images, ``cores`` None for all.

    ``goals`` are the factors to be reached over timm and, if they are compared, over our own
    loaders.
    """

    model: str
    size: int
    images: int
    batch_size: int
    goals: tuple[float, ...]
    peer_size: int
    cores: int | None = None

    @property
    def peer(self) -> str:
        """The model that timm trains."""
        return self.model.removesuffix("-dual")

    @property
    def rows(self) -> list[Goal]:
        """The rows of the table."""
        cores = "all cores" if self.cores is None else f"{self.cores} worker cores"
        what = f"GPU training, {self.model} at {self.size} px, {cores}"
        against = ("timm train.py (AMP, channels_last)", "our own loader processes")
        compared = zip(against[: len(self.goals)], self.goals, strict=True)
        ceiling = Goal(what, "the same step on data already on the device", ">= 90 %")
        return [*(Goal(what, peer, f">= {goal:g}x") for peer, goal in compared), ceiling]


SETTINGS = (
    Setting("mobilenetv2_100-dual", 64, 25_600, 256, (10, 5), 90, cores=2),
    Setting("mobilenetv2_100-dual", 64, 25_600, 256, (10, 5), 90),
    Setting("mobilenetv2_100", 224, 12_800, 128, (2,), 224),
    Setting("tresnet_l", 224, 12_800, 128, (1.25,), 224),
)


def small(setting: Setting) -> Setting:
    """What a CPU can do in seconds: the same program on little."""
    size, peer_size = (32, 45) if setting.size == 64 else (64, 64)
    model = setting.model.replace("tresnet_l", "tresnet_m")
    return replace(
        setting, model=model, size=size, peer_size=peer_size, images=64, batch_size=16, cores=1
    )


def write_images(folder: Path, setting: Setting) -> None:
    """JPEGs for comptool with a table of folds, and JPEGs of the peer's size in class folders."""
    random = np.random.default_rng(0)
    modalities = ["sar", "eo"] if setting.model.endswith("-dual") else ["image"]
    lines = [",".join(["id", *(f"{name}_path" for name in modalities), "label", "fold"])]
    (folder / "data").mkdir()
    for number in range(setting.images + VALIDATED):
        label, part = f"class{number % CLASSES}", "train" if number >= VALIDATED else "validation"
        paths = []
        for name in modalities:
            paths.append(f"data/{name}{number:06}.jpg")
            write_blobs(folder / paths[-1], setting.size, random)
        write_blobs(folder / "timm" / part / label / f"{number:06}.jpg", setting.peer_size, random)
        lines.append(",".join([f"i{number:06}", *paths, label, str(-(part == "train"))]))
    (folder / "folds.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    named = "\n".join(f'{name} = "{name}_path"' for name in modalities)
    (folder / "comptool.toml").write_text(
        'task = "multiclass"\nmetric = "accuracy"\n[data]\ntrain = "folds.csv"\nid = "id"\n'
        f'label = "label"\n[modalities]\n{named}\n',
        encoding="utf-8",
    )


def write_blobs(path: Path, size: int, random: np.random.Generator) -> None:
    """A JPEG of eight by eight soft blobs."""
    path.parent.mkdir(parents=True, exist_ok=True)
    coarse = random.integers(0, 256, (8, 8, 3), dtype=np.uint8)
    cv2.imwrite(str(path), cv2.resize(coarse, (size, size)))


def train_options(setting: Setting, device: str) -> list[object]:
    """Of ``comptool train``."""
    return [
        "--model", setting.model, "--pretrained", "no", "--img-size", setting.size,
        "--batch-size", setting.batch_size, "--epochs", EPOCHS, "--augment", "flips",
        "--cutout", 0.5, "--optimizer", "adamw", "--lr", 1e-3, "--device", device,
    ]  # fmt: skip


def our_rate(folder: Path, setting: Setting, device: str, more: Sequence[str] = ()) -> float:
    """Images a second of the last epoch."""
    options = train_options(setting, device)
    comptool(folder, "train", "--run-name", "row", "--force", *options, *more)
    history = pd.read_csv(folder / "weights" / "row" / "metrics.csv")
    return float(history["images_per_second"].iloc[-1])


def peer_rate(folder: Path, setting: Setting, device: str, scripts: Path, workers: int) -> float:
    """Images a second of the last epoch of timm's train.py."""
    command = [
        sys.executable, scripts / "train.py", "--data-dir", folder / "timm", "--model",
        setting.peer, "--num-classes", CLASSES, "--img-size", setting.peer_size, "--batch-size",
        setting.batch_size, "--epochs", EPOCHS, "--opt", "adamw", "--lr", 1e-3, "--warmup-epochs",
        0, "--channels-last", "--hflip", 0.5, "--vflip", 0.5, "--scale", 1, 1, "--ratio", 1, 1,
        "--color-jitter", 0, "--reprob", 1, "--remode", "const", "--log-interval", 1_000_000,
        "-j", workers, "--device", device, "--output", folder / "timm-runs",
        *(("--amp", "--pin-mem") if device == "cuda" else ()),
    ]  # fmt: skip
    done = subprocess.run(
        list(map(str, command)), cwd=folder, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}")
    rates = {int(epoch): float(rate) for epoch, rate in RATE.findall(done.stdout + done.stderr)}
    return rates[EPOCHS - 1]


def measure(folder: Path, setting: Setting, options: argparse.Namespace) -> dict[str, Any]:
    """All turns of a setting, the medians of their ratios and the share of the ceiling."""
    write_images(folder, setting)
    os.environ["COMPTOOL_CACHE"] = str(folder / "cache")
    rates: dict[str, list[float]] = {"comptool": []}
    with pinned(setting.cores) as cores:
        for _ in range(options.turns):
            rates["comptool"].append(our_rate(folder, setting, options.device))
            if options.timm_scripts is not None:
                peer = peer_rate(folder, setting, options.device, options.timm_scripts, cores)
                rates.setdefault("timm", []).append(peer)
            if len(setting.goals) > 1:
                own = our_rate(folder, setting, options.device, LOADERS)
                rates.setdefault("loaders", []).append(own)
        steps = ("--steps", 5) if options.quick else ("--steps", 100)
        options_of_train = train_options(setting, options.device)
        profile = comptool(folder, "profile", *steps, "train", *options_of_train).result
    ratios = {name: ratio(rates["comptool"], rates[name]) for name in rates if name != "comptool"}
    values = [
        f"{ratios[name]}x" if name in ratios else f"unmeasured: {NO_SCRIPTS}"
        for name in ("timm", "loaders")[: len(setting.goals)]
    ]
    values.append(f"{profile['share_of_ceiling']:.0%}")
    table = [row.row(value) for row, value in zip(setting.rows, values, strict=True)]
    return {
        "cores": cores, "images_per_second": rates, "ratios": ratios, "profile": profile,
        "table": table,
    }  # fmt: skip


def main() -> None:
    """Measure and print."""
    parser = card_options(__doc__, "64 small images")
    parser.add_argument("--timm-scripts", type=Path, help="folder of train.py")
    options = parser.parse_args()
    document: dict[str, Any] = {
        "benchmark": "gpu_training",
        "device": device_name(options.device),
        "quick": options.quick,
    }
    settings = tuple(map(small, SETTINGS)) if options.quick else SETTINGS
    if not is_here(options.device):
        rows = [row for setting in SETTINGS for row in setting.rows]
        print(json.dumps(document | unmeasured(rows, NO_DEVICE), indent=2))
        return
    table, found = [], []
    for setting in settings:
        with tempfile.TemporaryDirectory() as name:
            result = measure(Path(name), setting, options)
        table += result.pop("table")
        found.append({"model": setting.model, "size": setting.size, **result})
    print(json.dumps(document | {"table": table, "settings": found}, indent=2))


if __name__ == "__main__":
    main()
