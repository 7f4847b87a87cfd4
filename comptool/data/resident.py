"""Batches of images that all lie on one device, and are augmented there.

No process loads anything and no image is looked at by Python: a batch is a gather of rows, and
what its policy has drawn. Where the device is the CPU, the same is done in this process, with the
same random numbers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from comptool.data.augment import symmetry
from comptool.data.batch_changes import Array, Shape, Task, carry_out, send, tasks
from comptool.data.batch_policies import ALL_SYMMETRIES, KEEPING_SHAPE, BatchPolicy, Indices
from comptool.data.batches import Batch, SampleDataset
from comptool.data.sampling import EpochBatches
from comptool.errors import InputError

_CHUNK = 512  # images that are brought to the device at once


class ResidentBatches:
    """Batches of the samples of a data set, on one device.

    Parameters
    ----------
    dataset
        N samples of M modalities; its own augmentation is not used.
    order
        `EpochBatches`, or the lists of `in_order`, which are not augmented.
    policy
        What becomes of the images of a batch.
    device
        Where images and targets lie.
    """

    def __init__(
        self,
        dataset: SampleDataset,
        order: EpochBatches | Sequence[Sequence[int]],
        policy: BatchPolicy,
        device: torch.device,
    ) -> None:
        self._dataset = dataset
        self._order = order
        self._policy = policy
        self._device = device
        self._shapes = dataset.shapes
        self._square = all(height == width for height, width, _ in self._shapes)
        self._pixels: list[Tensor] = []
        self._targets: Tensor | None = None
        self._blank = np.zeros((0, 0), np.bool_)
        self._turns: list[Tensor] = []

    def load(self, *, quiet: bool = True) -> None:
        """Bring all images and targets to the device, unless they are there.

        Raises
        ------
        InputError
            If an image cannot be read, or there is no room any more.
        """
        if self._pixels:
            return
        count = len(self._dataset)
        # None: no bar where stderr is no terminal.
        hidden = True if quiet else None
        total = count * len(self._shapes)
        with tqdm(total=total, unit="img", desc="load", leave=False, disable=hidden) as bar:
            brought = [
                self._brought(number, shape, bar) for number, shape in enumerate(self._shapes)
            ]
        self._pixels = [pixels for pixels, _ in brought]
        self._blank = np.stack([dark for _, dark in brought], axis=1) & ~self._dataset.missing
        if self._dataset.targets is not None:
            self._targets = torch.from_numpy(self._dataset.targets).to(self._device)
        if self._policy.symmetries:
            self._turns = [_turns(shape, self._device) for shape in self._shapes]

    def _brought(self, modality: int, shape: Shape, bar: tqdm[Any]) -> tuple[Tensor, Array]:
        """The images of a modality on the device, and which of them are all zero."""
        count = len(self._dataset)
        try:
            pixels = torch.empty((count, *shape), dtype=torch.uint8, device=self._device)
        except torch.OutOfMemoryError as error:
            raise InputError(
                f"{self._device} has no room any more for the images, {count} of "
                f"{' x '.join(map(str, shape))}",
                mend="Take --data-on cpu",
            ) from error
        dark = np.empty(count, np.bool_)
        for start in range(0, count, _CHUNK):
            rows = slice(start, start + _CHUNK)
            chips = self._dataset.chips(modality, rows)
            pixels[rows].copy_(torch.from_numpy(chips))
            dark[rows] = ~chips.any(axis=(1, 2, 3))
            bar.update(len(chips))
        return pixels, dark

    def __len__(self) -> int:
        return len(self._order)

    def __iter__(self) -> Iterator[Batch]:
        self.load()
        if isinstance(self._order, EpochBatches):
            for rows, seeds in self._order.arrays():
                yield self._batch(rows, seeds)
        else:
            for numbers in self._order:
                yield self._batch(np.array(numbers, np.int64), None)

    def _batch(self, rows: Indices, seeds: Indices | None) -> Batch:
        elements, found = None, list[Task]()
        if seeds is not None:
            changes = self._policy.draw(seeds, len(self._shapes), square=self._square)
            elements, found = changes.elements, tasks(changes, self._shapes)
            found += self._blackening(rows)
        symmetries = [] if elements is None else [elements]
        arrays = [rows, *symmetries, *(array for task in found for array in task.arrays)]
        sent = send(arrays, self._device)
        places, element = next(sent), next(sent) if symmetries else None
        images = [self._taken(modality, places, element) for modality in range(len(self._shapes))]
        carry_out(found, sent, images)
        return Batch(
            [image.permute(0, 3, 1, 2) for image in images],
            None if self._targets is None else self._targets.index_select(0, places),
            torch.from_numpy(rows),
            torch.from_numpy(self._blank[rows]),
        )

    def _blackening(self, rows: Indices) -> list[Task]:
        # A missing image is black in training as in prediction, whatever the policy paints.
        absent = self._dataset.missing[rows]
        return [
            Task(modality, torch.zeros_like, np.flatnonzero(absent[:, modality]))
            for modality in np.flatnonzero(absent.any(axis=0)).tolist()
        ]

    def _taken(self, modality: int, rows: Tensor, elements: Tensor | None) -> Tensor:
        """The images of rows, uint8 [B, H, W, C], turned where there is something to turn by."""
        pixels = self._pixels[modality]
        if elements is None:
            return pixels.index_select(0, rows)
        height, width, channels = self._shapes[modality]
        turns = self._turns[modality].index_select(0, elements)
        places = (turns + (rows * (height * width))[:, None]).flatten()
        # One gather of pixels: turning what was gathered would go through memory once more.
        return pixels.view(-1, channels).index_select(0, places).view(-1, height, width, channels)


def _turns(shape: Shape, device: torch.device) -> Tensor:
    """Where each pixel of an image comes from under each symmetry, int64 [8, H * W].

    Those that do not keep the shape are left as they are, and are not drawn.
    """
    height, width, _ = shape
    places = np.arange(height * width).reshape(height, width, 1)
    kept = [one for one in ALL_SYMMETRIES if height == width or one in KEEPING_SHAPE]
    turns = np.tile(places.ravel(), (len(ALL_SYMMETRIES), 1))
    for element in kept:
        turns[element] = symmetry(places, element).ravel()
    return torch.from_numpy(turns).to(device)
