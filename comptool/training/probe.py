"""The way in which a run is computed: measured by a few steps where the run is worth them.

Which way it is follows from the command and the machine, not from the moment: short runs take the
default, the others what was measured first; see `comptool.training.kept_ways`. A resumed run keeps
its own.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from copy import deepcopy
from dataclasses import asdict, replace
from time import perf_counter
from typing import Any

import torch
from torch import Tensor, nn

from comptool.machine import compute_threads
from comptool.models.streams import StreamModel
from comptool.training.calling import CannotCompileError, compiled, compiling
from comptool.training.config import TrainSettings
from comptool.training.cuda_graph import is_recorded
from comptool.training.freezing import set_training
from comptool.training.kept_ways import KeptWays
from comptool.training.precision import Precision
from comptool.training.processes import Processes
from comptool.training.ways import Compilation, Measure, Race, Way, fastest, may_pay

Say = Callable[[str], None]
# A measurement takes as long as some thirty steps.
LEAST_STEPS = 500
# As torch begins; a run in the same process may have changed it since.
_AT_FIRST = torch.get_num_threads()


class Steps:
    """Forward and backward passes of copies of a model, on batches of the run's shape.

    Parameters
    ----------
    model
        On its device; stays as it is.
    header
        Of its checkpoints: sizes and channels.
    settings
        Batch size, precision and what is frozen.
    """

    def __init__(
        self, model: StreamModel, header: Mapping[str, Any], settings: TrainSettings
    ) -> None:
        self._model = model
        self._settings = settings
        self._device = next(model.parameters()).device
        self._precision = Precision(settings.amp, self._device)
        drawn = torch.Generator().manual_seed(0)
        self._images = [
            torch.randn(
                settings.batch_size,
                header["channels"][name],
                *header["img_size"][name],
                generator=drawn,
            ).to(self._device)
            for name in header["modalities"]
        ]
        self._ready: dict[Way, tuple[nn.Module, Callable[..., Tensor], list[Tensor]]] = {}

    def __call__(self, way: Way) -> float:
        """Seconds of one step; the first of a way prepares it."""
        use_threads(way)
        started = perf_counter()
        model, called, images = self._prepared(replace(way, threads=None))
        model.zero_grad(set_to_none=True)
        with compiling() if way.compiled else nullcontext():
            with self._precision.autocast():
                logits = called(*images)
            logits.float().square().mean().backward()  # type: ignore[no-untyped-call]
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        return perf_counter() - started

    def _prepared(self, way: Way) -> tuple[nn.Module, Callable[..., Tensor], list[Tensor]]:
        if way not in self._ready:
            order = torch.channels_last if way.channels_last else torch.contiguous_format
            model = deepcopy(self._model).to(memory_format=order)
            set_training(model, self._settings.freeze)
            called = compiled(model, self._settings.batch_size) if way.compiled else model
            images = [image.contiguous(memory_format=order) for image in self._images]
            self._ready[way] = model, called, images
        return self._ready[way]


def most_threads() -> int:
    """Torch's own number, which leaves out second threads of a core, within the usable cores."""
    return min(_AT_FIRST, compute_threads())


def use_threads(way: Way) -> None:
    """Have torch compute with the threads of a way."""
    if way.threads is not None:
        torch.set_num_threads(way.threads)


def choose_way(
    model: StreamModel,
    header: Mapping[str, Any],
    settings: TrainSettings,
    processes: Processes,
    steps: int,
    say: Say,
    measure: Measure = "all",
) -> Way:
    """The way in which a run is computed, the same in all its processes.

    Parameters
    ----------
    model, header
        What is trained, on its device.
    settings
        How.
    processes
        The first of them measures.
    steps
        Of this process in the whole run.
    say
        Takes the sentence that tells of the choice.
    measure
        What may be measured now; what is kept already holds in any case but ``nothing``.
    """
    if "way" in header:
        return _own(Way(**header["way"]), settings, processes.device)
    way = Way(processes.device.type)
    if processes.first:
        way = _chosen(model, header, settings, processes, steps, say, measure)
    return processes.gather(way)[0]


def _own(way: Way, settings: TrainSettings, device: torch.device) -> Way:
    """The way of a run that goes on, as far as it is the same device and no larger than it."""
    if way.device != device.type:
        way = _default(device)
    if way.threads is not None:
        way = replace(way, threads=min(way.threads, most_threads()))
    return way if settings.compile == "auto" else replace(way, compiled=settings.compile == "on")


