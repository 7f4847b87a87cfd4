"""Data placement: images loaded by worker processes, or resident in GPU memory.

Placement affects speed only. A named augmentation policy runs on batches on the training device, a
policy file in worker processes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from comptool.data.augment import named_policies
from comptool.data.augment.batches import Augmentation
from comptool.data.cache import spelled
from comptool.data.dataset import SampleDataset
from comptool.data.gpu_dataset import ResidentBatches
from comptool.data.loader import Loader, choose_workers
from comptool.data.sampler import BagBatches, EpochBatches, in_order
from comptool.errors import InputError, UsageError
from comptool.io.records import RunHeader
from comptool.training.config import TrainSettings
from comptool.training.data import TrainMember, TrainPlan
from comptool.training.distributed import Processes

# The rest is for the model, gradients and activations.
MOST_OF_FREE = 0.5
_MEND = "Take --data-on cpu, or smaller images with --img-size"


@dataclass(frozen=True)
class Placement:
    """Device of the training and validation images."""

    train: torch.device | None = None  # None: loaded by worker processes
    valid: torch.device | None = None
    num_bytes: int = 0  # in device memory
    note: str = ""  # message for the user


def place(
    plan: TrainPlan, member: TrainMember, header: RunHeader, processes: Processes
) -> Placement:
    """Choose the placement."""
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
    excess = f"the images of training take {spelled(train)}; {device} has {spelled(room)} for them"
    if wanted == "auto":
        return Placement(note=f"{excess}: worker processes load them")
    raise InputError(excess, mend=_MEND)


def _check_gpu(plan: TrainPlan, device: torch.device) -> None:
    if device.type != "cuda":
        raise UsageError(f"--data-on gpu needs a GPU, and this training computes on {device}")
    if plan.policy_file is not None:
        raise UsageError(
            f"--data-on gpu loads no images one by one, to which {plan.policy_file} could be "
            "applied; take a named augmentation, or --data-on cpu"
        )


def _num_bytes(header: RunHeader, modality: str) -> int:
    """Bytes of one image."""
    height, width = header.img_size[modality]
    return int(height * width * header.channels[modality])


def _room(device: torch.device, processes: Processes) -> int:
    """Bytes for images in device memory, the least over the processes."""
    cached = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    free = torch.cuda.mem_get_info(device)[0] + cached
    return min(processes.gather(int(MOST_OF_FREE * free)))


Source = Loader | ResidentBatches
# Sampling order by --balance.
ORDERS = {"over": "over", "class-aware": "class-aware"}


def draw_batches(plan: TrainPlan, member: TrainMember, processes: Processes) -> EpochBatches:
    """The row numbers of each update."""
    settings = plan.settings
    drawn: dict[str, Any] = {
        "order": ORDERS.get(settings.balance, "shuffle"),
        "seed": settings.seed,
        "rank": processes.rank,
        "world_size": processes.size,
    }
    labels = plan.rows.labels[member.drawn]
    if member.bags is not None and settings.bag_size is not None:
        return BagBatches(
            labels, settings.per_batch, bags=member.bags, bag_size=settings.bag_size, **drawn
        )
    return EpochBatches(labels, settings.batch_size, partners=settings.balanced_mixup > 0, **drawn)


def open_datasets(
    plan: TrainPlan, member: TrainMember, header: RunHeader
) -> tuple[SampleDataset, ...]:
    """Training data and, if any, validation data."""
    settings, rows = plan.settings, plan.rows
    facts: dict[str, Any] = {
        "sizes": header.img_size,
        "channels": header.channels,
        "missing": settings.missing,
        "bits": header.bits,
        "ranges": header.ranges,
    }
    policy = None
    if plan.policy_file is not None:
        # Late: imports albumentations.
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
    """The named policy for training batches; None if the data set applies a policy file."""
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
    """Training loader, and validation loader or None."""
    train_loader = _open(datasets[0], batches, settings, processes, placement.train)
    if len(datasets) == 1:
        return train_loader, None
    order = in_order(
        len(datasets[1]), 2 * settings.batch_size, rank=processes.rank, world_size=processes.size
    )
    return train_loader, _open(datasets[1], order, settings, processes, placement.valid)


def _open(
    dataset: SampleDataset,
    order: EpochBatches | Sequence[Sequence[int]],
    settings: TrainSettings,
    processes: Processes,
    where: torch.device | None,
) -> Source:
    if where is None:
        workers = choose_workers(settings.workers, processes.device)
        return Loader(dataset, order, workers=workers, device=processes.device)
    return ResidentBatches(dataset, order, where)
