"""From the rows of a member to the batches that it is trained on and validated by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from comptool.data import augment
from comptool.data.batches import Batch, SampleDataset
from comptool.data.loading import Loader, choose_workers, loader
from comptool.data.resident import ResidentBatches
from comptool.data.sampling import EpochBatches, in_order
from comptool.training.config import TrainSettings
from comptool.training.placement import Placement
from comptool.training.plan import Member, Plan
from comptool.training.processes import Processes

Source = Loader[Batch] | ResidentBatches
# Where one class's rows are repeated, or one of each class taken in turn.
ORDERS = {"over": "over", "class-aware": "class-aware"}


def draw_batches(plan: Plan, member: Member, processes: Processes) -> EpochBatches:
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
    plan: Plan, member: Member, header: Mapping[str, Any], placement: Placement
) -> tuple[SampleDataset, ...]:
    """The rows of training, augmented unless batches are, and of validation if there are any."""
    settings, rows = plan.settings, plan.rows
    facts: dict[str, Any] = {
        "sizes": header["img_size"],
        "channels": header["channels"],
        "missing": "zero" if settings.missing_modality == "zero" else "error",
        "bits": header.get("bits"),
    }
    policy = None
    if not placement.whole_batches:
        policy = augment.create(settings.augment, **settings.augment_options)
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
    policy = augment.BATCH_POLICIES.load(settings.augment)(**settings.augment_options)
    return ResidentBatches(dataset, order, policy, where)
