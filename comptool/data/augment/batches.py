"""Named augmentation policies on whole batches of tensors, on a CPU and on a GPU.

What the operations of ``weak`` and ``strong`` do, in numbers, whatever computes them.

RandAugment: Cubuk et al. 2020, "RandAugment: Practical automated data augmentation with a reduced
search space", arXiv:1909.13719. AutoAugment: Cubuk et al. 2019, "AutoAugment: Learning
augmentation policies from data", arXiv:1805.09501, table 9 (ImageNet). Cutout: DeVries & Taylor
2017, "Improved regularization of convolutional neural networks with Cutout", arXiv:1708.04552.

`comptool.data.augment.albumentations_policies` computes them image by image with albumentations,
and `comptool.data.augment.batches` for whole batches with torch. Neither is imported here.

Random numbers of many samples at once, each a function of that sample's seed alone.

SplitMix64: Steele, Lea & Flood 2014, "Fast splittable pseudorandom number generators", OOPSLA,
section 4; constants of Stafford's variant 13, as in Java's ``SplittableRandom``. It is a counter
and a mixing function, so that one expression gives the n-th numbers of all samples. NumPy's own
counter-based generator, Philox, is an object with a state per sample.

Operations on whole batches of images, with a parameter for each sample.

Written here because no library has them. torchvision's ``v2`` draws one parameter per call, so
that a whole batch would be turned by one angle (issue 8484 of pytorch/vision: no path to anything
else). kornia draws parameters per sample, but its ``RandAugment`` and ``AutoAugment`` choose one
operation for the whole batch, mean other magnitudes by the same names (issue 4655 of
kornia/kornia: posterizing to black, shear in degrees), draw from torch's global generator, and
give no photometry of its own to each image of a pair; what would be left of it is `grid_sample`,
which torch has.

Each operation gives what albumentations gives where
`comptool.data.augment.albumentations_policies` names it, but for
one grey level where rounding differs. ``autocontrast`` gives what Pillow gives: albumentations'
histogram leaves out the brightest level and may be three levels off. Images are uint8
[n, H, W, C] and stay uint8 from one operation to the next, as they do there. Nothing here waits
for the device.

The named policies for whole batches: what becomes of each sample, drawn for all at once.

The same policies as those that `comptool.data.augment.named_policies` names, with random numbers
of their own:
the two paths agree in distribution, not sample by sample. A sample's changes follow from its seed
alone, so that it does not matter in which batch it is, nor what the others are. Numbers are drawn
with numpy on the CPU, so that nothing waits for the device; `comptool.data.augment.batches`
applies them.

What has been drawn for a batch, carried out on its device.

Modalities of one shape lie in one stack, and the images of a stack are grouped by what happens to
them, so that each operation runs once, on its own images. Groups and parameters are put together
with numpy and go to the device in one copy that nobody waits for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from comptool.errors import UsageError

RAND_AUGMENT_STEPS = 30
AUTO_AUGMENT_STEPS = 9
CUTOUT_SHARE = 0.5
GEOMETRIC = ("shear-x", "shear-y", "translate-x", "translate-y", "rotate")
PHOTOMETRIC = (
    "brightness",
    "colour",
    "contrast",
    "sharpness",
    "posterize",
    "solarize",
    "autocontrast",
    "equalize",
    "identity",
)
DIRECTED = (*GEOMETRIC, "brightness", "colour", "contrast", "sharpness")
# At strength 1.
SHEAR = 0.3
SHIFT = 150 / 331  # of the side
ANGLE = 30  # degrees
GAIN = 0.9  # 1 + GAIN is the factor of brightness, colour, contrast and sharpness
BITS_LOST = 4  # by posterize, of 8
Step = tuple[str, float, int]
IMAGENET_POLICY: tuple[tuple[Step, Step], ...] = (
    (("posterize", 0.4, 8), ("rotate", 0.6, 9)),
    (("solarize", 0.6, 5), ("autocontrast", 0.6, 0)),
    (("equalize", 0.8, 0), ("equalize", 0.6, 0)),
    (("posterize", 0.6, 7), ("posterize", 0.6, 6)),
    (("equalize", 0.4, 0), ("solarize", 0.2, 4)),
    (("equalize", 0.4, 0), ("rotate", 0.8, 8)),
    (("solarize", 0.6, 3), ("equalize", 0.6, 0)),
    (("posterize", 0.8, 5), ("equalize", 1.0, 0)),
    (("rotate", 0.2, 3), ("solarize", 0.6, 8)),
    (("equalize", 0.6, 0), ("posterize", 0.4, 6)),
    (("rotate", 0.8, 8), ("colour", 0.4, 0)),
    (("rotate", 0.4, 9), ("equalize", 0.6, 0)),
    (("equalize", 0.0, 0), ("equalize", 0.8, 0)),
    (("invert", 0.6, 0), ("equalize", 1.0, 0)),
    (("colour", 0.6, 4), ("contrast", 1.0, 8)),
    (("rotate", 0.8, 8), ("colour", 1.0, 2)),
    (("colour", 0.8, 8), ("solarize", 0.8, 7)),
    (("sharpness", 0.4, 7), ("invert", 0.6, 0)),
    (("shear-x", 0.6, 5), ("equalize", 1.0, 0)),
    (("colour", 0.4, 0), ("equalize", 0.6, 0)),
    (("equalize", 0.4, 0), ("solarize", 0.2, 4)),
    (("solarize", 0.6, 5), ("autocontrast", 0.6, 0)),
    (("invert", 0.6, 0), ("equalize", 1.0, 0)),
    (("colour", 0.6, 4), ("contrast", 1.0, 8)),
    (("equalize", 0.8, 0), ("equalize", 0.6, 0)),
)


def rand_augment_strength(magnitude: float) -> float:
    """The strength, 0 to 1, of a magnitude of RandAugment.

    Raises
    ------
    UsageError
        If the magnitude is above 30.
    """
    if magnitude > RAND_AUGMENT_STEPS:
        raise UsageError(f"--magnitude is {magnitude:g}; it goes from 0 to {RAND_AUGMENT_STEPS}")
    return magnitude / RAND_AUGMENT_STEPS


_STEP = np.uint64(0x9E3779B97F4A7C15)
_FACTORS = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_SHIFTS = np.uint64(30), np.uint64(27), np.uint64(31)
_FLOAT_BITS = np.uint64(11)  # that a float64 has no room for

Words = npt.NDArray[np.uint64]


class SeededNumbers:
    """A sequence of random numbers for each seed.

    Parameters
    ----------
    seeds
        Non-negative int64 of shape (B,).
    streams
        int64 of any shape (..., 1): sequences of the same seed that know nothing of one another.
        Numbers are drawn for all of them, with shape (..., B).

    Examples
    --------
    >>> both = SeededNumbers(np.array([5, 7]), np.array([0])).uniform()
    >>> both[1] == SeededNumbers(np.array([7]), np.array([0])).uniform()[0]
    True
    """

    def __init__(self, seeds: npt.NDArray[np.int64], streams: npt.NDArray[np.int64]) -> None:
        # Mixed before the streams are told apart, lest that of one seed be another's of the next.
        self._places = _mixed(_mixed(seeds.astype(np.uint64)) ^ streams.astype(np.uint64))

    def uniform(self) -> npt.NDArray[np.float64]:
        """The next numbers, from 0 to below 1, one for each seed and stream."""
        self._places = self._places + _STEP
        return (_mixed(self._places) >> _FLOAT_BITS).astype(np.float64) * 2.0**-53

    def below(self, count: int) -> npt.NDArray[np.int64]:
        """The next integers, from 0 to ``count - 1``, each equally likely."""
        return (self.uniform() * count).astype(np.int64)


def _mixed(words: Words) -> Words:
    for factor, shift in zip(_FACTORS, _SHIFTS[:2], strict=True):
        words = (words ^ (words >> shift)) * factor
    return words ^ (words >> _SHIFTS[2])


LEVELS = 256
# ITU-R BT.601 in 14 bits, as OpenCV has it.
_LUMINANCE, _HALF, _LUMINANCE_BITS = (4899, 9617, 1868), 1 << 13, 14

# Takes images and what has been drawn for them, and gives images.
Operation = Callable[..., Tensor]


def affine(images: Tensor, matrices: Tensor) -> Tensor:
    """Images moved; what comes from outside is black.

    Parameters
    ----------
    images
        uint8 [n, H, W, C].
    matrices
        float32 [n, 2, 3]: from where in the given image each place takes its pixel, in coordinates
        (x, y) of -1 to 1 from edge to edge.
    """
    chips = images.permute(0, 3, 1, 2).float()
    grid = functional.affine_grid(matrices, list(chips.shape), align_corners=False)
    return _to_bytes(functional.grid_sample(chips, grid, align_corners=False).permute(0, 2, 3, 1))


def painted(images: Tensor, edges: Tensor, colours: Tensor) -> Tensor:
    """Images with a rectangle painted over.

    Parameters
    ----------
    images
        uint8 [n, H, W, C].
    edges
        int64 [n, 4]: first row, first column, row after the last, column after the last.
    colours
        uint8 [n, C].
    """
    count, height, width, channels = images.shape
    top, left, bottom, right = edges[:, :, None].unbind(dim=1)
    row, column = (torch.arange(side, device=images.device) for side in (height, width))
    rows = (row >= top) & (row < bottom)
    # Channels beside columns: a mask that is as long as the rows of memory is several times faster.
    columns = ((column >= left) & (column < right)).repeat_interleave(channels, dim=1)
    pattern = colours.repeat(1, width)[:, None]
    lines = images.reshape(count, height, width * channels)
    return torch.where(rows[:, :, None] & columns[:, None], pattern, lines).view(images.shape)


def toned(images: Tensor, thresholds: Tensor, steps: Tensor, gains: Tensor) -> Tensor:
    """Images whose levels from a threshold on are inverted, cut down to steps, and multiplied.

    Parameters
    ----------
    images
        uint8 [n, H, W, C].
    thresholds, steps, gains
        float32 [n]; 256, 1 and 1 change nothing.
    """
    levels = _levels(images)
    tones = torch.where(levels >= thresholds[:, None], LEVELS - 1 - levels, levels)
    tones = torch.floor(tones / steps[:, None]) * steps[:, None] * gains[:, None]
    return _looked_up(images, _truncated(tones)[:, :, None])


def contrasted(images: Tensor, gains: Tensor) -> Tensor:
    """Images pushed away from their mean luminance, or towards it.

    Parameters
    ----------
    images
        uint8 [n, H, W, C].
    gains
        float32 [n]; 1 changes nothing.
    """
    means = _grey(images).float().mean(dim=(1, 2, 3))
    tones = _levels(images) * gains[:, None] + (means * (1 - gains))[:, None]
    return _looked_up(images, _truncated(tones)[:, :, None])


def autocontrasted(images: Tensor) -> Tensor:
    """Images uint8 [n, H, W, C], each channel stretched to all levels."""
    pixels = images.flatten(1, 2)
    low, high = (one.float()[:, None] for one in (pixels.amin(dim=1), pixels.amax(dim=1)))
    levels = _levels(images)[:, None]
    stretched = (levels - low) * ((LEVELS - 1) / (high - low))
    return _looked_up(images, _to_bytes(torch.where(high > low, stretched, levels)))


def equalized(images: Tensor) -> Tensor:
    """Images uint8 [n, H, W, C], each channel with all levels as often as can be."""
    count, channels = len(images), images.shape[3]
    places = _places(images, channels).long().flatten()
    counts = torch.zeros(count * LEVELS * channels, dtype=torch.int32, device=images.device)
    counts.scatter_add_(0, places, torch.ones_like(places, dtype=torch.int32))
    below = counts.view(count, LEVELS, channels).cumsum(dim=1)
    total = below[:, -1:]
    darkest = torch.where(below > 0, below, total).amin(dim=1, keepdim=True)
    spread = (below - darkest) * ((LEVELS - 1) / (total - darkest).float())
    # An image of one level stays as it is.
    tones = torch.where(total > darkest, spread, _levels(images)[:, None])
    return _looked_up(images, _to_bytes(tones))


def coloured(images: Tensor, gains: Tensor) -> Tensor:
    """Images pushed away from their luminance, or towards it.

    Parameters
    ----------
    images
        uint8 [n, H, W, 3].
    gains
        float32 [n]; 1 changes nothing.
    """
    return _blended(images.float(), _grey(images).float(), gains)


def sharpened(images: Tensor, gains: Tensor) -> Tensor:
    """Images pushed away from their smoothed selves, or towards them.

    Parameters
    ----------
    images
        uint8 [n, H, W, C].
    gains
        float32 [n]; 1 changes nothing.
    """
    chips = images.permute(0, 3, 1, 2).float()
    around = functional.avg_pool2d(functional.pad(chips, (1, 1, 1, 1), mode="reflect"), 3, 1)
    smooth = (9 * around + 4 * chips) / 13
    return _blended(chips.permute(0, 2, 3, 1), smooth.permute(0, 2, 3, 1), gains)


def _blended(images: Tensor, plain: Tensor, gains: Tensor) -> Tensor:
    return _to_bytes(torch.lerp(plain, images, gains[:, None, None, None]))


def _grey(images: Tensor) -> Tensor:
    """Luminance, int32 [n, H, W, 1]."""
    if images.shape[3] == 1:
        return images.int()
    weighed = [images[..., place : place + 1].int() * one for place, one in enumerate(_LUMINANCE)]
    return (weighed[0] + weighed[1] + weighed[2] + _HALF) >> _LUMINANCE_BITS


def _levels(images: Tensor) -> Tensor:
    return torch.arange(LEVELS, device=images.device, dtype=torch.float32)


def _looked_up(images: Tensor, tables: Tensor) -> Tensor:
    """Levels replaced as tables uint8 [n, 256, C], or [n, 256, 1] for all channels, say."""
    places = _places(images, tables.shape[2]).flatten()
    return tables.flatten().index_select(0, places).view(images.shape)


def _places(images: Tensor, channels: int) -> Tensor:
    """Where the level of each pixel lies in tables [n, 256, channels], int32 [n, H, W, C]."""
    first = torch.arange(len(images), device=images.device, dtype=torch.int32) * LEVELS * channels
    channel = torch.arange(channels, device=images.device, dtype=torch.int32)
    return images.int() * channels + (first[:, None, None, None] + channel)


def _to_bytes(images: Tensor) -> Tensor:
    return _truncated(images.round())


def _truncated(images: Tensor) -> Tensor:
    return images.clamp(0, LEVELS - 1).to(torch.uint8)


OPERATIONS = (*GEOMETRIC, *PHOTOMETRIC, "invert")
IDENTITY = OPERATIONS.index("identity")
ALL_SYMMETRIES = tuple(range(8))  # of a square; see `comptool.data.augment.named_policies.symmetry`
KEEPING_SHAPE = (0, 2, 5, 7)  # nothing, half a turn, and the two flips
_NUM_SHARED = len(GEOMETRIC)
_DIRECTED = np.array([name in DIRECTED for name in OPERATIONS])

Indices = npt.NDArray[np.int64]
Numbers = npt.NDArray[np.float64]


class Operated(NamedTuple):
    """One operation on each of B samples of M modalities.

    ``codes``, int64 [M, B], are places in `OPERATIONS`; geometry is the same for all modalities.
    ``strengths``, float64 [M, B], are 0 to 1, below 0 where the operation goes the other way.
    """

    codes: Indices
    strengths: Numbers


class Holes(NamedTuple):
    """A rectangle to be painted over in each of B samples.

    ``share`` is its side as a share of the image's; ``centres``, float64 [B, 2], are rows and
    columns, 0 to 1; ``colours`` are uint8 [B, 3].
    """

    share: float
    centres: Numbers
    colours: npt.NDArray[np.uint8]


class Changes(NamedTuple):
    """What becomes of B samples, in this order: a symmetry, a hole, operations.

    ``elements``, int64 [B], are symmetries of a square; None where there are none.
    """

    elements: Indices | None
    holes: Holes | None
    operations: Sequence[Operated]


# Takes the numbers of a sample, those of each of its modalities, and gives the operations.
Drawing = Callable[[SeededNumbers, SeededNumbers], list[Operated]]


@dataclass(frozen=True)
class BatchPolicy:
    """A policy for whole batches.

    Parameters
    ----------
    symmetries
        Those that are drawn from, if any.
    cutout
        Side of the rectangle that is painted over, as a share of the image's; None for none.
    draw_operations
        What is drawn thereafter.
    """

    symmetries: tuple[int, ...] = ()
    cutout: float | None = None
    draw_operations: Drawing = lambda shared, own: []

    def draw(self, seeds: Indices, modalities: int, *, square: bool) -> Changes:
        """What becomes of the samples of a batch.

        Parameters
        ----------
        seeds
            One for each of B samples, non-negative int64.
        modalities
            Their number M.
        square
            Whether all images are square; if not, only symmetries that keep the shape are drawn.
        """
        shared = SeededNumbers(seeds, np.zeros(1, np.int64))
        own = SeededNumbers(seeds, np.arange(1, modalities + 1)[:, None])
        elements, holes = None, None
        if self.symmetries:
            kept = [one for one in self.symmetries if square or one in KEEPING_SHAPE]
            elements = np.array(kept)[shared.below(len(kept))]
        if self.cutout is not None:
            centres = np.stack([shared.uniform(), shared.uniform()], axis=1)
            colours = np.stack([shared.below(256) for _ in "rgb"], axis=1).astype(np.uint8)
            holes = Holes(self.cutout, centres, colours)
        return Changes(elements, holes, self.draw_operations(shared, own))


def none() -> BatchPolicy:
    """The policy that changes nothing."""
    return BatchPolicy()


def flips(*, cutout: float | None = None) -> BatchPolicy:
    """One of the eight symmetries of a square; see `comptool.data.augment.named_policies.flips`."""
    return BatchPolicy(ALL_SYMMETRIES, cutout)


def weak(*, cutout: float = CUTOUT_SHARE, magnitude: float = 9, num_ops: int = 2) -> BatchPolicy:
    """Cutout, then RandAugment; see `comptool.data.augment.albumentations_policies.weak`.

    Raises
    ------
    UsageError
        If the magnitude is above 30.
    """
    strength = rand_augment_strength(magnitude)

    def draw(shared: SeededNumbers, own: SeededNumbers) -> list[Operated]:
        return [_any_operation(strength, shared, own) for _ in range(num_ops)]

    return BatchPolicy((), cutout, draw)


def strong(*, cutout: float = CUTOUT_SHARE) -> BatchPolicy:
    """Flips, Cutout, then AutoAugment; see `comptool.data.augment.albumentations_policies.strong`.

    Two flips with probability one half are one of four symmetries, each equally likely.
    """
    return BatchPolicy(KEEPING_SHAPE, cutout, _sub_policy)


def _any_operation(strength: float, shared: SeededNumbers, own: SeededNumbers) -> Operated:
    """One of RandAugment's fourteen: a geometric one for the sample, else one for each modality."""
    chosen = shared.below(_NUM_SHARED + len(PHOTOMETRIC))
    codes = np.where(chosen < _NUM_SHARED, chosen, _NUM_SHARED + own.below(len(PHOTOMETRIC)))
    return Operated(codes, strength * _direction(codes, shared, own))


