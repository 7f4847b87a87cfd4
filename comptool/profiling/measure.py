"""Measurement of the steps of a command, by phase: on its own data, and with samples in place.

Both alternate, because machines fluctuate. Imports of torch are late: a prediction by ONNX Runtime
needs none.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from itertools import count, islice, repeat
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import TYPE_CHECKING, Any, Protocol

from comptool.data.image_io import ImageFiles, Pixels
from comptool.errors import UsageError
from comptool.inference.backends import Networks, open_networks
from comptool.inference.config import Computing
from comptool.inference.decode import AHEAD as DECODED_AHEAD
from comptool.inference.decode import DecodedSamples
from comptool.inference.plan import InferencePlan, TrainedMember
from comptool.inference.tta.merge import merge
from comptool.inference.tta.policies import Scheme
from comptool.machine import usable_cores
from comptool.profiling.advice import Circumstances, advice_for_inference, advice_for_training
from comptool.profiling.profile_report import (
    AUGMENT,
    COLLATE,
    DECODE,
    FORWARD,
    IDLE,
    MERGE,
    OTHER,
    WAIT,
    Loading,
    Profile,
)

if TYPE_CHECKING:
    import torch

    from comptool.data.dataset import Batch, SampleDataset
    from comptool.data.sampler import Draw
    from comptool.training.data import TrainPlan as TrainingPlan
    from comptool.training.setup import TrainSession

TURNS = 4
FIRST_UPDATES = 4  # warm-up: kernel choice, memory, compilation
FIRST_BATCHES = 2  # warm-up of a prediction, in addition to DECODED_AHEAD
LOADED_AHEAD = 2  # batches per worker of a loader
LOADED = 5  # batches to measure loading with
ONNX = "cpu (ONNX Runtime)"

Say = Callable[[str], None]


@dataclass(frozen=True)
class Timing:
    """A mean step, in seconds."""

    phases: dict[str, float]  # the sum is the whole step
    waited: float  # for its batch

    @property
    def seconds(self) -> float:
        """The whole step."""
        return sum(self.phases.values())

    def divided(self, loading: Loading | None) -> dict[str, float]:
        """The phases, with the wait divided into loading phases if the step itself loads."""
        if loading is None or loading.loaders:
            return self.phases
        waited = min(self.waited, self.phases[IDLE])
        return self.phases | {IDLE: self.phases[IDLE] - waited} | loading.divided(waited)


class Clock:
    """Host clock of phases and of the rest between them; counts from start to stop."""

    rest = OTHER  # phase of the time between phases

    def __init__(self) -> None:
        self._running = False
        self._spent: defaultdict[str, float] = defaultdict(float)
        self._waited = self._begun = 0.0
        self.seconds = 0.0

    def start(self) -> None:
        """Count from now on."""
        self._running = True
        self._begun = perf_counter()

    def stop(self) -> None:
        """Stop counting."""
        self.seconds += perf_counter() - self._begun
        self._running = False

    @contextmanager
    def __call__(self, phase: str) -> Iterator[None]:
        """Count the block as part of a phase, or as a wait for a batch."""
        if not self._running:
            yield
        elif phase == WAIT:
            started = perf_counter()
            yield
            self._waited += perf_counter() - started
        else:
            with self._phase(phase):
                yield

    def timing(self, steps: int) -> Timing:
        """The mean of the counted steps."""
        spent = self._phases()
        spent[self.rest] = max(self.seconds - sum(spent.values()), 0.0)
        each = {phase: seconds / steps for phase, seconds in spent.items()}
        return Timing(each, self._waited / steps)

    @contextmanager
    def _phase(self, phase: str) -> Iterator[None]:
        started, waited = perf_counter(), self._waited
        yield
        self._spent[phase] += perf_counter() - started - (self._waited - waited)

    def _phases(self) -> dict[str, float]:
        return {IDLE: self._waited, **self._spent}


class Mark(Protocol):
    """A position in the queue of a device."""

    def elapsed_time(self, later: Any) -> float:
        """Milliseconds of the device from here to a later position."""


class DeviceClock(Clock):
    """Device clock of the phases between marks in its queue, and of idle time between them.

    The device runs behind the program: a wait for a batch costs nothing while its queue is filled.
    ``mark`` puts a mark into the queue; ``wait`` returns when the queue is empty.
    """

    rest = IDLE

    def __init__(self, mark: Callable[[], Mark], wait: Callable[[], None]) -> None:
        super().__init__()
        self._mark = mark
        self._wait = wait
        self._marks: list[tuple[str, Mark, Mark]] = []

    def start(self) -> None:
        """Count from now on, with an empty queue."""
        self._wait()
        super().start()

    def stop(self) -> None:
        """Stop counting when the queue is empty."""
        self._wait()
        super().stop()

    @contextmanager
    def _phase(self, phase: str) -> Iterator[None]:
        first = self._mark()
        yield
        self._marks.append((phase, first, self._mark()))

    def _phases(self) -> dict[str, float]:
        spent: defaultdict[str, float] = defaultdict(float)
        for phase, first, last in self._marks:
            spent[phase] += first.elapsed_time(last) / 1000
        return dict(spent)


def clock_of(device: torch.device) -> Clock:
    """The clock for computations on a device."""
    if device.type != "cuda":
        return Clock()
    import torch  # ONNX Runtime needs a clock without torch

    def mark() -> Mark:
        event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        event.record(torch.cuda.current_stream(device))
        return event

    return DeviceClock(mark, partial(torch.cuda.synchronize, device))


class Steps(Protocol):
    """The steps of a command."""

    clock: Clock
    uncounted: int  # warm-up steps
    ahead: int  # batches loaded in advance, which are available sooner after a pause

    def as_they_come(self, count: int) -> int:
        """Run ``count`` steps; returns their number of samples."""

    def size(self, share: float) -> int:
        """Samples in a share of the largest step so far; 0 if there can be no such step."""

    def in_place(self, share: float, count: int) -> float:
        """Seconds of ``count`` steps on a share of the largest one, in place."""

    def loading(self, count: int) -> Loading | None:
        """Loading in a mean step, from up to ``count`` steps; None: nothing loads."""


def measure(command: str, device: str, steps: Steps, count: int) -> Profile:
    """Profile of ``count`` (1 or more) steps as they come, and as many in place."""
    clock, samples = steps.clock, 0
    steps.as_they_come(steps.uncounted)
    shares = [share for share in (1.0, 0.5) if steps.size(share)]
    spent = dict.fromkeys(shares, 0.0)
    for number in turns(count):
        steps.as_they_come(steps.ahead)
        clock.start()
        samples += steps.as_they_come(number)
        clock.stop()
        for share in shares:
            spent[share] += steps.in_place(share, number)
    loading, timing = steps.loading(count), clock.timing(count)
    of_sample = spent[1.0] / (count * steps.size(1.0))
    return Profile(
        command=command,
        device=device,
        images=samples / count,
        steps=count,
        phases=timing.divided(loading),
        waited=timing.waited,
        ceiling=of_sample * samples / count,
        half=spent[0.5] / spent[1.0] if 0.5 in spent else None,
        loading=loading,
    )


def turns(count: int) -> list[int]:
    """``count`` steps in up to four parts."""
    parts = min(count, TURNS)
    return [(count + part) // parts for part in range(parts)]


def seconds_of(clock: Clock, step: Callable[[], object], count: int) -> float:
    """Seconds of ``count`` steps, after an uncounted one."""
    step()
    before = clock.seconds
    clock.start()
    for _ in range(count):
        step()
    clock.stop()
    return clock.seconds - before


def profile_training(plan: TrainingPlan, steps: int, say: Say, quiet: bool) -> Profile:
    """Profile of a training, by ``steps`` updates of its first member on its own data.

    Pretrained weights are not downloaded: weights are random, or from ``--init-from``. The network
    is compiled if requested or known to pay. Nothing is written to the folder of the run. Refused
    under a ``torchrun`` of several processes.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise UsageError("profile measures one process; start it without torchrun")
    from comptool.training.autotune import compilation_is_known
    from comptool.training.batch_size import with_batch_size
    from comptool.training.distributed import joined
    from comptool.training.setup import prepare, without_published_weights

    with joined(plan.settings.device) as processes:
        plan = with_batch_size(without_published_weights(plan), processes, say)
        # Measuring whether compilation pays would take minutes.
        ready = prepare(plan, plan.members[0], processes, say, measure="threads")
        session = ready.session
        assert session is not None  # only a resumed run can be complete
        session.decode_once(say, quiet)
        known = compilation_is_known(ready.header, session.settings, processes.device)
        return profile_session(session, steps, say, compilation_known=known)


