"""Data placement: worker processes that load images, or batches resident on a GPU; augmentation.

Where the images of a training lie changes nothing but its speed: a named policy changes batches on
the device that trains, the policy of a file is for worker processes to apply.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from comptool.data.augment import named_policies
from comptool.data.augment.batches import Augmentation
from comptool.data.cache import spelled
from comptool.data.dataset import Batch, SampleDataset
from comptool.data.device import free_memory
from comptool.data.gpu_dataset import ResidentBatches
from comptool.data.loader import Loader, choose_workers, loader
from comptool.data.sampler import EpochBatches, in_order
from comptool.errors import InputError, UsageError
from comptool.io.records import RunHeader
from comptool.training.config import TrainSettings
from comptool.training.data import TrainMember, TrainPlan
from comptool.training.distributed import Processes

# The rest is for the model, its gradients and what it keeps of a batch.
MOST_OF_FREE = 0.5
_MEND = "Take --data-on cpu, or smaller images with --img-size"


@dataclass(frozen=True)
class Placement:
    """Where the images of training and of validation lie."""

    # the device that holds all of them; None: worker processes load them
    train: torch.device | None = None
    valid: torch.device | None = None
    num_bytes: int = 0  # that they take there
    note: str = ""  # what somebody should know of it, or nothing


def place(
    plan: TrainPlan, member: TrainMember, header: RunHeader, processes: Processes
) -> Placement:
    """Settle where the images lie."""
    wanted, device = plan.settings.data_on, processes.device
    if wanted == "gpu":
        _check_gpu(plan, device)
    if wanted == "cpu" or device.type != "cuda":
        return Placement()
    if plan.policy_file is not None:
        return Placement(note=f"worker processes load the images, to apply {plan.policy_file}")
    train, valid = (
        len(rows) * sum(_num_bytes(header, name) for name in header.modalities)
        for rows in (member.train, member.valid)
    )
    room = _room(device, processes)
    if train <= room:
        fits = train + valid <= room
        taken = train + valid if fits else train
        note = f"{spelled(taken)} of images lie on {device}"
        return Placement(device, device if fits else None, taken, note)
    told = f"the images of training take {spelled(train)}; {device} has {spelled(room)} for them"
    if wanted == "auto":
        return Placement(note=f"{told}: worker processes load them")
    raise InputError(told, mend=_MEND)


def _check_gpu(plan: TrainPlan, device: torch.device) -> None:
    if device.type != "cuda":
        raise UsageError(f"--data-on gpu needs a GPU, and this training computes on {device}")
    if plan.policy_file is not None:
        raise UsageError(
            f"--data-on gpu loads no images one by one, to which {plan.policy_file} could be "
            "applied; take a named augmentation, or --data-on cpu"
        )


def _num_bytes(header: RunHeader, modality: str) -> int:
    """Of one image."""
    height, width = header.img_size[modality]
    return int(height * width * header.channels[modality])


def _room(device: torch.device, processes: Processes) -> int:
    """Bytes for images on the device, of which no process of several may have less."""
    return min(processes.gather(int(MOST_OF_FREE * free_memory(device))))


Source = Loader[Batch] | ResidentBatches
# Where one class's rows are repeated, or one of each class taken in turn.
ORDERS = {"over": "over", "class-aware": "class-aware"}


def draw_batches(plan: TrainPlan, member: TrainMember, processes: Processes) -> EpochBatches:
    """Which rows each update takes."""
    return EpochBatches(
        plan.rows.labels[member.train],
        plan.settings.batch_size,
        order=ORDERS.get(plan.settings.balance, "shuffle"),
        seed=plan.settings.seed,
        partners=plan.settings.balanced_mixup > 0,
        rank=processes.rank,
        world_size=processes.size,
    )


def open_datasets(
    plan: TrainPlan, member: TrainMember, header: RunHeader
) -> tuple[SampleDataset, ...]:
    """The rows of training, and of validation if there are any."""
    settings, rows = plan.settings, plan.rows
    facts: dict[str, Any] = {
        "sizes": header.img_size,
        "channels": header.channels,
        "missing": "zero" if settings.missing_modality == "zero" else "error",
        "bits": header.bits,
    }
    policy = None
    if plan.policy_file is not None:
        # Imported here: albumentations takes a second to import.
        from comptool.data.augment.albumentations_file import read_policy

        policy = read_policy(plan.policy_file)
    trained = SampleDataset(
        rows.take(member.train), rows.targets[member.train], augment=policy, **facts
    )
    if not len(member.valid):
        return (trained,)
    return trained, SampleDataset(rows.take(member.valid), rows.labels[member.valid], **facts)


def open_augmentation(
    plan: TrainPlan, dataset: SampleDataset, device: torch.device
) -> Augmentation | None:
    """The named policy on batches of training; None where the data set applies that of a file."""
    if dataset.augments:
        return None
    policy = named_policies.create(plan.settings.augment, **plan.settings.augment_options)
    return Augmentation(policy, dataset.shapes, dataset.missing, device)


def open_loaders(
    datasets: Sequence[SampleDataset],
    settings: TrainSettings,
    batches: EpochBatches,
    processes: Processes,
    placement: Placement,
) -> tuple[Source, Source | None]:
    """Batches of training and, if there are rows, of validation."""
    train_loader, valid_loader = (
        _open(datasets[0], batches, settings, processes, placement.train),
        None,
    )
    if len(datasets) > 1:
        order = in_order(
            len(datasets[1]),
            2 * settings.batch_size,
            rank=processes.rank,
            world_size=processes.size,
        )
        valid_loader = _open(datasets[1], order, settings, processes, placement.valid)
    return train_loader, valid_loader


def _open(
    dataset: SampleDataset,
    order: EpochBatches | Sequence[Sequence[int]],
    settings: TrainSettings,
    processes: Processes,
    where: torch.device | None,
) -> Source:
    if where is None:
        workers = choose_workers(settings.workers, processes.device)
        return loader(dataset, order, workers=workers, device=processes.device)
    return ResidentBatches(dataset, order, where)