def _sub_policy(shared: SeededNumbers, own: SeededNumbers) -> list[Operated]:
    """The two steps of one of AutoAugment's sub-policies."""
    chosen = shared.below(len(IMAGENET_POLICY))
    return [_step(place, chosen, shared, own) for place in (0, 1)]


def _step(place: int, chosen: Indices, shared: SeededNumbers, own: SeededNumbers) -> Operated:
    names, probabilities, levels = zip(*(pair[place] for pair in IMAGENET_POLICY), strict=True)
    codes = np.array([OPERATIONS.index(name) for name in names])[chosen]
    happens = _by_kind(codes, shared, own) < np.array(probabilities)[chosen]
    strengths = np.array(levels)[chosen] / AUTO_AUGMENT_STEPS * _direction(codes, shared, own)
    return Operated(np.where(happens, codes, IDENTITY), strengths)


def _direction(codes: Indices, shared: SeededNumbers, own: SeededNumbers) -> Numbers:
    """1 or, of operations with a direction, as often -1."""
    back = _DIRECTED[codes] & (_by_kind(codes, shared, own) < 0.5)
    return np.where(back, -1.0, 1.0)


def _by_kind(codes: Indices, shared: SeededNumbers, own: SeededNumbers) -> Numbers:
    """Numbers [M, B]: the sample's where its operation is geometric, else the modality's own."""
    # Both are drawn, so that neither sequence depends on what the other one chose.
    drawn = shared.uniform(), own.uniform()
    return np.where(codes < _NUM_SHARED, *drawn)


