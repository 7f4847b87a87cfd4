"""One change of the weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from comptool.data.batches import Batch
from comptool.errors import UsageError
from comptool.training.passes import Passes
from comptool.training.session import Session

Say = Callable[[str], None]


class Update:
    """Turns the batches of an update into new weights.

    Parameters
    ----------
    session
        What is trained.
    at_once
        See :class:`~comptool.training.passes.Passes`.
    say
        Takes messages.
    """

    def __init__(self, session: Session, at_once: int | None, say: Say) -> None:
        self._session = session
        self._passes = Passes(session, at_once, say)

    @property
    def at_once(self) -> int | None:
        """Most images in one pass, where the memory did not hold a batch; None: whole batches."""
        return self._passes.at_once

    def __call__(self, window: Sequence[Batch], epoch: int, update: int) -> Tensor:
        """Change the weights once; nothing here waits for the device.

        Parameters
        ----------
        window
            One or, with accumulation, several batches.
        epoch, update
            Which update of which epoch it is, from 0.

        Returns
        -------
        Tensor
            The sum of the loss over the images of this process, a float64 scalar on the device.

        Raises
        ------
        UsageError
            If the memory does not hold what the update needs.
        """
        session = self._session
        number = epoch * session.updates_per_epoch + update
        step = update * session.settings.grad_accum
        session.optimisation.begin(number)
        losses = self._step(window, epoch, step)
        with session.phase("optimizer"):
            session.optimisation.average(number)
        return losses

    def _step(self, window: Sequence[Batch], epoch: int, step: int) -> Tensor:
        session = self._session
        losses = self._passes(window, epoch, step)
        try:
            with session.phase("optimizer"):
                session.optimisation.step()
        except torch.OutOfMemoryError as error:
            raise UsageError(
                f"the state of --optimizer {session.settings.optimizer} does not fit into the "
                f"memory of {session.processes.device} beside the model; take a smaller --model, "
                "or sgd"
            ) from error
        return losses
