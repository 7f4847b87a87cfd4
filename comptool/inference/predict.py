"""The forward pass over a test set: several networks and views, each image decoded once.

Results are passed on batch by batch, so that memory does not grow with the predictions.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from functools import partial
from typing import Any, cast

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from comptool import tasks
from comptool.competition.bags import by_bag
from comptool.competition.samples import Samples
from comptool.data.image_io import ImageFiles, Pixels
from comptool.errors import InputError
from comptool.inference.backends import Logits, open_networks
from comptool.inference.config import Computing
from comptool.inference.decode import ORIGINAL, DecodedBatch, DecodedSamples, Form, Room, findings
from comptool.inference.plan import TrainedMember
from comptool.inference.tta.merge import merge
from comptool.inference.tta.policies import Scheme
from comptool.machine import usable_cores
from comptool.tasks import Task
from comptool.tasks.pooling import ATTENTION, NO_POOL, attended

Table = npt.NDArray[np.float32]
Probabilities = Table
Compute = Callable[[Iterable[Sequence[Pixels]]], Iterator[list[npt.NDArray[Any]]]]


def predict(
    members: Sequence[TrainedMember],
    samples: Samples,
    schemes: Sequence[Scheme],
    computing: Computing,
    pool: str | None = None,
) -> tuple[list[Probabilities], list[str]]:
    """All that a `Prediction` gives: one (N, K) array per scheme, and what is odd in the images."""
    prediction = Prediction(members, samples, schemes, computing, pool)
    tables = joined(prediction.batches())
    return tables, prediction.findings()


class Prediction:
    """Probabilities under each scheme, averaged over the members, computed on demand.

    Views shared by several schemes are computed once. The networks have one task, class list and
    list of modalities, the order of the samples' ``paths``. With a ``pool`` there is a row per bag,
    in the order of the bags; the images of each follow each other. Views and networks are averaged
    before the images are pooled, but after attention, whose scores are each network's own. Raises
    an InputError if an image is missing or a checkpoint cannot be used, a UsageError if the device
    is missing or a network does not take a view.
    """

    def __init__(
        self,
        members: Sequence[TrainedMember],
        samples: Samples,
        schemes: Sequence[Scheme],
        computing: Computing,
        pool: str | None = None,
    ) -> None:
        self._forward = ForwardPass(members, samples, computing, "probabilities")
        header = members[0].header
        self._task, self._num_members = header.task, len(members)
        self._num_logits = tasks.find(header.task).outputs(len(header.classes))
        self._pool = None if pool == NO_POOL else pool
        self._bags = None if self._pool is None else samples.bags()
        self._schemes = schemes
        self._views = tuple(dict.fromkeys(view for scheme in schemes for view in scheme.views))
        self._networks = open_networks(members, self._views, computing)
        self.computed = self._networks.computed

    def batches(self) -> Generator[list[Probabilities], None, None]:
        """One float32 array (B, K) per scheme, batch after batch in the order of the samples.

        Raises an InputError if an image cannot be used or probabilities are not finite, a
        UsageError if the device is out of memory.
        """
        networks, task = self._networks, tasks.find(self._task)
        compute = self._outputs if self._pool == ATTENTION else self._probabilities
        found = self._forward.batches(networks.forms, compute, networks.room)
        with closing(found):
            if self._bags is None:
                yield from found
            elif self._pool == ATTENTION:
                for outputs in by_bag(found, self._bags, attended):
                    logits = [own.swapaxes(0, 1).astype(np.float32) for own in outputs]
                    yield [self._mean(scheme, logits) for scheme in self._schemes]
            else:
                pool = partial(_pooled, task, str(self._pool))
                yield from by_bag(found, self._bags, pool)

    def findings(self) -> list[str]:
        """Warnings about images and the backend, complete after the last batch."""
        return [*self._networks.notes, *self._forward.findings()]

    def _probabilities(
        self, batches: Iterable[Sequence[Pixels]]
    ) -> Iterator[list[npt.NDArray[Any]]]:
        for outputs in self._networks.each(batches, self._views):
            logits = [own[..., : self._num_logits] for own in outputs]
            yield [self._mean(scheme, logits) for scheme in self._schemes]

    def _outputs(self, batches: Iterable[Sequence[Pixels]]) -> Iterator[list[npt.NDArray[Any]]]:
        """Outputs (B, V, K + 1) of each network: logits and score of each image."""
        for outputs in self._networks.each(batches, self._views):
            yield [own.swapaxes(0, 1) for own in outputs]

    def _mean(self, scheme: Scheme, logits: Sequence[Logits]) -> npt.NDArray[Any]:
        views = [self._views.index(view) for view in scheme.views]
        merged = (merge(own[views], scheme.merge, self._task, scheme.weights) for own in logits)
        return np.asarray(sum(merged, np.float32(0)) / np.float32(self._num_members))


def _pooled(
    task: Task, pool: str, probabilities: npt.NDArray[np.floating], bags: npt.NDArray[np.int64]
) -> npt.NDArray[np.floating]:
    return task.pool(probabilities, bags, pool).astype(probabilities.dtype)


class ForwardPass:
    """Batches of a test set through networks; ``what`` names the result in messages."""

    def __init__(
        self, members: Sequence[TrainedMember], samples: Samples, computing: Computing, what: str
    ) -> None:
        self._files = ImageFiles(samples, computing.missing)
        self._members, self._samples, self._computing = members, samples, computing
        self._what = what
        self._originals = np.zeros((len(samples), len(samples.paths)), ORIGINAL)

    def batches(
        self, forms: Sequence[Form], compute: Compute, room: Room = np.zeros
    ) -> Generator[list[Table], None, None]:
        """What the networks make of the samples, batch after batch in their order."""
        samples = DecodedSamples(self._files, len(self._samples.paths), forms, room)
        computing, done = self._computing, 0
        workers = usable_cores() if computing.workers is None else computing.workers
        # disable=None: no bar where stderr is no terminal.
        hidden = True if computing.quiet else None
        bar = tqdm(total=len(samples), unit="img", desc=computing.purpose, disable=hidden)
        with bar, closing(samples.batches(computing.batch_size, workers)) as decoded:
            for tables in compute(self._looked_at(decoded)):
                floats = [table.astype(np.float32, copy=False) for table in tables]
                for table in floats:
                    self._check_finite(table, done)
                yield floats
                bar.update(len(floats[0]))
                done += len(floats[0])

    def findings(self) -> list[str]:
        """What is odd about the images, after the last batch."""
        ids = self._samples.frame[self._samples.id].to_numpy(dtype=object)
        return findings(cast(Sequence[str], ids), list(self._samples.paths), self._originals)

    def _looked_at(self, batches: Iterable[DecodedBatch]) -> Iterator[Sequence[Pixels]]:
        """The images of each batch, what they were having been noted."""
        start = 0
        for images, originals in batches:
            self._originals[start : start + len(originals)] = originals
            start += len(originals)
            yield images

    def _check_finite(self, table: Table, start: int) -> None:
        bad = np.flatnonzero(~np.isfinite(table.reshape(len(table), -1)).all(axis=1))
        if bad.size:
            ids = self._samples.frame[self._samples.id]
            raise InputError(
                f"the network gives {self._what} that are not finite",
                file=self._members[0].folder,
                values=[ids.iloc[start + row] for row in bad.tolist()],
                mend="Try --fp32"
                if self._computing.may_be_half
                else "Its training diverged; train again",
            )


def joined(batches: Iterable[Sequence[Table]]) -> list[Table]:
    """T arrays (N, ...) of T arrays (B, ...) per batch."""
    return [np.concatenate(parts) for parts in zip(*batches, strict=True)]