Shape = tuple[int, int, int]  # height, width, channels
Array = npt.NDArray[Any]
TONE_CHANGES = ("solarize", "invert", "posterize", "brightness")
_ALIGNED = 8  # bytes, of the largest type that is sent


class Work(NamedTuple):
    """One operation on those images of a stack that it is for.

    ``rows`` are their places in the stack, int64 [n], None for all of it; ``arguments`` are the
    operation's, [n, ...].
    """

    stack: int
    operation: Operation
    rows: Indices | None
    arguments: Sequence[Array] = ()

    @property
    def arrays(self) -> list[Array]:
        """What the device has to know."""
        return [*([] if self.rows is None else [self.rows]), *self.arguments]


def stacked(shapes: Sequence[Shape]) -> dict[Shape, list[int]]:
    """The modalities of each stack, by their shape."""
    return {shape: [n for n, one in enumerate(shapes) if one == shape] for shape in shapes}


def tasks(changes: Changes, shapes: Sequence[Shape]) -> list[Work]:
    """What is to be done to the stacks of a batch, symmetries aside, in this order.

    Parameters
    ----------
    changes
        Of B samples.
    shapes
        Of the images of each modality. Where their proportions differ, angles are those of a
        picture that holds the largest of each side.
    """
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
    """Do tasks to stacks of images, and leave what comes of it in their list.

    Parameters
    ----------
    found
        The tasks.
    sent
        Their arrays, one after another, on the device.
    stacks
        uint8 [k * B, H, W, C], the B images of one of k modalities after those of another.
    """
    for task in found:
        here = stacks[task.stack]
        if task.rows is None:
            stacks[task.stack] = task.operation(here, *islice(sent, len(task.arguments)))
            continue
        rows, *arguments = islice(sent, 1 + len(task.arguments))
        here.index_copy_(0, rows, task.operation(here.index_select(0, rows), *arguments))


