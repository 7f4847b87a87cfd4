"""What a CUDA device has to show, in eight minutes and without a network: the most important first.

    make bench-gpu-short
    PYTHONPATH=FOLDER-OF-UNPACKED-WHEELS python benchmarks/gpu_short.py [--seconds 480]

Rows: what ``comptool doctor`` finds; the tests marked ``gpu``; prediction of 826 pairs of 64 pixels
by mobilenetv2_100-dual in float32 and float16, with loading and of decoded images; training of the
same network by ``comptool profile train`` against timm's own train step (its loader, optimizer and
AMP on one image of 90 pixels, which has as many pixels as a pair), and its share of the ceiling; a
224-pixel network likewise. Each row is written to ``benchmarks/results/<date>-gpu-short.json`` as
soon as it is there, so that a run that is cut off keeps what it has found; ``--seconds`` is when no
further row is begun, and a row that takes longer is ended.

It runs from a source tree, installed or not. A machine that lacks a package is told so in one line
that names all of them; `bare.py` lists what is needed, `README.md` how to carry it.
``--tiny`` tries whether the script works: few, small images, one test.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import bare

bare.end_if_missing()

import cards  # noqa: E402
import gpu_training  # noqa: E402
import torch  # noqa: E402

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"
PAIRS = 826
GPU_TESTS = (
    "tests/training/test_waiting.py", "tests/training/test_placement.py",
    "tests/training/test_batch_size.py", "tests/training/test_autotune.py",
    "tests/training/gradients/test_training.py", "tests/profiling/test_clock.py",
    "tests/inference/test_precision.py", "tests/inference/test_predict.py",
    "tests/data/test_augment.py",
)  # fmt: skip
ONE_TEST = "tests/inference/test_precision.py"
AT_LEAST = 10.0  # seconds left for a row to be begun


class Short:
    """The rows, their time and their place."""

    def __init__(self, options: argparse.Namespace, folder: Path) -> None:
        self.tiny, self.device, self.folder = options.tiny, options.device, folder
        self._runner = options.runner
        self._end = time.monotonic() + options.seconds
        self._path = options.output
        self._environment = dict(os.environ, COMPTOOL_CACHE=str(folder / "cache"))
        self._environment["PYTHONPATH"] = os.pathsep.join(
            filter(None, (importable(folder), os.environ.get("PYTHONPATH")))
        )
        self._document: dict[str, Any] = {
            "benchmark": "gpu_short",
            "device": cards.device_name(options.device),
            "torch": torch.__version__,
            "tiny": options.tiny,
            "time": datetime.now(UTC).isoformat(timespec="seconds"),
            "rows": {},
        }

    def row(self, name: str, work: Callable[[], Any]) -> None:
        """Measure a row, print it and keep it; an error is its result."""
        left = self._end - time.monotonic()
        started = time.monotonic()
        if left < AT_LEAST:
            found: Any = {"unmeasured": "no time left"}
        else:
            try:
                found = work()
            # A row that fails must not take the others with it.
            except Exception as error:
                lines = str(error).strip().splitlines() or [""]
                found = {"unmeasured": f"{type(error).__name__}: {lines[-1]}"}
                if len(lines) > 1:
                    found["output"] = lines[-60:]
        found["seconds"] = round(time.monotonic() - started, 1)
        self._document["rows"][name] = found
        shown = {key: value for key, value in found.items() if key != "output"}
        print(f"{name}: {json.dumps(shown)}", flush=True)
        self._path.parent.mkdir(exist_ok=True)
        partial_path = self._path.with_suffix(".partial")
        partial_path.write_text(json.dumps(self._document, indent=1) + "\n", encoding="utf-8")
        partial_path.replace(self._path)

    def run(self, *command: object, cwd: Path | None = None) -> str:
        """Stdout of a process, ended when the time is over."""
        done = subprocess.run(
            [sys.executable, *map(str, command)],
            cwd=cwd or self.folder,
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=max(1.0, self._end - time.monotonic()),
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"exit code {done.returncode}\n{done.stderr or done.stdout}")
        return done.stdout

    def comptool(self, *arguments: object, cwd: Path | None = None) -> dict[str, Any]:
        """The JSON result of a command."""
        out = self.run(*self._runner, *arguments, "--json", cwd=cwd)
        return dict(json.loads(out.splitlines()[-1]))


def importable(folder: Path) -> str:
    """A folder to import comptool from, with its commands; "" if it is installed."""
    try:
        if importlib.util.find_spec("comptool.commands") is not None:
            return ""
    except ModuleNotFoundError:
        pass
    package = folder / "source" / "comptool"
    package.mkdir(parents=True)
    for part in (ROOT / "comptool").iterdir():
        (package / part.name).symlink_to(part)
    (package / "commands").symlink_to(ROOT / "commands")
    return str(package.parent)


def doctor(short: Short) -> dict[str, Any]:
    """What is on, and why not."""
    return short.comptool("doctor", "--device", short.device, "-q")


def gpu_tests(short: Short) -> dict[str, Any]:
    """The last line of pytest."""
    if wheels := bare.missing(bare.TESTS):
        return {"unmeasured": bare.sentence(wheels)}
    tests = (ONE_TEST,) if short.tiny else GPU_TESTS
    options = ("-q", "-m", "gpu and not slow", "-p", "no:cacheprovider", "--tb=line")
    # Not from the working folder, which has comptool without its commands.
    out = short.run("-P", "-m", "pytest", *options, *tests, cwd=ROOT)
    counts = (" passed", " skipped", " deselected")
    lines = reversed(out.splitlines())
    return {"result": next(line for line in lines if any(count in line for count in counts))}


def settings(tiny: bool) -> tuple[gpu_training.Setting, gpu_training.Setting]:
    """The pair network and the 224-pixel network."""
    pair = gpu_training.Setting("mobilenetv2_100-dual", 64, 8192, 256, (10,), 90)
    large = gpu_training.Setting("mobilenetv2_100", 224, 3072, 128, (2,), 224)
    if tiny:
        return gpu_training.small(pair), gpu_training.small(large)
    return pair, large


def train_once(short: Short, folder: Path, setting: gpu_training.Setting) -> None:
    """Images, and a run to predict with."""
    if not (folder / "folds.csv").exists():
        folder.mkdir()
        gpu_training.write_images(folder, setting)
    if not (folder / "weights" / "one").exists():
        options = gpu_training.train_options(setting, short.device)
        options[options.index("--epochs") + 1] = 1
        short.comptool("train", "--run-name", "one", *options, cwd=folder)


def prediction(short: Short, folder: Path, setting: gpu_training.Setting) -> dict[str, Any]:
    """Milliseconds a pair, in both precisions."""
    train_once(short, folder, setting)
    rows = (folder / "folds.csv").read_text(encoding="utf-8").splitlines()
    (folder / "test.csv").write_text("\n".join(rows[: PAIRS + 1]) + "\n", encoding="utf-8")
    found = {}
    for name in ("fp32", "fp16"):
        profile = short.comptool(
            "profile", "--steps", 2 if short.tiny else 30, "infer", "one", f"--{name}",
            "--device", short.device, "--batch-size", 8 if short.tiny else 256,
            "--test", "test.csv", cwd=folder,
        )  # fmt: skip
        found[name] = {
            "ms_a_pair": round(1000 / profile["images_per_second"], 4),
            "ms_a_decoded_pair": round(1000 / profile["ceiling_images_per_second"], 4),
        }
    faster = found["fp32"]["ms_a_decoded_pair"] / found["fp16"]["ms_a_decoded_pair"]
    return {**found, "fp16_is_faster_by": round(faster, 2)}


def training(short: Short, folder: Path, setting: gpu_training.Setting) -> dict[str, Any]:
    """Images a second, the share of the ceiling, and timm's."""
    if not (folder / "folds.csv").exists():
        folder.mkdir()
        gpu_training.write_images(folder, setting)
    options = gpu_training.train_options(setting, short.device)
    steps = 2 if short.tiny else 60
    profile = short.comptool("profile", "--steps", steps, "train", *options, cwd=folder)
    found = {name: profile[name] for name in ("images_per_second", "share_of_ceiling")}
    found["milliseconds"] = profile["milliseconds"]
    peer = peer_rate(folder, setting, short.device, 2 if short.tiny else 40)
    ratio = round(profile["images_per_second"] / peer, 2)
    return {**found, "timm_images_per_second": round(peer, 1), "faster_than_timm_by": ratio}


