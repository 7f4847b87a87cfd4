"""What has been drawn for a batch, carried out on its device.

Modalities of one shape lie in one stack, and the images of a stack are grouped by what happens to
them, so that each operation runs once, on its own images. Groups and parameters are put together
with numpy and go to the device in one copy that nobody waits for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from comptool.data import batch_operations
from comptool.data.batch_operations import LEVELS, Operation
from comptool.data.batch_policies import OPERATIONS, Changes, Holes, Indices, Numbers, Operated
from comptool.data.operations import ANGLE, BITS_LOST, GAIN, GEOMETRIC, SHEAR, SHIFT

Shape = tuple[int, int, int]  # height, width, channels
Array = npt.NDArray[Any]
TONE_CHANGES = ("solarize", "invert", "posterize", "brightness")
_ALIGNED = 8  # bytes, of the largest type that is sent


class Task(NamedTuple):
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


def tasks(changes: Changes, shapes: Sequence[Shape]) -> list[Task]:
    """What is to be done to the stacks of a batch, symmetries aside, in this order.

    Parameters
    ----------
    changes
        Of B samples.
    shapes
        Of the images of each modality. Where their proportions differ, angles are those of a
        picture that holds the largest of each side.
    """
    found: list[Task] = []
    canvas = max(height for height, *_ in shapes) / max(width for _, width, _ in shapes)
    for stack, (shape, members) in enumerate(stacked(shapes).items()):
        if changes.holes is not None:
            found.append(_painting(changes.holes, stack, shape, len(members)))
        for codes, strengths in changes.operations:
            drawn = codes[members].ravel(), strengths[members].ravel()
            found += _groups(Operated(*drawn), stack, shape, canvas)
    return found


def carry_out(found: Sequence[Task], sent: Iterator[Tensor], stacks: list[Tensor]) -> None:
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


def _painting(holes: Holes, stack: int, shape: Shape, modalities: int) -> Task:
    sides = np.array(shape[:2])
    lengths = (holes.share * sides + 0.5).astype(np.int64)
    starts = (holes.centres * sides).astype(np.int64) - lengths // 2
    edges = np.concatenate([np.maximum(starts, 0), np.minimum(starts + lengths, sides)], axis=1)
    arguments = [np.tile(one, (modalities, 1)) for one in (edges, holes.colours[:, : shape[2]])]
    return Task(stack, batch_operations.painted, None, arguments)


def _groups(operated: Operated, stack: int, shape: Shape, canvas: float) -> Iterator[Task]:
    codes, strengths = operated
    for group in _GROUPS:
        rows = np.flatnonzero(np.isin(codes, [OPERATIONS.index(name) for name in group.names]))
        # What is grey has no colour to lose or gain.
        if rows.size and not (shape[2] == 1 and group.names == ("colour",)):
            arguments = group.arguments(codes[rows], strengths[rows], shape, canvas)
            floats = [one.astype(np.float32) for one in arguments]
            yield Task(stack, group.operation, rows, floats)


def matrices(codes: Indices, strengths: Numbers, shape: Shape, canvas: float) -> tuple[Numbers]:
    """The matrices [n, 2, 3] of geometric operations; see `batch_operations.affine`.

    Parameters
    ----------
    codes, strengths
        Of n samples; see `comptool.data.batch_policies.Operated`.
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
    Group(GEOMETRIC, batch_operations.affine, matrices),
    Group(TONE_CHANGES, batch_operations.toned, _tones),
    Group(("contrast",), batch_operations.contrasted, _gains),
    Group(("autocontrast",), batch_operations.autocontrasted, _nothing),
    Group(("equalize",), batch_operations.equalized, _nothing),
    Group(("colour",), batch_operations.coloured, _gains),
    Group(("sharpness",), batch_operations.sharpened, _gains),
)
