"""``--batch-size auto``: the largest batch that fits into GPU memory, found by trial steps."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import torch

from comptool.data.augment import named_policies
from comptool.data.augment.batches import Augmentation
from comptool.data.dataset import Batch
from comptool.device import memory_errors
from comptool.models.pretrained import RANDOM
from comptool.training.config import AS_MANY_AS_FIT, BATCH_SIZE, PRETRAINED_RATE, RANDOM_RATE
from comptool.training.criterion import make_loss
from comptool.training.data import TrainMember, TrainPlan
from comptool.training.distributed import Processes
from comptool.training.loaders import draw_batches, place
from comptool.training.optim import MixedPrecision, Optimisation, freeze, set_training
from comptool.training.self_check import checked_amp
from comptool.training.setup import new_model, sample_loss, without_published_weights
from comptool.training.validate import InputTransform, black_images

Say = Callable[[str], None]
SPARE = 0.1  # share of memory for other batches and validation
FIRST = 8  # images


def with_batch_size(plan: TrainPlan, processes: Processes, say: Say) -> TrainPlan:
    """The plan with ``--batch-size auto`` replaced by a number.

    On a GPU the largest batch of a full training step that leaves a tenth of the memory free, the
    least over the processes; on a CPU, where larger batches are no faster, the default. Never more
    than the training rows; of bags as many as fit. The first member of the run is tried, and
    ``say`` is called with the chosen size. Raises a UsageError or InputError as in training.
    """
    settings = plan.settings
    if settings.batch_size != AS_MANY_AS_FIT:
        return plan
    each = settings.bag_size or 1  # images of a sample
    most = max(1, min(len(member.drawn) for member in plan.members) // processes.size)
    if processes.device.type == "cuda":
        number = largest(Trial(plan, plan.members[0], processes, say).fits, most)
        gc.collect()
        torch.cuda.empty_cache()
        why = "the most that fit with a tenth of the memory to spare"
    else:
        number = min(max(1, BATCH_SIZE // each), most)
        why = "the default, for a CPU gains nothing by more"
    number = min(processes.gather(number))
    plan = replace(plan, settings=replace(settings, batch_size=number * each))
    why = "all there are to train on" if number == most else why
    whose = " per process" if processes.size > 1 else ""
    rate = f"{RANDOM_RATE:g} from random weights, {PRETRAINED_RATE:g} from others"
    if settings.lr is not None:
        rate = f"{settings.lr:g}"
    say(
        f"--batch-size auto: {number * each} images{whose} ({why}); steps in an epoch: "
        f"{draw_batches(plan, plan.members[0], processes).num_steps}; --lr is not scaled: {rate}"
    )
    return plan


def largest(fits: Callable[[int], bool], most: int) -> int:
    """The largest number up to ``most`` that fits, within an eighth; 1 if none does.

    Examples
    --------
    >>> largest(lambda number: number <= 100, 1000)
    96
    """
    number, trial = 0, min(FIRST, most)
    while fits(trial):
        number = trial
        if number == most:
            return most
        trial = min(2 * trial, most)
    while trial - number > max(number // 8, 1):
        middle = (number + trial) // 2
        number, trial = (middle, trial) if fits(middle) else (number, middle)
    return max(number, 1)


class Trial:
    """Trial training steps of a throw-away model."""

    def __init__(
        self,
        plan: TrainPlan,
        member: TrainMember,
        processes: Processes,
        say: Say = lambda text: None,
    ) -> None:
        plan = without_published_weights(plan)
        self._device = processes.device
        model, self._header = new_model(plan, member, lambda text: None)
        model = model.to(self._device).to(memory_format=torch.channels_last)
        freeze(model, plan.settings.freeze)
        set_training(model, plan.settings.freeze)
        self._model = model
        self._transform = InputTransform.of(self._header, self._device, channels_last=True)
        self._criterion = make_loss(plan, member).to(self._device)
        amp = checked_amp(plan.settings.amp, processes, say)
        self._precision = MixedPrecision(amp, self._device)
        rate = plan.settings.rate(pretrained=self._header.pretrained != RANDOM)
        self._optimisation = Optimisation(model, plan.settings, rate, 1, self._precision)
        self._target = torch.from_numpy(plan.rows.targets[member.drawn[:1]])
        self._settings, self._task = plan.settings, plan.rows.task
        self._augmentation = self._policy(plan)
        placement = place(plan, member, self._header, processes)
        # Reserve the memory of resident images.
        self._images = torch.empty(placement.num_bytes, dtype=torch.uint8, device=placement.train)

    def fits(self, number: int) -> bool:
        """Whether a step with this many samples leaves the spare memory free."""
        with _leaving(SPARE, self._device):
            try:
                with memory_errors():
                    self._step(number)
            except torch.OutOfMemoryError:
                return False
            finally:
                self._optimisation.clear()
        return True

    def _policy(self, plan: TrainPlan) -> Augmentation | None:
        """The named policy, which augments on the device; a policy file does so elsewhere."""
        if plan.policy_file is not None:
            return None
        settings, header = plan.settings, self._header
        policy = named_policies.create(settings.augment, **settings.augment_options)
        shapes = [
            (header.img_size[name][0], header.img_size[name][1], header.channels[name])
            for name in header.modalities
        ]
        missing = np.zeros((1, len(shapes)), np.bool_)
        return Augmentation(policy, shapes, missing, self._device)

    def _step(self, number: int) -> None:
        bag_size = self._settings.bag_size
        draws = None if bag_size is None else np.repeat(np.arange(number), bag_size)
        images = number if draws is None else len(draws)
        chips = black_images(self._header, images, self._device)
        targets = self._target.expand(number, *self._target.shape[1:]).to(self._device)
        if self._augmentation is not None:
            first = torch.zeros(images, dtype=torch.int64)
            batch = Batch(chips, targets, first, first, seeds=torch.arange(images))
            chips = self._augmentation(batch).images
        self._optimisation.begin(0)
        with self._precision.autocast():
            outputs = self._model(*self._transform.see(chips))
        loss = sample_loss(self._criterion, outputs, targets, self._task, draws, self._settings)
        self._optimisation.backward(loss)
        self._optimisation.step()


@contextmanager
def _leaving(share: float, device: torch.device) -> Iterator[None]:
    """Limit this process to GPU memory that is free or reserved now, less a share."""
    if device.type != "cuda":
        yield
        return
    torch.cuda.empty_cache()  # of a failed step
    free, total = torch.cuda.mem_get_info(device)
    held = torch.cuda.memory_reserved(device)
    torch.cuda.set_per_process_memory_fraction((1 - share) * (free + held) / total, device)
    try:
        yield
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0, device)
