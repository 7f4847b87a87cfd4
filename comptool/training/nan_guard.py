"""Divergence check of the loss, signals, and blank images, without waiting for the GPU.

Values are copied to page-locked memory and read at the next check. So divergence is noticed up to
two checks late, but before a checkpoint is written, which waits.
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
    """Result of a check."""

    loss_sum: float  # over the images of this process in the epoch
    seen: int  # number of these images
    diverged: bool  # loss is not finite in any process
    stop: bool  # stop requested in any process


class LossMonitor:
    """Loss sum of an epoch; ``late``: a check returns the result of the one before."""

    def __init__(self, processes: Processes, *, late: bool) -> None:
        self._processes = processes
        self._late = late
        self._sum = torch.zeros((), dtype=torch.float64, device=processes.device)
        self._asked: _PendingReading | None = None

    def begin(self, loss_sum: float) -> None:
        """Start or resume an epoch with this loss sum."""
        self._sum.fill_(loss_sum)
        self._asked = None

    def add(self, loss_sum: Tensor) -> None:
        """Add the summed loss of an update, a scalar on the device."""
        self._sum += loss_sum

    def look(self, seen: int, requested: bool, *, wait: bool) -> LossReading | None:
        """The latest reading without waiting, or with ``wait`` the current one."""
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
    """On the first SIGINT or SIGTERM sets ``requested``; only in the main thread.

    A signal that the program was started to ignore stays ignored.
    """

    def __init__(self) -> None:
        self.requested = False
        self._before: dict[signal.Signals, object] = {}

    def __enter__(self) -> Interruption:
        if threading.current_thread() is threading.main_thread():
            heard = [one for one in SIGNALS if signal.getsignal(one) != signal.SIG_IGN]
            self._before = {number: signal.signal(number, self._ask) for number in heard}
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
    """All-zero training images, each counted once."""

    def __init__(self) -> None:
        self.found: Blank = set()  # (row, modality)

    def look(self, batch: Batch) -> None:
        """Add the blank images of a batch."""
        rows = batch.rows.numpy()
        for place, modality in np.argwhere(batch.blank.numpy()):
            self.found.add((int(rows[place]), int(modality)))


def blank_warnings(found: Blank, modalities: Sequence[str], ids: Sequence[str]) -> list[str]:
    """A warning for each modality with blank images.

    Examples
    --------
    >>> blank_warnings({(1, 0)}, ["sar", "eo"], ["s0", "s1", "s2"])
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