def send(arrays: Sequence[Array], device: torch.device) -> Iterator[Tensor]:
    """Arrays as tensors on a device, by one copy that is not waited for."""
    starts, size = [], 0
    for array in arrays:
        starts.append(size)
        size += -(-array.nbytes // _ALIGNED) * _ALIGNED
    # Page-locked memory is not given to others before the copy is done; torch sees to that.
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
    arguments = [np.tile(one, (modalities, 1)) for one in (edges, holes.colours[:, : shape[2]])]
    return Work(stack, painted, None, arguments)


def _groups(operated: Operated, stack: int, shape: Shape, canvas: float) -> Iterator[Work]:
    codes, strengths = operated
    for group in _GROUPS:
        rows = np.flatnonzero(np.isin(codes, [OPERATIONS.index(name) for name in group.names]))
        # What is grey has no colour to lose or gain.
        if rows.size and not (shape[2] == 1 and group.names == ("colour",)):
            arguments = group.arguments(codes[rows], strengths[rows], shape, canvas)
            floats = [one.astype(np.float32) for one in arguments]
            yield Work(stack, group.operation, rows, floats)


def matrices(codes: Indices, strengths: Numbers, shape: Shape, canvas: float) -> tuple[Numbers]:
    """The matrices [n, 2, 3] of geometric operations; see `batch_operations.affine`.

    Parameters
    ----------
    codes, strengths
        Of n samples; see `comptool.data.augment.batches.Operated`.
    shape
        Of their images. Shifts are whole pixels of them, so that no image is blurred by one.
    canvas
        Height by width of the picture whose angles are right angles.
    """
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
    """Thresholds, steps and gains [n]; see `batch_operations.toned`."""
    solarize, invert, posterize, brightness = (
        codes == OPERATIONS.index(name) for name in TONE_CHANGES
    )
    # Whole levels, so that rounding to float32 cannot move one to the other side.
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
    """Operations that one function does, and how their arguments follow from what was drawn."""

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
