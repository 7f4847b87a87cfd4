"""The `doctor` command: machine, versions and devices, what is used on them and why, and speeds."""

from __future__ import annotations

import os
import platform
import statistics
import warnings
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from functools import partial
from importlib import metadata
from time import perf_counter
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from comptool import __version__, models
from comptool.device import choose_device, memory_errors
from comptool.errors import UsageError, counted
from comptool.inference.torch_backend import autocast_dtype as inference_dtype
from comptool.machine import (
    available_memory,
    compute_threads,
    driver_version,
    has_cuda,
    usable_cores,
)
from comptool.models.deploy import OfPixels, logits_of
from comptool.models.streams import StreamModel
from comptool.precision import arithmetic, has_tf32
from comptool.training.config import Amp, TrainSettings
from comptool.training.optim import MixedPrecision, Optimisation, autocast_dtype
from comptool.training.self_check import CHECKS, Name, cudnn_version, verdict
from comptool.training.tuning_cache import cpu_name

PACKAGES = ("timm", "onnxruntime", "numpy", "opencv-python-headless", "albumentations")
NETWORK, SIDE, CLASSES, IMAGES = "mobilenetv2_100-dual", 64, 10, 32
TIMED = 3  # passes, after one that is not
GB = 1e9

Say = Callable[[str], None]


@dataclass(frozen=True)
class Default:
    """Something that is used by default, or would be: whether, and why."""

    what: str
    on: bool
    why: str


@dataclass(frozen=True)
class Speed:
    """Milliseconds an image pair takes, by way of computing."""

    what: str
    milliseconds: dict[str, float]


@dataclass
class Examination:
    """What `comptool doctor` finds."""

    machine: dict[str, str]
    versions: dict[str, str]
    devices: list[str]
    device: str | None  # that is used; None if a GPU cannot be
    unusable: str | None = None  # why not
    defaults: list[Default] = field(default_factory=list)
    speeds: list[Speed] = field(default_factory=list)

    def document(self) -> dict[str, Any]:
        """The JSON object."""
        return asdict(self)

    def text(self) -> str:
        """The report for a person."""
        lines = [f"{name:<11}{value}" for name, value in self.machine.items()]
        lines.append(f"{'versions':<11}" + ", ".join(map(" ".join, self.versions.items())))
        none = "cpu; torch finds no GPU" if self.unusable is None else "a GPU that torch cannot use"
        for device in self.devices or [none]:
            lines.append(f"{'device':<11}{device}")
        if self.defaults:
            checked = self.devices and self.device != "cpu"
            figures = " (self-check: difference from plain computing, of what is allowed)"
            lines += ["", f"by default on {self.device}{figures if checked else ''}:"]
            width = max(len(one.what) for one in self.defaults)
            lines += [
                f"  {one.what:<{width}}  {'on ' if one.on else 'off'}  {one.why}"
                for one in self.defaults
            ]
        if self.speeds:
            lines += [
                "",
                f"milliseconds per image pair ({NETWORK}, {SIDE} px, batches of {IMAGES}):",
            ]
            for speed in self.speeds:
                ways = [f"{way} {spent:.3g}" for way, spent in speed.milliseconds.items()]
                lines.append(f"  {speed.what:<12}{', '.join(ways)}")
        return "\n".join(lines)


def examine(device_name: str, say: Say, *, again: bool = False) -> Examination:
    """Examine the machine and the device; a GPU that torch cannot use is in ``unusable``.

    Checks and timings run on the device; ``again`` repeats checks whose results are kept. Raises a
    UsageError if there is no such device.
    """
    with warnings.catch_warnings():
        # torch's own about a driver, which the message repeats.
        warnings.filterwarnings("ignore", "CUDA initialization", UserWarning)
        found = Examination(_machine(), _versions(), _devices(), None)
    try:
        device = choose_device(device_name)
    except UsageError as error:
        if torch.cuda.is_available() or not has_cuda():
            raise
        found.unusable = str(error)
        return found
    found.device = str(device)
    if device.type == "cuda":
        say(f"checks {torch.cuda.get_device_name(device)}; the first time takes a minute")
        found.defaults = _of_card(device, again)
    else:
        found.defaults = _of_cpu()
    say("times a small network")
    found.speeds = _speeds_of_card(device) if device.type == "cuda" else _speeds_of_cpu()
    return found


def _machine() -> dict[str, str]:
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    cores, threads = usable_cores(), compute_threads()
    return {
        "machine": f"{counted(cores, 'core')} to use, {counted(threads, 'thread')}; "
        f"{available_memory() / GB:.1f} of {total / GB:.1f} GB memory free",
        "processor": cpu_name(),
    }


def _versions() -> dict[str, str]:
    versions = {"comptool": __version__, "Python": platform.python_version()}
    versions["torch"] = torch.__version__
    if torch.version.cuda is not None:
        versions["CUDA"] = torch.version.cuda
        versions["cuDNN"] = cudnn_version()
        versions["driver"] = driver_version() if has_cuda() else "none"
    for name in PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = "is not installed"
    return versions


def _devices() -> list[str]:
    return [_described(number) for number in range(torch.cuda.device_count())]


