"""One update: prefetched batch, gradient accumulation with halving, optimizer step, EMA."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import nullcontext

import torch
from torch import Tensor, nn

from comptool.data.dataset import Batch
from comptool.errors import UsageError
from comptool.training.autotune import compiling
from comptool.training.setup import TrainSession


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


Say = Callable[[str], None]


class Passes:
    """The gradients of an update, of whatever number of images the memory holds at once.

    What does not fit is taken in halves, quarters and so on, whose gradients add up to those of
    the whole, as with accumulated batches: each part counts by its images, class weights are
    divided by their sum in each part. What did not fit once is not tried again.

    Parameters
    ----------
    session
        What is trained.
    at_once
        Most images in one pass, as an earlier part of the run has found; None: whole batches.
    say
        Takes messages.
    """

    def __init__(self, session: TrainSession, at_once: int | None, say: Say) -> None:
        self.session = session
        self.at_once = at_once
        self._say = say
        self._computing = compiling if session.compute.compiled else nullcontext
        # A single image has no statistics that a batch normalisation should learn, and of parts
        # of three images none needs to be one.
        normalised = any(isinstance(m, nn.modules.batchnorm._BatchNorm) for m in _trained(session))
        self._least = 3 if normalised else 1

    def __call__(self, window: Sequence[Batch], epoch: int, step: int) -> Tensor:
        """Leave the gradients of an update in the weights."""
        while True:
            try:
                return self._try(window, epoch, step)
            except torch.OutOfMemoryError:
                self._halve(max(map(self.session.seen, window)))
            # Only now is nothing left that holds what the pass has made.
            self.session.optimisation.clear()
            if self.session.processes.device.type == "cuda":
                torch.cuda.empty_cache()

    def _try(self, window: Sequence[Batch], epoch: int, step: int) -> Tensor:
        session = self.session
        seen = sum(map(session.seen, window))
        total = torch.zeros((), dtype=torch.float64, device=session.processes.device)
        for place, batch in enumerate(window):
            changed = session.augment(batch)
            with session.phase("transfer"):
                images, targets = session.see(changed, epoch, step + place)
            parts = self._parts(images, targets)
            for number, part in enumerate(parts):
                last = place == len(window) - 1 and number == len(parts) - 1
                with nullcontext() if last else session.without_sync():
                    # Weighed by size, so that accumulated batches count as one large batch; class
                    # weights are divided by their sum in each batch, as torch does it.
                    with session.phase("forward"), self._computing():
                        loss = session.loss(*part)
                    with session.phase("backward"), self._computing():
                        session.optimisation.backward(loss, len(part[1]) / seen)
                total += loss.detach() * len(part[1])
        return total

    def _parts(
        self, images: Sequence[Tensor], targets: Tensor
    ) -> list[tuple[list[Tensor], Tensor]]:
        count = len(targets)
        if self.at_once is None or count <= self.at_once:
            return [(list(images), targets)]
        split = [tensor.tensor_split(-(-count // self.at_once)) for tensor in (*images, targets)]
        return [(list(part[:-1]), part[-1]) for part in zip(*split, strict=True)]

    def _halve(self, batch_size: int) -> None:
        tried = min(batch_size, self.at_once or batch_size)
        device = self.session.processes.device
        if self.session.processes.size > 1:
            raise UsageError(
                f"a batch of {tried} images does not fit into the memory of {device}, and several "
                f"processes do not split it; take a --batch-size below {tried}, with --grad-accum "
                "for updates as large"
            )
        if tried <= self._least:
            raise UsageError(
                f"not even a batch of {tried} fits into the memory of {device}; take a smaller "
                "--img-size or --model, or --model-option grad_checkpointing=true"
            )
        self.at_once = max(-(-tried // 2), self._least)
        self._say(
            f"out of memory with {tried} images at once: from now on at most {self.at_once}, whose "
            "gradients add up to the same update; batch normalisation sees the parts apart"
        )


def _trained(session: TrainSession) -> list[nn.Module]:
    """The layers that learn statistics; frozen ones do not."""
    return [module for module in session.model.modules() if _learns(module)]


def _learns(module: nn.Module) -> bool:
    return any(parameter.requires_grad for parameter in module.parameters(recurse=False))


class TrainStep:
    """Turns the batches of an update into new weights.

    Parameters
    ----------
    session
        What is trained.
    at_once
        See :class:`~comptool.training.train_step.Passes`.
    say
        Takes messages.
    """

    def __init__(self, session: TrainSession, at_once: int | None, say: Say) -> None:
        self._session = session
        self._passes = Passes(session, at_once, say)

    @property
    def at_once(self) -> int | None:
        """Most images in one pass, where the memory did not hold a batch; None: whole batches."""
        return self._passes.at_once

    def __call__(self, window: Sequence[Batch], epoch: int, update: int) -> Tensor:
        """Change the weights once; nothing here waits for the device."""
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