def profile_session(
    session: TrainSession, steps: int, say: Say, *, compilation_known: bool = True
) -> Profile:
    """Profile of a session before its first update; changes its weights."""
    profile = measure("train", str(session.processes.device), _Updates(session, say), steps)
    circumstances = _circumstances(session, profile.loading, compilation_known)
    return replace(profile, advice=advice_for_training(profile, circumstances))


def _circumstances(
    session: TrainSession, loading: Loading | None, compilation_known: bool
) -> Circumstances:
    from comptool.data.loader import choose_workers
    from comptool.training.autotune import LEAST_STEPS

    settings, device = session.settings, session.processes.device
    # Shorter runs do not measure compilation.
    tried = settings.epochs * session.batches.num_steps >= LEAST_STEPS
    cuda = device.type == "cuda"
    return Circumstances(
        cuda=cuda,
        # On the CPU the network needs the cores.
        most_loaders=usable_cores() if cuda else choose_workers(None, device),
        batch_size=settings.batch_size,
        full_precision=session.precision.dtype is None,
        decodes_anew=session.datasets[0].decodes_anew,
        augments=loading is not None and settings.augment != "none",
        could_be_placed=_could_be_placed(session),
        could_be_larger=session.batches.num_draws > settings.batch_size,
        could_take_cuda_graphs=cuda and settings.grad_accum == 1 and not session.compute.compiled,
        could_compile=tried and settings.compile == "off",
        will_try_to_compile=tried and settings.compile == "auto" and not compilation_known,
        updates=session.updates_per_epoch,
        epochs=settings.epochs,
    )