def _described(number: int) -> str:
    name = torch.cuda.get_device_name(number)
    capability = ".".join(map(str, torch.cuda.get_device_capability(number)))
    free, total = torch.cuda.mem_get_info(number)
    return (
        f"cuda:{number}, {name}, compute capability {capability}; {free / GB:.1f} of "
        f"{total / GB:.1f} GB memory free"
    )


def _of_card(device: torch.device, again: bool) -> list[Default]:
    """What a card may use, by the self-check."""
    return [_checked(name, device, again) for name in used_by_default(device)]


def used_by_default(device: torch.device) -> Iterator[Name]:
    """Names of the checks of all that a card uses without being asked."""
    dtype = autocast_dtype("auto", device)
    yield "fp16" if dtype is torch.float16 else "bf16"
    if inference_dtype("auto", device) is not None:
        yield "fp16-inference"
    if has_tf32(device):
        yield "tf32"
    yield "copies"
    yield "compiled"


REASONS = {
    "tf32": "with --amp off; validation and --fp32 never use it",
    "compiled": "in long runs, where timing shows that it pays",
}


def _checked(name: Name, device: torch.device, again: bool) -> Default:
    found = verdict(name, device, again=again)
    check = CHECKS[name]
    if found.failed:
        why = f"self-check failed: {found.failed}; {check.instead}"
    else:
        why = "; ".join(filter(None, (REASONS.get(name), f"self-check passed: {found.figures}")))
    return Default(check.what, not found.failed, why + " (an earlier result)" * found.kept)


def _of_cpu() -> list[Default]:
    return [
        Default("training in float32", True, "half precision is slower on a CPU"),
        Default("prediction in float32", True, "half precision is slower on a CPU"),
        Default("prediction by ONNX Runtime", True, "if the network can be exported"),
        Default("compiled training", True, REASONS["compiled"]),
    ]


def _pixels(device: torch.device) -> list[Tensor]:
    drawn = torch.Generator().manual_seed(0)
    shape = (IMAGES, SIDE, SIDE, 3)
    return [torch.randint(256, shape, generator=drawn).float().to(device) for _ in range(2)]


def _network(device: torch.device) -> tuple[StreamModel, OfPixels]:
    model = models.create(NETWORK, CLASSES, img_size=[[SIDE, SIDE]] * 2)
    whole = OfPixels(model, [[0.5] * 3] * 2, [[0.25] * 3] * 2).eval()
    whole.to(memory_format=torch.channels_last)
    return model, whole.to(device)


def _milliseconds(work: Callable[[], object], device: torch.device) -> float:
    """Median milliseconds that a pair takes."""
    spent = []
    for _ in range(TIMED + 1):
        started = perf_counter()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        spent.append(perf_counter() - started)
    return round(1000 * statistics.median(spent[1:]) / IMAGES, 4)


def _speeds_of_cpu() -> list[Speed]:
    # Late: a GPU does without.
    from onnxruntime import InferenceSession, SessionOptions

    from comptool.inference.onnx_backend import AT_ONCE
    from comptool.models.onnx_export import export

    device = torch.device("cpu")
    _, whole = _network(device)
    images = _pixels(device)
    with torch.inference_mode():
        torch_ms = _milliseconds(lambda: whole(*images), device)
    options = SessionOptions()
    options.intra_op_num_threads = compute_threads()
    graph = export(whole, [(SIDE, SIDE)] * 2, [3, 3])
    session = InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    parts = [
        {f"images{number}": part.numpy() for number, part in enumerate(pair)}
        for pair in zip(*(image.chunk(IMAGES // AT_ONCE) for image in images), strict=True)
    ]
    onnx_ms = _milliseconds(lambda: [session.run(None, part) for part in parts], device)
    return [
        Speed("training", {"float32": _training_ms(device, "off")}),
        Speed("prediction", {"torch": torch_ms, "ONNX Runtime": onnx_ms}),
    ]


def _speeds_of_card(device: torch.device) -> list[Speed]:
    half: Amp = "fp16" if autocast_dtype("auto", device) is torch.float16 else "bf16"
    trained, predicted = {}, {}
    try:
        with memory_errors(), arithmetic(tf32=False, benchmark=True):
            _, whole = _network(device)
            images = _pixels(device)
            for dtype in (None, torch.float16):
                with torch.inference_mode():
                    spent = _milliseconds(partial(logits_of, whole, images, dtype), device)
                predicted["float32" if dtype is None else "float16"] = spent
            modes: tuple[Amp, ...] = ("off", half)
            for amp in modes:
                trained[MixedPrecision(amp, device).name] = _training_ms(device, amp)
    except torch.OutOfMemoryError:
        return []
    return [Speed("training", trained), Speed("prediction", predicted)]


def _training_ms(device: torch.device, amp: Amp) -> float:
    settings = TrainSettings(
        model=NETWORK, epochs=1, amp=amp, schedule="constant", warmup_epochs=0.0
    )
    model, whole = _network(device)
    precision = MixedPrecision(amp, device)
    optimisation = Optimisation(model, settings, 1e-3, 1, precision)
    with torch.no_grad():
        images = whole.normalised(_pixels(device))
    targets = torch.zeros(IMAGES, dtype=torch.int64, device=device)
    model.train()

    def step() -> None:
        optimisation.begin(0)
        with precision.autocast():
            logits = model(*images)
        optimisation.backward(functional.cross_entropy(logits.float(), targets))
        optimisation.step()

    return _milliseconds(step, device)
