"""Peak memory of ``infer`` by the number of rows of the test set.

    python benchmarks/inference_memory.py [--rows 10000 100000 1000000]

A tiny network of ten classes in ONNX Runtime, its graph kept, and images of 8 px. Every row has an
id and a path of its own; a hundred files stand behind them, by links to their folder, so that the
disk holds a million rows. ``bytes_a_row`` is by how much the peak grows from each number of rows to
the next: what stays of a row. Prints one JSON object.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from cpu_inference import header, run

from comptool import models
from comptool.models.checkpoint_file import save_checkpoint

NETWORK, CLASSES, SIZE = "test_efficientnet", 10, 8
FILES = 100  # to a folder


def prepare(folder: Path) -> None:
    """The files and the network."""
    random = np.random.default_rng(0)
    (folder / "images").mkdir()
    for number in range(FILES):
        pixels = random.integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8)
        cv2.imwrite(str(folder / "images" / f"{number:02}.png"), pixels)
    (folder / "comptool.toml").write_text(
        'name = "memory"\ntask = "multiclass"\nmetric = "accuracy"\n[data]\ntest = "test.csv"\n'
        'id = "id"\nlabel = "label"\n[modalities]\nimage = "path"\n'
    )
    torch.manual_seed(0)
    checkpoint = folder / "weights" / NETWORK / "best.safetensors"
    save_checkpoint(checkpoint, models.create(NETWORK, CLASSES), header(NETWORK, ["image"], SIZE))


def list_rows(folder: Path, count: int) -> None:
    """A test table of so many rows."""
    with (folder / "test.csv").open("w") as stream:
        stream.write("id,path\n")
        for number in range(count):
            part, file = divmod(number, FILES)
            link = folder / f"part{part:05}"
            if file == 0 and not link.exists():
                link.symlink_to("images")
            stream.write(f"image{number:07},{link.name}/{file:02}.png\n")


def measure(folder: Path, counts: list[int]) -> dict[str, Any]:
    """One process for each number of rows."""
    command = [sys.executable, "-m", "comptool", "infer", NETWORK, "--device", "cpu"]
    command += ["--force", "-q"]
    list_rows(folder, FILES)
    run(command, folder)  # the graph is made once
    found: dict[str, dict[str, float]] = {}
    for count in counts:
        list_rows(folder, count)
        seconds, peak, _ = run(command, folder)
        with (folder / "submissions" / "preds.csv").open() as stream:
            written = sum(1 for _ in stream) - 1
        if written != count:
            raise RuntimeError(f"{written} rows are written, {count} were asked for")
        found[str(count)] = {"peak_mib": round(peak, 1), "seconds": round(seconds, 2)}
        print(count, found[str(count)], file=sys.stderr, flush=True)
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        prepare(folder)
        found = measure(folder, options.rows)
    peaks = [found[str(count)]["peak_mib"] * 2**20 for count in options.rows]
    growth = {
        f"{before} to {after}": round((peaks[place + 1] - peaks[place]) / (after - before))
        for place, (before, after) in enumerate(pairwise(options.rows))
    }
    print(json.dumps({"rows": found, "bytes_a_row": growth, "classes": CLASSES}, indent=1))


if __name__ == "__main__":
    main()
