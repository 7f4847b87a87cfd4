"""Whether the loss is still a number and whether somebody wants to stop, without waiting for it.

To read a number of a GPU is to wait until it has done everything that was asked of it. So what is
looked at there is copied into page-locked memory, and read when the next look is due; by then it
has long arrived. A loss that is no number is noticed two looks later at most, and before anything
is kept, for whoever keeps something waits.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from comptool.training.processes import Processes


@dataclass(frozen=True)
class Sight:
    """What a look has found.

    Parameters
    ----------
    loss_sum
        Sum of the loss over the images that this process had seen in the epoch.
    seen
        Their number.
    diverged
        Whether that sum is no finite number in any process.
    stop
        Whether a stop is asked for in any process.
    """

    loss_sum: float
    seen: int
    diverged: bool
    stop: bool


class Watch:
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
        self._asked: _Question | None = None

    def begin(self, loss_sum: float) -> None:
        """Turn to an epoch, in which the loss has come to ``loss_sum`` already."""
        self._sum.fill_(loss_sum)
        self._asked = None

    def add(self, loss_sum: Tensor) -> None:
        """Add the loss of an update, summed over its images; a scalar on the device."""
        self._sum += loss_sum

    def look(self, seen: int, requested: bool, *, wait: bool) -> Sight | None:
        """What is known without waiting or, with ``wait``, how it is now.

        Parameters
        ----------
        seen
            Images that the loss is the sum over.
        requested
            Whether this process is to stop.
        wait
            Whether to wait for the device.

        Returns
        -------
        Sight or None
            None at the first of late looks.
        """
        asking = _Question(self._values(requested), seen)
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


class _Question:
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

    def answer(self) -> Sight:
        if self._arrived is not None:
            self._arrived.synchronize()
        loss_sum, diverged, stop = self._values.tolist()
        return Sight(loss_sum, self._seen, bool(diverged), bool(stop))
