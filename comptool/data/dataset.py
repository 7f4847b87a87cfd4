"""From rows of a table to uint8 batches in the memory order "channels last".

Named augmentation and normalisation run on the device: uint8 is a quarter of the traffic, and
convolutions are fastest in this order.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import repeat
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import Dataset

from comptool.competition.samples import Samples
from comptool.data.cache import DecodedImages, PixelCache
from comptool.data.image_io import ImageFiles, Pixels, chip_forms, is_blank, resize, to_chip
from comptool.data.sampler import Draw
from comptool.machine import threads, usable_cores

# Augments the uint8 images (H, W, C) of a sample, one per modality, by a seed.
SamplePolicy = Callable[[Sequence[Pixels], int], list[Pixels]]


class Batch(NamedTuple):
    """A batch.

    ``images`` holds one uint8 tensor [B, C, H, W] per modality; ``targets`` is int64 [B] or float
    [B, K], or None for unlabelled rows; ``rows``, int64 [B], index the table; ``blank``, bool
    [B, M], marks all-zero images before augmentation, except missing ones; ``seeds``, int64 [B],
    are the augmentation seeds, or None.
    """

    images: list[Tensor]
    targets: Tensor | None
    rows: Tensor
    blank: Tensor
    seeds: Tensor | None = None


class Chips(NamedTuple):
    """The images of one sample, one per modality, its row, all-zero flags and seed."""

    images: list[Pixels]
    row: int
    blank: list[bool]
    seed: int | None


class SampleDataset(Dataset[Chips]):
    """Samples as arrays of the sizes and channels that a network takes.

    Each image is decoded, resized, converted to its number of channels, and then augmented by the
    policy of a file and resized again if cropped. Named policies change batches; see
    `comptool.data.augment.batches`.

    N samples of M modalities have ``targets`` that are class indices, int64 (N,); soft labels,
    float (N, K); or None. Each modality has a size (height and width in pixels), channels, bits
    in use of 16-bit pixels, by default all, and ranges of other pixels. ``augment`` is from
    `comptool.data.augment.albumentations_file.read_policy`; ``missing`` as in
    `comptool.data.image_io.ImageFiles`.
    """

    def __init__(
        self,
        samples: Samples,
        targets: npt.NDArray[Any] | None,
        *,
        sizes: Mapping[str, Sequence[int]],
        channels: Mapping[str, int],
        augment: SamplePolicy | None = None,
        missing: str = "error",
        bits: Mapping[str, int] | None = None,
        ranges: Mapping[str, Sequence[Sequence[float]]] | None = None,
    ) -> None:
        self._files = ImageFiles(samples, missing)
        self._forms = chip_forms(sizes, channels, bits, ranges, samples.paths)
        self._augment = augment
        self._decoded: list[DecodedImages | None] = [None] * len(self._forms)
        self.targets = targets

    def decode_once(self, cache: PixelCache) -> None:
        """Read images through a cache from now on, where possible.

        Raises an InputError if an image cannot be read, or the requested cache does not fit.
        """
        self._decoded = [
            cache.images(self._files, modality, form) for modality, form in enumerate(self._forms)
        ]

    @property
    def decodes_anew(self) -> bool:
        """Whether some image is decoded each time."""
        return any(images is None for images in self._decoded)

    @property
    def augments(self) -> bool:
        """Whether images are augmented one by one."""
        return self._augment is not None

    @property
    def shapes(self) -> list[tuple[int, int, int]]:
        """Height, width and channels of the images of each modality."""
        return [form.shape for form in self._forms]

    @property
    def missing(self) -> npt.NDArray[np.bool_]:
        """Mask of missing images, (N, M)."""
        return self._files.missing

    def chips(self, modality: int, rows: slice) -> Pixels:
        """The images of rows before augmentation, (n, H, W, C); black where missing."""
        numbers = range(len(self))[rows]
        chips = np.zeros((len(numbers), *self._forms[modality].shape), np.uint8)
        decoded = self._decoded[modality]
        if decoded is not None:
            decoded.copy_to(chips, rows)
            return chips
        with threads(usable_cores()) as pool:
            for place, image in enumerate(pool.map(self._image, numbers, repeat(modality))):
                chips[place] = image
        return chips

    def __len__(self) -> int:
        return len(self._files)

    def __getitem__(self, draw: Draw | int) -> Chips:
        """The images of a row, augmented only with a seed."""
        row, seed = (draw, None) if isinstance(draw, int) else draw
        images = [self._image(row, modality) for modality in range(len(self._forms))]
        blank = [
            is_blank(image) and not self._files.is_missing(row, modality)
            for modality, image in enumerate(images)
        ]
        if self._augment is not None and seed is not None:
            images = self._augmented(images, row, seed)
        return Chips(images, row, blank, seed)

    def _augmented(self, images: list[Pixels], row: int, seed: int) -> list[Pixels]:
        assert self._augment is not None
        changed = []
        for modality, image in enumerate(self._augment(images, seed)):
            resized = resize(image, self._forms[modality].shape[:2])
            # A missing image stays black, as in prediction.
            missing = self._files.is_missing(row, modality)
            changed.append(np.zeros_like(resized) if missing else resized)
        return changed

    def _image(self, row: int, modality: int) -> Pixels:
        decoded, form = self._decoded[modality], self._forms[modality]
        if decoded is not None:
            image = decoded[row]
        else:
            pixels = self._files.read(row, modality)
            source = self._files.source(row, modality)
            image = None if pixels is None else to_chip(pixels, form, source)
        return np.zeros(form.shape, np.uint8) if image is None else image

    def collate(self, samples: list[Chips]) -> Batch:
        """One batch of samples."""
        images = [stack(pixels) for pixels in zip(*(one.images for one in samples), strict=True)]
        rows = np.array([one.row for one in samples], np.int64)
        targets = None if self.targets is None else torch.from_numpy(self.targets[rows])
        blank = torch.tensor([one.blank for one in samples])
        seeds = [one.seed for one in samples if one.seed is not None]
        drawn = torch.tensor(seeds) if seeds else None
        return Batch(images, targets, torch.from_numpy(rows), blank, drawn)


def stack(images: Sequence[Pixels]) -> Tensor:
    """B arrays (H, W, C) as one uint8 tensor [B, C, H, W] in the memory order channels last."""
    return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2)


def normalise(
    images: Tensor, mean: Sequence[float] | Tensor, std: Sequence[float] | Tensor
) -> Tensor:
    """Normalise images on their device: (x / 255 - mean) / std, float32 in the same memory order.

    ``images`` are uint8 of shape [B, C, H, W]; ``mean`` and ``std`` have one number per channel, on
    the scale 0 to 1.
    """
    shape = (1, -1, 1, 1)
    middle = torch.as_tensor(mean, device=images.device).view(shape)
    width = torch.as_tensor(std, device=images.device).view(shape)
    return images.float().div_(255).sub_(middle).div_(width)
