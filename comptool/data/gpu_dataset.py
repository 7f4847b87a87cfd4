"""Batches of a data set that lies on one device: no loading, a batch is a gather of rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from tqdm import tqdm

from comptool.data.augment.batches import send
from comptool.data.dataset import Batch, SampleDataset
from comptool.data.sampler import EpochBatches
from comptool.device import memory_errors
from comptool.errors import InputError

_CHUNK = 512  # images that are brought to the device at once


class ResidentBatches:
    """Batches of N samples on one device; ``order`` is an `EpochBatches` or lists of `in_order`.

    The augmentation of the data set itself is not used.
    """

    def __init__(
        self,
        dataset: SampleDataset,
        order: EpochBatches | Sequence[Sequence[int]],
        device: torch.device,
    ) -> None:
        self._dataset = dataset
        self._order = order
        self._device = device
        self._pixels: list[Tensor] = []  # of each modality
        self._targets: Tensor | None = None
        self._blank = np.zeros((len(dataset), len(dataset.shapes)), np.bool_)

    def load(self, *, quiet: bool = True) -> None:
        """Copy all images and targets to the device, once.

        Raises an InputError if an image cannot be read, or the device has no room.
        """
        if self._pixels:
            return
        modalities = range(len(self._dataset.shapes))
        # None: no bar where stderr is no terminal.
        hidden = True if quiet else None
        total = len(self._dataset) * len(modalities)
        with tqdm(total=total, unit="img", desc="load", leave=False, disable=hidden) as bar:
            self._pixels = [self._brought(modality, bar) for modality in modalities]
        if self._dataset.targets is not None:
            self._targets = torch.from_numpy(self._dataset.targets).to(self._device)

    def _brought(self, modality: int, bar: tqdm[Any]) -> Tensor:
        """The images of a modality on the device; records all-zero ones."""
        count, shape = len(self._dataset), self._dataset.shapes[modality]
        try:
            with memory_errors():
                pixels = torch.empty((count, *shape), dtype=torch.uint8, device=self._device)
        except torch.OutOfMemoryError as error:
            raise InputError(
                f"{self._device} has no room any more for the images, {count} of "
                f"{' x '.join(map(str, shape))}",
                mend="Take --data-on cpu",
            ) from error
        for start in range(0, count, _CHUNK):
            rows = slice(start, start + _CHUNK)
            chips = self._dataset.chips(modality, rows)
            pixels[rows].copy_(torch.from_numpy(chips))
            missing = self._dataset.missing[rows, modality]
            self._blank[rows, modality] = ~chips.any(axis=(1, 2, 3)) & ~missing
            bar.update(len(chips))
        return pixels

    def __len__(self) -> int:
        return len(self._order)

    def __iter__(self) -> Iterator[Batch]:
        self.load()
        if isinstance(self._order, EpochBatches):
            for rows, seeds in self._order.arrays():
                yield self._batch(rows, torch.from_numpy(seeds))
        else:
            for numbers in self._order:
                yield self._batch(np.array(numbers, np.int64), None)

    def _batch(self, rows: npt.NDArray[np.int64], seeds: Tensor | None) -> Batch:
        (places,) = send([rows], self._device)
        targets = self._targets
        return Batch(
            [one.index_select(0, places).permute(0, 3, 1, 2) for one in self._pixels],
            None if targets is None else targets.index_select(0, places),
            torch.from_numpy(rows),
            torch.from_numpy(self._blank[rows]),
            seeds,
        )