def _could_be_placed(session: TrainSession) -> bool:
    """Whether only the user's choice keeps the images out of GPU memory."""
    from comptool.data.augment.named_policies import POLICY_FILES

    settings = session.settings
    named = Path(settings.augment).suffix not in POLICY_FILES
    return session.processes.device.type == "cuda" and settings.data_on == "cpu" and named


class _Updates:
    """Updates of a training session."""

    uncounted = FIRST_UPDATES

    def __init__(self, session: TrainSession, say: Say) -> None:
        from comptool.data.gpu_dataset import ResidentBatches
        from comptool.data.loader import choose_workers
        from comptool.training.train_step import TrainStep

        device = session.processes.device
        self._session = session
        self._update = TrainStep(session, None, say)
        self._largest: list[Batch] = []
        # Batches made on the device are part of the step.
        self._whole = isinstance(session.train_loader, ResidentBatches)
        self._workers = choose_workers(session.settings.workers, device)
        self._endless = self._updates()
        self._clock_in_place = clock_of(device)
        self.ahead = 0 if self._whole else LOADED_AHEAD * self._workers
        session.phase = self.clock = clock_of(device)

    def as_they_come(self, count: int) -> int:
        """Run ``count`` updates on the loader's batches, by epoch; returns their images."""
        return sum(islice(self._endless, count))

    def size(self, share: float) -> int:
        """Images in a share of the largest update so far.

        There is no half of an update if the network is compiled for a fixed batch size, or if
        batches are too small.
        """
        session = self._session
        fixed = session.called is not session.model
        sizes = [len(batch.rows) for batch in self._part(share)]
        return 0 if (share < 1 and fixed) or not all(sizes) else self._images(self._part(share))

    def in_place(self, share: float, count: int) -> float:
        """Seconds of ``count`` updates on a share of batches already on the device."""
        window = self._part(share)
        return seconds_of(self._clock_in_place, lambda: self._update(window, 0, 0), count)

    def loading(self, count: int) -> Loading | None:
        """Loading of an update; None if no process loads."""
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
        """Updates, epoch after epoch; yields the number of images."""
        from comptool.training.train_step import on_device

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
    """The first rows of a batch: an even number, since mixing takes pairs."""
    rows = int(share * len(batch.rows)) // 2 * 2
    assert batch.targets is not None
    return batch._replace(
        images=[image[:rows] for image in batch.images],
        targets=batch.targets[:rows],
        rows=batch.rows[:rows],
        blank=batch.blank[:rows],
    )


def loading_of(
    dataset: SampleDataset, batches: Sequence[Sequence[Draw]], workers: int, per_step: int
) -> Loading:
    """Loading in a mean step, in seconds of one core, from batches loaded here and now."""
    spent = dict.fromkeys((DECODE, AUGMENT, COLLATE), 0.0)
    for draws in batches:
        looks = [perf_counter()]
        for wanted in ([draw.row for draw in draws], [draw.row for draw in draws], draws):
            chips = [dataset[one] for one in wanted]
            looks.append(perf_counter())
        dataset.collate(chips)
        began, decoded, again, augmented = looks
        spent[COLLATE] += perf_counter() - augmented
        spent[DECODE] += decoded - began
        # Both read their files from the page cache.
        spent[AUGMENT] += max((augmented - again) - (again - decoded), 0.0)
    steps = len(batches) / per_step
    return Loading({phase: each / steps for phase, each in spent.items()}, workers)


