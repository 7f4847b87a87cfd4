"""Augmentation of batches of uint8 tensors by named policies, on any device.

No library does this. torchvision's ``v2`` draws one parameter per call for a whole batch (issue
8484 of pytorch/vision). kornia draws parameters per sample, but its ``RandAugment`` and
``AutoAugment`` choose one operation for the whole batch, have other magnitudes (issue 4655 of
kornia/kornia), draw from torch's global generator, and share photometry between the images of a
pair.

Each operation matches albumentations to within one grey level; ``autocontrast`` matches Pillow,
since albumentations leaves out the brightest level. Images stay uint8 [n, H, W, C] between
operations; interpolation is linear; shear keeps the centre.

Modalities of one shape lie in one stack, grouped by operation, so that each operation runs once, on
its own images. Groups and parameters are prepared with numpy and copied to the device at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from comptool.data.augment.named_policies import (
    ALL_SYMMETRIES,
    GEOMETRIC,
    KEEPING_SHAPE,
    OPERATIONS,
    Changes,
    Holes,
    Indices,
    Numbers,
    Operated,
    Policy,
)
from comptool.data.dataset import Batch

P = TypeVar("P", bound=np.generic)
# At strength 1.
SHEAR = 0.3
SHIFT = 150 / 331  # of the side
ANGLE = 30  # degrees
GAIN = 0.9  # 1 + GAIN is the factor of brightness, colour, contrast and sharpness
BITS_LOST = 4  # by posterize, of 8
LEVELS = 256
COLOURS = 3  # channels of a colour image
# ITU-R BT.601 in 14 bits, as OpenCV has it.
_LUMINANCE, _HALF, _LUMINANCE_BITS = (4899, 9617, 1868), 1 << 13, 14

Operation = Callable[..., Tensor]


def affine(images: Tensor, matrices: Tensor) -> Tensor:
    """Affine maps of images, black outside."""
    chips = images.permute(0, 3, 1, 2).float()
    grid = functional.affine_grid(matrices, list(chips.shape), align_corners=False)
    return _to_bytes(functional.grid_sample(chips, grid, align_corners=False).permute(0, 2, 3, 1))


def painted(images: Tensor, edges: Tensor, colours: Tensor) -> Tensor:
    """Paint a rectangle over images."""
    count, height, width, channels = images.shape
    top, left, bottom, right = edges[:, :, None].unbind(dim=1)
    row, column = (torch.arange(side, device=images.device) for side in (height, width))
    rows = (row >= top) & (row < bottom)
    # Channels merged with columns: a mask along rows of memory is several times faster.
    columns = ((column >= left) & (column < right)).repeat_interleave(channels, dim=1)
    pattern = colours.repeat(1, width)[:, None]
    lines = images.reshape(count, height, width * channels)
    return torch.where(rows[:, :, None] & columns[:, None], pattern, lines).view(images.shape)


def toned(images: Tensor, thresholds: Tensor, steps: Tensor, gains: Tensor) -> Tensor:
    """Solarize from a threshold on, posterize to steps, and multiply."""
    levels = _levels(images)
    tones = torch.where(levels >= thresholds[:, None], LEVELS - 1 - levels, levels)
    tones = torch.floor(tones / steps[:, None]) * steps[:, None] * gains[:, None]
    return _looked_up(images, _truncated(tones)[:, :, None])


def contrasted(images: Tensor, gains: Tensor) -> Tensor:
    """Contrast: blend with the mean luminance."""
    means = _grey(images).float().mean(dim=(1, 2, 3))
    tones = _levels(images) * gains[:, None] + (means * (1 - gains))[:, None]
    return _looked_up(images, _truncated(tones)[:, :, None])


def autocontrasted(images: Tensor) -> Tensor:
    """Stretch each channel to all levels; uint8 [n, H, W, C]."""
    pixels = images.flatten(1, 2)
    low, high = (one.float()[:, None] for one in (pixels.amin(dim=1), pixels.amax(dim=1)))
    levels = _levels(images)[:, None]
    stretched = (levels - low) * ((LEVELS - 1) / (high - low))
    return _looked_up(images, _to_bytes(torch.where(high > low, stretched, levels)))


def equalized(images: Tensor) -> Tensor:
    """Equalize the histogram of each channel; uint8 [n, H, W, C]."""
    count, channels = len(images), images.shape[3]
    places = _places(images, channels).long().flatten()
    counts = torch.zeros(count * LEVELS * channels, dtype=torch.int32, device=images.device)
    counts.scatter_add_(0, places, torch.ones_like(places, dtype=torch.int32))
    below = counts.view(count, LEVELS, channels).cumsum(dim=1)
    total = below[:, -1:]
    darkest = torch.where(below > 0, below, total).amin(dim=1, keepdim=True)
    spread = (below - darkest) * ((LEVELS - 1) / (total - darkest).float())
    # An image of one level is unchanged.
    tones = torch.where(total > darkest, spread, _levels(images)[:, None])
    return _looked_up(images, _to_bytes(tones))


def coloured(images: Tensor, gains: Tensor) -> Tensor:
    """Saturation: blend with the luminance."""
    return _blended(images.float(), _grey(images).float(), gains)


def sharpened(images: Tensor, gains: Tensor) -> Tensor:
    """Sharpness: blend with the smoothed image."""
    chips = images.permute(0, 3, 1, 2).float()
    around = functional.avg_pool2d(functional.pad(chips, (1, 1, 1, 1), mode="reflect"), 3, 1)
    smooth = (9 * around + 4 * chips) / 13
    return _blended(chips.permute(0, 2, 3, 1), smooth.permute(0, 2, 3, 1), gains)


def _blended(images: Tensor, plain: Tensor, gains: Tensor) -> Tensor:
    return _to_bytes(torch.lerp(plain, images, gains[:, None, None, None]))


def _grey(images: Tensor) -> Tensor:
    """Luminance, int32 [n, H, W, 1]."""
    channels = images.shape[3]
    if channels != COLOURS:
        # Of channels that are no colours, the mean.
        return (images.int().sum(dim=3, keepdim=True) + channels // 2) // channels
    weighed = [images[..., place : place + 1].int() * one for place, one in enumerate(_LUMINANCE)]
    return (weighed[0] + weighed[1] + weighed[2] + _HALF) >> _LUMINANCE_BITS


def _levels(images: Tensor) -> Tensor:
    return torch.arange(LEVELS, device=images.device, dtype=torch.float32)


def _looked_up(images: Tensor, tables: Tensor) -> Tensor:
    """Levels replaced by tables, uint8 [n, 256, C], or [n, 256, 1] for all channels."""
    places = _places(images, tables.shape[2]).flatten()
    return tables.flatten().index_select(0, places).view(images.shape)


def _places(images: Tensor, channels: int) -> Tensor:
    """Index of each pixel's level in tables [n, 256, channels], int32 [n, H, W, C]."""
    first = torch.arange(len(images), device=images.device, dtype=torch.int32) * LEVELS * channels
    channel = torch.arange(channels, device=images.device, dtype=torch.int32)
    return images.int() * channels + (first[:, None, None, None] + channel)


