"""The report of a profile: phases of a step, its ceiling, and what to change."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil

DECODE, AUGMENT, COLLATE = "decode", "augment", "collate"
IDLE, TRANSFER, FORWARD, BACKWARD = "idle", "transfer", "forward", "backward"
OPTIMIZER, MERGE, OTHER = "optimizer", "merge", "other"
WAIT = "wait"  # for a batch; how much of it is lost is for the clock to say
# In processing order.
PHASES = (
    DECODE, AUGMENT, COLLATE, IDLE, TRANSFER, FORWARD, BACKWARD, OPTIMIZER, MERGE, OTHER
)  # fmt: skip
MEANINGS = {
    IDLE: "without anything to compute",
    TRANSFER: "to the device, normalised, mixed",
    OTHER: "between the phases",
}


@dataclass(frozen=True)
class Loading:
    """What loading the images of a step takes of one core."""

    phases: Mapping[str, float]  # seconds of each of its phases
    loaders: int  # loading processes or threads; 0: the step itself

    @property
    def seconds(self) -> float:
        """Total seconds."""
        return sum(self.phases.values())

    def divided(self, waited: float) -> dict[str, float]:
        """A wait for images loaded by the step itself, divided like loading."""
        return {phase: waited * part / self.seconds for phase, part in self.phases.items()}


@dataclass(frozen=True)
class Profile:
    """Profile of a few steps.

    ``phases`` are seconds of a mean step, of which ``waited`` are spent waiting for a batch; a CUDA
    device may be busy meanwhile. ``ceiling`` is the time of the same step on samples already in
    place, ``half`` the relative time of half of these samples. ``loading`` is None if the images
    lie on the device.
    """

    command: str
    device: str
    images: float
    steps: int
    phases: Mapping[str, float]
    waited: float
    ceiling: float
    half: float | None
    loading: Loading | None
    advice: tuple[str, ...] = field(default=())

    @property
    def step(self) -> float:
        """Seconds of a mean step."""
        return sum(self.phases.values())

    @property
    def share_of_ceiling(self) -> float:
        """Speed relative to samples in place, about 0 to 1."""
        return self.ceiling / self.step

    def share(self, *phases: str) -> float:
        """Share of phases in the step, 0 to 1."""
        return sum(self.phases.get(phase, 0.0) for phase in phases) / self.step

    def document(self) -> dict[str, object]:
        """The profile as JSON values: milliseconds per step, and images per second."""
        return {
            "command": self.command,
            "device": self.device,
            "images_per_step": round(self.images, 2),
            "steps": self.steps,
            "milliseconds": {name: _milliseconds(spent) for name, spent in self._ordered()},
            "milliseconds_beside": {
                name: _milliseconds(spent) for name, spent in self._beside().items()
            },
            "loaders": self.loading.loaders if self.loading else None,
            "milliseconds_per_step": _milliseconds(self.step),
            "ceiling_milliseconds_per_step": _milliseconds(self.ceiling),
            "images_per_second": round(self.images / self.step, 1),
            "ceiling_images_per_second": round(self.images / self.ceiling, 1),
            "share_of_ceiling": round(self.share_of_ceiling, 4),
            "advice": list(self.advice),
        }

    def text(self) -> str:
        """The profile as a table, its ceiling, and the advice."""
        lines = [
            f"{self.command} on {self.device}: {self.steps} steps of {self.images:g} images",
            f"{'phase':<9}  {'ms a step':>9}  {'share':>6}",
        ]
        for name, spent in self._ordered():
            row = f"{name:<9}  {_milliseconds(spent):9.2f}  {self.share(name):6.1%}"
            lines.append(f"{row}  {MEANINGS.get(name, '')}".rstrip())
        lines.append(f"{'sum':<9}  {_milliseconds(self.step):9.2f}  {1:6.1%}")
        beside = ", ".join(f"{name} {_milliseconds(ms):.2f}" for name, ms in self._beside().items())
        if beside and self.loading:
            plural = "s" if self.loading.loaders > 1 else ""
            lines.append(
                f"at the same time, {self.loading.loaders} loader{plural}, ms of a core a step: "
                f"{beside}"
            )
        lines.append(
            f"{self.images / self.step:.1f} images/s; {self.images / self.ceiling:.1f} on images "
            f"that are in place, of which this is {self.share_of_ceiling:.0%}"
        )
        return "\n".join([*lines, "what to change", *(f"  {one}" for one in self.advice)])

    def _ordered(self) -> list[tuple[str, float]]:
        return [(name, self.phases[name]) for name in PHASES if name in self.phases]

    def _beside(self) -> dict[str, float]:
        if self.loading is None or not self.loading.loaders:
            return {}
        return dict(self.loading.phases)


def _milliseconds(seconds: float) -> float:
    return round(1000 * seconds, 3)


# Shares of a step above which a change is worthwhile.
LONG_WAIT, LONG_TRANSFER, LONG_OPTIMIZER = 0.1, 0.1, 0.2
# A step cannot be faster than its ceiling; this is the tolerance.
TOLERANCE = 1.05
# If half of a batch takes this share of the time, the device is underused.
IDLE_HALF = 0.75


@dataclass(frozen=True)
class Circumstances:
    """Settings of the profiled command that advice can change."""

    cuda: bool  # whether it computes on a CUDA device
    most_loaders: int  # most loading processes or threads that do not slow down the step
    batch_size: int  # samples per batch
    full_precision: bool = True  # whether the forward pass is in float32
    decodes_anew: bool = True  # whether every pass over the images decodes them
    could_be_placed: bool = False  # whether all images fit on the GPU, and that is ruled out
    could_be_larger: bool = True  # whether there are more samples than a batch has
    # whether ``--compile reduce-overhead`` is possible and the network not compiled
    could_take_cuda_graphs: bool = False
    could_compile: bool = False  # whether the network could be compiled, and that is ruled out
    # whether a long training tries to compile the network, with unknown gain
    will_try_to_compile: bool = False
    updates: int = 0  # of an epoch
    epochs: int = 0  # of the run
    could_take_onnx: bool = False  # whether ONNX Runtime could compute what torch computes


Rule = Callable[[Profile, Circumstances], str | None]


def advice_for_training(profile: Profile, circumstances: Circumstances) -> tuple[str, ...]:
    """Sentences that each name an option of ``comptool train``, or one that says there is none."""
    loading = (keep_decoded, more_workers, place_data)
    computing = (cuda_graphs, larger_batch, fewer_updates, mixed_precision, compile_network)
    return _applied(profile, circumstances, (*loading, *computing))


def advice_for_inference(profile: Profile, circumstances: Circumstances) -> tuple[str, ...]:
    """Sentences that each name an option of ``comptool infer``, or one that says there is none."""
    rules = (onnx_runtime, half_precision, more_workers, larger_batch)
    return _applied(profile, circumstances, rules)


def waits(profile: Profile) -> float:
    """Share of the step spent waiting for images."""
    spent = profile.share(IDLE, *(profile.loading.phases if profile.loading else ()))
    return min(spent, profile.waited / profile.step)


def keep_decoded(profile: Profile, circumstances: Circumstances) -> str | None:
    """Cache decoded images if decoding is the bottleneck."""
    if profile.loading is None or not circumstances.decodes_anew:
        return None
    # Loaders that share its cores slow down the network, too.
    lost = max(waits(profile), 1 - profile.share_of_ceiling)
    share = profile.loading.phases[DECODE] / profile.loading.seconds
    if lost * share < LONG_WAIT:
        return None
    return (
        f"loading costs {lost:.0%} of the step, and {share:.0%} of what it takes is decoding: "
        "--cache ram decodes each image once, --cache disk for later runs too"
    )


def more_workers(profile: Profile, circumstances: Circumstances) -> str | None:
    """Use enough workers to keep up with the device."""
    if profile.loading is None or waits(profile) < LONG_WAIT:
        return None
    wanted = min(ceil(profile.loading.seconds / profile.ceiling), circumstances.most_loaders)
    if wanted <= profile.loading.loaders:
        return None
    return (
        f"{waits(profile):.0%} of the step is a wait for images, which take one core "
        f"{1000 * profile.loading.seconds:.1f} ms a step: --workers {wanted}"
    )


def place_data(profile: Profile, circumstances: Circumstances) -> str | None:
    """Keep the data on the GPU if it waits for them or transfers are slow."""
    if not circumstances.could_be_placed or profile.loading is None:
        return None
    if profile.share(TRANSFER) < LONG_TRANSFER and waits(profile) < LONG_WAIT:
        return None
    return (
        f"the GPU waits {waits(profile):.0%} of the step for images, and their transfer takes "
        f"{profile.share(TRANSFER):.0%}: --data-on gpu keeps them there"
    )


def cuda_graphs(profile: Profile, circumstances: Circumstances) -> str | None:
    """Use CUDA graphs if half of a batch takes nearly as long as all of it."""
    if not circumstances.could_take_cuda_graphs or not _starts_slowly(profile):
        return None
    return (
        f"half of a batch takes {profile.half:.0%} of the time of all of it, so that the GPU "
        "waits for kernels to be started one by one: --compile reduce-overhead starts them at "
        "once"
    )


def larger_batch(profile: Profile, circumstances: Circumstances) -> str | None:
    """Increase the batch size if half of a batch takes nearly as long."""
    if not circumstances.could_be_larger or not _starts_slowly(profile):
        return None
    return (
        f"half of a batch takes {profile.half:.0%} of the time of all of it, so that the device "
        f"has room for more at once: --batch-size {2 * circumstances.batch_size}"
    )


def _starts_slowly(profile: Profile) -> bool:
    return profile.half is not None and profile.half >= IDLE_HALF


def fewer_updates(profile: Profile, circumstances: Circumstances) -> str | None:
    """Increase the batch size if the optimizer takes long."""
    if not circumstances.could_be_larger or profile.share(OPTIMIZER) < LONG_OPTIMIZER:
        return None
    return (
        f"the optimizer takes {profile.share(OPTIMIZER):.0%} of the step, whatever the size of the "
        f"batch: --batch-size {2 * circumstances.batch_size} halves that"
    )


def mixed_precision(profile: Profile, circumstances: Circumstances) -> str | None:
    """Use mixed precision in training."""
    if not circumstances.cuda or not circumstances.full_precision:
        return None
    return "the GPU computes in float32: --amp auto uses its faster type"


def compile_network(profile: Profile, circumstances: Circumstances) -> str | None:
    """Use torch.compile in a long run."""
    from comptool.training.autotune import LONG_RUN  # with torch, which predictions may not need

    epoch = profile.step * circumstances.updates
    whole = epoch * circumstances.epochs
    if whole < LONG_RUN:
        return None
    if circumstances.will_try_to_compile:
        return (
            f"the run takes {whole / 60:.0f} minutes, and train will try at its start whether a "
            "compiled network pays, which is not known yet: --compile on measures one here"
        )
    if not circumstances.could_compile:
        return None
    return (
        f"the run takes {whole / 60:.0f} minutes, and a compiled network may pay from "
        f"{ceil(LONG_RUN / epoch)} epochs on: --compile auto measures it"
    )


def half_precision(profile: Profile, circumstances: Circumstances) -> str | None:
    """Use half precision in inference."""
    if not circumstances.cuda or not circumstances.full_precision:
        return None
    return "the GPU computes in float32: --fp16 uses a faster type"


def onnx_runtime(profile: Profile, circumstances: Circumstances) -> str | None:
    """Use ONNX Runtime on a CPU."""
    if circumstances.cuda or not circumstances.could_take_onnx:
        return None
    return "torch computes on the CPU: --backend onnx is several times as fast"


def nothing_to_choose(profile: Profile) -> str:
    """The bottleneck, if no option helps."""
    if profile.share_of_ceiling > TOLERANCE:
        return (
            "no advice is possible: the step was faster than its ceiling, so that something else "
            "uses this machine at times; measure again, with more --steps"
        )
    if waits(profile) >= LONG_WAIT:
        return (
            f"no option: {waits(profile):.0%} of the step is a wait for images, which these cores "
            "do not load any faster"
        )
    reached = f"no option: {profile.share_of_ceiling:.0%} of the ceiling is reached"
    if profile.loading is not None and profile.share_of_ceiling < 1 - LONG_WAIT:
        return f"{reached}; loading takes the rest from cores that the step needs, too"
    return f"{reached}, and the ceiling is what the network itself takes"


def _applied(
    profile: Profile, circumstances: Circumstances, rules: Sequence[Rule]
) -> tuple[str, ...]:
    found = [rule(profile, circumstances) for rule in rules]
    return tuple(filter(None, found)) or (nothing_to_choose(profile),)
