"""Self-check of a CUDA device: each fast way of computing is compared with the plain one.

What is used by default without being asked for (mixed precision, TF32, asynchronous copies,
compiled steps) first has to agree with plain computing on the device that is there: a small network
of two streams does a few training steps on six different batches, or predicts them, in both ways.
The result is kept per card, driver and versions; what fails is turned off with one sentence.

The tolerances tell a wrong result from a rounded one: what rounding gives on a CPU is a third of
them at most, while a wrong kernel or a stale batch gives gradients that differ by about 1.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from comptool import __version__, models
from comptool.data.dataset import Batch
from comptool.data.transfers import Arriving, Transfers, on_device, transfers
from comptool.device import is_out_of_memory, memory_errors
from comptool.machine import driver_version
from comptool.models.deploy import OfPixels, fold_batch_norm, logits_of
from comptool.models.streams import StreamModel
from comptool.precision import arithmetic, without_tf32
from comptool.training.compilation import compiled, compiling
from comptool.training.config import Amp, TrainSettings
from comptool.training.distributed import Processes
from comptool.training.optim import MixedPrecision, Optimisation, autocast_dtype
from comptool.training.tuning_cache import TuningCache

Name = Literal["bf16", "fp16", "tf32", "compiled", "fp16-inference", "copies"]
NETWORK = "test_efficientnet-dual"  # convolutions, batch normalisation and products, 0.7 M weights
SIDE, CLASSES, BATCH_SIZE, NUM_BATCHES = 32, 10, 16, 6
LEARNING_RATE = 0.01  # low: steps amplify rounding
MOST_HALVINGS = 20  # of the loss scale, until the gradients fit into fp16
# Bytes of a copied image stack: its copy takes longer than the start of a kernel, so that one that
# is not waited for is seen.
COPIED = (32, 3, 224, 224)
FORMAT = 1  # increased when a check or a tolerance changes


class FailedError(Exception):
    """A difference above its tolerance."""


class Differences(NamedTuple):
    """Largest differences of two ways of computing; as tolerances, the largest allowed."""

    loss: float = 0.0  # of a training step, as a share of the loss
    gradient: float = 0.0  # of the first step: norm of the difference, as a share of the norm
    weights: float = 0.0  # of their change in all steps, likewise
    logits: float = 0.0  # norm of the difference, as a share of the norm
    probability: float = 0.0  # of a class

    def within(self, tolerances: Differences) -> str:
        """The differences in words; a FailedError if one is above its tolerance, or NaN."""
        pairs = zip(self._fields, self, tolerances, strict=True)
        shown = [(name, found, most) for name, found, most in pairs if most]
        wrong = [
            f"{name} off by {found:.2g}, at most {most:g} is rounding"
            for name, found, most in shown
            if not found <= most
        ]
        if wrong:
            raise FailedError("; ".join(wrong))
        return ", ".join(f"{name} {found:.1g} of {most:g}" for name, found, most in shown)


@dataclass(frozen=True)
class Check:
    """What is checked, in words, what is used where it fails, and how it is checked."""

    what: str
    instead: str
    run: Callable[[torch.device], str]


@dataclass(frozen=True)
class Verdict:
    """Result of a check: why it failed, or an empty text; the differences found."""

    name: Name
    failed: str = ""
    figures: str = ""
    kept: bool = False  # found by an earlier command

    def sentence(self, device: torch.device) -> str:
        """What is turned off, and why."""
        check = CHECKS[self.name]
        return (
            f"{check.what} is off: its self-check failed on {torch.cuda.get_device_name(device)} "
            f"({self.failed}); {check.instead}, until 'comptool doctor --again' finds it right"
        )

    def warning(self, device: torch.device, option: str) -> str:
        """That something failed, which an option asks for."""
        return (
            f"the self-check of {CHECKS[self.name].what} failed on "
            f"{torch.cuda.get_device_name(device)} ({self.failed}); it is used all the same, as "
            f"{option} asks"
        )


_FOUND: dict[tuple[Name, torch.device], Verdict] = {}


def verdict(name: Name, device: torch.device, *, again: bool = False) -> Verdict:
    """Whether something may be used by default; a check runs once per card and versions.

    Nothing is checked on a CPU. A check that fails to run, or is out of memory, is a failure; one
    that is out of memory is not kept.
    """
    if device.type != "cuda":
        return Verdict(name)
    if not again and (name, device) in _FOUND:
        return _FOUND[name, device]
    cache = TuningCache(facts_of(device), device)
    if again:
        cache.forget(name)
    kept = cache.read(name, ("failed", "figures"), str)
    found = Verdict(name, **kept, kept=True) if kept else _checked(name, device, cache)
    _FOUND[name, device] = found
    return found


def _checked(name: Name, device: torch.device, cache: TuningCache) -> Verdict:
    keep = cache.is_writable()
    try:
        with memory_errors(), torch.random.fork_rng([device]), torch.enable_grad():
            found = Verdict(name, figures=CHECKS[name].run(device))
    except FailedError as error:
        found = Verdict(name, str(error))
    # Compilers and libraries raise errors of any type; none may stop a training.
    except Exception as error:
        keep = keep and not is_out_of_memory(error)
        reason = next(filter(str.strip, str(error).splitlines()), type(error).__name__)
        found = Verdict(name, f"it does not run: {reason.strip()}")
    torch.cuda.empty_cache()
    if keep:
        cache.keep(name, {"failed": found.failed, "figures": found.figures}, str)
    return found


def facts_of(device: torch.device) -> dict[str, str]:
    """What results depend on, besides the card's name and torch's version."""
    return {
        "self-check": str(FORMAT),
        "capability": ".".join(map(str, torch.cuda.get_device_capability(device))),
        "driver": driver_version(),
        "cuda": str(torch.version.cuda),
        "cudnn": cudnn_version(),
        "comptool": __version__,
    }


def cudnn_version() -> str:
    """Version of cuDNN, such as ``91900``; why there is none, where it does not fit to torch."""
    try:
        return str(torch.backends.cudnn.version())  # type: ignore[no-untyped-call]
    except RuntimeError as error:
        return f"unusable ({str(error).partition('. ')[0]})"


Say = Callable[[str], None]


def usable(name: Name, processes: Processes, say: Say) -> bool:
    """Whether all processes may use something by default; if not, it is said and noted."""
    mine = verdict(name, processes.device)
    sentences = processes.gather(mine.sentence(processes.device) if mine.failed else "")
    failed = next(filter(None, sentences), None)
    if failed is not None:
        processes.fall_back(failed, say)
    return failed is None


def warn(name: Name, processes: Processes, say: Say, option: str) -> None:
    """Warn if something that an option asks for has failed its check."""
    found = verdict(name, processes.device)
    if found.failed:
        processes.fall_back(f"WARNING: {found.warning(processes.device, option)}", say)


def checked_amp(amp: Amp, processes: Processes, say: Say) -> Amp:
    """The mixed precision to use: ``auto`` is off where its check fails."""
    dtype = autocast_dtype(amp, processes.device)
    if dtype is None:
        return amp
    name: Name = "fp16" if dtype is torch.float16 else "bf16"
    if amp == "auto":
        return amp if usable(name, processes, say) else "off"
    warn(name, processes, say, f"--amp {amp}")
    return amp


class Trained(NamedTuple):
    """What a few training steps gave, on the CPU."""

    losses: Tensor  # of each step
    gradient: Tensor  # of the first
    change: Tensor  # of all weights
    probabilities: Tensor  # of the six batches afterwards, in float32

    def differences(self, sure: Trained) -> Differences:
        """From the same steps computed plainly."""
        return Differences(
            float(((self.losses - sure.losses) / sure.losses).abs().max()),
            _share(self.gradient, sure.gradient),
            _share(self.change, sure.change),
            probability=float((self.probabilities - sure.probabilities).abs().max()),
        )


def _share(found: Tensor, sure: Tensor) -> float:
    return float((found - sure).norm() / sure.norm())


@lru_cache(maxsize=1)
def batches() -> list[tuple[list[Tensor], Tensor]]:
    """Six batches of two modalities, uint8 (B, C, H, W), and their classes (B,).

    Each class has its own colours, which the network learns, so that the probabilities differ.
    """
    drawn = torch.Generator().manual_seed(0)
    shape = (NUM_BATCHES, BATCH_SIZE)
    classes = torch.randint(CLASSES, shape, generator=drawn)
    modalities = []
    for _ in range(2):
        colours = torch.randint(64, 192, (CLASSES, 3, 1, 1), generator=drawn)
        noise = torch.randint(-64, 64, (*shape, 3, SIDE, SIDE), generator=drawn)
        modalities.append((colours[classes] + noise).to(torch.uint8))
    return [
        ([modality[number] for modality in modalities], classes[number])
        for number in range(NUM_BATCHES)
    ]


def _inputs(images: Sequence[Tensor], device: torch.device) -> list[Tensor]:
    return [
        ((image.to(device).float() - 128) / 64).contiguous(memory_format=torch.channels_last)
        for image in images
    ]


def _network(device: torch.device) -> StreamModel:
    torch.manual_seed(0)
    model = models.create(NETWORK, CLASSES, img_size=[[SIDE, SIDE]] * 2)
    return model.to(device).to(memory_format=torch.channels_last)


def _trained(
    device: torch.device, amp: Amp = "off", *, tf32: bool = False, by: bool = False
) -> Trained:
    """A few training steps as `comptool.training` does them; ``by`` the compiler."""
    settings = TrainSettings(
        model=NETWORK, epochs=NUM_BATCHES, batch_size=BATCH_SIZE, lr=LEARNING_RATE, amp=amp,
        optimizer="sgd", schedule="constant", warmup_epochs=0.0,
    )  # fmt: skip
    with arithmetic(tf32=tf32):
        model = _network(device)
        before = _flat(model.parameters())
        precision = MixedPrecision(amp, device)
        optimisation = Optimisation(model, settings, LEARNING_RATE, 1, precision)
        called = compiled(model, BATCH_SIZE) if by else model
        model.train()
        losses, gradient = [], None
        for number, (images, classes) in enumerate(batches()):
            placed, targets = _inputs(images, device), classes.to(device)
            for _ in range(MOST_HALVINGS):
                scale = optimisation.scaler.get_scale()
                optimisation.begin(number)
                with compiling() if by else nullcontext():
                    with precision.autocast():
                        logits = called(*placed)
                    loss = functional.cross_entropy(logits.float(), targets)
                    optimisation.backward(loss)
                gradients = _flat(weight.grad for weight in model.parameters())
                optimisation.step()
                if optimisation.scaler.get_scale() >= scale:
                    break  # else the gradients were too large for fp16, and the step was left out
            if gradient is None:
                gradient = gradients / scale
            losses.append(loss.detach())
        assert gradient is not None
        model.eval()
        with torch.no_grad():
            shares = [model(*_inputs(images, device)).softmax(dim=1) for images, _ in batches()]
        change = _flat(model.parameters()) - before
        return Trained(
            *(one.cpu() for one in (torch.stack(losses), gradient, change, torch.cat(shares)))
        )


def _flat(tensors: Iterable[Tensor | None]) -> Tensor:
    return torch.cat([one.detach().flatten() for one in tensors if one is not None])


@lru_cache(maxsize=1)
def _sure(device: torch.device) -> Trained:
    """The training steps in float32, without TF32, not compiled."""
    return _trained(device)


# Factors are rounded to 2^-9 in bf16, and to 2^-12 in fp16 and TF32. Through this network a CPU
# makes of that, with other initial weights too: losses of 0.002 and 0.0003, gradients of 0.042 and
# 0.006, changes of the weights of 0.049 and 0.007, probabilities of 0.0002 and 0.00002.
OF_BF16 = Differences(0.01, 0.15, 0.15, probability=0.001)
OF_FP16 = Differences(0.002, 0.03, 0.03, probability=0.0002)
OF_TF32 = OF_FP16
# Other orders of sums, in float32: gradients of 0.000005.
OF_COMPILED = Differences(0.001, 0.01, 0.01, probability=0.0001)
# One pass in fp16, with batch normalisation folded: 0.0003.
OF_INFERENCE = Differences(logits=0.02, probability=0.01)


def _bf16(device: torch.device) -> str:
    return _trained(device, "bf16").differences(_sure(device)).within(OF_BF16)


def _fp16(device: torch.device) -> str:
    return _trained(device, "fp16").differences(_sure(device)).within(OF_FP16)


def _tf32(device: torch.device) -> str:
    return _trained(device, tf32=True).differences(_sure(device)).within(OF_TF32)


def _compiled(device: torch.device) -> str:
    return _trained(device, by=True).differences(_sure(device)).within(OF_COMPILED)


def _fp16_inference(device: torch.device) -> str:
    whole = OfPixels(_network(device).cpu(), [[0.5] * 3] * 2, [[0.1] * 3] * 2).eval()
    stacks = [[image.permute(0, 2, 3, 1).float() for image in images] for images, _ in batches()]
    fold_batch_norm(whole, stacks[0])
    whole.to(memory_format=torch.channels_last)
    whole.to(device)
    with torch.inference_mode(), without_tf32():
        placed = [[image.to(device) for image in each] for each in stacks]
        sure, half = (
            torch.cat([logits_of(whole, each, dtype) for each in placed])
            for dtype in (None, torch.float16)
        )
        gap = (half.softmax(dim=1) - sure.softmax(dim=1)).abs().max()
        return Differences(logits=_share(half, sure), probability=float(gap)).within(OF_INFERENCE)


def _copies(device: torch.device) -> str:
    """Batches that are used at once, and results that come back while others are computed."""
    drawn = torch.Generator().manual_seed(0)
    sent = [
        [torch.randint(256, COPIED, dtype=torch.uint8, generator=drawn) for _ in range(2)]
        for _ in range(NUM_BATCHES)
    ]
    ways = {"training": _through_training, "prediction": _through_inference}
    for name, way in ways.items():
        for pair, found in zip(sent, way(sent, device), strict=True):
            for image, there in zip(pair, found, strict=True):
                if not torch.equal(image, there):
                    share = float((image != there).float().mean())
                    raise FailedError(f"{share:.0%} of the bytes of a batch of {name} are wrong")
    return "every byte the same"


def _through_training(sent: Sequence[list[Tensor]], device: torch.device) -> Iterator[list[Tensor]]:
    rows = torch.arange(len(sent[0][0]))
    pinned = (
        Batch([image.pin_memory() for image in pair], rows.pin_memory(), rows, rows, None)
        for pair in sent
    )
    used = []
    for batch in on_device(pinned, device):
        used.append([image ^ 255 for image in batch.images])  # read at once, by a kernel
        del batch
    for pair in used:
        yield [image.cpu() ^ 255 for image in pair]


def _through_inference(
    sent: Sequence[list[Tensor]], device: torch.device
) -> Iterator[list[Tensor]]:
    moving: Transfers = transfers(device)
    begun: list[Arriving] = []
    for pair in sent:
        stacks = []
        for image in pair:
            pixels = image.permute(0, 2, 3, 1).numpy()
            stacks.append(moving.room(pixels.shape, pixels.dtype))
            np.copyto(stacks[-1], pixels)
        placed = moving.there(stacks)
        begun.append(moving.back([image ^ 255 for image in placed], stacks))
    for arriving in begun:
        yield [torch.from_numpy(array) ^ 255 for array in arriving.arrays()]


CHECKS: dict[Name, Check] = {
    "bf16": Check("training in bfloat16", "float32 is used", _bf16),
    "fp16": Check("training in float16", "float32 is used", _fp16),
    "tf32": Check("training with TF32", "all bits of float32 are used", _tf32),
    "fp16-inference": Check("prediction in float16", "float32 is used", _fp16_inference),
    "copies": Check("asynchronous copying", "each copy is waited for", _copies),
    "compiled": Check("compiled training", "steps are not compiled", _compiled),
}