def _to_bytes(images: Tensor) -> Tensor:
    return _truncated(images.round())


def _truncated(images: Tensor) -> Tensor:
    return images.clamp(0, LEVELS - 1).to(torch.uint8)


Shape = tuple[int, int, int]  # height, width, channels
Array = npt.NDArray[Any]
TONE_CHANGES = ("solarize", "invert", "posterize", "brightness")
_ALIGNED = 8  # bytes, of the largest type that is sent


class Work(NamedTuple):
    """One operation on images ``rows`` (int64 [n], None for all) with ``arguments`` [n, ...]."""

    stack: int
    operation: Operation
    rows: Indices | None
    arguments: Sequence[Array] = ()

    @property
    def arrays(self) -> list[Array]:
        """The arrays needed on the device."""
        return [*([] if self.rows is None else [self.rows]), *self.arguments]


def stacked(shapes: Sequence[Shape]) -> dict[Shape, list[int]]:
    """The modalities of each stack, by shape."""
    return {shape: [n for n, one in enumerate(shapes) if one == shape] for shape in shapes}


def tasks(changes: Changes, shapes: Sequence[Shape]) -> list[Work]:
    """The operations on the stacks of a batch, without symmetries, in order."""
    found: list[Work] = []
    canvas = max(height for height, *_ in shapes) / max(width for _, width, _ in shapes)
    for stack, (shape, members) in enumerate(stacked(shapes).items()):
        if changes.holes is not None:
            found.append(_painting(changes.holes, stack, shape, len(members)))
        for codes, strengths in changes.operations:
            drawn = codes[members].ravel(), strengths[members].ravel()
            found += _groups(Operated(*drawn), stack, shape, canvas)
    return found


