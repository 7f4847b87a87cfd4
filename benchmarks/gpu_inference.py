"""Prediction on a CUDA device: half precision against full, and the real pairs.

    python benchmarks/gpu_inference.py [--turns 3] [--device cpu --quick]

``members``: three dual MobileNetV2 of 224 pixels, trained briefly with three seeds on a practice
competition, predict its pairs in float32 and in float16, in turn. Speed is that of ``comptool
profile infer`` after its first batches: from files to probabilities, and of the networks on images
that are decoded already. The metric is the accuracy of ``comptool infer`` on the labels of these
pairs.

``pairs``: the 826 real pairs of the folder ``unicorn`` in COMPTOOL_REAL_DATA through one dual
MobileNetV2 of 64 pixels in float16: milliseconds a pair in batches, from files to probabilities
and without decoding; and the latency of one pair at a time.

Prints one JSON object, whose ``table`` has the rows as Markdown; without a CUDA device, or without
real images, they are marked unmeasured. On a CPU the script can be tried, and bfloat16 takes the
place of float16, which a CPU has not.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
from pathlib import Path
from typing import Any

import pandas as pd
from cards import NO_DEVICE, Goal, card_options, device_name, is_here, ratio, unmeasured
from program import comptool

MEMBERS = Goal(
    "GPU inference, three members at 224 px, fp16 against fp32",
    "the source's +70 %",
    ">= +70 %, metric within 0.0005",
)
PAIRS = Goal(
    "GPU inference of 826 real pairs, cold start excluded",
    "8 s in the source (9.69 ms a pair)",
    "< 0.2 ms a pair batched; latency of single pairs reported",
)
MODEL = "mobilenetv2-dual"
RUNS = ("member0", "member1", "member2")
TRAIN = ("--model", MODEL, "--pretrained", "no")
NO_PAIRS = "no COMPTOOL_REAL_DATA with the folder unicorn"


def half_of(device: str) -> str:
    """The option for half precision."""
    return "--bf16" if device == "cpu" else "--fp16"


def prepare(folder: Path, options: argparse.Namespace) -> None:
    """A practice competition, and the three members."""
    comptool(folder, "simulate", "mavoc", "-o", "data", "--scale", 0.001 if options.quick else 0.05)
    size = 64 if options.quick else 224
    for seed, run in enumerate(RUNS):
        comptool(
            folder, "train", "--run-name", run, "--seed", seed, *TRAIN, "--img-size", size,
            "--epochs", 1 if options.quick else 4, "--device", options.device,
        )  # fmt: skip


def members(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Speed and accuracy of three networks in both precisions."""
    precisions = {"fp32": "--fp32", "half": half_of(options.device)}
    how: tuple[object, ...] = ("--device", options.device, "--backend", "torch")
    how += ("--batch-size", 8 if options.quick else 256, "--test", "data/train.csv")
    rates: dict[str, list[float]] = {}
    for _ in range(options.turns):
        for name, precision in precisions.items():
            steps = ("--steps", 3 if options.quick else 40)
            found = comptool(folder, "profile", *steps, "infer", *RUNS, precision, *how).result
            rates.setdefault(name, []).append(found["images_per_second"])
            rates.setdefault(f"{name}_decoded", []).append(found["ceiling_images_per_second"])
    accuracies = {
        name: accuracy(folder, [*RUNS, precision, *how]) for name, precision in precisions.items()
    }
    return {
        "pairs_per_second": rates,
        "ratio": ratio(rates["half"], rates["fp32"]),
        "ratio_decoded": ratio(rates["half_decoded"], rates["fp32_decoded"]),
        "accuracy": accuracies,
        "difference": round(abs(accuracies["half"] - accuracies["fp32"]), 6),
    }


def accuracy(folder: Path, arguments: list[object]) -> float:
    """What share of the labelled pairs is predicted rightly."""
    comptool(folder, "infer", *arguments, "--force", "-o", "all.csv")
    predicted = pd.read_csv(folder / "all.csv", dtype={0: str}).set_index("image_id")
    labels = pd.read_csv(folder / "data" / "train.csv", dtype=str).set_index("image_id")["class_id"]
    answers = predicted.drop(columns="pred", errors="ignore").idxmax(axis=1)
    return round(float((answers == labels[answers.index]).mean()), 6)


def pairs(folder: Path, data: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Milliseconds for the real pairs, in batches and one at a time."""
    (folder / "unicorn").symlink_to(data / "unicorn")
    comptool(folder, "init", "unicorn", "-o", "unicorn.toml")
    comptool(
        folder, "train", "--run-name", "small", *TRAIN, "--img-size", 64, "--epochs", 1,
        "--device", options.device,
    )  # fmt: skip
    how = ("--competition", "unicorn.toml", "--device", options.device, half_of(options.device))
    several = ("--batch-size", 8 if options.quick else 128)
    single = ("--batch-size", 1, "--workers", 0)
    found: dict[str, list[float]] = {}
    for _ in range(options.turns):
        for name, batch in (("batched", several), ("single", single)):
            steps = ("--steps", 5 if options.quick else 100)
            profile = comptool(folder, "profile", *steps, "infer", "small", *how, *batch).result
            spent = 1000 / profile["images_per_second"]
            decoded = 1000 / profile["ceiling_images_per_second"]
            found.setdefault(f"{name}_ms_a_pair", []).append(round(spent, 4))
            found.setdefault(f"{name}_ms_a_decoded_pair", []).append(round(decoded, 4))
    return {"turns": found} | {name: statistics.median(each) for name, each in found.items()}


def main() -> None:
    """Measure and print."""
    parser = card_options(__doc__, "few small images")
    options = parser.parse_args()
    document: dict[str, Any] = {
        "benchmark": "gpu_inference",
        "device": device_name(options.device),
        "quick": options.quick,
    }
    if not is_here(options.device):
        print(json.dumps(document | unmeasured([MEMBERS, PAIRS], NO_DEVICE), indent=2))
        return
    data = Path(os.environ.get("COMPTOOL_REAL_DATA") or "no folder is named").resolve()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["COMPTOOL_CACHE"] = str(folder / "cache")
        prepare(folder, options)
        several = members(folder, options)
        told = f"{several['ratio'] - 1:+.0%}, metric within {several['difference']}"
        table = [MEMBERS.row(told)]
        document["members"] = several
        if (data / "unicorn").is_dir():
            document["pairs"] = real = pairs(folder, data, options)
            told = f"{real['batched_ms_a_pair']} ms batched, {real['single_ms_a_pair']} ms single"
            table.append(PAIRS.row(told))
        else:
            table.append(PAIRS.row(f"unmeasured: {NO_PAIRS}"))
    print(json.dumps(document | {"table": table}, indent=2))


if __name__ == "__main__":
    main()
