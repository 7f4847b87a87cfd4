"""Data placement: worker processes that augment images, or batches resident on the device.

Where the images of a training lie, and so who augments them: workers, or the device in batches.

The two ways of augmenting draw different numbers. A run keeps the one that it was begun with, and
a resumed run may move its images elsewhere: whole batches come out alike wherever they are made.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from comptool.data.augment import named_policies
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
    """Where the images of training and of validation lie.

    Parameters
    ----------
    train, valid
        The device that holds all of them, where batches are made; None: worker processes load
        them.
    num_bytes
        That they take there.
    note
        What somebody should know of it, or nothing.
    """

    train: torch.device | None = None
    valid: torch.device | None = None
    num_bytes: int = 0
    note: str = ""

    @property
    def whole_batches(self) -> bool:
        """Whether training augments whole batches."""
        return self.train is not None


def place(
    plan: TrainPlan, member: TrainMember, header: RunHeader, processes: Processes
) -> Placement:
    """Settle where the images lie.

    Parameters
    ----------
    plan, member, processes
        What is trained, and by which process among its equals.
    header
        Of its checkpoints: the size of the images and, of a run that goes on, whether it was begun
        with whole batches.

    Raises
    ------
    UsageError
        If ``--data-on gpu`` is given and there is no GPU, or the augmentation has no form for
        whole batches, or the run was begun without them.
    InputError
        If the images do not fit where they have to be.
    """
    wanted, device = plan.settings.data_on, processes.device
    begun: bool | None = header.whole_batches
    if wanted == "gpu":
        _check_gpu(plan, device, begun)
    on_gpu = wanted != "cpu" and device.type == "cuda"
    if not (on_gpu if begun is None else begun):
        return Placement()
    if plan.policy_file is not None:
        return Placement(note=f"{plan.policy_file} has no form for whole batches: workers augment")
    here = [device] if on_gpu else [torch.device("cpu")]
    if begun and on_gpu and wanted == "auto":
        here.append(torch.device("cpu"))
    needed = {
        part: len(rows) * sum(_num_bytes(header, name) for name in header.modalities)
        for part, rows in (("train", member.train), ("valid", member.valid))
    }
    may_fail = begun is None and wanted == "auto"
    return _first_fitting(needed, here, processes, may_fail=may_fail)


def _first_fitting(
    needed: Mapping[str, int],
    devices: Sequence[torch.device],
    processes: Processes,
    *,
    may_fail: bool,
) -> Placement:
    """The first device with room for the bytes of training; those of validation, if they fit."""
    for device in devices:
        room = _room(device, processes)
        if needed["train"] <= room:
            fits = sum(needed.values()) <= room
            taken = sum(needed.values()) if fits else needed["train"]
            note = f"{spelled(taken)} of images lie on {device}, where whole batches are augmented"
            return Placement(device, device if fits else None, taken, note)
    told = (
        f"the images of training take {spelled(needed['train'])}; {device} has {spelled(room)} for "
        "them"
    )
    if may_fail:
        return Placement(note=f"{told}: workers load and augment them")
    raise InputError(told, mend=_MEND)


def _check_gpu(plan: TrainPlan, device: torch.device, begun: bool | None) -> None:
    if device.type != "cuda":
        raise UsageError(f"--data-on gpu needs a GPU, and this training computes on {device}")
    if plan.policy_file is not None:
        raise UsageError(
            f"--data-on gpu augments whole batches, for which {plan.policy_file} has no form; take "
            "a named augmentation, or --data-on cpu"
        )
    if begun is False:
        raise UsageError(
            "--data-on gpu would augment whole batches, and this run was begun with images that "
            "workers augment; take --data-on auto"
        )


def _num_bytes(header: RunHeader, modality: str) -> int:
    """Of one image."""
    height, width = header.img_size[modality]
    return int(height * width * header.channels[modality])


def _room(device: torch.device, processes: Processes) -> int:
    """Bytes for images on the device, of which no process of several may have less."""
    free = free_memory(device)
    if device.type != "cuda":
        free //= processes.size
    return min(processes.gather(int(MOST_OF_FREE * free)))


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
    plan: TrainPlan, member: TrainMember, header: RunHeader, placement: Placement
) -> tuple[SampleDataset, ...]:
    """The rows of training, augmented unless batches are, and of validation if there are any."""
    settings, rows = plan.settings, plan.rows
    facts: dict[str, Any] = {
        "sizes": header.img_size,
        "channels": header.channels,
        "missing": "zero" if settings.missing_modality == "zero" else "error",
        "bits": header.bits,
    }
    policy = None
    if not placement.whole_batches:
        policy = named_policies.create(settings.augment, **settings.augment_options)
    trained = SampleDataset(
        rows.take(member.train), rows.targets[member.train], augment=policy, **facts
    )
    if not len(member.valid):
        return (trained,)
    return trained, SampleDataset(rows.take(member.valid), rows.labels[member.valid], **facts)


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
    policy = named_policies.BATCH_POLICIES.load(settings.augment)(**settings.augment_options)
    return ResidentBatches(dataset, order, policy, where)
