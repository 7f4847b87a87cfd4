"""Advice on the options of a command, from the measured phases of its steps."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil

from comptool.profiling.profile_report import (
    AUGMENT,
    COLLATE,
    DECODE,
    IDLE,
    OPTIMIZER,
    TRANSFER,
    Profile,
)

# Shares of a step above which a change is worth while.
LONG_WAIT, LONG_TRANSFER, LONG_OPTIMIZER = 0.1, 0.1, 0.2
# A step cannot be faster than the same step on samples in place, except by rounding.
WAVERING = 1.05
# If half of a batch takes this share of the time of a whole one, the device is underused.
IDLE_HALF = 0.75


@dataclass(frozen=True)
class Circumstances:
    """Choices in a measured command that advice can change."""

    cuda: bool
    most_loaders: int  # processes or threads that can load without slowing down the step
    batch_size: int
    full_precision: bool = True  # float32 in the forward pass
    decodes_anew: bool = True  # every epoch decodes the images again
    augments: bool = False  # images are augmented one by one on the CPU
    could_be_placed: bool = False  # the user's choice alone keeps the images out of GPU memory
    could_be_larger: bool = True  # there are more samples than in a batch
    could_take_cuda_graphs: bool = False  # ``--compile reduce-overhead`` is possible
    could_compile: bool = False  # compilation is possible, but off
    will_try_to_compile: bool = False  # a long training will measure whether compilation pays
    updates: int = 0  # per epoch
    epochs: int = 0
    could_take_onnx: bool = False  # ONNX Runtime could replace torch


def advice_for_training(profile: Profile, circumstances: Circumstances) -> tuple[str, ...]:
    """Sentences that each name an option of ``comptool train``, or why none helps."""
    found = [*_loading(profile, circumstances), *_training(profile, circumstances)]
    return tuple(found) or (_no_advice(profile),)


def advice_for_inference(profile: Profile, circumstances: Circumstances) -> tuple[str, ...]:
    """Sentences that each name an option of ``comptool infer``, or why none helps."""
    found = []
    if circumstances.could_take_onnx and not circumstances.cuda:
        found.append("torch computes on the CPU: --backend onnx is several times as fast")
    if circumstances.cuda and circumstances.full_precision:
        found.append("the GPU computes in float32: --fp16 takes a faster type")
    found += [*_more_workers(profile, circumstances), *_larger_batch(profile, circumstances)]
    return tuple(found) or (_no_advice(profile),)


def waits(profile: Profile) -> float:
    """The share of the step in which nothing is computed because images are missing."""
    spent = profile.share(DECODE, AUGMENT, COLLATE, IDLE)
    return min(spent, profile.waited / profile.step)


def _loading(profile: Profile, circumstances: Circumstances) -> Iterator[str]:
    if profile.loading is not None and circumstances.decodes_anew:
        # Loaders that share the cores with the network slow it down, too.
        lost = max(waits(profile), 1 - profile.share_of_ceiling)
        share = profile.loading.phases[DECODE] / profile.loading.seconds
        if lost * share >= LONG_WAIT:
            yield (
                f"loading costs {lost:.0%} of the step, and {share:.0%} of loading is decoding: "
                "--cache ram decodes each image once, --cache disk for later runs too"
            )
    waiting = waits(profile) >= LONG_WAIT
    if circumstances.could_be_placed and circumstances.augments and waiting:
        yield (
            f"the GPU waits {waits(profile):.0%} of the step for images that are augmented one by "
            "one: --data-on gpu augments whole batches on the GPU"
        )
    yield from _more_workers(profile, circumstances)
    transfer = profile.share(TRANSFER)
    placed = circumstances.could_be_placed and profile.loading is not None
    if placed and transfer >= LONG_TRANSFER:
        yield (
            f"transferring images to the GPU takes {transfer:.0%} of the step: --data-on gpu "
            "keeps them there"
        )


def _more_workers(profile: Profile, circumstances: Circumstances) -> Iterator[str]:
    if profile.loading is None or waits(profile) < LONG_WAIT:
        return
    wanted = min(ceil(profile.loading.seconds / profile.ceiling), circumstances.most_loaders)
    if wanted > profile.loading.loaders:
        yield (
            f"{waits(profile):.0%} of the step is a wait for images, which take one core "
            f"{1000 * profile.loading.seconds:.1f} ms a step: --workers {wanted}"
        )


def _larger_batch(profile: Profile, circumstances: Circumstances) -> Iterator[str]:
    if circumstances.could_be_larger and _starts_slowly(profile):
        yield (
            f"half of a batch takes {profile.half:.0%} of the time of a whole one, so that the "
            f"device has spare capacity: --batch-size {2 * circumstances.batch_size}"
        )


def _starts_slowly(profile: Profile) -> bool:
    return profile.half is not None and profile.half >= IDLE_HALF


def _training(profile: Profile, circumstances: Circumstances) -> Iterator[str]:
    if circumstances.could_take_cuda_graphs and _starts_slowly(profile):
        yield (
            f"half of a batch takes {profile.half:.0%} of the time of a whole one, so that the GPU "
            "waits for kernel launches: --compile reduce-overhead launches them at once"
        )
    yield from _larger_batch(profile, circumstances)
    optimizer = profile.share(OPTIMIZER)
    if circumstances.could_be_larger and optimizer >= LONG_OPTIMIZER:
        yield (
            f"the optimizer takes {optimizer:.0%} of the step, at any batch size: --batch-size "
            f"{2 * circumstances.batch_size} halves that"
        )
    if circumstances.cuda and circumstances.full_precision:
        yield "the GPU computes in float32: --amp auto takes its fastest type"
    yield from _compilation(profile, circumstances)


def _compilation(profile: Profile, circumstances: Circumstances) -> Iterator[str]:
    from comptool.training.autotune import LONG_RUN  # imports torch, which inference may not need

    epoch = profile.step * circumstances.updates
    whole = epoch * circumstances.epochs
    if whole < LONG_RUN:
        return
    if circumstances.will_try_to_compile:
        yield (
            f"the run takes {whole / 60:.0f} minutes, and train will first measure whether a "
            "compiled network pays: --compile on measures one here"
        )
    elif circumstances.could_compile:
        yield (
            f"the run takes {whole / 60:.0f} minutes, and a compiled network may pay from "
            f"{ceil(LONG_RUN / epoch)} epochs on: --compile auto measures it"
        )


def _no_advice(profile: Profile) -> str:
    if profile.share_of_ceiling > WAVERING:
        return (
            "no advice: the step was faster than its ceiling, so another process uses this machine "
            "at times; measure again, with more --steps"
        )
    if waits(profile) >= LONG_WAIT:
        return (
            f"no option: {waits(profile):.0%} of the step is a wait for images, which these cores "
            "cannot load faster"
        )
    reached = f"no option: {profile.share_of_ceiling:.0%} of the ceiling is reached"
    if profile.loading is not None and profile.share_of_ceiling < 1 - LONG_WAIT:
        return f"{reached}; loading takes the rest from cores that the step needs, too"
    return f"{reached}, and the ceiling is the network itself"
