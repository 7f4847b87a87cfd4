"""Batches of ``comptool infer`` and ``comptool tta``, measured; nothing is kept of them."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from importlib import import_module
from itertools import islice, repeat
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

from comptool.data.files import ImageFiles
from comptool.data.images import Pixels
from comptool.inference.backends import Networks, open_networks
from comptool.inference.computing import Computing
from comptool.inference.decoding import AHEAD, DecodedSamples
from comptool.inference.members import Member
from comptool.inference.merging import merge
from comptool.inference.plan import Plan
from comptool.inference.schemes import Scheme
from comptool.machine import usable_cores
from comptool.profiling.advice import Circumstances, advice_for_inference
from comptool.profiling.clock import Clock
from comptool.profiling.measuring import measure, seconds_of
from comptool.profiling.report import DECODE, FORWARD, MERGE, WAIT, Loading, Profile

UNCOUNTED = 2  # first batches, beside those that are decoded ahead
ONNX = "cpu (ONNX Runtime)"

Say = Callable[[str], None]


def profile_inference(
    command: str, plan: Plan, scheme: Scheme, computing: Computing, steps: int, say: Say
) -> Profile:
    """Where the time of a prediction goes.

    Parameters
    ----------
    command
        ``infer`` or ``tta``.
    plan
        What would be predicted, and with which runs.
    scheme
        The views, and how they are merged.
    computing
        Device, precision and the like.
    steps
        Batches to measure; a test set that has fewer is begun again.
    say
        Takes messages.

    Raises
    ------
    InputError
        If an image or a checkpoint cannot be used.
    UsageError
        If the device is not there or out of memory, or a network does not take a view.
    """
    with TemporaryDirectory() as folder:
        # A graph that has to be made is kept there, as long as it is needed.
        members = [_borrowed(member, Path(folder)) for member in plan.members]
        networks, notes = open_networks(members, scheme.views, computing)
        for note in notes:
            say(note)
        device = _device(networks, computing)
        with closing(_Prediction(plan, scheme, computing, networks)) as prediction:
            return _profile(command, computing, device, prediction, steps)


def _borrowed(member: Member, folder: Path) -> Member:
    """The member in a folder of its own, with links to the files that it has."""
    own = folder / str(len(list(folder.iterdir())))
    own.mkdir()
    for path in member.folder.iterdir():
        (own / path.name).symlink_to(path.resolve())
    return replace(member, folder=own)


def _device(networks: Networks, computing: Computing) -> str:
    """Where the networks compute; torch is asked only where it is what computes."""
    if computing.tries_onnx:
        by_onnx = import_module("comptool.inference.onnx_networks").OnnxNetworks
        if isinstance(networks, by_onnx):
            return ONNX
    return str(import_module("comptool.data.devices").choose_device(computing.device))


class _Prediction:
    """What is computed of the batches of a test set."""

    uncounted = UNCOUNTED

    def __init__(
        self, plan: Plan, scheme: Scheme, computing: Computing, networks: Networks
    ) -> None:
        self._task = plan.header["task"]
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
        self.ahead = AHEAD * self._workers

    def close(self) -> None:
        """Have no thread at work any more."""
        self._batches.close()

    def as_they_come(self, count: int) -> int:
        """So many batches of the test set, again and again; their samples."""
        return sum(islice(self._endless, count))

    def size(self, share: float) -> int:
        """Samples in a share of a batch."""
        return int(share * self._batch_size)

    def in_place(self, share: float, count: int) -> float:
        """Seconds for so many times the same share of a batch, decoded already."""
        images = self._dataset().batch(range(self.size(share))).images
        probabilities = self._computed(repeat(images))
        return seconds_of(self._clock_in_place, lambda: next(probabilities), count)

    def loading(self, steps: int) -> Loading:
        """What decoding a batch takes of one core."""
        dataset = self._dataset()
        size = self._batch_size
        starts = range(0, len(dataset) - size + 1, size)[:steps]
        began = perf_counter()
        for start in starts:
            dataset.batch(range(start, start + size))
        return Loading({DECODE: (perf_counter() - began) / len(starts)}, self._workers)

    def _computed(self, batches: Iterator[Sequence[Pixels]]) -> Iterator[int]:
        """The probabilities of each batch are computed; the number of its samples."""
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
        """The test set again and again."""
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
    measured = measure(prediction, steps)
    loading = prediction.loading(steps)
    profile = measured.profile(command, device, loading)
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
