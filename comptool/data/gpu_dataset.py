"""Batches of images that all lie on one device, and are augmented there.

No process loads anything and no image is looked at by Python: a batch is a gather of rows, and
what its policy has drawn. Where the device is the CPU, the same is done in this process, with the
same random numbers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from comptool.data.augment.batches import (
    ALL_SYMMETRIES,
    KEEPING_SHAPE,
    Array,
    BatchPolicy,
    Indices,
    Shape,
    Work,
    carry_out,
    send,
    stacked,
    tasks,
)
from comptool.data.augment.named_policies import symmetry
from comptool.data.dataset import Batch, SampleDataset
from comptool.data.sampler import EpochBatches
from comptool.errors import InputError

_CHUNK = 512  # images that are brought to the device at once


class Places(NamedTuple):
    """Where images are in a stack, int64 [n], and the symmetries that turn them, if any."""

    rows: Indices
    elements: Indices | None

    @property
    def arrays(self) -> list[Array]:
        """What the device has to know."""
        return [self.rows] if self.elements is None else [self.rows, self.elements]


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
        self._stacks = stacked(self._shapes)
        self._pixels: list[Tensor] = []  # of each stack, its modalities one after another
        self._targets: Tensor | None = None
        self._blank = np.zeros((len(dataset), len(self._shapes)), np.bool_)
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
            self._pixels = [self._brought(*stack, bar) for stack in self._stacks.items()]
        if self._dataset.targets is not None:
            self._targets = torch.from_numpy(self._dataset.targets).to(self._device)
        if self._policy.symmetries:
            self._turns = [_turns(shape, self._device) for shape in self._stacks]

    def _brought(self, shape: Shape, members: Sequence[int], bar: tqdm[Any]) -> Tensor:
        """The images of a stack on the device; takes note of those that are all zero."""
        count = len(self._dataset)
        try:
            whole = (len(members), count, *shape)
            pixels = torch.empty(whole, dtype=torch.uint8, device=self._device)
        except torch.OutOfMemoryError as error:
            raise InputError(
                f"{self._device} has no room any more for the images, {len(members) * count} of "
                f"{' x '.join(map(str, shape))}",
                mend="Take --data-on cpu",
            ) from error
        for place, modality in enumerate(members):
            for start in range(0, count, _CHUNK):
                rows = slice(start, start + _CHUNK)
                chips = self._dataset.chips(modality, rows)
                pixels[place, rows].copy_(torch.from_numpy(chips))
                missing = self._dataset.missing[rows, modality]
                self._blank[rows, modality] = ~chips.any(axis=(1, 2, 3)) & ~missing
                bar.update(len(chips))
        return pixels.flatten(0, 1)

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
        elements, found = None, list[Work]()
        if seeds is not None:
            changes = self._policy.draw(seeds, len(self._shapes), square=self._square)
            elements, found = changes.elements, tasks(changes, self._shapes)
            found += self._blackening(rows)
        places = [self._places(rows, elements, len(members)) for members in self._stacks.values()]
        wanted: list[Places | Work] = [*places, *found]
        sent = send([array for one in wanted for array in one.arrays], self._device)
        arrived = [list(islice(sent, len(one.arrays))) for one in places]
        stacks = [self._taken(stack, *arrays) for stack, arrays in enumerate(arrived)]
        carry_out(found, sent, stacks)
        targets = self._targets
        return Batch(
            self._by_modality(stacks),
            None if targets is None else targets.index_select(0, arrived[0][0][: len(rows)]),
            torch.from_numpy(rows),
            torch.from_numpy(self._blank[rows]),
        )

    def _places(self, rows: Indices, elements: Indices | None, modalities: int) -> Places:
        """Where the images of rows are in a stack, and by what they are turned."""
        starts = np.arange(modalities)[:, None] * len(self._dataset)
        turned = None if elements is None else np.tile(elements, modalities)
        return Places((rows + starts).ravel(), turned)

    def _blackening(self, rows: Indices) -> list[Work]:
        # A missing image is black in training as in prediction, whatever the policy paints.
        absent = self._dataset.missing[rows].T
        return [
            Work(stack, torch.zeros_like, np.flatnonzero(absent[members]))
            for stack, members in enumerate(self._stacks.values())
            if absent[members].any()
        ]

    def _taken(self, stack: int, places: Tensor, elements: Tensor | None = None) -> Tensor:
        """Images, uint8 [k * B, H, W, C], turned where there is something to turn by."""
        pixels = self._pixels[stack]
        if elements is None:
            return pixels.index_select(0, places)
        height, width, channels = pixels.shape[1:]
        turns = self._turns[stack].index_select(0, elements)
        taken = (turns + (places * (height * width))[:, None]).flatten()
        # One gather of pixels: turning what was gathered would go through memory once more.
        return pixels.view(-1, channels).index_select(0, taken).view(-1, height, width, channels)

    def _by_modality(self, stacks: Sequence[Tensor]) -> list[Tensor]:
        """Stacks [k * B, H, W, C] as images [B, C, H, W] of each modality."""
        images = {
            modality: part.permute(0, 3, 1, 2)
            for stack, members in zip(stacks, self._stacks.values(), strict=True)
            for modality, part in zip(members, stack.chunk(len(members)), strict=True)
        }
        return [images[modality] for modality in range(len(self._shapes))]


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
