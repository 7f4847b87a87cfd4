"""NaN guard of the loss, interruption by signals, and blank images, without waiting for the device.

To read a number of a GPU is to wait until it has done everything that was asked of it. So what is
looked at there is copied into page-locked memory, and read when the next look is due; by then it
has long arrived. A loss that is no number is noticed two looks later at most, and before anything
is kept, for whoever keeps something waits.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from types import FrameType, TracebackType

import numpy as np
import torch
from torch import Tensor

from comptool.data.dataset import Batch
from comptool.errors import quoted
from comptool.training.distributed import Processes


@dataclass(frozen=True)
class LossReading:
    """What a look has found."""

    loss_sum: float  # sum of the loss over the images that this process had seen in the epoch
    seen: int  # their number
    diverged: bool  # whether that sum is no finite number in any process
    stop: bool  # whether a stop is asked for in any process


class LossMonitor:
    """The loss of an epoch as it adds up, and looks at it.

    Parameters
    ----------
    processes
        Who look together: each has to look at the same updates.
    late
        Whether a look gives what the one before it has asked.
    """

    def __init__(self, processes: Processes, *, late: bool) -> None:
        self._processes = processes
        self._late = late
        self._sum = torch.zeros((), dtype=torch.float64, device=processes.device)
        self._asked: _PendingReading | None = None

    def begin(self, loss_sum: float) -> None:
        """Turn to an epoch, in which the loss has come to ``loss_sum`` already."""
        self._sum.fill_(loss_sum)
        self._asked = None

    def add(self, loss_sum: Tensor) -> None:
        """Add the loss of an update, summed over its images; a scalar on the device."""
        self._sum += loss_sum

    def look(self, seen: int, requested: bool, *, wait: bool) -> LossReading | None:
        """What is known without waiting or, with ``wait``, how it is now."""
        asking = _PendingReading(self._values(requested), seen)
        if wait or not self._late:
            self._asked = None
            return asking.answer()
        asked, self._asked = self._asked, asking
        return None if asked is None else asked.answer()

    def _values(self, requested: bool) -> Tensor:
        values = torch.empty(3, dtype=torch.float64, device=self._sum.device)
        values[0] = self._sum
        values[1] = ~self._sum.isfinite()
        values[2].fill_(requested)
        self._processes.vote(values[1:])
        return values


class _PendingReading:
    """Numbers on their way from the device."""

    def __init__(self, values: Tensor, seen: int) -> None:
        self._seen = seen
        self._values = values
        self._arrived: torch.cuda.Event | None = None
        if values.is_cuda:
            self._values = torch.empty(values.shape, dtype=values.dtype, pin_memory=True)
            self._values.copy_(values, non_blocking=True)
            self._arrived = torch.cuda.Event()  # type: ignore[no-untyped-call]
            self._arrived.record()

    def answer(self) -> LossReading:
        if self._arrived is not None:
            self._arrived.synchronize()
        loss_sum, diverged, stop = self._values.tolist()
        return LossReading(loss_sum, self._seen, bool(diverged), bool(stop))


SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interruption:
    """While entered, the first SIGINT or SIGTERM sets ``requested``; the second acts as usual.

    Only a main thread receives signals; elsewhere this does nothing.
    """

    def __init__(self) -> None:
        self.requested = False
        self._before: dict[signal.Signals, object] = {}

    def __enter__(self) -> Interruption:
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._ask) for number in SIGNALS}
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._restore()

    def _ask(self, number: int, frame: FrameType | None) -> None:
        self.requested = True
        self._restore()

    def _restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]
        self._before = {}


Blank = set[tuple[int, int]]


class BlankImages:
    """All-zero images among those that batches were made of, each counted once."""

    def __init__(self) -> None:
        self.found: Blank = set()  # (row, modality)

    def look(self, batch: Batch) -> None:
        """Take note of the blank images of a batch."""
        rows = batch.rows.numpy()
        for place, modality in np.argwhere(batch.blank.numpy()):
            self.found.add((int(rows[place]), int(modality)))


def told(found: Blank, modalities: Sequence[str], ids: Sequence[str]) -> list[str]:
    """A warning for each modality with blank images.

    Examples
    --------
    >>> told({(1, 0)}, ["sar", "eo"], ["s0", "s1", "s2"])
    ["WARNING: 1 of the 3 sar images to train on is all zero: 's1'"]
    """
    sentences = []
    for number, name in enumerate(modalities):
        blank = [ids[row] for row, modality in sorted(found) if modality == number]
        if blank:
            verb = "is" if len(blank) == 1 else "are"
            sentences.append(
                f"WARNING: {len(blank)} of the {len(ids)} {name} images to train on {verb} all "
                f"zero: {quoted(blank)}"
            )
    return sentences
