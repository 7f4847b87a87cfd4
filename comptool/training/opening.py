"""A session put together: model, data and optimisation of one member."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from copy import deepcopy
from typing import Any

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from comptool.data.sampling import EpochBatches
from comptool.errors import UsageError
from comptool.models.pretrained import RANDOM
from comptool.models.streams import StreamModel
from comptool.training.autotune import Measure, choose_config, compiled, use_threads
from comptool.training.calibration import calibration_of
from comptool.training.config import TrainSettings
from comptool.training.freezing import freeze, set_training
from comptool.training.fusion import FusionGauge
from comptool.training.gauges import Gauge, Gauges
from comptool.training.gradient_calibration import CalibratedJunction, average_over
from comptool.training.gradient_gauge import CalibrationGauge
from comptool.training.loading import draw_batches, open_datasets, open_loaders
from comptool.training.mixing import Mixing
from comptool.training.optimisation import Optimisation
from comptool.training.placement import place
from comptool.training.plan import Member, Plan
from comptool.training.precision import Precision
from comptool.training.processes import Processes
from comptool.training.session import Session
from comptool.training.stages import measured
from comptool.training.validation import Eye


def open_session(
    plan: Plan,
    member: Member,
    model: StreamModel,
    header: Mapping[str, Any],
    criterion: nn.Module,
    processes: Processes,
    say: Callable[[str], None],
    *,
    measure: Measure = "all",
) -> Session:
    """Put a session together.

    Parameters
    ----------
    plan, member, processes
        What is trained, and by which process among its equals.
    model, header
        With the weights it starts from, and what its checkpoints say of it.
    criterion
        The loss.
    say
        Takes messages.
    measure
        What may be measured to choose how it is computed.

    Raises
    ------
    UsageError
        If the model cannot learn from batches so small, or the augmentation is unknown.
    InputError
        If an augmentation file cannot be read, or an image is missing.
    """
    settings, device = plan.settings, processes.device
    model = model.to(device)
    freeze(model, settings.freeze)
    batches = draw_batches(plan, member, processes)
    _check_smallest_batch(model, batches, settings, Eye.of(header, device, False), header)
    steps = settings.epochs * batches.num_steps
    compute = choose_config(model, header, settings, processes, steps, say, measure)
    use_threads(compute)
    if compute.channels_last:
        model = model.to(memory_format=torch.channels_last)
    eye = Eye.of(header, device, compute.channels_last)
    placement = place(plan, member, header, processes)
    if placement.note:
        say(placement.note)
    datasets = open_datasets(plan, member, header, placement)
    train_loader, valid_loader = open_loaders(datasets, settings, batches, processes, placement)
    precision = Precision(settings.amp, device)
    lr = settings.rate(pretrained=header["pretrained"] != RANDOM)
    settings.check_min_lr(lr)
    updates = -(-batches.num_steps // settings.grad_accum)
    wrapped = _distributed(model, processes)
    optimisation = Optimisation(model, settings, lr, updates, precision)
    # Last, because averaged weights are those of a copy, which has no gradients.
    gauges = _gauges(plan, model, optimisation, processes)
    return Session(
        settings=settings,
        model=model,
        called=(
            compiled(wrapped, settings.batch_size, settings.compile)
            if compute.compiled
            else wrapped
        ),
        without_sync=getattr(wrapped, "no_sync", nullcontext),
        criterion=criterion.to(device),
        precision=precision,
        optimisation=optimisation,
        eye=eye,
        batches=batches,
        train_loader=train_loader,
        valid_loader=valid_loader,
        processes=processes,
        mixing=Mixing(
            settings.mixup, settings.cutmix, settings.balanced_mixup, len(plan.rows.classes)
        ),
        multilabel=plan.rows.multilabel,
        datasets=datasets,
        placement=placement,
        counted=measured(plan.rows.labels[member.valid], plan.dropped),
        gauges=gauges,
        compute=compute,
    )


def _distributed(model: StreamModel, processes: Processes) -> nn.Module:
    """The model, whose gradients are the mean over all processes."""
    if processes.size == 1:
        return model
    cards = [processes.device] if processes.device.type == "cuda" else None
    return DistributedDataParallel(model, device_ids=cards)


def _check_smallest_batch(
    model: StreamModel,
    batches: EpochBatches,
    settings: TrainSettings,
    eye: Eye,
    header: Mapping[str, Any],
) -> None:
    """Refuse batches of one image where batch normalisation would see one value per channel."""
    if settings.batch_size > 1 and batches.num_draws > batches.num_steps:
        return
    chips = [
        torch.zeros(1, header["channels"][name], *header["img_size"][name], dtype=torch.uint8)
        for name in header["modalities"]
    ]
    # A copy, because the statistics of the layers would move.
    copied = deepcopy(model)
    set_training(copied, settings.freeze)
    try:
        with torch.no_grad():
            copied(*eye.see(chips))
    except ValueError as error:
        raise UsageError(
            f"the batch normalisation of '{settings.model}' cannot learn from batches of one "
            "image; take a --batch-size of 2 or more"
        ) from error


def _gauges(
    plan: Plan, model: StreamModel, optimisation: Optimisation, processes: Processes
) -> Gauges:
    """What is measured of the model: its fusion weights, and gradients that are calibrated."""
    named: dict[str, Gauge] = {"fusion": FusionGauge(optimisation.evaluated)}
    calibration = calibration_of(plan.settings)
    if calibration is not None:
        gauge = CalibrationGauge(calibration, plan.modalities, processes.device)
        model.junction = CalibratedJunction(
            calibration, average_over(processes), lambda: optimisation.loss_scale, gauge.observe
        )
        named["gradients"] = gauge
    return Gauges(**named)
