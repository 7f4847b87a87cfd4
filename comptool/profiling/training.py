"""Updates of ``comptool train``, measured on its own data; nothing is kept of them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import count, islice
from pathlib import Path

from comptool.data.augment import POLICY_FILES
from comptool.data.batches import Batch
from comptool.data.loading import choose_workers
from comptool.data.resident import ResidentBatches
from comptool.errors import UsageError
from comptool.machine import usable_cores
from comptool.profiling.advice import Circumstances, advice_for_training
from comptool.profiling.device_clock import clock_of
from comptool.profiling.loading import loading_of
from comptool.profiling.measuring import measure, seconds_of
from comptool.profiling.report import AUGMENT, WAIT, Loading, Profile
from comptool.training.batch_size import with_batch_size
from comptool.training.cuda_graph import WARM_UPS, is_recorded
from comptool.training.plan import Plan
from comptool.training.prefetch import on_device
from comptool.training.preparation import prepare, without_published_weights
from comptool.training.probe import LEAST_STEPS, compilation_is_known
from comptool.training.processes import joined
from comptool.training.session import Session
from comptool.training.update import Update

# The first updates of a process choose kernels, take memory, may compile, and are then recorded.
UNCOUNTED = WARM_UPS + 1
AHEAD = 2  # batches that each worker of a loader has ready
LOADED = 5  # batches that are loaded here to see what loading takes

Say = Callable[[str], None]


def profile_training(plan: Plan, steps: int, say: Say, quiet: bool) -> Profile:
    """Where the time of a training goes.

    Published weights are not fetched: those of the network are random, or of ``--init-from``. The
    network is compiled where it is asked for, or known to pay.

    Parameters
    ----------
    plan
        Checked by :func:`comptool.training.plan.make_plan`; of several members the first is
        trained. Nothing is written to its folder.
    steps
        Updates to measure; an epoch that has fewer is followed by another.
    say
        Takes messages.
    quiet
        Whether there is no bar while images are decoded for the first time.

    Raises
    ------
    UsageError
        As training; also under a ``torchrun`` of several processes.
    InputError
        As training.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise UsageError("profile measures one process; start it without torchrun")
    with joined(plan.settings.device) as processes:
        plan = with_batch_size(without_published_weights(plan), processes, say)
        # Whether compilation pays takes minutes to learn, which nobody asked for here.
        ready = prepare(plan, plan.members[0], processes, say, measure="layout")
        session = ready.session
        assert session is not None  # only a run that is resumed can have nothing left to do
        session.decode_once(say, quiet)
        known = compilation_is_known(ready.header, session.settings, processes.device)
        return profile_session(session, steps, say, compilation_known=known)


def profile_session(
    session: Session, steps: int, say: Say, *, compilation_known: bool = True
) -> Profile:
    """The same of a session that is ready for its first update; its weights change."""
    updates = _Updates(session, say)
    measured = measure(updates, steps)
    loading = updates.loading()
    profile = measured.profile("train", str(session.processes.device), loading)
    circumstances = _circumstances(session, loading, compilation_known)
    return replace(profile, advice=advice_for_training(profile, circumstances))


def _circumstances(
    session: Session, loading: Loading | None, compilation_known: bool
) -> Circumstances:
    settings, device = session.settings, session.processes.device
    # Nothing is tried in shorter runs, nor for steps that are recorded.
    num_batches = settings.epochs * session.batches.num_steps
    tried = num_batches >= LEAST_STEPS and session.recorder is None
    return Circumstances(
        cuda=device.type == "cuda",
        # A network on the CPU needs the cores itself.
        most_loaders=usable_cores() if device.type == "cuda" else choose_workers(None, device),
        batch_size=settings.batch_size,
        full_precision=session.precision.dtype is None,
        decodes_anew=session.datasets[0].decodes_anew,
        augments=loading is not None and settings.augment != "none",
        could_be_placed=_could_be_placed(session),
        could_be_larger=session.batches.num_draws > settings.batch_size,
        could_be_recorded=session.recorder is None and _could_be_recorded(session),
        could_compile=tried and settings.compile == "off",
        will_try_to_compile=tried and settings.compile == "auto" and not compilation_known,
        updates=session.updates_per_epoch,
        epochs=settings.epochs,
    )


