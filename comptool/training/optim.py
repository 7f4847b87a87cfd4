"""Frozen parts, mixed precision, optimizer, learning-rate schedule, and EMA of the weights."""

from __future__ import annotations

import inspect
from typing import Any

import torch
from timm.optim import create_optimizer_v2, get_optimizer_class
from timm.scheduler import CosineLRScheduler, MultiStepLRScheduler, StepLRScheduler
from timm.scheduler.scheduler import Scheduler
from timm.utils import ModelEmaV3
from torch import Tensor, nn

from comptool.errors import UsageError
from comptool.models.streams import StreamModel
from comptool.training.config import BACKBONE, Amp, TrainSettings

ENCODERS = "encoders"


def freeze(model: StreamModel, part: str | None) -> None:
    """Turn off gradients in a part of the model, before the optimizer is created."""
    for name, parameter in model.named_parameters():
        if part is not None and _is_of(name, part):
            parameter.requires_grad_(False)


def set_training(model: StreamModel, part: str | None) -> None:
    """Training mode, but evaluation mode (BatchNorm, dropout) in the frozen part."""
    model.train()
    for name, child in model.named_children():
        if part is not None and _is_of(name, part):
            child.eval()


def head_weights(model: StreamModel) -> dict[str, Tensor]:
    """Copies of all weights outside the encoders, by name."""
    return {
        name: tensor.detach().clone()
        for name, tensor in model.state_dict().items()
        if not _is_of(name, BACKBONE)
    }


def _is_of(name: str, part: str) -> bool:
    return (name.partition(".")[0] == ENCODERS) == (part == BACKBONE)


def autocast_dtype(amp: Amp, device: torch.device) -> torch.dtype | None:
    """The autocast type, or None for float32.

    ``auto`` is bf16 on a GPU that supports it, else fp16, and off on a CPU, where bf16 without AMX
    is about fifteen times slower than float32.
    """
    if amp == "off" or (amp == "auto" and device.type != "cuda"):
        return None
    has_bf16 = device.type != "cuda" or torch.cuda.is_bf16_supported(including_emulation=False)
    if amp == "bf16" and not has_bf16:
        raise UsageError("this GPU does not compute in bf16; take --amp fp16")
    return torch.float16 if amp == "fp16" or not has_bf16 else torch.bfloat16


class MixedPrecision:
    """Autocast and loss scaling for all types."""

    def __init__(self, amp: Amp, device: torch.device) -> None:
        self.dtype = autocast_dtype(amp, device)
        self.device = device
        # Gradients in fp16 underflow below 6e-8; bf16 has float32's range.
        self.scaler = torch.amp.GradScaler(device.type, enabled=self.dtype is torch.float16)

    @property
    def name(self) -> str:
        """``float32``, ``bfloat16`` or ``float16``."""
        return str(self.dtype or torch.float32).removeprefix("torch.")

    def autocast(self) -> torch.autocast:
        """Context of the forward pass; no effect in float32."""
        return torch.autocast(self.device.type, dtype=self.dtype, enabled=self.dtype is not None)


