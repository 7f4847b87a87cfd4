"""Compute configuration of a run: memory format, threads and compilation.

Weights and images are channels_last. On a CPU, a step is timed with all threads and with one, which
is faster for small images. With ``--compile auto``, long runs also try ``torch.compile``.

The number of threads affects rounding, and timings vary. So the first measurement is cached by
machine, model and batch shape: later runs with one seed end with the same weights. A resumed run
keeps the configuration in its checkpoint.
"""

from __future__ import annotations

import os
import statistics
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from copy import deepcopy
from dataclasses import dataclass, replace
from time import perf_counter
from typing import Literal

import torch
from torch import Tensor

from comptool.device import memory_errors
from comptool.errors import UsageError
from comptool.io.records import RunHeader
from comptool.machine import compute_threads
from comptool.models.streams import StreamModel
from comptool.training.compilation import CannotCompileError, compiled, compiling
from comptool.training.config import TrainSettings
from comptool.training.distributed import Processes
from comptool.training.optim import MixedPrecision, set_training
from comptool.training.self_check import usable, verdict, warn
from comptool.training.tuning_cache import TuningCache

Say = Callable[[str], None]
Seconds = dict[str, float]
Measure = Literal["all", "threads", "nothing"]
LEAST_STEPS = 500  # a measurement takes about ten steps
LONG_RUN = 600.0  # seconds; compilation takes minutes
WORTH_IT = 1.1  # least speed-up by compilation
HARDLY = 1.03  # least speed-up by one thread
TURNS, BUDGET = 6, 1.0  # most timed steps; seconds after three of them
CLEARLY = 1.2  # a speed-up that is certain after two turns
STEP, COMPILED = "step", "compiled"  # one cache file each
COSTS = ("plain", "compiled", "start")  # seconds of a step, and until the first compiled one
_AT_FIRST = torch.get_num_threads()  # before any run changes it


@dataclass(frozen=True)
class ComputeConfig:
    """Compute configuration of a run; it affects results by rounding only."""

    device: str  # ``cpu`` or ``cuda``
    channels_last: bool = True  # memory format; False only in runs of earlier versions
    threads: int | None = None  # CPU only
    compiled: bool = False  # by ``torch.compile``

    @property
    def text(self) -> str:
        """The configuration in words."""
        words = ["channels_last" if self.channels_last else "contiguous"]
        if self.threads is not None:
            words.append(f"{self.threads} thread{'s' if self.threads > 1 else ''}")
        return ", ".join([*words, "compiled"] if self.compiled else words)


def choose_config(
    model: StreamModel,
    header: RunHeader,
    settings: TrainSettings,
    precision: MixedPrecision,
    processes: Processes,
    steps: int,
    say: Say,
    measure: Measure = "all",
) -> ComputeConfig:
    """The configuration of a run, the same in all processes; not timed if deterministic."""
    device = processes.device
    _check_compile(settings, device)
    compile_asked = settings.compile in ("on", "reduce-overhead")
    if compile_asked and measure != "nothing":
        warn("compiled", processes, say, f"--compile {settings.compile}")
    config = replace(_default(device), compiled=compile_asked)
    if header.way is not None and header.way["device"] == device.type:
        own = ComputeConfig(**header.way)
        if own.threads is not None:
            own = replace(own, threads=min(own.threads, most_threads()))
        if settings.compile != "auto":
            return replace(own, compiled=compile_asked)
        return replace(
            own,
            compiled=own.compiled and (measure == "nothing" or usable("compiled", processes, say)),
        )
    timed = measure != "nothing" and steps >= LEAST_STEPS and not settings.deterministic
    if header.way is None and processes.first and timed:
        cards = [device] if device.type == "cuda" else []
        benchmark = Benchmark(model, header, settings, precision)
        cache = _cache(header, settings, device)
        try:
            with torch.random.fork_rng(cards), memory_errors():
                config = _measured(
                    config, benchmark, cache, settings, processes, steps, say, measure
                )
        except torch.OutOfMemoryError:
            pass  # training splits the batch
    return processes.gather(config)[0]


def _measured(
    asked: ComputeConfig,
    step: Callable[[ComputeConfig], float],
    cache: TuningCache,
    settings: TrainSettings,
    processes: Processes,
    steps: int,
    say: Say,
    measure: Measure,
) -> ComputeConfig:
    tried = {"all": replace(asked, compiled=False)}
    if (asked.threads or 1) > 1 and not _threads_are_set():
        tried["one"] = replace(tried["all"], threads=1)
    if (len(tried) == 1 and settings.compile != "auto") or not cache.is_writable():
        return asked
    kept = cache.read(STEP, tuple(tried))
    seconds = kept or cache.keep(STEP, step_seconds(step, tried))
    if seconds is None:
        return asked
    slower, faster = "one", "all"
    if "one" in tried and seconds["one"] * HARDLY < seconds["all"]:
        slower, faster = faster, slower
    config = tried[faster]
    use_threads(config)
    said = f"computes {config.text}: {1000 * seconds[faster]:.0f} ms a step"
    if slower in tried:
        said += f" ({tried[slower].text} {1000 * seconds[slower]:.0f})"
    said += "; measured for an earlier run" if kept else ""
    if settings.compile == "auto" and steps * seconds[faster] >= LONG_RUN:
        config, more = _compiled_if_it_pays(config, step, cache, processes, steps, say, measure)
        said += more
    say(said)
    return replace(config, compiled=config.compiled or asked.compiled)


