"""Prediction of JPEGs on a CPU: ``comptool infer`` against timm's validate.py and inference.py.

    python benchmarks/cpu_inference.py [--timm-scripts FOLDER] [--images 2000] [--large 150]

One network (MobileNetV2, the same weights for all) and one folder of images, of 64 px; then, with
``--large`` images, of 224 px, where inference.py is left out. In turn, each as a whole process:
``infer`` with ONNX Runtime and its graph kept, ``infer --backend torch``, timm's validate.py and
inference.py with ``--channels-last``. Measured are wall seconds and the peak memory of the process
(loaders aside), and images per second in the steady state: timm's by validate.py's own average,
ours of a second pass within one process, from files to probabilities. ``single`` is one pair of
images of 64 px at a time through a dual network: milliseconds for torch as it is, and for ONNX
Runtime. Ratios are medians over the turns; above 1 comptool is faster.

timm's scripts are not part of its package: take the tag of the installed version from
https://github.com/huggingface/pytorch-image-models. Without them comptool is measured alone. Prints
one JSON object.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import chdir
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import timm
import torch
from safetensors.torch import save_file

from comptool import models
from comptool.inference.config import Computing, InferConfig
from comptool.inference.plan import plan_prediction
from comptool.inference.predict import predict
from comptool.inference.tta.policies import PLAIN
from comptool.models.checkpoint_file import load_checkpoint, save_checkpoint

BACKBONE, CLASSES = "mobilenetv2_100", 10
SMALL, LARGE = 64, 224  # pixels
NAMES = [f"class{number}" for number in range(CLASSES)]
# A small process in between: what a child's peak begins with is the memory of its parent.
WATCH = """
import resource, subprocess, sys
code = subprocess.run(sys.argv[1:]).returncode
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(code)
"""
RATE = re.compile(r"\(\s*[\d.]+s,\s*([\d.]+)/s\)")


def prepare(folder: Path, count: int, size: int) -> None:
    """Images, in class folders for timm and listed for comptool, and the network for both."""
    random = np.random.default_rng(0)
    lines = ["id,path"]
    for number in range(count):
        path = Path("images") / NAMES[number % CLASSES] / f"{number:05}.jpg"
        (folder / path.parent).mkdir(parents=True, exist_ok=True)
        coarse = random.integers(0, 256, (8, 8, 3), dtype=np.uint8)
        cv2.imwrite(str(folder / path), cv2.resize(coarse, (size, size)))
        lines.append(f"i{number:05},{path}")
    (folder / "test.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    labels = [f"{line},{NAMES[n % CLASSES]}" for n, line in enumerate(lines[1:])]
    (folder / "train.csv").write_text("\n".join(["id,path,label", *labels]) + "\n")
    torch.manual_seed(0)
    for name, modalities in ((BACKBONE, ["image"]), (f"{BACKBONE}-dual", ["a", "b"])):
        model = models.create(name, CLASSES)
        save_checkpoint(
            folder / "weights" / name / "best.safetensors", model, header(name, modalities, size)
        )
    plain = timm.create_model(BACKBONE, num_classes=CLASSES)
    save_file(plain.state_dict(), folder / "timm.safetensors")


def header(name: str, modalities: list[str], size: int) -> dict[str, Any]:
    """What a checkpoint says of itself."""
    same = dict.fromkeys
    return {
        "model": {"name": name, "options": {}},
        "task": "multiclass",
        "classes": NAMES,
        "class_counts": dict.fromkeys(NAMES, 1),
        "modalities": modalities,
        "img_size": same(modalities, [size, size]),
        "channels": same(modalities, 3),
        "mean": same(modalities, [0.5] * 3),
        "std": same(modalities, [0.25] * 3),
        "metric": "accuracy",
    }


def commands(folder: Path, scripts: Path | None, size: int) -> dict[str, list[str]]:
    """The command lines that are timed."""
    infer = [
        sys.executable,
        "-m",
        "comptool",
        "infer",
        BACKBONE,
        "--device",
        "cpu",
        "--force",
        "-q",
    ]
    timed = {"onnx": infer, "torch": [*infer, "--backend", "torch"]}
    if scripts is None:
        return timed
    shared = ["--data-dir", str(folder / "images"), "--model", BACKBONE, "--img-size", str(size)]
    shared += ["--num-classes", str(CLASSES), "--checkpoint", str(folder / "timm.safetensors")]
    shared += ["--device", "cpu", "--channels-last", "-j", "2", "--crop-pct", "1.0"]
    results = ["--results-dir", str(folder), "--no-console-results"]
    timed["timm_validate"] = [sys.executable, str(scripts / "validate.py"), *shared]
    if size == SMALL:
        timed["timm_inference"] = [sys.executable, str(scripts / "inference.py"), *shared, *results]
    return timed


def run(command: list[str], folder: Path) -> tuple[float, float, str]:
    """Wall seconds, peak MiB of the process and what it said."""
    watched = [sys.executable, "-c", WATCH, *command]
    start = time.perf_counter()
    done = subprocess.run(watched, cwd=folder, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - start
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}\n{done.stdout}{done.stderr}")
    return seconds, int(done.stdout.splitlines()[-1]) / 1024, done.stderr


def steady(folder: Path, backend: str, count: int) -> float:
    """Images per second, from files to probabilities, of a process that has begun already."""
    plan = plan_prediction(InferConfig(runs=(BACKBONE,), output=folder / "steady.csv", force=True))
    computing = Computing("cpu", quiet=True, backend=backend)  # type: ignore[arg-type]
    predict(plan.members, plan.samples, [PLAIN], computing)
    start = time.perf_counter()
    predict(plan.members, plan.samples, [PLAIN], computing)
    return count / (time.perf_counter() - start)


def single(folder: Path, size: int, turns: int) -> dict[str, Any]:
    """Milliseconds for one pair of images at a time: torch as it is, and ONNX Runtime."""
    from comptool.inference.onnx_backend import OnnxNetworks
    from comptool.inference.plan import TrainedMember
    from comptool.io.runs import read_header

    run_folder = folder / "weights" / f"{BACKBONE}-dual"
    model, _ = load_checkpoint(run_folder)
    networks = OnnxNetworks([TrainedMember(run_folder, read_header(run_folder))], ["identity"])
    pair = [np.zeros((1, size, size, 3), np.uint8)] * 2
    tensors = [torch.zeros(1, 3, size, size)] * 2

    def timed(work: Any, count: int = 50) -> float:
        work()
        start = time.perf_counter()
        for _ in range(count):
            work()
        return (time.perf_counter() - start) / count * 1000

    found: dict[str, list[float]] = {"torch": [], "onnx": []}
    for _ in range(turns):
        with torch.inference_mode():
            found["torch"].append(timed(lambda: model(*tensors)))
        found["onnx"].append(timed(lambda: networks.logits(pair, ["identity"])))
    ratios = [a / b for a, b in zip(found["torch"], found["onnx"], strict=True)]
    return {"milliseconds": found, "ratio": round(statistics.median(ratios), 2)}


def measure(folder: Path, options: argparse.Namespace, size: int, count: int) -> dict[str, Any]:
    """All turns with images of one size, and the medians of their ratios."""
    prepare(folder, count, size)
    timed = commands(folder, options.timm_scripts, size)
    run(timed["onnx"], folder)  # the graph is made once
    seconds: dict[str, list[float]] = {name: [] for name in timed}
    peaks: dict[str, list[float]] = {name: [] for name in timed}
    rates: dict[str, list[float]] = {"onnx": [], "torch": []}
    for _ in range(options.turns):
        for name, command in timed.items():
            wall, peak, text = run(command, folder)
            seconds[name].append(round(wall, 2))
            peaks[name].append(round(peak))
            if name == "timm_validate":
                rates.setdefault(name, []).append(float(RATE.findall(text)[-1]))
        for backend in ("onnx", "torch"):
            rates[backend].append(round(steady(folder, backend, count), 1))
    ratios = {
        f"process_{name}": median_ratio(seconds[name], seconds["onnx"])
        for name in timed
        if name != "onnx"
    }
    ratios |= {
        f"steady_{name}": median_ratio(rates["onnx"], rates[name])
        for name in rates
        if name != "onnx"
    }
    return {"seconds": seconds, "peak_mib": peaks, "images_per_second": rates, "ratios": ratios}


def median_ratio(above: list[float], below: list[float]) -> float:
    """The median over turns."""
    return round(statistics.median(a / b for a, b in zip(above, below, strict=True)), 2)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--timm-scripts", type=Path, help="folder of validate.py and inference.py")
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--large", type=int, default=150, help="images of 224 px")
    parser.add_argument("--turns", type=int, default=3)
    options = parser.parse_args()
    result: dict[str, Any] = {}
    for size, count in ((SMALL, options.images), (LARGE, options.large)):
        with tempfile.TemporaryDirectory() as name, chdir(name):
            found = measure(Path(name), options, size, count)
            if size == SMALL:
                result["single"] = single(Path(name), size, options.turns)
            result[f"{size} px"] = found | {"images": count}
    result["turns"] = options.turns
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