def peer_rate(folder: Path, setting: gpu_training.Setting, device: str, steps: int) -> float:
    """Images a second of timm's train step, as its train.py does it with AMP and channels_last."""
    import timm
    from timm.data import create_dataset, create_loader
    from timm.optim import create_optimizer_v2

    place = torch.device(device)
    model = timm.create_model(setting.peer, num_classes=gpu_training.CLASSES)
    model = model.to(place, memory_format=torch.channels_last).train()
    optimizer = create_optimizer_v2(model, opt="adamw", lr=1e-3, weight_decay=0.02)
    scaler = torch.amp.GradScaler(place.type, enabled=place.type == "cuda")
    loader = create_loader(
        create_dataset("", root=str(folder / "timm"), split="train", is_training=True),
        input_size=(3, setting.peer_size, setting.peer_size),
        batch_size=setting.batch_size,
        is_training=True,
        hflip=0.5,
        vflip=0.5,
        scale=(1, 1),
        ratio=(1, 1),
        color_jitter=0,
        re_prob=1,
        re_mode="const",
        num_workers=0 if steps < 10 else len(os.sched_getaffinity(0)),
        pin_memory=True,
        device=place,
        use_prefetcher=steps >= 10,
    )
    warm, seen, started = 5 if steps >= 10 else 1, 0, 0.0
    done = 0
    while done < warm + steps:
        for images, targets in loader:
            if done == warm:
                wait(place)
                started, seen = time.perf_counter(), 0
            images = images.to(place, memory_format=torch.channels_last)
            with torch.autocast(place.type, torch.float16, enabled=place.type == "cuda"):
                loss = torch.nn.functional.cross_entropy(model(images), targets.to(place))
            optimizer.zero_grad()
            scaler.scale(loss).backward()
            scaler.step(optimizer)
            scaler.update()
            seen += len(images)
            done += 1
            if done == warm + steps:
                break
    wait(place)
    return seen / (time.perf_counter() - started)


def wait(device: torch.device) -> None:
    """Wait for the device."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def main() -> None:
    """Measure, print and keep."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda", help="cpu, to try the script with --tiny")
    parser.add_argument("--tiny", action="store_true", help="few small images: whether it works")
    parser.add_argument(
        "--seconds", type=float, default=480.0, help="when no row is begun any more"
    )
    parser.add_argument(
        "--runner", nargs="+", default=["-m", "comptool"], help="how to run comptool"
    )
    day = datetime.now(UTC).date()
    parser.add_argument("--output", type=Path, default=RESULTS / f"{day}-gpu-short.json")
    options = parser.parse_args()
    if not cards.is_here(options.device):
        print(f"unmeasured: {cards.NO_DEVICE}")
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        short = Short(options, folder)
        pair, large = settings(options.tiny)
        rows = {
            "doctor": partial(doctor, short),
            "gpu tests": partial(gpu_tests, short),
            "prediction, pairs of 64 px": partial(prediction, short, folder / "pairs", pair),
            "training, pairs of 64 px": partial(training, short, folder / "pairs", pair),
            "training, 224 px": partial(training, short, folder / "large", large),
        }
        for what, work in rows.items():
            short.row(what, work)
    print(options.output)


if __name__ == "__main__":
    main()
