"""From rows of a table to batches on the device.

Worker processes decode, resize and augment, and hand over uint8 in the memory order "channels
last"; floating point and normalisation come on the device. That is a quarter of the traffic, and
the order that convolutions are fastest in.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from types import FrameType
from typing import Any, Generic, NamedTuple, TypeVar

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from comptool.data.augment import Augment
from comptool.data.decoded_images import DecodedImages
from comptool.data.files import ImageFiles
from comptool.data.images import Pixels, chip_forms, is_blank, resize, to_chip
from comptool.data.pixel_cache import PixelCache
from comptool.data.sampling import Draw
from comptool.errors import InputError
from comptool.machine import usable_cores
from comptool.samples import Samples

T = TypeVar("T")
S = TypeVar("S")
MOST_WORKERS = 8


class Batch(NamedTuple):
    """What a loader gives.

    ``images`` holds one uint8 tensor [B, C, H, W] per modality; ``targets`` is int64 [B] or float
    [B, K], or None for unlabelled rows; ``rows``, int64 [B], are the rows of the table; ``blank``,
    bool [B, M], says which images were all zero before they were augmented, missing ones aside.
    """

    images: list[Tensor]
    targets: Tensor | None
    rows: Tensor
    blank: Tensor


class Chips(NamedTuple):
    """The images of one sample, one per modality, its row, and which of them were all zero."""

    images: list[Pixels]
    row: int
    blank: list[bool]


class SampleDataset(Dataset[Chips]):
    """Samples as arrays of the sizes and channels that a network takes.

    Each image is decoded, resized to its modality's size, given its number of channels, and then
    augmented, so that pixels mean the same in every modality of that size. A policy that crops is
    followed by another resize.

    Parameters
    ----------
    samples
        N samples of M modalities.
    targets
        Class index of each row, int64 of shape (N,); or, for soft labels, float of shape (N, K);
        or None.
    sizes
        Height and width of each modality, in pixels.
    channels
        1 or 3 for each modality.
    augment
        The policy; see `comptool.data.augment.create`.
    missing
        ``"error"`` or ``"zero"``; see `comptool.data.files.ImageFiles`. For ``drop`` see
        `comptool.data.files.drop_missing`.
    bits
        Those that the 16-bit pixels of each modality use; all where there are none.
    """

    def __init__(
        self,
        samples: Samples,
        targets: npt.NDArray[Any] | None,
        *,
        sizes: Mapping[str, Sequence[int]],
        channels: Mapping[str, int],
        augment: Augment | None = None,
        missing: str = "error",
        bits: Mapping[str, int] | None = None,
    ) -> None:
        self._files = ImageFiles(samples, missing)
        self._forms = chip_forms(sizes, channels, bits, samples.paths)
        self._augment = augment
        self._decoded: list[DecodedImages | None] = [None] * len(self._forms)
        self.targets = targets

    def decode_once(self, cache: PixelCache) -> None:
        """Take the images from a cache from now on, where it can keep them.

        Raises
        ------
        InputError
            If an image cannot be read, or the cache has no room and was asked for.
        """
        self._decoded = [
            cache.images(self._files, modality, form) for modality, form in enumerate(self._forms)
        ]

    def __len__(self) -> int:
        return len(self._files)

    def __getitem__(self, draw: Draw | int) -> Chips:
        """The images of a row, augmented only if a seed comes with it."""
        row = draw if isinstance(draw, int) else draw.row
        images = [self._image(row, modality) for modality in range(len(self._forms))]
        blank = [
            is_blank(image) and not self._files.is_missing(row, modality)
            for modality, image in enumerate(images)
        ]
        if self._augment is not None and not isinstance(draw, int):
            images = self._augmented(images, row, draw.seed)
        return Chips(images, row, blank)

    def _augmented(self, images: list[Pixels], row: int, seed: int) -> list[Pixels]:
        assert self._augment is not None
        changed = []
        for modality, image in enumerate(self._augment(images, seed)):
            resized = resize(image, self._forms[modality].shape[:2])
            # A missing image is black in training as in prediction, whatever the policy paints.
            missing = self._files.is_missing(row, modality)
            changed.append(np.zeros_like(resized) if missing else resized)
        return changed

    def _image(self, row: int, modality: int) -> Pixels:
        decoded = self._decoded[modality]
        image = self._read(row, modality) if decoded is None else decoded[row]
        if image is None:
            return np.zeros(self._forms[modality].shape, np.uint8)
        return image

    def _read(self, row: int, modality: int) -> Pixels | None:
        pixels = self._files.read(row, modality)
        return None if pixels is None else to_chip(pixels, self._forms[modality])

    def collate(self, samples: list[Chips]) -> Batch:
        """One batch of samples."""
        images = [stack(pixels) for pixels in zip(*(one.images for one in samples), strict=True)]
        rows = np.array([one.row for one in samples], np.int64)
        targets = None if self.targets is None else torch.from_numpy(self.targets[rows])
        blank = torch.tensor([one.blank for one in samples])
        return Batch(images, targets, torch.from_numpy(rows), blank)


def stack(images: Sequence[Pixels]) -> Tensor:
    """B arrays (H, W, C) as one uint8 tensor [B, C, H, W] in the memory order channels last."""
    return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2)


class Loader(Generic[T]):
    """Batches of a dataset, in the order in which ``batches`` lists their rows.

    A damaged image raises its own `InputError` here, in the process that iterates; torch would
    wrap it in the traceback of a worker.

    Parameters
    ----------
    dataset
        Anything indexed by the members of a batch.
    collate
        Makes one batch of a list of the dataset's members.
    batches
        `EpochBatches`, or the lists of `in_order`.
    workers
        Processes that load; 0 = this one.
    device
        Where the batches will go; for CUDA they are put into page-locked memory.
    """

    def __init__(
        self,
        dataset: Dataset[S],
        collate: Callable[[list[S]], T],
        batches: Iterable[Sequence[Any]],
        *,
        workers: int = 0,
        device: str | torch.device = "cpu",
    ) -> None:
        self._loader: DataLoader[Any] = DataLoader(
            _Guarded(dataset),
            batch_sampler=batches,  # type: ignore[arg-type]
            collate_fn=_Collate(collate),
            num_workers=workers,
            # Newer Pythons would send each worker a copy of all decoded images.
            multiprocessing_context="fork" if workers and sys.platform == "linux" else None,
            pin_memory=torch.device(device).type == "cuda",
            persistent_workers=workers > 0,
            worker_init_fn=_prepare_worker,
        )

    def __len__(self) -> int:
        return len(self._loader)

    def __iter__(self) -> Iterator[T]:
        for batch in self._loader:
            if isinstance(batch, InputError):
                raise batch
            yield batch


def loader(
    dataset: SampleDataset,
    batches: Iterable[Sequence[Any]],
    *,
    workers: int = 0,
    device: str | torch.device = "cpu",
) -> Loader[Batch]:
    """A `Loader` of a `SampleDataset`."""
    return Loader(dataset, dataset.collate, batches, workers=workers, device=device)


class _Guarded(Dataset[Any]):
    def __init__(self, dataset: Dataset[Any]) -> None:
        self._dataset = dataset

    def __getitem__(self, draw: Any) -> Any:
        try:
            return self._dataset[draw]
        except InputError as error:
            return error


class _Collate:
    def __init__(self, collate: Callable[[list[Any]], Any]) -> None:
        self._collate = collate

    def __call__(self, members: list[Any]) -> Any:
        errors = [member for member in members if isinstance(member, InputError)]
        return errors[0] if errors else self._collate(members)


def _prepare_worker(worker: int) -> None:
    # Ctrl-C reaches every process of the terminal; the parent alone answers it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # A time limit may end the whole group. torch takes a worker that dies of a signal for a crash,
    # and raises in the middle of whatever the parent is doing.
    signal.signal(signal.SIGTERM, _leave)
    # OpenCV's own threads would compete with the other workers.
    cv2.setNumThreads(0)


def _leave(number: int, frame: FrameType | None) -> None:
    os._exit(0)


def choose_workers(workers: int | None, device: str | torch.device) -> int:
    """The number of workers: as asked for, else by the machine.

    For a GPU one per core, at most eight. A network on the CPU needs the cores itself, and gets
    all but one, or all but two where there are many.
    """
    if workers is not None:
        return workers
    cores = usable_cores()
    if torch.device(device).type == "cuda":
        return min(cores, MOST_WORKERS)
    return min(cores - 1, 2)


def normalise(images: Tensor, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """Images as a network takes them: (x / 255 - mean) / std, on the device of ``images``.

    Parameters
    ----------
    images
        uint8 of shape [B, C, H, W].
    mean, std
        One number per channel, on the scale 0 to 1.

    Returns
    -------
    torch.Tensor
        float32 of the same shape and memory order.
    """
    shape = (1, -1, 1, 1)
    middle = torch.tensor(mean, device=images.device).view(shape)
    width = torch.tensor(std, device=images.device).view(shape)
    return images.float().div_(255).sub_(middle).div_(width)