def _compiled_if_it_pays(
    config: ComputeConfig,
    step: Callable[[ComputeConfig], float],
    cache: TuningCache,
    processes: Processes,
    steps: int,
    say: Say,
    measure: Measure,
) -> tuple[ComputeConfig, str]:
    costs = cache.read(COMPILED, COSTS)
    if costs is None and measure == "all":
        say("compiles the network, to see whether that pays: a minute or two")
        # Of this process alone: the others wait for the configuration.
        checked = verdict("compiled", processes.device)
        if checked.failed:
            processes.fall_back(checked.sentence(processes.device), say)
            return config, "; not compiled"
        other = replace(config, compiled=True)
        try:
            start = {"start": step(other)}
            timed = step_seconds(step, {"plain": config, "compiled": other})
        except CannotCompileError as error:
            why = f"not compiled, which is not possible here: {error.reason}"
            processes.fall_back(why)
            return config, f"; {why}"
        costs = cache.keep(COMPILED, timed | start)
    if costs is None:
        return config, ""
    pays = compilation_pays(steps, **costs)
    return replace(config, compiled=pays), (
        f"; {'compiled' if pays else 'not compiled, which does not pay'}: "
        f"{1000 * costs['compiled']:.0f} ms a step after {costs['start']:.0f} s"
    )


def compilation_pays(steps: int, plain: float, compiled: float, start: float) -> bool:
    """Whether compiled steps, in seconds, save more than their ``start`` costs."""
    return plain >= WORTH_IT * compiled and steps * (plain - compiled) > start


def compilation_is_known(header: RunHeader, settings: TrainSettings, device: torch.device) -> bool:
    """Whether the gain by compilation is in the cache."""
    return _cache(header, settings, device).read(COMPILED, COSTS) is not None


def step_seconds(
    step: Callable[[ComputeConfig], float], configs: Mapping[str, ComputeConfig]
) -> Seconds:
    """Median seconds of a step per configuration, timed in turn after a warm-up step."""
    for config in configs.values():
        step(config)
    found: dict[str, list[float]] = {name: [] for name in configs}
    started = perf_counter()
    for turn in range(1, TURNS + 1):
        for name, config in configs.items():
            found[name].append(step(config))
        clear = max(map(min, found.values())) > CLEARLY * min(map(max, found.values()))
        if (turn > 1 and clear) or (turn > 2 and perf_counter() - started > BUDGET):
            break
    return {name: statistics.median(seconds) for name, seconds in found.items()}


class Benchmark:
    """Times forward and backward passes of a copy of a model on random images."""

    def __init__(
        self,
        model: StreamModel,
        header: RunHeader,
        settings: TrainSettings,
        precision: MixedPrecision,
    ) -> None:
        self._model, self._header, self._settings = model, header, settings
        self._device = next(model.parameters()).device
        self._precision = precision
        self._images: list[Tensor] = []
        self._compiled: Callable[..., Tensor] | None = None

    def __call__(self, config: ComputeConfig) -> float:
        """Seconds of one step; the first compiled one compiles."""
        if not self._images:
            self._prepare()
        use_threads(config)
        started = perf_counter()
        called: Callable[..., Tensor] = self._model
        if config.compiled:
            called = self._compiled or compiled(self._model, self._settings.batch_size)
            self._compiled = called
        self._model.zero_grad(set_to_none=True)
        with compiling() if config.compiled else nullcontext():
            with self._precision.autocast():
                logits = called(*self._images)
            logits.float().square().mean().backward()  # type: ignore[no-untyped-call]
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        return perf_counter() - started

    def _prepare(self) -> None:
        self._model = deepcopy(self._model).to(memory_format=torch.channels_last)
        set_training(self._model, self._settings.freeze)
        drawn = torch.Generator().manual_seed(0)
        for name in self._header.modalities:
            size = (self._header.channels[name], *self._header.img_size[name])
            images = torch.randn(self._settings.batch_size, *size, generator=drawn)
            self._images.append(images.to(self._device, memory_format=torch.channels_last))


def _cache(header: RunHeader, settings: TrainSettings, device: torch.device) -> TuningCache:
    document = header.document()
    what = {name: document[name] for name in ("model", "img_size", "channels")}
    what |= {name: getattr(settings, name) for name in ("batch_size", "amp", "freeze")}
    what |= {"classes": len(header.classes), "threads": _default(device).threads}
    return TuningCache(what | {"threads_are_set": _threads_are_set()}, device)


def _default(device: torch.device) -> ComputeConfig:
    return ComputeConfig(device.type, threads=most_threads() if device.type == "cpu" else None)


def most_threads() -> int:
    """Torch's default number of threads, at most one per usable core."""
    return min(_AT_FIRST, compute_threads())


def _threads_are_set() -> bool:
    return os.environ.get("OMP_NUM_THREADS", "").isdecimal()


def use_threads(config: ComputeConfig) -> None:
    """Set torch's number of threads."""
    if config.threads is not None:
        torch.set_num_threads(config.threads)


def _check_compile(settings: TrainSettings, device: torch.device) -> None:
    if settings.compile != "reduce-overhead":
        return
    if device.type != "cuda":
        raise UsageError(
            f"--compile reduce-overhead is for CUDA devices, not for --device {device}; take "
            "--compile on"
        )
    # CUDA graphs overwrite the gradients of the batch before.
    if settings.grad_accum > 1:
        raise UsageError(
            "--compile reduce-overhead cannot add up the gradients of --grad-accum "
            f"{settings.grad_accum}; take --compile on"
        )
