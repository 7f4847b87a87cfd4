"""What ``comptool inspect`` finds, and how long it takes.

    COMPTOOL_REAL_DATA=DIR python benchmarks/inspection.py [--pictures 100000]

Rows of ``labels/mlrsnet_official.csv.gz`` that its labels alone make doubtful, against
``mlrsnet_corrected.csv.gz``; the same with cells of the corrected table turned on purpose. Copies
of real pictures (``eurosat``, ``mstar``, ``ucmerced``) that were compressed, resized or brightened,
and how many pairs are told among the pictures as they are. The search among many generated
pictures, against all pairs of hashes in numpy. Prints one JSON object; seconds are those of the
processor, so that other programs do not count. (It is not called inspect.py: Python has a module
of that name, and would find this one.)
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pandas as pd

from comptool.competition.config import detected, of_table
from comptool.competition.samples import read_samples, training_samples
from comptool.data.image_io import Pixels, read_pixels
from comptool.inspection.duplicates import DISTANCE, SIMILARITY, nearly_identical
from comptool.inspection.image_scan import (
    Images,
    ImageScan,
    direction,
    look_at,
    look_at_all,
    perceptual_hash,
    spectrum,
)
from comptool.inspection.label_rules import doubtful_runs, far_counts, lost_classes, rare_sets
from comptool.tasks.labels import Matrix

TURNED, SEEDS = 2000, 3
CHANGED = 300  # pictures of each set that are copied in each way
SETS = ("eurosat", "mstar", "ucmerced")


def seconds(call: Callable[[], object]) -> float:
    """Processor seconds of a call."""
    start = time.process_time()
    call()
    return round(time.process_time() - start, 2)


def figures(flagged: npt.NDArray[np.int64], wrong: npt.NDArray[np.bool_]) -> dict[str, object]:
    """How many rows are flagged, how many of these are wrong, and how many of the wrong ones."""
    hits = int(wrong[flagged].sum())
    return {
        "rows": len(flagged),
        "precision": round(hits / len(flagged), 4) if len(flagged) else None,
        "recall": round(hits / max(int(wrong.sum()), 1), 4),
    }


def doubts(matrix: Matrix) -> dict[str, npt.NDArray[np.int64]]:
    """The rows that each kind of findings is about."""
    rows = {
        "label-run": doubtful_runs(matrix)[0],
        "label-count": far_counts(matrix)[0],
        "label-set": rare_sets(matrix)[0],
    }
    return rows | {"all": np.unique(np.concatenate(list(rows.values())))}


def label_rows(folder: Path) -> dict[str, object]:
    """Precision and recall of row flags on the official table, and flags on the corrected one."""
    matrices, names = {}, ()
    for name in ("official", "corrected"):
        path = folder / "labels" / f"mlrsnet_{name}.csv.gz"
        samples = read_samples(path, of_table(path), labelled=True)
        matrices[name], names = samples.label_matrix(), samples.labels
    official, corrected = matrices["official"], matrices["corrected"]
    wrong = (official != corrected).any(axis=1)
    too_many = (official > corrected).any(axis=1)
    flagged = doubts(official)
    lost = lost_classes(official, np.union1d(flagged["label-run"], flagged["label-count"]))
    of_lost = (corrected > official)[:, lost].any(axis=1)
    return {
        "rows": len(official),
        "wrong_rows": int(wrong.sum()),
        "rows_with_labels_too_many": int(too_many.sum()),
        "flags": {name: figures(rows, wrong) for name, rows in flagged.items()},
        "recall_of_labels_too_many": figures(flagged["all"], too_many)["recall"],
        "lost_classes": [names[place] for place in lost],
        "wrong_rows_that_lack_a_lost_class": int(of_lost.sum()),
        "flags_on_the_corrected_table": {
            name: len(rows) for name, rows in doubts(corrected).items()
        },
        "seconds": seconds(lambda: doubts(official)),
        "one_cell_turned": [turned(corrected, seed) for seed in range(SEEDS)],
    }


def turned(matrix: Matrix, seed: int) -> dict[str, object]:
    """Flags after one cell of some rows was turned: half lack a label, half have one too many."""
    random = np.random.default_rng(seed)
    changed, wrong = matrix.copy(), np.zeros(len(matrix), np.bool_)
    rows = random.permutation(np.flatnonzero(matrix.any(axis=1)))[:TURNED]
    for number, row in enumerate(rows):
        column = random.choice(np.flatnonzero(matrix[row] == number % 2))
        changed[row, column] = 1 - changed[row, column]
        wrong[row] = True
    return {"turned": TURNED, **figures(rare_sets(changed)[0], wrong)}


def compressed(image: Pixels, quality: int) -> Pixels:
    """The image after a JPEG file."""
    pixels = image[:, :, ::-1] if image.shape[2] == 3 else image
    content = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    read = np.asarray(cv2.imdecode(content, cv2.IMREAD_ANYCOLOR), np.uint8)
    return read[:, :, None] if read.ndim == 2 else read[:, :, ::-1]


def resized(image: Pixels, factor: float) -> Pixels:
    """The image at another size."""
    method = cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR
    scaled = np.asarray(cv2.resize(image, None, fx=factor, fy=factor, interpolation=method))
    return scaled.reshape(*scaled.shape[:2], -1)


CHANGES: dict[str, Callable[[Pixels], Pixels]] = {
    "jpeg_90": lambda image: compressed(image, 90),
    "jpeg_75": lambda image: compressed(image, 75),
    "jpeg_50": lambda image: compressed(image, 50),
    "half_size": lambda image: resized(image, 0.5),
    "double_size": lambda image: resized(image, 2),
    "brighter": lambda image: np.clip(image * 1.1 + 10, 0, 255).astype(np.uint8),
}


def near_copies(folder: Path, name: str) -> dict[str, object]:
    """The share of changed copies that would be told, and the pairs told among the originals."""
    samples = training_samples(detected([folder / name], {}))
    start = time.process_time()
    images = look_at_all({"train": samples}, None, quiet=True)
    looking = time.process_time() - start
    paths = [samples.folder / path for path in samples.frame[next(iter(samples.paths.values()))]]
    picked = np.random.default_rng(0).permutation(len(paths))[:CHANGED]
    pixels = [read_pixels(paths[row]).astype(np.uint8) for row in picked]
    return {
        "pictures": len(paths),
        "pairs_among_them": len(nearly_identical(images)),
        "found": {
            change: round(float(np.mean([told(one, make(one)) for one in pixels])), 3)
            for change, make in CHANGES.items()
        },
        "pictures_a_processor_second": round(len(paths) / looking),
    }


def told(image: Pixels, copy: Pixels) -> bool:
    """Whether a picture and its copy are a pair."""
    return len(nearly_identical(seen([spectrum(image), spectrum(copy)]))) == 1


def seen(spectra: Sequence[npt.NDArray[np.floating]]) -> Images:
    """Pictures of which only the frequencies are known, as if they had been looked at."""
    looks = [
        ImageScan(digest=str(n).encode(), hash=perceptual_hash(s)) for n, s in enumerate(spectra)
    ]
    frame = pd.DataFrame(looks, columns=list(ImageScan._fields)).astype({"hash": np.uint64})
    frame = frame.assign(table="train", id="", column="", row=range(len(looks)))
    return Images(frame, np.stack([direction(one) for one in spectra]))


def scene(random: np.random.Generator) -> npt.NDArray[np.floating]:
    """The frequencies of a picture like no other."""
    image = np.zeros((32, 32, 1), np.float32)
    for side in (3, 6, 12):
        noise = random.normal(size=(side, side)).astype(np.float32)
        image[:, :, 0] += cv2.resize(noise, (32, 32), interpolation=cv2.INTER_CUBIC)
    return spectrum(np.clip(128 + 45 * image, 0, 255).astype(np.uint8))


def chip(random: np.random.Generator) -> npt.NDArray[np.floating]:
    """The frequencies of a bright object in the middle of speckle, like all others."""
    image = random.rayleigh(18, (32, 32)).astype(np.float32)
    middle = tuple(float(place) for place in 16 + random.normal(0, 0.7, 2))
    axes = (float(random.uniform(4, 9)), 3.5)
    angle, bright = float(random.uniform(0, 180)), float(random.uniform(120, 220))
    cv2.ellipse(image, (middle, axes, angle), bright, -1)
    image = np.asarray(cv2.GaussianBlur(image, (3, 3), 0.8))
    return spectrum(np.clip(image, 0, 255).astype(np.uint8)[:, :, None])


def search(draw: Callable[[np.random.Generator], npt.NDArray[np.floating]], count: int) -> object:
    """Seconds of the search among many pictures, a tenth of a percent of which are copied."""
    random = np.random.default_rng(0)
    spectra = [draw(random) for _ in range(count)]
    copies = max(count // 1000, 1)
    spectra += [
        one + random.normal(0, 0.5, one.shape).astype(np.float32) for one in spectra[:copies]
    ]
    images = seen(spectra)
    found: list[pd.DataFrame] = []
    spent = seconds(lambda: found.append(nearly_identical(images)))
    pairs = set(zip(found[0]["other"], found[0]["image"], strict=True))
    return {
        "pictures": len(spectra),
        "copies": copies,
        "copies_found": sum((n, count + n) in pairs for n in range(copies)),
        "pairs_told": len(pairs),
        "seconds": spent,
        "all_pairs_of_hashes_in_numpy_seconds": seconds(lambda: all_pairs(images)),
    }


def all_pairs(images: Images) -> int:
    """Pairs of hashes that are near, by looking at all of them, a row of blocks at a time."""
    hashes = images.frame["hash"].to_numpy(np.uint64)
    near = 0
    for begin in range(0, len(hashes), 64):
        block = hashes[begin : begin + 64, None] ^ hashes[None, begin:]
        near += int((np.bitwise_count(block) <= DISTANCE).sum())
    return near


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=int, default=100_000)
    options = parser.parse_args()
    folder = Path(os.environ.get("COMPTOOL_REAL_DATA", ""))
    document: dict[str, object] = {"benchmark": "inspection", "similarity": SIMILARITY}
    if (folder / "labels").is_dir():
        document["label_rows"] = label_rows(folder)
        document["near_copies"] = {name: near_copies(folder, name) for name in SETS}
        sar = [
            folder / "unicorn" / one for one in pd.read_csv(folder / "unicorn/test.csv").sar_path
        ]
        looks = [look_at(path)[0] for path in sar]
        document["unicorn"] = {
            "identical_pairs": len(looks) - len({one.digest for one in looks}),
            "constant": sum(bool(one.constant) for one in looks),
        }
    document["search"] = {
        "scenes": search(scene, options.pictures),
        "chips": search(chip, options.pictures),
    }
    print(json.dumps(document, indent=2))


if __name__ == "__main__":
    main()
