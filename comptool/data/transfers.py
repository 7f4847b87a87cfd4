"""Copies of batches to a device and of results back, asynchronous on a CUDA device."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from comptool.data.dataset import Batch
from comptool.data.image_io import Pixels


def on_device(
    batches: Iterable[Batch], device: torch.device, *, asynchronous: bool = True
) -> Iterator[Batch]:
    """Move the images and targets of each batch to the device.

    On a GPU the copy from page-locked memory runs on its own stream, parallel to the step before,
    unless it is not to be ``asynchronous``; a batch is ready on the current stream. Batches are not
    fetched ahead.
    """
    if device.type != "cuda":
        yield from batches
        return
    if not asynchronous:
        for batch in batches:
            targets = None if batch.targets is None else batch.targets.to(device)
            images = [image.to(device) for image in batch.images]
            yield batch._replace(images=images, targets=targets)
        return
    copies = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
    for batch in batches:
        with torch.cuda.stream(copies):
            images = [image.to(device, non_blocking=True) for image in batch.images]
            targets = batch.targets
            if targets is not None:
                targets = targets.to(device, non_blocking=True)
        _hand_over(copies, images if targets is None else [*images, targets], batch)
        yield batch._replace(images=images, targets=targets)


def _hand_over(copies: torch.cuda.Stream, moved: list[Tensor], batch: Batch) -> None:
    """Let the current stream wait for the copies, and keep their memory until it is done."""
    current = torch.cuda.current_stream(copies.device)
    current.wait_stream(copies)
    unmoved = {id(tensor) for tensor in (*batch.images, batch.targets)}
    for tensor in moved:
        if id(tensor) not in unmoved:
            tensor.record_stream(current)


@dataclass(frozen=True)
class Arriving:
    """Tensors on their way to this machine's memory."""

    tensors: Sequence[Tensor]  # where they arrive
    arrived: torch.cuda.Event | None = None  # end of the copy; None if complete
    needed: object = None  # memory that is read until then

    def arrays(self) -> list[npt.NDArray[Any]]:
        """Them as arrays; waits for them."""
        if self.arrived is not None:
            self.arrived.synchronize()
        return [tensor.numpy() for tensor in self.tensors]


class Transfers:
    """Between arrays and tensors on a device; on the CPU nothing is copied."""

    ahead = 0  # batches that are begun before the logits of an earlier one are waited for

    def room(self, shape: tuple[int, ...], dtype: Any) -> Pixels:
        """Zeros for images that `there` is given."""
        return np.zeros(shape, dtype)

    def there(self, images: Sequence[Pixels]) -> list[Tensor]:
        """The images of a batch on the device, uint8 [B, C, H, W] in the order channels last."""
        return [torch.from_numpy(pixels).permute(0, 3, 1, 2) for pixels in images]

    def back(self, tensors: Sequence[Tensor], images: Sequence[Pixels]) -> Arriving:
        """What was computed of the images."""
        return Arriving(tensors)


class CudaTransfers(Transfers):
    """Copies to and from a CUDA device via page-locked memory, in parallel with computing."""

    ahead = 2

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._copies = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]

    def room(self, shape: tuple[int, ...], dtype: Any) -> Pixels:
        """Zeros in page-locked memory, which torch reuses."""
        kind = torch.from_numpy(np.empty(0, dtype)).dtype
        return np.asarray(torch.zeros(shape, dtype=kind, pin_memory=True).numpy())

    def there(self, images: Sequence[Pixels]) -> list[Tensor]:
        """The images on the device, copied before they are used."""
        with torch.cuda.stream(self._copies):
            copied = [
                torch.from_numpy(pixels).to(self._device, non_blocking=True).permute(0, 3, 1, 2)
                for pixels in images
            ]
        computing = torch.cuda.current_stream(self._device)
        computing.wait_stream(self._copies)
        for tensor in copied:
            # Else the copying stream would reuse their memory at once.
            tensor.record_stream(computing)
        return copied

    def back(self, tensors: Sequence[Tensor], images: Sequence[Pixels]) -> Arriving:
        """The tensors in page-locked memory, once computed."""
        arriving = [torch.empty_like(tensor, device="cpu", pin_memory=True) for tensor in tensors]
        for tensor, place in zip(tensors, arriving, strict=True):
            place.copy_(tensor, non_blocking=True)
        arrived = torch.cuda.Event()  # type: ignore[no-untyped-call]
        arrived.record(torch.cuda.current_stream(self._device))
        return Arriving(arriving, arrived, (tensors, images))


class WaitingTransfers(Transfers):
    """Copies to and from a device that are waited for, one after the other."""

    def __init__(self, device: torch.device) -> None:
        self._device = device

    def there(self, images: Sequence[Pixels]) -> list[Tensor]:
        """The images on the device."""
        return [image.to(self._device) for image in super().there(images)]

    def back(self, tensors: Sequence[Tensor], images: Sequence[Pixels]) -> Arriving:
        """The tensors in this machine's memory."""
        return Arriving([tensor.cpu() for tensor in tensors])


def transfers(device: torch.device, *, asynchronous: bool = True) -> Transfers:
    """Transfers of images to a device and of logits back."""
    if device.type != "cuda":
        return Transfers()
    return CudaTransfers(device) if asynchronous else WaitingTransfers(device)
