"""Validation: predicted probabilities and loss of the validation rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from comptool.data.dataset import Batch, normalise
from comptool.device import memory_errors
from comptool.io.records import RunHeader
from comptool.models.bag_pooling import BagPlaces, pool_outputs
from comptool.precision import without_tf32
from comptool.tasks import Task
from comptool.tasks.pooling import ATTENTION
from comptool.training.data import Validated
from comptool.training.distributed import Processes

MOST_POOLED = 2**22  # numbers that are pooled at once


@dataclass(frozen=True)
class InputTransform:
    """Conversion of uint8 images to the model's input."""

    means: tuple[Tensor, ...]  # per modality, (C,), on the device: copying would wait for it
    stds: tuple[Tensor, ...]
    device: torch.device
    channels_last: bool  # memory format of the model

    @classmethod
    def of(cls, header: RunHeader, device: torch.device, channels_last: bool) -> InputTransform:
        """The transform that a checkpoint's header describes."""
        means, stds = (
            tuple(
                torch.tensor(getattr(header, key)[name], device=device)
                for name in header.modalities
            )
            for key in ("mean", "std")
        )
        return cls(means, stds, device, channels_last)

    def see(self, images: Sequence[Tensor]) -> list[Tensor]:
        """Normalised float images on the device, one tensor (B, C, H, W) per modality."""
        order = torch.channels_last if self.channels_last else torch.contiguous_format
        return [
            normalise(image.to(self.device, non_blocking=True), mean, std).contiguous(
                memory_format=order
            )
            for image, mean, std in zip(images, self.means, self.stds, strict=True)
        ]


def black_images(header: RunHeader, count: int, device: torch.device) -> list[Tensor]:
    """Zeros, uint8 (count, C, H, W), for each modality of a checkpoint."""
    return [
        torch.zeros(
            count, header.channels[name], *header.img_size[name], dtype=torch.uint8, device=device
        )
        for name in header.modalities
    ]


class ValidBags(NamedTuple):
    """Bags of the n validation rows of a network that is trained on bags."""

    of_row: npt.NDArray[np.int64]  # (n,), 0 to B - 1
    first: npt.NDArray[np.int64]  # first row of each, (B,)
    targets: npt.NDArray[Any]  # of each, (B,) or (B, K)
    pool: str


class StoppedError(Exception):
    """The evaluation was interrupted."""


@torch.inference_mode()
def evaluate(
    model: nn.Module,
    batches: Iterable[Batch],
    transform: InputTransform,
    criterion: nn.Module,
    processes: Processes,
    stopped: Callable[[], bool],
    *,
    task: Task,
    counted: npt.NDArray[np.bool_],
    bags: ValidBags | None = None,
) -> Validated:
    """Class probabilities of every row in the table's order, and the mean loss of counted rows.

    In float32 without TF32, whatever the precision of training: as ``comptool infer`` on a CPU, or
    with ``--fp32``. With ``bags`` the loss is that of bags, of all their images.
    """
    training = model.training
    model.eval()
    processes.align(model)
    rows, shares, outputs, number = [], [], [], 0
    total = torch.zeros((), dtype=torch.float64, device=transform.device)
    for batch in batches:
        if stopped():
            model.train(training)
            raise StoppedError
        with without_tf32():
            logits = in_halves(model, transform, batch.images, processes, "validation")
        assert batch.targets is not None
        rows.append(batch.rows.numpy())
        if bags is not None:
            outputs.append(logits)
            shares.append(task.activate(logits[:, : -1 if bags.pool == ATTENTION else None]))
            continue
        places = np.flatnonzero(counted[rows[-1]])
        if len(places):
            total += criterion(*_at(places, logits, batch.targets)).double() * len(places)
            number += len(places)
        shares.append(task.activate(logits))
    model.train(training)
    # The only wait for the device.
    arrays = [torch.cat(part).cpu().numpy() for part in (shares, outputs) if part]
    gathered = processes.gather((rows, arrays, float(total), number))
    probabilities, *found = _in_order(gathered)
    if bags is not None:
        return Validated(probabilities, *_of_bags(found[0], bags, criterion, task, counted))
    number = sum(count for *_, count in gathered)
    return Validated(probabilities, sum(loss for *_, loss, _ in gathered) / number)


def _of_bags(
    outputs: npt.NDArray[np.float32],
    bags: ValidBags,
    criterion: nn.Module,
    task: Task,
    counted: npt.NDArray[np.bool_],
) -> tuple[float, npt.NDArray[np.float32]]:
    """Mean loss of counted bags, and probabilities (B, K), from the outputs for all images."""
    device = next(criterion.buffers(), torch.empty(0)).device
    order = np.argsort(bags.of_row, kind="stable")
    in_order = bags.of_row[order]
    at_once = max(1, MOST_POOLED // (int(np.bincount(in_order).max()) * outputs.shape[1]))
    shares, total, number = [], 0.0, 0
    for first in range(0, len(bags.targets), at_once):
        here = slice(*np.searchsorted(in_order, [first, first + at_once]))
        places = BagPlaces.of(in_order[here] - first, device)
        images = torch.from_numpy(outputs[order[here]]).to(device)
        logits = pool_outputs(task, images, places, bags.pool)
        shares.append(task.activate(logits).cpu().numpy())
        counting = np.flatnonzero(counted[bags.first[first : first + at_once]])
        if len(counting):
            targets = torch.from_numpy(bags.targets[first : first + at_once])
            total += float(criterion(*_at(counting, logits, targets))) * len(counting)
            number += len(counting)
    return total / number, np.concatenate(shares)


def in_halves(
    model: nn.Module,
    transform: InputTransform,
    images: Sequence[Tensor],
    processes: Processes,
    what: str,
) -> Tensor:
    """Float32 logits (B, K) of uint8 images; halves the batch while memory is short.

    ``what`` names the computing in the sentence on this fall-back.
    """
    try:
        with memory_errors():
            logits: Tensor = model(*transform.see(images))
            return logits.float()
    except torch.OutOfMemoryError:
        if len(images[0]) == 1:
            raise
    # Outside the except block, where the tensors of the pass are released.
    processes.fall_back(f"out of memory in {what}: its batches are computed in halves")
    halves = zip(*(image.chunk(2) for image in images), strict=True)
    return torch.cat([in_halves(model, transform, half, processes, what) for half in halves])


def has_numbers(model: nn.Module) -> bool:
    """Whether all weights are finite; waits for the device."""
    return all(bool(tensor.isfinite().all()) for tensor in model.state_dict().values())


def _at(places: npt.NDArray[np.int64], logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Logits and targets at these places of a batch."""
    targets = targets.to(logits.device, non_blocking=True)
    if len(places) == len(targets):
        return logits, targets
    # Not a mask, which would wait for the device.
    chosen = torch.from_numpy(places).to(logits.device, non_blocking=True)
    return logits[chosen], targets[chosen]


def _in_order(gathered: Sequence[Any]) -> list[npt.NDArray[np.float32]]:
    """The tables of all processes with their rows in order."""
    rows = np.concatenate([part for rows, *_ in gathered for part in rows])
    tables = zip(*(arrays for _, arrays, *_ in gathered if arrays), strict=True)
    found = []
    for parts in tables:
        joined = np.concatenate(parts)
        ordered = np.empty_like(joined, dtype=np.float32)
        ordered[rows] = joined
        found.append(ordered)
    return found