def profile_inference(
    command: str, plan: InferencePlan, scheme: Scheme, computing: Computing, steps: int, say: Say
) -> Profile:
    """Profile of a prediction (``command`` is ``infer`` or ``tta``) by ``steps`` batches.

    Starts the test set again if it has fewer batches. Errors as in inference.
    """
    with TemporaryDirectory() as folder:
        # Exported graphs go to this temporary folder.
        members = [_borrowed(member, Path(folder)) for member in plan.members]
        networks, notes = open_networks(members, scheme.views, computing)
        for note in notes:
            say(note)
        device = _device(networks, computing)
        with closing(_Prediction(plan, scheme, computing, networks)) as prediction:
            return _profile(command, computing, device, prediction, steps)


def _borrowed(member: TrainedMember, folder: Path) -> TrainedMember:
    """The member in a folder of its own, with links to its files."""
    own = folder / str(len(list(folder.iterdir())))
    own.mkdir()
    for path in member.folder.iterdir():
        (own / path.name).symlink_to(path.resolve())
    return replace(member, folder=own)


def _device(networks: Networks, computing: Computing) -> str:
    """The device of the networks; imports torch only if it computes."""
    if computing.tries_onnx:
        from comptool.inference.onnx_backend import OnnxNetworks

        if isinstance(networks, OnnxNetworks):
            return ONNX
    from comptool.data.device import choose_device

    return str(choose_device(computing.device))


class _Prediction:
    """Batches of a prediction of the test set."""

    uncounted = FIRST_BATCHES

    def __init__(
        self, plan: InferencePlan, scheme: Scheme, computing: Computing, networks: Networks
    ) -> None:
        self._task = plan.header.task
        self._scheme = scheme
        self._networks = networks
        self._files = ImageFiles(plan.samples, computing.missing)
        self._num_modalities = len(plan.samples.paths)
        self.num_samples = len(plan.samples)
        self._batch_size = min(computing.batch_size, self.num_samples)
        self._workers = usable_cores() if computing.workers is None else computing.workers
        self._clock_in_place = Clock()
        self._batches = self._decoded()
        self._endless = self._computed(self._batches)
        self.clock = Clock()
        self.ahead = DECODED_AHEAD * self._workers

    def close(self) -> None:
        """Stop the threads."""
        self._batches.close()

    def as_they_come(self, count: int) -> int:
        """Run ``count`` batches of the test set, repeatedly; returns their samples."""
        return sum(islice(self._endless, count))

    def size(self, share: float) -> int:
        """Samples in a share of a batch."""
        return int(share * self._batch_size)

    def in_place(self, share: float, count: int) -> float:
        """Seconds of ``count`` runs of a share of a batch, already decoded."""
        images = self._dataset().batch(range(self.size(share))).images
        probabilities = self._computed(repeat(images))
        return seconds_of(self._clock_in_place, lambda: next(probabilities), count)

    def loading(self, count: int) -> Loading:
        """Decoding of a batch, in seconds of one core."""
        dataset = self._dataset()
        size = self._batch_size
        starts = range(0, len(dataset) - size + 1, size)[:count]
        began = perf_counter()
        for start in starts:
            dataset.batch(range(start, start + size))
        return Loading({DECODE: (perf_counter() - began) / len(starts)}, self._workers)

    def _computed(self, batches: Iterator[Sequence[Pixels]]) -> Iterator[int]:
        """Compute the probabilities of each batch; yields its number of samples."""
        scheme, clock = self._scheme, self.clock
        networks = self._networks.each(batches, scheme.views)
        while True:
            with clock(FORWARD):
                logits = next(networks)
            with clock(MERGE):
                for one in logits:
                    merge(one, scheme.merge, self._task, scheme.weights)
            yield logits[0].shape[1]

    def _decoded(self) -> Generator[Sequence[Pixels], None, None]:
        """The test set, repeatedly."""
        while True:
            with closing(self._dataset().batches(self._batch_size, self._workers)) as batches:
                while True:
                    with self.clock(WAIT):
                        batch = next(batches, None)
                    if batch is None:
                        break
                    yield batch.images

    def _dataset(self) -> DecodedSamples:
        networks = self._networks
        return DecodedSamples(self._files, self._num_modalities, networks.forms, networks.room)


def _profile(
    command: str, computing: Computing, device: str, prediction: _Prediction, steps: int
) -> Profile:
    profile = measure(command, device, prediction, steps)
    circumstances = Circumstances(
        cuda=device.startswith("cuda"),
        most_loaders=usable_cores(),
        batch_size=computing.batch_size,
        could_be_larger=prediction.num_samples > computing.batch_size,
        full_precision=not computing.may_be_half,
        could_take_onnx=computing.backend == "torch"
        and replace(computing, backend="auto").tries_onnx,
    )
    return replace(profile, advice=advice_for_inference(profile, circumstances))
