"""Augmentation of decoded images: image by image, whole batches, and timm's.

    python benchmarks/augmentation.py [--images 2048] [--size 64] [--batch-size 64] [--turns 5]

Images per second from decoded uint8 images to a batch of uint8, for each named policy: by one
worker's code on one core (``single``), whole batches on one core (``batch``) and, where there is a
GPU, whole batches on it (``gpu``; otherwise null). ``timm`` is what timm's loader does on one
core from PIL images to uint8 arrays: its default (crop, flip, colour jitter) and RandAugment of
magnitude 9 beside crop and flip. All in turn; rates are medians over the turns, ratios (to the
first of a group) medians of those within one turn. Seconds are those of the core, which other
programs do not count in, and of the clock on the wall for a GPU. Prints one JSON object.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import torch
from PIL import Image
from timm.data.transforms_factory import create_transform

from comptool.competition.samples import Samples
from comptool.data.augment.named_policies import BATCH_POLICIES, create
from comptool.data.cache import PixelCache
from comptool.data.dataset import SampleDataset
from comptool.data.gpu_dataset import ResidentBatches
from comptool.data.loader import loader
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


def all_of(batches: Any) -> Epoch:
    """One epoch of a source of batches."""

    def run() -> None:
        for batch in batches:
            assert batch.images
        if torch.cuda.is_available():
            torch.cuda.synchronize()

    return run


def ways(samples: Samples, name: str, options: argparse.Namespace) -> dict[str, Epoch]:
    """How one policy is applied: by a worker's code, to whole batches here, and on a GPU."""
    policy, given = POLICIES[name]
    sizes, channels = {"image": (options.size, options.size)}, {"image": 3}
    data = SampleDataset(
        samples,
        np.zeros(len(samples), np.int64),
        sizes=sizes,
        channels=channels,
        augment=create(policy, **given),
    )
    data.decode_once(PixelCache("ram", sys.exit, quiet=True))
    order = EpochBatches(np.zeros(len(samples), np.int64), options.batch_size)
    devices = {"batch": "cpu"} | ({"gpu": "cuda"} if torch.cuda.is_available() else {})
    batched = {}
    for way, device in devices.items():
        drawn = BATCH_POLICIES.load(policy)(**given)
        batched[way] = ResidentBatches(data, order, drawn, torch.device(device))
        batched[way].load()
    return {"single": all_of(loader(data, order))} | {
        way: all_of(source) for way, source in batched.items()
    }


def timm_way(samples: Samples, name: str, size: int) -> Epoch:
    """What timm's loader does to decoded images before they are put together."""
    transform = create_transform(size, is_training=True, use_prefetcher=True, **TIMM[name])
    pictures = [Image.open(samples.folder / path).copy() for path in samples.frame["path"]]

    def run() -> None:
        for picture in pictures:
            transform(picture)

    return run


def rates(found: dict[str, Epoch], count: int, turns: int) -> dict[str, Any]:
    """Of each way images per second, microseconds per image, and times as fast as the first."""
    for epoch in found.values():
        epoch()
    seconds: dict[str, list[float]] = {way: [] for way in found}
    for _ in range(turns):
        for way, epoch in found.items():
            clock = time.perf_counter if way == "gpu" else time.process_time
            began = clock()
            epoch()
            seconds[way].append(clock() - began)
    first = next(iter(found))
    return {
        way: {
            "images_per_second": round(count / statistics.median(taken)),
            "microseconds": round(statistics.median(taken) / count * 1e6, 1),
            "ratio": round(statistics.median(ratios(seconds[first], taken)), 2),
        }
        for way, taken in seconds.items()
    }


def ratios(slow: list[float], fast: list[float]) -> Iterator[float]:
    """Of the seconds within each turn."""
    return (one / other for one, other in zip(slow, fast, strict=True))


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
        policies = {}
        for name in POLICIES:
            print(f"{name} ...", file=sys.stderr)
            found = rates(ways(samples, name, options), options.images, options.turns)
            policies[name] = {"gpu": None} | found
        timm = {name: timm_way(samples, name, options.size) for name in TIMM}
        peers = rates(timm, options.images, max(1, options.turns // 2))
    print(json.dumps(vars(options) | {"policies": policies, "timm": peers}, indent=1))


if __name__ == "__main__":
    main()
