"""Augmentation of decoded images in batches, and timm's image by image.

    python benchmarks/augmentation.py [--images 2048] [--size 64] [--batch-size 64] [--turns 5]

Microseconds per image from decoded uint8 images to a batch of uint8, for each named policy, on one
core (``cpu``) and, where there is one, on a GPU (``gpu``; otherwise null). ``timm`` is what timm's
loader does on one core from PIL images to uint8 arrays: its default (crop, flip, colour jitter)
and RandAugment of magnitude 9 beside crop and flip; ``ratio`` is how many times as long as the
nearest of our policies it takes. All in turn; times are medians over the turns, ratios medians of
those within one turn. Seconds are those of the core, which other programs do not count in, and of
the clock on the wall for a GPU. Prints one JSON object.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import torch
from PIL import Image
from timm.data.transforms_factory import create_transform

from comptool.competition.samples import Samples
from comptool.data.augment.batches import Augmentation
from comptool.data.augment.named_policies import create
from comptool.data.dataset import SampleDataset
from comptool.data.gpu_dataset import ResidentBatches
from comptool.data.sampler import EpochBatches

POLICIES: dict[str, tuple[str, dict[str, float]]] = {
    "none": ("none", {}),
    "flips": ("flips", {}),
    "flips, cutout 0.5": ("flips", {"cutout": 0.5}),
    "weak": ("weak", {}),
    "strong": ("strong", {}),
}
TIMM: dict[str, dict[str, Any]] = {
    "default": {},
    "rand-m9-n2": {"auto_augment": "rand-m9-n2"},
}
NEAREST = {"default": "flips", "rand-m9-n2": "weak"}
# Makes one epoch, and ends when all of its batches are there.
Epoch = Callable[[], object]


def images(folder: Path, count: int, size: int) -> Samples:
    """Smooth random pictures, as files."""
    random = np.random.default_rng(0)
    rows = []
    for number in range(count):
        coarse = random.integers(0, 256, (8, 8, 3), dtype=np.uint8)
        picture = cv2.resize(coarse, (size, size), interpolation=cv2.INTER_CUBIC)
        cv2.imwrite(str(folder / f"{number}.png"), picture)
        rows.append([str(number), f"{number}.png"])
    frame = pd.DataFrame(rows, columns=["id", "path"], dtype=str)
    return Samples(frame, folder, "id", {"image": "path"}, None, None, folder / "train.csv")


def our_way(samples: Samples, name: str, options: argparse.Namespace, device: str) -> Epoch:
    """What training does to batches of images that are decoded already."""
    policy, given = POLICIES[name]
    labels = np.zeros(len(samples), np.int64)
    sizes, channels = {"image": (options.size, options.size)}, {"image": 3}
    data = SampleDataset(samples, labels, sizes=sizes, channels=channels)
    where = torch.device(device)
    source = ResidentBatches(data, EpochBatches(labels, options.batch_size), where)
    source.load()
    augment = Augmentation(create(policy, **given), data.shapes, data.missing, where)

    def run() -> None:
        for batch in source:
            assert augment(batch).images
        if device == "cuda":
            torch.cuda.synchronize()

    return run


def timm_way(samples: Samples, name: str, size: int) -> Epoch:
    """What timm's loader does to decoded images before they are put together."""
    transform = create_transform(size, is_training=True, use_prefetcher=True, **TIMM[name])
    pictures = [Image.open(samples.folder / path).copy() for path in samples.frame["path"]]

    def run() -> None:
        for picture in pictures:
            transform(picture)

    return run


def seconds(found: dict[str, Epoch], turns: int, clock: Callable[[], float]) -> dict[str, Any]:
    """Of each way the seconds of an epoch in each turn, after one that does not count."""
    for epoch in found.values():
        epoch()
    spent: dict[str, list[float]] = {way: [] for way in found}
    for _ in range(turns):
        for way, epoch in found.items():
            began = clock()
            epoch()
            spent[way].append(clock() - began)
    return spent


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--images", type=int, default=2048)
    parser.add_argument("--size", type=int, default=64, help="pixels")
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--turns", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(0)
    with tempfile.TemporaryDirectory() as folder:
        samples = images(Path(folder), options.images, options.size)
        own = {name: our_way(samples, name, options, "cpu") for name in POLICIES}
        peers = {f"timm {name}": timm_way(samples, name, options.size) for name in TIMM}
        core = seconds(own | peers, options.turns, time.process_time)
        card: dict[str, list[float]] = {}
        if torch.cuda.is_available():
            there = {name: our_way(samples, name, options, "cuda") for name in POLICIES}
            card = seconds(there, options.turns, time.perf_counter)

    def microseconds(taken: list[float] | None) -> float | None:
        return None if taken is None else round(statistics.median(taken) / options.images * 1e6, 1)

    document = vars(options) | {
        "policies": {
            name: {"cpu": microseconds(core[name]), "gpu": microseconds(card.get(name))}
            for name in POLICIES
        },
        "timm": {
            name: {
                "cpu": microseconds(core[f"timm {name}"]),
                "nearest": near,
                "ratio": round(
                    statistics.median(
                        theirs / ours
                        for theirs, ours in zip(core[f"timm {name}"], core[near], strict=True)
                    ),
                    2,
                ),
            }
            for name, near in NEAREST.items()
        },
    }
    print(json.dumps(document, indent=1))


if __name__ == "__main__":
    main()
