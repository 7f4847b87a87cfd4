"""Large inputs: peak memory and seconds of a command, for two sizes each.

``--number 1`` is the full size; a fraction of it, such as 0.01, tries whether everything works.
The ids are all distinct; a few image files of 16 px stand behind them.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.campaign import forked
from benchmarks.campaign.states import SINGLE

FILES, SIDE, CLASSES = 20, 16, 10
Measured = dict[str, Any]


def campaign(
    folder: Path,
    seed: int,
    number: float,
    minutes: float,
    only: int | None = None,
    names: set[str] | None = None,
) -> dict[str, Any]:
    """Each kind of load, the smaller size first."""
    until = time.monotonic() + 60 * minutes
    found: dict[str, Any] = {}
    for name, (measure, sizes) in LOADS.items():
        for size in sizes if names is None or name in names else ():
            if time.monotonic() > until:
                return found
            count = max(int(size * number), 10)
            work = folder / "load"
            shutil.rmtree(work, ignore_errors=True)
            work.mkdir()
            forked.apart(lambda work=work: prepare(work))
            result = measure(work, count)
            found.setdefault(name, {})[str(count)] = result
            print(name, count, result, file=sys.stderr, flush=True)
    return found


def prepare(folder: Path) -> None:
    """Images, and the description of a competition."""
    import cv2
    import numpy as np

    random = np.random.default_rng(0)
    (folder / "images").mkdir()
    for number in range(FILES):
        pixels = random.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
        cv2.imwrite(str(folder / f"images/{number}.png"), pixels)
    (folder / "comptool.toml").write_text(
        'name = "load"\ntask = "multiclass"\nmetric = "accuracy"\n[data]\ntrain = "train.csv"\n'
        'test = "test.csv"\nid = "id"\nlabel = "label"\n[modalities]\nimage = "path"\n'
    )
    table(folder / "train.csv", 10 * CLASSES, CLASSES)
    table(folder / "test.csv", FILES)


def table(path: Path, rows: int, classes: int = 0) -> None:
    """A table of so many rows, with labels of so many classes."""
    with path.open("w") as stream:
        stream.write("id,path,label\n" if classes else "id,path\n")
        for n in range(rows):
            label = f",class{n % classes:04}" if classes else ""
            stream.write(f"image{n:07},images/{n % FILES}.png{label}\n")


def command(folder: Path, *arguments: object) -> Measured:
    """Seconds and peak memory of the real program.

    The peak of a process is never below that of the process that started it, so that this one has
    to be small.
    """
    errors = folder / "errors.txt"
    begun = time.perf_counter()
    with errors.open("wb") as stream:
        process = subprocess.Popen(
            [sys.executable, "-m", "comptool", *map(str, arguments)],
            cwd=folder,
            env=os.environ | {"COMPTOOL_CACHE": str(folder / "cache")},
            stdout=subprocess.DEVNULL,
            stderr=stream,
        )
        _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        return {"code": process.returncode, "message": errors.read_text()[-600:]}
    seconds = time.perf_counter() - begun
    return {"seconds": round(seconds, 1), "peak_mib": round(usage.ru_maxrss / 1024)}


def infer(suffix: str) -> Callable[[Path, int], Measured]:
    """Predictions of a test table, as a file of this suffix."""

    def measure(folder: Path, rows: int) -> Measured:
        command(folder, *SINGLE, "--run-name", "a")
        command(folder, "infer", "a", "-o", "first.csv")  # the graph is made once
        table(folder / "test.csv", rows)
        return command(folder, "infer", "a", "-q", "-o", f"large{suffix}")

    return measure


def inspect(folder: Path, images: int) -> Measured:
    """As many image files."""
    sources = [folder / f"images/{n}.png" for n in range(FILES)]
    (folder / "many").mkdir()
    with (folder / "train.csv").open("w") as stream:
        stream.write("id,path,label\n")
        for n in range(images):
            name = f"many/{n}.png"
            # A byte after the end of the picture: no two files are the same, and few pixels are.
            (folder / name).write_bytes(sources[n % FILES].read_bytes() + str(n).encode())
            stream.write(f"image{n:07},{name},class{n % CLASSES}\n")
    return command(folder, "inspect", "-q", "--similarity", "1")


def ensemble(folder: Path, rows: int) -> Measured:
    """Thirty files of 60 classes."""
    names = [f"member{n}.parquet" for n in range(30)]
    forked.apart(lambda: members(folder, names, rows))
    return command(folder, "ensemble", *names, "-q", "-o", "mean.csv")


def members(folder: Path, names: list[str], rows: int) -> None:
    """Prediction files of random probabilities."""
    import numpy as np
    import polars as pl

    random = np.random.default_rng(0)
    for name in names:
        values = random.dirichlet(np.ones(60), rows).astype(np.float32)
        columns = {f"class{k:02}": values[:, k] for k in range(60)}
        pl.DataFrame({"id": [f"i{n}" for n in range(rows)], **columns}).write_parquet(folder / name)


def runs(folder: Path, count: int) -> Measured:
    """As many runs listed."""
    command(folder, *SINGLE, "--run-name", "a")
    for n in range(1, count):
        shutil.copytree(folder / "weights/a", folder / f"weights/a{n}")
    return command(folder, "runs", "--bootstrap", "0", "--json")


def classes(folder: Path, count: int) -> dict[str, Measured]:
    """As many classes, from folds to a submission."""
    table(folder / "train.csv", 4 * count, count)
    steps: dict[str, tuple[object, ...]] = {
        "split": ("split", "-q"),
        "train": (*SINGLE, "-q", "--run-name", "a", "--batch-size", "64"),
        "infer": ("infer", "a", "-q"),
        "submit": ("submit", "-q"),
    }
    with (folder / "sample_submission.csv").open("w") as stream:
        stream.write("id,label\n" + "".join(f"image{n:07},class0000\n" for n in range(FILES)))
    text = (folder / "comptool.toml").read_text()
    sample = 'test = "test.csv"\nsample-submission = "sample_submission.csv"\n'
    (folder / "comptool.toml").write_text(text.replace('test = "test.csv"\n', sample))
    return {name: command(folder, *arguments) for name, arguments in steps.items()}


LOADS: dict[str, tuple[Callable[[Path, int], Measured], tuple[int, int]]] = {
    "infer to csv": (infer(".csv"), (200_000, 1_000_000)),
    "infer to parquet": (infer(".parquet"), (200_000, 1_000_000)),
    "infer to npy": (infer(".npy"), (200_000, 1_000_000)),
    "inspect": (inspect, (20_000, 100_000)),
    "ensemble of 30 files": (ensemble, (20_000, 100_000)),
    "runs": (runs, (200, 1_000)),
    "classes": (classes, (1_000, 5_000)),
}
