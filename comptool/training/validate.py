"""Validation: predicted probabilities and loss of the validation rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from comptool.data.dataset import Batch, normalise
from comptool.device import memory_errors
from comptool.io.records import RunHeader
from comptool.precision import without_tf32
from comptool.tasks import Task
from comptool.training.distributed import Processes


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
) -> tuple[npt.NDArray[np.float32], float]:
    """Class probabilities of every row in the table's order, and the mean loss of counted rows.

    In float32 without TF32, whatever the precision of training: as ``comptool infer`` on a CPU, or
    with ``--fp32``.
    """
    training = model.training
    model.eval()
    processes.align(model)
    rows, shares, number = [], [], 0
    total = torch.zeros((), dtype=torch.float64, device=transform.device)
    for batch in batches:
        if stopped():
            model.train(training)
            raise StoppedError
        with without_tf32():
            logits = _logits(model, transform.see(batch.images), processes)
        assert batch.targets is not None
        rows.append(batch.rows.numpy())
        places = np.flatnonzero(counted[rows[-1]])
        if len(places):
            total += criterion(*_at(places, logits, batch.targets)).double() * len(places)
            number += len(places)
        shares.append(task.activate(logits))
    model.train(training)
    # The only wait for the device.
    arrays = [torch.cat(shares).cpu().numpy()] if shares else []
    gathered = processes.gather((rows, arrays, float(total), number))
    return _in_order(gathered)


def _logits(model: nn.Module, images: Sequence[Tensor], processes: Processes) -> Tensor:
    """Float32 logits (B, K); splits the batch if memory is short."""
    try:
        with memory_errors():
            logits: Tensor = model(*images)
            return logits.float()
    except torch.OutOfMemoryError:
        if len(images[0]) == 1:
            raise
    # Outside the except block, where the tensors of the pass are released.
    processes.fall_back("out of memory in validation: its batches are computed in halves")
    halves = zip(*(image.chunk(2) for image in images), strict=True)
    return torch.cat([_logits(model, half, processes) for half in halves])


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


def _in_order(gathered: Sequence[Any]) -> tuple[npt.NDArray[np.float32], float]:
    rows = np.concatenate([part for rows, *_ in gathered for part in rows])
    shares = np.concatenate([part for _, parts, *_ in gathered for part in parts])
    probabilities = np.empty_like(shares, dtype=np.float32)
    probabilities[rows] = shares
    number = sum(number for *_, number in gathered)
    return probabilities, sum(total for *_, total, _ in gathered) / number
