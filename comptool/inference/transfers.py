"""Images on their way to the device and logits on their way back, while the device computes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from comptool.data.images import Pixels


@dataclass(frozen=True)
class Arriving:
    """Tensors on their way to this machine's memory.

    Parameters
    ----------
    tensors
        Where they arrive.
    arrived
        Tells of it; None where they are there.
    needed
        Memory that is read until then.
    """

    tensors: Sequence[Tensor]
    arrived: torch.cuda.Event | None = None
    needed: object = None

    def arrays(self) -> list[npt.NDArray[Any]]:
        """Them as arrays; waits for them."""
        if self.arrived is not None:
            self.arrived.synchronize()
        return [tensor.numpy() for tensor in self.tensors]


class Transfers(Protocol):
    """Between arrays here and tensors on a device.

    Attributes
    ----------
    ahead
        Batches that are begun before the logits of an earlier one are waited for.
    """

    ahead: int

    def room(self, shape: tuple[int, ...], dtype: Any) -> Pixels:
        """Zeros for images that `there` is given."""
        ...

    def there(self, images: Sequence[Pixels]) -> list[Tensor]:
        """The images of a batch on the device, uint8 [B, C, H, W] in the order channels last."""
        ...

    def back(self, tensors: Sequence[Tensor], images: Sequence[Pixels]) -> Arriving:
        """What was computed of the images."""
        ...


class OnHost:
    """The device is this machine's processor, and nothing has to be moved."""

    ahead = 0

    def room(self, shape: tuple[int, ...], dtype: Any) -> Pixels:
        """Zeros."""
        return np.zeros(shape, dtype)

    def there(self, images: Sequence[Pixels]) -> list[Tensor]:
        """The images themselves as tensors."""
        return [torch.from_numpy(pixels).permute(0, 3, 1, 2) for pixels in images]

    def back(self, tensors: Sequence[Tensor], images: Sequence[Pixels]) -> Arriving:
        """The tensors themselves."""
        return Arriving(tensors)


class ToCard:
    """A CUDA device: images are decoded into page-locked memory and copied by an own stream.

    So the copy of a batch, its computation and the decoding of later ones go on at the same time;
    ordinary memory would first be copied by the processor, which waited for it.
    """

    ahead = 2

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._copies = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]

    def room(self, shape: tuple[int, ...], dtype: Any) -> Pixels:
        """Zeros in page-locked memory; torch keeps it for later batches."""
        kind = torch.from_numpy(np.empty(0, dtype)).dtype
        return np.asarray(torch.zeros(shape, dtype=kind, pin_memory=True).numpy())

    def there(self, images: Sequence[Pixels]) -> list[Tensor]:
        """The images on the card, which computes with them only when they are there."""
        with torch.cuda.stream(self._copies):
            copied = [
                torch.from_numpy(pixels).to(self._device, non_blocking=True).permute(0, 3, 1, 2)
                for pixels in images
            ]
        computing = torch.cuda.current_stream(self._device)
        computing.wait_stream(self._copies)
        for tensor in copied:
            # Their memory is the copying stream's, which would take it for free at once.
            tensor.record_stream(computing)
        return copied

    def back(self, tensors: Sequence[Tensor], images: Sequence[Pixels]) -> Arriving:
        """The tensors in page-locked memory, when the card is through with the batch."""
        arriving = [torch.empty_like(tensor, device="cpu", pin_memory=True) for tensor in tensors]
        for tensor, place in zip(tensors, arriving, strict=True):
            place.copy_(tensor, non_blocking=True)
        arrived = torch.cuda.Event()  # type: ignore[no-untyped-call]
        arrived.record(torch.cuda.current_stream(self._device))
        return Arriving(arriving, arrived, (tensors, images))


def transfers(device: torch.device) -> Transfers:
    """How images get to a device and logits back."""
    return ToCard(device) if device.type == "cuda" else OnHost()