class AveragedWeights(ModelEmaV3):
    """timm's exponential moving average of the weights, with faster updates.

    timm collects both state dicts in each update and copies integer buffers one by one, which takes
    five times as long as the arithmetic for two MobileNetV2. Parameters and buffers must stay the
    same tensors: load into them in place. The decay grows with the updates up to ``decay``.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        super().__init__(model, decay, use_warmup=True)
        own, followed = self.module.state_dict(), model.state_dict()
        names = [name for name, tensor in own.items() if tensor.is_floating_point()]
        others = [name for name in own if name not in set(names)]
        self._averaged = ([own[name] for name in names], [followed[name] for name in names])
        self._copied = ([own[name] for name in others], [followed[name] for name in others])

    def apply_update_(self, model: nn.Module, decay: float) -> None:
        """Update the average."""
        torch._foreach_lerp_(*self._averaged, weight=1.0 - decay)
        if self._copied[0]:
            torch._foreach_copy_(*self._copied)


MOMENTUM = 0.9
WARMUP_START = 0.01  # first learning rate of warm-up, as a share
# Settings of the implementation, which stay those of this device.
IMPLEMENTATION = ("foreach", "fused", "capturable")


class Optimisation:
    """Optimizer, schedule, gradient clipping and averaged weights.

    ``model`` is the bare module, not its compiled or distributed wrapper; ``lr`` the learning rate
    after warm-up. Raises a UsageError if the schedule decays or restarts with each update.
    """

    def __init__(
        self,
        model: nn.Module,
        settings: TrainSettings,
        lr: float,
        updates_per_epoch: int,
        precision: MixedPrecision,
    ) -> None:
        self.model = model
        self.clip_grad = settings.clip_grad
        self.scaler = precision.scaler
        self._device = precision.device
        self.optimizer: torch.optim.Optimizer = create_optimizer_v2(
            model,
            opt=settings.optimizer,
            lr=lr,
            weight_decay=settings.weight_decay,
            momentum=MOMENTUM,
            layer_decay=settings.layer_decay,
            **_implementation(settings.optimizer),
        )
        if self.scaler.is_enabled():
            _begin_momentum(self.optimizer)
        self.scheduler = _scheduler(self.optimizer, settings, lr, updates_per_epoch)
        self.ema = AveragedWeights(model, settings.ema) if settings.ema else None
        self._share = 1.0

    @property
    def _groups(self) -> list[dict[str, Any]]:
        return self.optimizer.param_groups

    @property
    def lr(self) -> float:
        """Learning rate of the latest update; with layer-wise decay, the last layer's."""
        return max(float(group["lr"]) for group in self._groups)

    @property
    def evaluated(self) -> nn.Module:
        """The model to validate and save: averaged weights, if any."""
        return self.model if self.ema is None else self.ema.module

    def begin(self, update: int) -> None:
        """Set the learning rate of an update, and clear the gradients."""
        self.scheduler.step_update(update)
        self.clear()

    def clear(self) -> None:
        """Clear the gradients."""
        self.optimizer.zero_grad(set_to_none=True)

    def backward(self, loss: Tensor, share: float = 1.0) -> None:
        """Add the gradients of ``loss`` times its share in the update, in (0, 1]."""
        self._share = share
        self.scaler.scale(loss * share).backward()  # type: ignore[no-untyped-call]

    @property
    def loss_scale(self) -> Tensor:
        """Factor of the loss in the current backward pass, a scalar on the device."""
        # The scaler's own number would wait for the device.
        share = torch.full((), self._share, device=self._device)
        scale: Tensor = self.scaler.scale(share)
        return scale

    def step(self) -> None:
        """Unscale and clip the gradients, and update the weights."""
        if self.clip_grad is not None:
            self.scaler.unscale_(self.optimizer)
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.clip_grad)
        self.scaler.step(self.optimizer)
        self.scaler.update()

    def average(self, update: int) -> None:
        """Update the averaged weights, if any."""
        if self.ema is not None:
            self.ema.update(self.model, step=update + 1)

    def state_dict(self) -> dict[str, Any]:
        """State of optimizer, schedule, loss scaler and averaged weights."""
        return {
            "optimizer": self.optimizer.state_dict(),
            "scheduler": self.scheduler.state_dict(),
            "scaler": self.scaler.state_dict(),
            "ema": None if self.ema is None else self.ema.module.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore a :meth:`state_dict`, also from another device."""
        kept = state["optimizer"]
        for saved, own in zip(kept["param_groups"], self._groups, strict=True):
            for name, value in own.items():
                if name in IMPLEMENTATION:
                    continue
                if isinstance(value, int | float) and not isinstance(saved[name], int | float):
                    raise TypeError(f"{name} must be a number, found {saved[name]!r}")
        groups = [
            saved | {key: own[key] for key in IMPLEMENTATION if key in own}
            for saved, own in zip(kept["param_groups"], self._groups, strict=True)
        ]
        self.optimizer.load_state_dict(kept | {"param_groups": groups})
        self._lay_out_as_weights()
        # Empty if the run was trained without loss scaling so far, as on a device with bf16.
        if state["scaler"] and self.scaler.is_enabled():
            self.scaler.load_state_dict(state["scaler"])
        if self.ema is not None:
            self.ema.module.load_state_dict(state["ema"])

    def _lay_out_as_weights(self) -> None:
        """Match the memory format of the optimizer state to that of the weights.

        A resumed run may use another format, and fused CPU steps index both in memory order.
        """
        for weight, state in self.optimizer.state.items():
            for name, kept in state.items():
                if isinstance(kept, Tensor) and kept.shape == weight.shape:
                    state[name] = torch.empty_like(weight, dtype=kept.dtype).copy_(kept)


def _implementation(optimizer: str) -> dict[str, Any]:
    """Use the fused implementation, if any: a third of the time, also on a CPU."""
    known = inspect.signature(get_optimizer_class(optimizer, bind_defaults=False)).parameters
    return {"fused": True} if "fused" in known else {}


def _begin_momentum(optimizer: torch.optim.Optimizer) -> None:
    """Start the momentum of SGD at zero, of which the first update makes the gradient.

    torch's fused SGD takes memory as it is for it. If loss scaling skips the first update, that
    memory is not written, and the second update adds what was in it to the weights.
    """
    if isinstance(optimizer, torch.optim.SGD):
        for group in optimizer.param_groups:
            if group["momentum"] and not group["dampening"]:
                for weight in filter(lambda weight: weight.requires_grad, group["params"]):
                    optimizer.state[weight]["momentum_buffer"] = torch.zeros_like(weight)


def _scheduler(
    optimizer: torch.optim.Optimizer, settings: TrainSettings, lr: float, updates_per_epoch: int
) -> Scheduler:
    shared: dict[str, Any] = {
        "warmup_t": round(settings.warmup * updates_per_epoch),
        "warmup_lr_init": WARMUP_START * lr,
        "warmup_prefix": False,
        "t_in_epochs": False,
    }
    if settings.schedule == "cosine":
        shared |= _cycles(settings, updates_per_epoch)
        return CosineLRScheduler(optimizer, lr_min=settings.min_lr or 0.0, **shared)
    # A step schedule of rate 1 is the constant one.
    rate = 1.0 if settings.schedule == "constant" else settings.decay_rate or 0.1
    points = [round(point * updates_per_epoch) for point in settings.milestones]
    if not points[0]:
        raise UsageError(
            f"--decay-epochs {settings.decay_epochs} is less than half an update, of which an "
            f"epoch has {updates_per_epoch}"
        )
    if len(points) == 1:
        return StepLRScheduler(optimizer, points[0], rate, **shared)
    # timm decays one update before a milestone.
    return MultiStepLRScheduler(optimizer, [point + 1 for point in points], rate, **shared)


def _cycles(settings: TrainSettings, updates_per_epoch: int) -> dict[str, Any]:
    """Cosine, optionally with warm restarts (Loshchilov & Hutter 2017, arXiv:1608.03983)."""
    if settings.cycle_epochs is None:
        # timm warns of a cosine over a single update; over two, the first has the same rate.
        return {"t_initial": max(settings.epochs * updates_per_epoch, 2)}
    length = round(settings.cycle_epochs * updates_per_epoch)
    if length < 2:
        raise UsageError(
            f"--cycle-epochs {settings.cycle_epochs:g} is less than two updates, of which an epoch "
            f"has {updates_per_epoch}"
        )
    # timm stays at the lowest rate after cycle_limit cycles.
    limit = settings.epochs * updates_per_epoch
    return {"t_initial": length, "cycle_mul": settings.cycle_mul or 1, "cycle_limit": limit}