def _default(device: torch.device) -> Way:
    return Way(device.type, threads=most_threads() if device.type == "cpu" else None)


def _chosen(
    model: StreamModel,
    header: Mapping[str, Any],
    settings: TrainSettings,
    processes: Processes,
    steps: int,
    say: Say,
    measure: Measure,
) -> Way:
    device = processes.device
    way = _default(device)
    asked = replace(way, compiled=settings.compile == "on")
    kept = _kept(header, settings, device)
    if measure == "nothing" or steps < LEAST_STEPS or not kept.can_keep():
        return asked
    race = Race(Steps(model, header, settings))
    cards = [device] if device.type == "cuda" else []
    try:
        with torch.random.fork_rng(cards):
            before = kept.read("layout")
            found = before or kept.keep("layout", _layout(race, way))
            if found is None:
                return asked
            way, told = Way(**found["way"]), found["told"]
            told += "; measured for an earlier run" if before else ""
            known = kept.read("compiled") is not None
            # A recorded step holds no compiled ones, and of small batches it gains more.
            recorded = is_recorded(settings, processes, compiled=False)
            free = settings.compile == "auto" and not recorded
            asked_for = free and may_pay(steps, found["seconds"])
            if asked_for and (known or measure == "all"):
                if not known:
                    say("compiles the network, to see whether that pays: a minute or two")
                way, more = _compiled_if_it_pays(race, kept, way, steps)
                told += more
    except torch.OutOfMemoryError:
        return asked
    say(f"computes {told}")
    return replace(way, compiled=way.compiled or asked.compiled)


def compilation_is_known(
    header: Mapping[str, Any], settings: TrainSettings, device: torch.device
) -> bool:
    """Whether it was measured before what compiling the network of a run brings."""
    return _kept(header, settings, device).read("compiled") is not None


def _compiled_if_it_pays(race: Race, kept: KeptWays, way: Way, steps: int) -> tuple[Way, str]:
    """The way, compiled or not, and what is to be told of it."""
    try:
        found = kept.read("compiled") or kept.keep("compiled", _compilation(race, way))
    except CannotCompileError as error:
        return way, f"; not compiled, which is not possible here: {error.reason}"
    if found is None:
        return way, ""
    compilation = Compilation(**found)
    pays = compilation.pays(steps)
    return replace(way, compiled=pays), (
        f"; {'compiled' if pays else 'not compiled, which does not pay'}: "
        f"{1000 * compilation.compiled:.0f} ms a step after {compilation.start:.0f} s"
    )


def _compilation(race: Race, way: Way) -> dict[str, float]:
    other = replace(way, compiled=True)
    start = race.first(other)
    race.faster(way, other)
    return asdict(Compilation(race.seconds[way], race.seconds[other], start))


def _kept(header: Mapping[str, Any], settings: TrainSettings, device: torch.device) -> KeptWays:
    """What is known of the ways to compute a run."""
    way = _default(device)
    answers = {
        "layout": {"way": way.document(), "seconds": 0.0, "told": ""},
        "compiled": asdict(Compilation(0.0, 0.0, 0.0)),
    }
    what = {
        "model": header["model"],
        "classes": len(header["classes"]),
        "img_size": header["img_size"],
        "channels": header["channels"],
        "batch_size": settings.batch_size,
        "amp": settings.amp,
        "freeze": settings.freeze,
        "threads": way.threads,
        "fixed": _fixed(),
    }
    return KeptWays(what, answers, device)


def _fixed() -> bool:
    """Whether somebody has set the number of threads."""
    return os.environ.get("OMP_NUM_THREADS", "").isdecimal()


def _layout(race: Race, way: Way) -> dict[str, Any]:
    chosen = fastest(race, way, fewer_threads=not _fixed())
    use_threads(chosen)
    others = [
        f"{other.text} {1000 * seconds:.0f}"
        for other, seconds in race.seconds.items()
        if other != chosen
    ]
    told = f"{chosen.text}: {1000 * race.seconds[chosen]:.0f} ms a step ({'; '.join(others)})"
    return {"way": chosen.document(), "seconds": race.seconds[chosen], "told": told}
