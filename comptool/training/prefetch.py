"""Batches on their way to the device while it is still at work on the one before."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor

from comptool.data.batches import Batch


def on_device(batches: Iterable[Batch], device: torch.device) -> Iterator[Batch]:
    """The same batches, their images and targets on the device; rows and blanks stay as they are.

    A GPU copies them out of page-locked memory on a stream of their own, beside the step before:
    whoever takes a batch has only asked for that step, and not waited for it. A batch is asked for
    when it is taken, never ahead.

    Parameters
    ----------
    batches
        As a loader gives them, in page-locked memory; or on the device already.
    device
        Where they are worked on, on the stream that is current when they are taken.
    """
    if device.type != "cuda":
        yield from batches
        return
    beside = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
    for batch in batches:
        with torch.cuda.stream(beside):
            images = [image.to(device, non_blocking=True) for image in batch.images]
            targets = batch.targets
            if targets is not None:
                targets = targets.to(device, non_blocking=True)
        _hand_over(beside, images if targets is None else [*images, targets], batch)
        yield batch._replace(images=images, targets=targets)


def _hand_over(beside: torch.cuda.Stream, moved: list[Tensor], batch: Batch) -> None:
    """Have the work that follows wait for the copies, and their memory wait for that work."""
    current = torch.cuda.current_stream(beside.device)
    current.wait_stream(beside)
    there = {id(tensor) for tensor in (*batch.images, batch.targets)}
    for tensor in moved:
        if id(tensor) not in there:
            tensor.record_stream(current)