def carry_out(found: Sequence[Work], sent: Iterator[Tensor], stacks: list[Tensor]) -> None:
    """Apply operations to a list of stacks in place."""
    for task in found:
        here = stacks[task.stack]
        if task.rows is None:
            stacks[task.stack] = task.operation(here, *islice(sent, len(task.arguments)))
            continue
        rows, *arguments = islice(sent, 1 + len(task.arguments))
        here.index_copy_(0, rows, task.operation(here.index_select(0, rows), *arguments))


def send(arrays: Sequence[Array], device: torch.device) -> Iterator[Tensor]:
    """Copy arrays to a device as tensors, in one non-blocking copy."""
    starts, size = [], 0
    for array in arrays:
        starts.append(size)
        size += -(-array.nbytes // _ALIGNED) * _ALIGNED
    # torch does not reuse page-locked memory before the copy is done.
    parcel = torch.empty(size, dtype=torch.uint8, pin_memory=device.type == "cuda")
    room = parcel.numpy()
    for start, array in zip(starts, arrays, strict=True):
        room[start : start + array.nbytes] = np.ascontiguousarray(array).view(np.uint8).ravel()
    arrived = parcel.to(device, non_blocking=True)
    for start, array in zip(starts, arrays, strict=True):
        kind = torch.from_numpy(array[:0]).dtype
        yield arrived[start : start + array.nbytes].view(kind).view(array.shape)


def _painting(holes: Holes, stack: int, shape: Shape, modalities: int) -> Work:
    sides = np.array(shape[:2])
    lengths = (holes.share * sides + 0.5).astype(np.int64)
    starts = (holes.centres * sides).astype(np.int64) - lengths // 2
    edges = np.concatenate([np.maximum(starts, 0), np.minimum(starts + lengths, sides)], axis=1)
    # Channels beyond the third take the numbers of the first three again.
    colours = holes.colours[:, np.arange(shape[2]) % COLOURS]
    arguments = [np.tile(one, (modalities, 1)) for one in (edges, colours)]
    return Work(stack, painted, None, arguments)


def _groups(operated: Operated, stack: int, shape: Shape, canvas: float) -> Iterator[Work]:
    codes, strengths = operated
    for group in _GROUPS:
        rows = np.flatnonzero(np.isin(codes, [OPERATIONS.index(name) for name in group.names]))
        # Only colours have a saturation.
        if rows.size and not (shape[2] != COLOURS and group.names == ("colour",)):
            arguments = group.arguments(codes[rows], strengths[rows], shape, canvas)
            floats = [one.astype(np.float32) for one in arguments]
            yield Work(stack, group.operation, rows, floats)


def matrices(codes: Indices, strengths: Numbers, shape: Shape, canvas: float) -> tuple[Numbers]:
    """Matrices [n, 2, 3] of geometric operations; see `affine`."""
    along = {name: np.where(codes == OPERATIONS.index(name), strengths, 0) for name in GEOMETRIC}
    angle = np.radians(ANGLE * along["rotate"])
    found = np.zeros((len(codes), 2, 3))
    found[:, 0, 0] = found[:, 1, 1] = np.cos(angle)
    found[:, 0, 1] = (SHEAR * along["shear-x"] - np.sin(angle)) * canvas
    found[:, 1, 0] = (SHEAR * along["shear-y"] + np.sin(angle)) / canvas
    for place, side in ((0, shape[1]), (1, shape[0])):
        share = along["translate-x" if place == 0 else "translate-y"]
        found[:, place, 2] = -2 * np.trunc(SHIFT * share * side) / side
    return (found,)


def _tones(codes: Indices, strengths: Numbers, shape: Shape, canvas: float) -> tuple[Numbers, ...]:
    solarize, invert, posterize, brightness = (
        codes == OPERATIONS.index(name) for name in TONE_CHANGES
    )
    # Whole levels, so that rounding to float32 cannot cross the threshold.
    threshold = np.ceil((1 - strengths) * (LEVELS - 1))
    thresholds = np.where(solarize, threshold, np.where(invert, 0, LEVELS))
    steps = np.where(posterize, 2 ** np.round(BITS_LOST * strengths), 1)
    return thresholds, steps, np.where(brightness, 1 + GAIN * strengths, 1)


def _gains(codes: Indices, strengths: Numbers, shape: Shape, canvas: float) -> tuple[Numbers, ...]:
    return (1 + GAIN * strengths,)


def _nothing(
    codes: Indices, strengths: Numbers, shape: Shape, canvas: float
) -> tuple[Numbers, ...]:
    return ()


class Group(NamedTuple):
    """Operations of one function, and the computation of their arguments."""

    names: tuple[str, ...]
    operation: Operation
    arguments: Callable[[Indices, Numbers, Shape, float], tuple[Numbers, ...]]


_GROUPS = (
    Group(GEOMETRIC, affine, matrices),
    Group(TONE_CHANGES, toned, _tones),
    Group(("contrast",), contrasted, _gains),
    Group(("autocontrast",), autocontrasted, _nothing),
    Group(("equalize",), equalized, _nothing),
    Group(("colour",), coloured, _gains),
    Group(("sharpness",), sharpened, _gains),
)


class Augmentation:
    """A named policy on the batches of a data set, on a device.

    ``shapes`` are height, width and channels of each of M modalities; ``missing``, bool (N, M),
    marks missing images of the N rows.
    """

    def __init__(
        self,
        policy: Policy,
        shapes: Sequence[Shape],
        missing: npt.NDArray[np.bool_],
        device: torch.device,
    ) -> None:
        self._policy = policy
        self._shapes = shapes
        self._missing = missing
        self._device = device
        self._square = all(height == width for height, width, _ in shapes)
        self._stacks = stacked(shapes)
        self._turns = [_turns(shape, device) for shape in self._stacks if policy.symmetries]

    def __call__(self, batch: Batch) -> Batch:
        """The batch, augmented on the device by the seeds of its rows."""
        assert batch.seeds is not None  # only batches of validation have none
        changes = self._policy.draw(batch.seeds.numpy(), len(self._shapes), square=self._square)
        elements, found = changes.elements, tasks(changes, self._shapes)
        if elements is None and not found:
            return batch
        found += self._blackening(batch.rows.numpy())
        members = self._stacks.values()
        turned = [] if elements is None else [np.tile(elements, len(one)) for one in members]
        sent = send([*turned, *(array for task in found for array in task.arrays)], self._device)
        stacks = [self._stack(batch.images, one) for one in members]
        if turned:
            stacks = [
                self._turned(*pair, next(sent)) for pair in zip(stacks, self._turns, strict=True)
            ]
        carry_out(found, sent, stacks)
        return batch._replace(images=self._by_modality(stacks))

    def _stack(self, images: Sequence[Tensor], members: Sequence[int]) -> Tensor:
        here = [images[one].to(self._device, non_blocking=True) for one in members]
        return torch.cat([one.permute(0, 2, 3, 1) for one in here]).contiguous()

    def _turned(self, images: Tensor, turns: Tensor, elements: Tensor) -> Tensor:
        count, height, width, channels = images.shape
        firsts = torch.arange(count, device=self._device) * (height * width)
        places = turns.index_select(0, elements) + firsts[:, None]
        return images.view(-1, channels).index_select(0, places.flatten()).view(images.shape)

    def _blackening(self, rows: Indices) -> list[Work]:
        # A missing image stays black, as in prediction.
        absent = self._missing[rows].T
        return [
            Work(stack, torch.zeros_like, np.flatnonzero(absent[members]))
            for stack, members in enumerate(self._stacks.values())
            if absent[members].any()
        ]

    def _by_modality(self, stacks: Sequence[Tensor]) -> list[Tensor]:
        images = {
            modality: part.permute(0, 3, 1, 2)
            for stack, members in zip(stacks, self._stacks.values(), strict=True)
            for modality, part in zip(members, stack.chunk(len(members)), strict=True)
        }
        return [images[modality] for modality in range(len(self._shapes))]


def symmetry(image: npt.NDArray[P], element: int) -> npt.NDArray[P]:
    """One of the eight symmetries of a square, as a view of ``image``."""
    turned = np.rot90(image, element % 4)
    return turned.swapaxes(0, 1) if element >= 4 else turned


def _turns(shape: Shape, device: torch.device) -> Tensor:
    """Source index of each pixel under each symmetry that keeps the shape, int64 [8, H * W]."""
    height, width, _ = shape
    places = np.arange(height * width).reshape(height, width, 1)
    kept = [one for one in ALL_SYMMETRIES if height == width or one in KEEPING_SHAPE]
    turns = np.tile(places.ravel(), (len(ALL_SYMMETRIES), 1))
    for element in kept:
        turns[element] = symmetry(places, element).ravel()
    return torch.from_numpy(turns).to(device)