def _could_be_placed(session: Session) -> bool:
    """Whether the choice of a user alone keeps the images from the card."""
    settings = session.settings
    named = Path(settings.augment).suffix not in POLICY_FILES
    return session.processes.device.type == "cuda" and settings.data_on == "cpu" and named


def _could_be_recorded(session: Session) -> bool:
    try:
        settings = replace(session.settings, cuda_graph="on")
        return is_recorded(settings, session.processes, compiled=session.way.compiled)
    except UsageError:
        return False


class _Updates:
    """The updates of a session."""

    uncounted = UNCOUNTED

    def __init__(self, session: Session, say: Say) -> None:
        device = session.processes.device
        self._session = session
        self._update = Update(session, None, say)
        self._largest: list[Batch] = []
        # Whole batches that are made on the device are work of the step.
        self._whole = isinstance(session.train_loader, ResidentBatches)
        self._workers = choose_workers(session.settings.workers, device)
        self._endless = self._updates()
        self._clock_in_place = clock_of(device)
        self.ahead = 0 if self._whole else AHEAD * self._workers
        session.phase = self.clock = clock_of(device)

    def as_they_come(self, count: int) -> int:
        """So many updates by the loader's batches, one epoch after another; their images."""
        return sum(islice(self._endless, count))

    def size(self, share: float) -> int:
        """Images in a share of the largest update so far.

        There is no half of one where the network is compiled, or in a graph, for batches of one
        size, nor of batches that are so small that there is nothing to learn from half of them.
        """
        session = self._session
        fixed = session.called is not session.model or session.recorder is not None
        sizes = [len(batch.rows) for batch in self._part(share)]
        return 0 if (share < 1 and fixed) or not all(sizes) else self._images(self._part(share))

    def in_place(self, share: float, count: int) -> float:
        """Seconds of so many updates on a share of batches that are on the device already."""
        window = self._part(share)
        return seconds_of(self._clock_in_place, lambda: self._update(window, 0, 0), count)

    def loading(self) -> Loading | None:
        """What loading the images of an update takes; None where no process loads any."""
        if self._whole:
            return None
        session = self._session
        session.batches.set_epoch(0)
        draws = list(islice(session.batches, LOADED))
        per_step = session.settings.grad_accum
        return loading_of(session.datasets[0], draws, self._workers, per_step)

    def _part(self, share: float) -> list[Batch]:
        return self._largest if share == 1 else [_part(batch, share) for batch in self._largest]

    def _images(self, window: Sequence[Batch]) -> int:
        return sum(map(self._session.seen, window))

    def _updates(self) -> Iterator[int]:
        """Updates of one epoch after another; the images of each."""
        session = self._session
        for epoch in count():
            session.begin_epoch(epoch)
            session.batches.set_epoch(epoch)
            batches = on_device(session.train_loader, session.processes.device)
            for number in range(session.updates_per_epoch):
                with session.phase(AUGMENT if self._whole else WAIT):
                    window = list(islice(batches, session.settings.grad_accum))
                self._update(window, epoch, number)
                if self._images(window) > self._images(self._largest):
                    self._largest = window
                yield self._images(window)


def _part(batch: Batch, share: float) -> Batch:
    """The first rows of a batch: an even number, as those that are mixed in pairs need."""
    rows = int(share * len(batch.rows)) // 2 * 2
    images = [image[:rows] for image in batch.images]
    assert batch.targets is not None
    return Batch(images, batch.targets[:rows], batch.rows[:rows], batch.blank[:rows])
