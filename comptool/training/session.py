"""Everything that the loop of one member works with."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from comptool.data.batches import Batch, SampleDataset
from comptool.data.pixel_cache import PixelCache
from comptool.data.resident import ResidentBatches
from comptool.data.sampling import EpochBatches
from comptool.losses.deferred import begin_epoch
from comptool.models.streams import StreamModel
from comptool.training.autotune import ComputeConfig
from comptool.training.config import TrainSettings
from comptool.training.freezing import set_training
from comptool.training.gauges import Gauges
from comptool.training.gradient_calibration import total_loss
from comptool.training.mixing import Mixing
from comptool.training.optimisation import Optimisation
from comptool.training.placement import Placement
from comptool.training.precision import Precision
from comptool.training.processes import Processes
from comptool.training.seeds import mixed
from comptool.training.validation import Eye

Phase = Callable[[str], AbstractContextManager[None]]
_NOTHING: AbstractContextManager[None] = nullcontext()


def _untimed(phase: str) -> AbstractContextManager[None]:
    return _NOTHING


@dataclass
class Session:
    """One member's model, data and optimisation.

    Parameters
    ----------
    settings
        How it is trained.
    model
        The module whose weights are kept.
    called
        What is called in training: the model, compiled or distributed if that is wanted.
    without_sync
        A context in which gradients stay in this process, until the last batch of an update.
    criterion
        The loss.
    precision, optimisation
        Of the updates.
    eye
        How images become what the model takes.
    batches, train_loader
        Of training.
    valid_loader
        Of validation; None without.
    processes
        This process among its equals.
    mixing
        Of the batches of training.
    multilabel
        Whether a row may have several classes.
    counted
        Whether each validated row counts in score and loss, shape (n,).
    datasets
        What the loaders read: the rows of training and, where there are any, of validation.
    placement
        Where their images lie.
    gauges
        What is written down after every epoch, beside loss and score.
    compute
        How the steps are computed.
    phase
        Entered around each part of an update under its name: ``wait`` for a batch, ``transfer``,
        ``forward``, ``backward`` or ``optimizer``. A profile puts a clock in its place.
    """

    settings: TrainSettings
    model: StreamModel
    called: Callable[..., Tensor]
    without_sync: Callable[[], AbstractContextManager[None]]
    criterion: nn.Module
    precision: Precision
    optimisation: Optimisation
    eye: Eye
    batches: EpochBatches
    train_loader: Iterable[Batch]
    valid_loader: Iterable[Batch] | None
    processes: Processes
    mixing: Mixing
    multilabel: bool
    counted: npt.NDArray[np.bool_]
    datasets: tuple[SampleDataset, ...]
    placement: Placement
    gauges: Gauges
    compute: ComputeConfig
    phase: Phase = _untimed

    @property
    def updates_per_epoch(self) -> int:
        """Weight updates in one epoch."""
        return -(-self.batches.num_steps // self.settings.grad_accum)

    def decode_once(self, say: Callable[[str], None], quiet: bool) -> None:
        """Read all images before the first epoch, where later ones and other runs profit of it.

        Raises
        ------
        InputError
            If an image cannot be read, or the cache that was asked for has no room.
        """
        mode = self.settings.cache
        if mode == "auto" and self.settings.epochs == 1:
            mode = "off"
        cache = PixelCache(mode, say, quiet, sharers=self.processes.size)
        # One of several processes decodes, and then all find what it has written.
        for turn in (True, False):
            if self.processes.first == turn:
                for dataset in self.datasets:
                    dataset.decode_once(cache)
            self.processes.wait()
        for source in (self.train_loader, self.valid_loader):
            if isinstance(source, ResidentBatches):
                source.load(quiet=quiet)

    def begin_epoch(self, epoch: int) -> None:
        """Turn to the training of an epoch, counted from 0."""
        set_training(self.model, self.settings.freeze)
        begin_epoch(self.criterion, epoch)

    def seen(self, batch: Batch) -> int:
        """Images of a batch that the model learns from: those that are left of it when mixed."""
        return self.mixing.left(len(batch.rows))

    def see(self, batch: Batch, epoch: int, step: int) -> tuple[list[Tensor], Tensor]:
        """Images and targets of one batch in training, normalised and mixed, on the device.

        Everything random follows from the place, also what the model draws afterwards.
        """
        place = mixed(self.settings.seed, epoch, step, self.processes.rank)
        torch.manual_seed(place)
        images = self.eye.see(batch.images)
        assert batch.targets is not None
        targets = batch.targets.to(self.eye.device, non_blocking=True)
        return self.mixing(images, targets, np.random.default_rng(place))

    def loss(self, images: Sequence[Tensor], targets: Tensor) -> Tensor:
        """Mean loss over what :meth:`see` gives, summed over the objectives."""
        with self.precision.autocast():
            logits = self.called(*images)
        return total_loss(self.criterion, logits.float(), targets)
