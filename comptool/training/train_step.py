"""One weight update: transfer to the device, gradient accumulation, optimizer step and EMA."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext

import torch
from torch import Tensor, nn

from comptool.data.dataset import Batch
from comptool.device import memory_errors
from comptool.errors import UsageError
from comptool.training.compilation import compiling
from comptool.training.setup import TrainSession

Say = Callable[[str], None]


class TrainStep:
    """Weight update from the batches of one update.

    A batch that does not fit into memory is computed in parts, which are halved until they fit and
    weighted by their number of samples; class weights are normalised within each part. ``at_once``
    is the most samples in one pass found so far, also in an earlier part of the run; None for whole
    batches. ``say`` is called with each message.
    """

    def __init__(self, session: TrainSession, at_once: int | None, say: Say) -> None:
        self._session = session
        self.at_once = at_once
        self._say = say
        self._computing = compiling if session.compute.compiled else nullcontext
        # Batch normalisation needs two images; splitting more than three leaves no single one.
        normalised = any(
            isinstance(module, nn.modules.batchnorm._BatchNorm)
            and any(parameter.requires_grad for parameter in module.parameters(recurse=False))
            for module in session.model.modules()
        )
        self._least = 3 if normalised and session.batches.least_per_draw == 1 else 1

    def __call__(self, window: Sequence[Batch], epoch: int, update: int) -> Tensor:
        """Update the weights without waiting for the device; returns the summed loss."""
        session = self._session
        number = epoch * session.updates_per_epoch + update
        session.optimisation.begin(number)
        losses = self._gradients(window, epoch, update * session.settings.grad_accum)
        try:
            with session.phase("optimizer"), memory_errors():
                session.optimisation.step()
        except torch.OutOfMemoryError as error:
            raise UsageError(
                f"the state of --optimizer {session.settings.optimizer} does not fit into the "
                f"memory of {session.processes.device} in addition to the model; take a smaller "
                "--model, or sgd"
            ) from error
        with session.phase("optimizer"):
            session.optimisation.average(number)
        return losses

    def _gradients(self, window: Sequence[Batch], epoch: int, step: int) -> Tensor:
        """Compute the gradients of an update; returns the summed loss."""
        while True:
            try:
                with memory_errors():
                    return self._try(window, epoch, step)
            except torch.OutOfMemoryError:
                self._halve(max(map(self._session.seen, window)))
            # Outside the except block, where the tensors of the pass are released.
            self._session.optimisation.clear()
            if self._session.processes.device.type == "cuda":
                torch.cuda.empty_cache()

    def _try(self, window: Sequence[Batch], epoch: int, step: int) -> Tensor:
        session = self._session
        seen = sum(map(session.seen, window))
        total = torch.zeros((), dtype=torch.float64, device=session.processes.device)
        for place, batch in enumerate(window):
            changed = self._augmented(batch)
            with session.phase("transfer"):
                parts = session.see(changed, epoch, step + place).split(self.at_once)
            for number, part in enumerate(parts):
                last = place == len(window) - 1 and number == len(parts) - 1
                with nullcontext() if last else session.without_sync():
                    # Weighted by size: accumulated batches count as one large batch.
                    with session.phase("forward"), self._computing():
                        loss = session.loss(*part)
                    with session.phase("backward"), self._computing():
                        session.optimisation.backward(loss, len(part.targets) / seen)
                total += loss.detach() * len(part.targets)
        return total

    def _augmented(self, batch: Batch) -> Batch:
        """An augmented batch; smaller passes of the model would not help it into the memory."""
        session = self._session
        try:
            with memory_errors():
                return session.augment(batch)
        except torch.OutOfMemoryError as error:
            raise UsageError(
                f"the memory of {session.processes.device} does not hold the augmentation of a "
                f"batch of {len(batch.rows)} images; take a smaller --batch-size, with "
                "--grad-accum for updates as large"
            ) from error

    def _halve(self, batch_size: int) -> None:
        tried = min(batch_size, self.at_once or batch_size)
        device, unit = self._session.processes.device, self._session.unit
        bag_size = self._session.settings.bag_size
        if self._session.processes.size > 1:
            raise UsageError(
                f"a batch of {tried} {unit} does not fit into the memory of {device}, and several "
                f"processes do not split it; take a --batch-size below {tried * (bag_size or 1)}, "
                "with --grad-accum for updates as large"
            )
        if tried <= self._least:
            what, smaller = (str(tried), "") if bag_size is None else ("one bag", "--bag-size, ")
            raise UsageError(
                f"not even a batch of {what} fits into the memory of {device}; take a smaller "
                f"{smaller}--img-size or --model, or --model-option grad_checkpointing=true"
            )
        self.at_once = max(-(-tried // 2), self._least)
        self._say(
            f"out of memory with {tried} {unit} at once: from now on at most {self.at_once}, whose "
            "gradients add up to the same update; batch normalisation sees the parts apart"
        )
