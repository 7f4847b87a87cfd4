"""Which settings of a training are out of range, unknown, or contradict one another."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from comptool.data.device_names import check_device_name
from comptool.errors import UsageError, unknown_name
from comptool.training.calibration import check_objectives

if TYPE_CHECKING:
    from comptool.training.settings import TrainSettings

# Those of timm's optimizers that a competitor names; the list stands here so that a misspelt name
# is told without importing torch.
OPTIMIZERS = (
    "adamw adam nadam nadamw radam adamp adan adopt adabelief adafactor lamb lars lion muon "
    "madgrad rmsprop rmsproptf sgd momentum nesterov"
).split()
BACKBONE = "backbone"
PARTS = (BACKBONE, "head")  # of a model, that can be frozen
COSINE_ALONE = ("min_lr", "cycle_epochs", "cycle_mul")
EVENED = ("under", "over", "class-aware")  # what --balance can do to the rows, not the weights


def check(settings: TrainSettings) -> None:
    """Raise a UsageError if a setting cannot be, by itself or beside the others."""
    _check_ranges(settings)
    _check_names(settings)
    _check_company(settings)
    _check_stage(settings)
    check_objectives(settings)


def option(field: str) -> str:
    """A field as it is typed: ``grad_accum`` is ``--grad-accum``."""
    return "--" + field.replace("_", "-")


def _check_ranges(settings: TrainSettings) -> None:
    least = {"epochs": 1, "batch_size": 0, "grad_accum": 1, "patience": 1, "seed": 0, "workers": 0}
    least |= {"weight_decay": 0, "mixup": 0, "warmup_epochs": 0, "min_lr": 0, "gamma": 0}
    least |= {"cutmix": 0, "magnitude": 0, "num_ops": 1, "per_class": 1, "defer_weights": 0}
    least |= {"cycle_mul": 1, "balanced_mixup": 0}
    for name, bound in least.items():
        value = getattr(settings, name)
        if value is not None and not (value >= bound and math.isfinite(value)):
            raise UsageError(f"{option(name)} is {value}; it has to be {bound} or more")
    for name in ("lr", "clip_grad", "decay_rate", "cycle_epochs"):
        value = getattr(settings, name)
        if value is not None and not (value > 0 and math.isfinite(value)):
            raise UsageError(f"{option(name)} is {value}; it has to be above 0")
    for name in ("ema", "label_smoothing"):
        value = getattr(settings, name)
        if value is not None and not 0 <= value < 1:
            raise UsageError(f"{option(name)} is {value}; it has to be 0 or more and below 1")
    for name in ("layer_decay", "cutout"):
        value = getattr(settings, name)
        if value is not None and not 0 < value <= 1:
            raise UsageError(f"{option(name)} is {value}; it has to be above 0 and at most 1")


def _check_names(settings: TrainSettings) -> None:
    if settings.optimizer not in OPTIMIZERS:
        raise unknown_name("optimizer", settings.optimizer, OPTIMIZERS)
    if settings.fold not in ("all", "none") and not settings.fold.isdecimal():
        raise UsageError(f"--fold is '{settings.fold}'; it has to be a number, 'all' or 'none'")
    check_device_name(settings.device)
    for place, name in enumerate(settings.modality):
        if name in settings.modality[:place]:
            raise UsageError(f"--modality {name} is given twice; a model takes each of them once")
    try:
        points = settings.milestones
    except ValueError:
        points = ()
    rising = list(points) == sorted(set(points)) and all(map(math.isfinite, points))
    if not points or not rising or points[0] <= 0:
        raise UsageError(
            f"--decay-epochs is '{settings.decay_epochs}'; it has to be a number of epochs such as "
            "30, or rising points in time such as 100,150"
        )


def _check_company(settings: TrainSettings) -> None:
    refused = {
        "cosine": ("decay_epochs", "decay_rate"),
        "step": COSINE_ALONE,
        "constant": ("decay_epochs", "decay_rate", *COSINE_ALONE),
    }
    for name in refused[settings.schedule]:
        if getattr(settings, name) is not None:
            raise UsageError(f"{option(name)} has no meaning with --schedule {settings.schedule}")
    if settings.warmup >= settings.epochs:
        raise UsageError(
            f"--warmup-epochs {settings.warmup:g} leaves nothing of --epochs {settings.epochs}"
        )
    if settings.cycle_mul is not None and settings.cycle_epochs is None:
        raise UsageError("--cycle-mul needs --cycle-epochs, the length of the first cycle")
    settings.check_min_lr(settings.highest_rate)
    if settings.fold == "none" and settings.patience is not None:
        raise UsageError("--patience needs a validation, and --fold none has none")
    if settings.init_from is not None and settings.pretrained not in ("auto", "no"):
        raise UsageError("--init-from brings the weights; --pretrained has no meaning beside it")


def _check_stage(settings: TrainSettings) -> None:
    if settings.freeze is not None and settings.freeze not in PARTS:
        raise UsageError(
            f"--freeze is '{settings.freeze}'; the parts of a model are {' and '.join(PARTS)}"
        )
    if settings.freeze == BACKBONE and settings.calibrate_gradients:
        raise UsageError("--freeze backbone leaves --calibrate-gradients nothing to calibrate")
    if settings.reset_head and settings.init_from is None:
        raise UsageError("--reset-head is for --init-from, whose head it leaves out")
    if settings.freeze == "head" and (settings.reset_head or settings.init_from is None):
        raise UsageError("--freeze head would keep a random head as it is; start by --init-from")
    if settings.keep_dropped_logits and not settings.drop_classes:
        raise UsageError("--keep-dropped-logits has no meaning without --drop-classes")
    if settings.per_class is not None and settings.balance in EVENED:
        raise UsageError(
            f"--per-class takes as many rows of each class; --balance {settings.balance} has no "
            "meaning beside it"
        )
    if settings.class_weights is not None and settings.scheme is not None:
        other = "--weighting" if settings.weighting else "--balance weights"
        raise UsageError(f"--class-weights and {other} both set class weights; give one of them")
    if settings.defer_weights and not settings.weighted:
        raise UsageError("--defer-weights needs --weighting or --class-weights to defer")
    if settings.defer_weights >= settings.epochs:
        raise UsageError(
            f"--defer-weights {settings.defer_weights} leaves nothing of --epochs {settings.epochs}"
        )
