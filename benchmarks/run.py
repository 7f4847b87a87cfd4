"""Run the benchmarks and keep what they print.

    python benchmarks/run.py [--only NAME ...] [--gpu] [--quick] [--timm-scripts FOLDER]

Each benchmark is a script beside this one that prints one JSON object. The results of a day on a
kind of machine go into ``benchmarks/results/<date>-<kind>.json``, each as soon as it is there; a
benchmark that is run again replaces its own entry. ``--quick`` only tries whether the scripts
work: small, nothing is written. Real images are looked for in the folder that COMPTOOL_REAL_DATA
names; without it, and without timm's scripts, the parts that need them are left out. ``--gpu`` runs
those of a CUDA device and no others; where there is none they say so, and nothing is written.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

FOLDER = Path(__file__).parent
RESULTS = FOLDER / "results"
PACKAGES = (
    "comptool torch timm numpy scipy pandas polars scikit-learn opencv-python-headless"
    " albumentations typer"
).split()


@dataclass(frozen=True)
class Benchmark:
    """A script, its arguments for a quick look, and what it needs.

    ``real``: nothing without real images; ``long``: keeps parts and can go on from them; ``gpu``:
    of a CUDA device.
    """

    name: str
    quick: tuple[str, ...]
    real: bool = False
    long: bool = False
    gpu: bool = False


BENCHMARKS = (
    Benchmark("startup", ("--runs", "1")),
    Benchmark("first_step", ("--runs", "1")),
    Benchmark("cpu_inference", ("--images", "50", "--large", "20", "--turns", "1")),
    Benchmark("inference_memory", ("--rows", "1000", "10000")),
    Benchmark("cpu_training", ("--images", "64", "--turns", "1")),
    Benchmark("augmentation", ("--images", "128", "--turns", "1")),
    Benchmark("recalibrate", ("--rows", "10000", "--runs", "1")),
    Benchmark("tables", ("--runs", "1", "--rows", "1000", "--member-rows", "1000")),
    Benchmark("average_precision", ("--runs", "1")),
    Benchmark("ensemble_search", ("--runs", "1", "--members", "4", "--steps", "3")),
    Benchmark("label_split", ("--seeds", "5", "--runs", "1")),
    Benchmark("inspection", ("--pictures", "2000")),
    Benchmark("label_review", ("--seeds", "1")),
    Benchmark("class_review", ("--seeds", "1")),
    Benchmark("real_data", ("--quick",), real=True, long=True),
    Benchmark("same_accuracy", ("--quick", "--only", "mstar"), real=True, long=True),
    Benchmark("multilabel", ("--quick",), real=True, long=True),
    Benchmark("partial_labels", ("--quick",), long=True),
    Benchmark("gradient_calibration", ("--quick",), long=True),
    Benchmark("eurosat", ("--quick",), real=True, long=True),
    Benchmark("long_tail", ("--quick",), real=True, long=True),
    Benchmark("gpu_training", ("--quick", "--turns", "1"), gpu=True),
    Benchmark("gpu_inference", ("--quick", "--turns", "1"), gpu=True),
)
WITH_SCRIPTS = ("startup", "cpu_inference", "cpu_training", "gpu_training")


def machine() -> dict[str, object]:
    """What was measured on, without anything that tells whose machine it is."""
    gpus = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "cpu": cpu_name(),
        "cores": cores,
        "gpus": gpus,
        "system": f"{platform.system()} {platform.machine()}",
        "versions": {"python": platform.python_version()}
        | {name: version(name) for name in PACKAGES},
    }


def cpu_name() -> str:
    """The processor's name, as Linux knows it."""
    info = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").is_file() else ""
    found = re.search(r"model name\s*: (.+)", info)
    return found[1] if found else platform.processor() or "unknown"


def kind(found: dict[str, Any]) -> str:
    """The machine's kind, as a part of a file name: ``2-core-cpu``, ``16-core-nvidia-h200``."""
    device = found["gpus"][0] if found["gpus"] else "cpu"
    return f"{found['cores']}-core-" + re.sub(r"[^a-z0-9]+", "-", device.lower()).strip("-")


def measure(benchmark: Benchmark, options: argparse.Namespace) -> dict[str, Any]:
    """What a script prints, when it began, how long it took, and the load it met."""
    arguments = list(benchmark.quick) if options.quick else []
    if benchmark.name == "first_step" and options.timm_scripts is not None:
        arguments += ["--timm-train", str(options.timm_scripts / "train.py")]
    if benchmark.name in WITH_SCRIPTS and options.timm_scripts is not None:
        arguments += ["--timm-scripts", str(options.timm_scripts)]
    if benchmark.gpu:
        arguments += ["--device", options.device]
    resumed = False
    if benchmark.long and options.partial is not None and not options.quick:
        partial = options.partial / f"{benchmark.name}.json"
        arguments += ["--partial", str(partial)]
        resumed = partial.is_file()
    began, start = datetime.now(UTC), time.perf_counter()
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    command = [sys.executable, str(FOLDER / f"{benchmark.name}.py"), *arguments]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return {
        "began": began.isoformat(timespec="minutes"),
        "seconds": None if resumed else round(time.perf_counter() - start, 1),
        "load_before": load and round(load, 2),
        "result": json.loads(done.stdout),
    }


def keep(path: Path, found: dict[str, object], name: str, result: dict[str, Any]) -> None:
    """Put one result into the file of the day."""
    document = json.loads(path.read_text()) if path.is_file() else {"benchmarks": {}}
    document |= {"date": path.name[:10], "machine": found}
    document["benchmarks"][name] = result
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


def main() -> None:
    """Run, print and keep."""
    names = [benchmark.name for benchmark in BENCHMARKS]
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", choices=names, metavar="NAME")
    parser.add_argument("--gpu", action="store_true", help="those of a CUDA device, no others")
    parser.add_argument("--device", default="cuda", help="of --gpu; cpu, to try it with --quick")
    parser.add_argument("--quick", action="store_true", help="only see whether they work")
    parser.add_argument("--timm-scripts", type=Path, help="folder of timm's train.py and others")
    parser.add_argument("--partial", type=Path, metavar="FOLDER", help="long ones go on from here")
    options = parser.parse_args()
    found = machine()
    path = RESULTS / f"{datetime.now(UTC):%Y-%m-%d}-{kind(found)}.json"
    for benchmark in BENCHMARKS:
        if benchmark.gpu != options.gpu or benchmark.name not in (options.only or names):
            continue
        if benchmark.real and not os.environ.get("COMPTOOL_REAL_DATA"):
            print(f"{benchmark.name} is left out: no COMPTOOL_REAL_DATA", file=sys.stderr)
            continue
        print(f"{benchmark.name} ...", file=sys.stderr)
        result = measure(benchmark, options)
        print(json.dumps({benchmark.name: result}, indent=1))
        print(*result["result"].get("table", ()), sep="\n", file=sys.stderr)
        if not options.quick and result["result"].get("device", "cpu") is not None:
            keep(path, found, benchmark.name, result)


if __name__ == "__main__":
    main()
