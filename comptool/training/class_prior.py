"""Class prior: mean predicted probability of each class over the training rows of a run.

Ben-Baruch et al. 2022, arXiv:2110.10955, section 3.2. Estimate it with a model trained with
unannotated cells ignored: annotation frequency says little about class frequency.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from comptool import models, tasks
from comptool.competition.config import load
from comptool.competition.samples import Samples
from comptool.data.dataset import SampleDataset
from comptool.data.loader import Loader, choose_workers, naming_dead_loaders
from comptool.data.sampler import in_order
from comptool.device import memory_errors
from comptool.errors import InputError, UsageError
from comptool.io.records import RunHeader
from comptool.io.runs import BEST, check_finished, find_run, members, read_header
from comptool.losses import LOSSES
from comptool.models.checkpoint_file import load_checkpoint
from comptool.precision import without_tf32
from comptool.tasks.labels import ABSENT
from comptool.tasks.pooling import ATTENTION, MEAN, attended
from comptool.training.config import TrainSettings
from comptool.training.data import divide, mode_of, read_rows, taught_absent, whole_bags
from comptool.training.distributed import Processes, joined
from comptool.training.resume import read_record
from comptool.training.validate import InputTransform, in_halves

NEEDED = "an estimate needs --loss partial-asl --loss-option mode=ignore, or --loss bce"
# Few classes are in so many images.
NEAR_ONE = 0.9


@dataclass(frozen=True)
class TrainedPart:
    """A checkpoint and its training rows."""

    folder: Path
    header: RunHeader
    samples: Samples
    bags: npt.NDArray[np.int64] | None = None  # of each row, of a network trained on bags

    def __len__(self) -> int:
        """How many shares are averaged: of rows, or of bags."""
        return len(self.samples) if self.bags is None else int(self.bags.max()) + 1


@dataclass(frozen=True)
class Estimate:
    """A planned estimate."""

    run: Path
    classes: tuple[str, ...]
    parts: tuple[TrainedPart, ...]  # one, or one per fold
    missing: str  # handling of missing images, see ImageFiles
    inputs: tuple[Path, ...]  # tables read
    notes: tuple[str, ...]  # messages for the user


def plan_estimate(name: str | None) -> Estimate:
    """Check a run and its tables, and find the training rows of each of its models.

    ``name`` is the name or folder of the run; None: the latest. Raises a UsageError if its task is
    not multi-label, an InputError if there is no such run, a fold is not trained, or the tables
    have changed since.
    """
    run = find_run(name)
    unfinished = check_finished(run)
    settings, files = read_record(run)
    headers = {folder: read_header(folder) for folder in members(run)}
    first = next(iter(headers.values()))
    for folder, header in headers.items():
        models.check_recorded(header, folder / BEST)
    if not tasks.find(first.task).cells:
        raise UsageError(f"a prior is for multilabel tasks, and that of {run} is {first.task}")
    rows = read_rows(
        load(files.competition, reader=settings.reader), settings, files.folds, files.extra
    )
    if list(rows.classes) != list(first.classes):
        raise InputError(
            f"its classes are not those of {rows.samples.source}",
            file=run,
            values=sorted(set(rows.classes) ^ set(first.classes)),
        )
    parts, absent = [], False
    for folder, header in headers.items():
        train, valid = divide(rows, settings, header.fold)
        if rows.counts(train) != header.trained_counts:
            raise InputError(
                f"the rows of {rows.samples.source} are not those that it was trained on",
                file=folder,
                mend="Bring the table back, or train again",
            )
        absent |= bool((rows.targets[train] == ABSENT).any())
        bags = None
        if settings.bag_size is not None:
            train, bags = whole_bags(rows, train, valid)
        parts.append(TrainedPart(folder, header, rows.take(train), bags))
    notes = (*filter(None, [unfinished]), *_notes(run, settings, absent=absent))
    return Estimate(run, rows.classes, tuple(parts), settings.missing, rows.inputs, notes)


def _notes(run: Path, settings: TrainSettings, *, absent: bool) -> list[str]:
    """Warnings; ``absent``: whether any training cell is annotated as absent."""
    if taught_absent(settings):
        return [
            f"WARNING: {run} was trained in mode '{mode_of(settings)}', which takes cells without "
            "a label for absent ones; an estimate needs --loss-option mode=ignore"
        ]
    notes = []
    if settings.loss is not None and not LOSSES.find(settings.loss).calibrated:
        notes.append(
            f"WARNING: {run} was trained with the loss '{settings.loss}', whose sigmoids are no "
            f"calibrated probabilities, and so their mean is no share; {NEEDED}"
        )
    if not absent:
        notes.append(
            f"WARNING: no cell that {run} was trained on is annotated as absent: it has learnt "
            "that everything is present, and every prior comes out near 1; train it on a table "
            "without --map-zero-to-unknown"
        )
    return notes


def doubts(prior: npt.NDArray[np.float64]) -> list[str]:
    """Warnings about an estimated prior (K,)."""
    if (prior <= NEAR_ONE).any():
        return []
    return [
        f"WARNING: every prior is above {NEAR_ONE:g} (the least is {prior.min():.3f}): the run has "
        "seen hardly a class that is absent, and --prior would leave out every unannotated cell"
    ]


def carry_out(
    estimate: Estimate,
    *,
    batch_size: int,
    workers: int | None,
    device: str,
    say: Callable[[str], None] = lambda text: None,
) -> npt.NDArray[np.float64] | None:
    """The class prior (K,), in [0, 1]; None in all processes but the first.

    ``say`` is called with what is computed in a slower way. Raises a UsageError if the device is
    not available or does not hold an image, an InputError if an image or a checkpoint cannot be
    used.
    """
    with joined(device) as processes, naming_dead_loaders():
        sums = np.zeros(len(estimate.classes))
        try:
            for part in estimate.parts:
                with memory_errors():
                    sums += summed(part, processes, batch_size, workers, estimate.missing)
        except torch.OutOfMemoryError as error:
            raise UsageError(
                f"the memory of {processes.device} does not hold the network and a single image; "
                "take another --device"
            ) from error
        for sentence in processes.fallbacks:
            say(f"warning: {sentence}")
        total = sum(map(len, estimate.parts))
        return sums / total if processes.first else None


@torch.inference_mode()
def summed(
    part: TrainedPart, processes: Processes, batch_size: int, workers: int | None, missing: str
) -> npt.NDArray[np.float64]:
    """Sum of the class probabilities over all rows, or bags, float64 of shape (K,)."""
    model, header = load_checkpoint(part.folder, str(processes.device))
    transform = InputTransform.of(header, processes.device, channels_last=False)
    dataset = SampleDataset(
        part.samples,
        None,
        sizes=header.img_size,
        channels=header.channels,
        missing=missing,
        bits=header.bits,
        ranges=header.ranges,
    )
    order = in_order(len(dataset), batch_size, rank=processes.rank, world_size=processes.size)
    chosen = choose_workers(workers, processes.device)
    total = torch.zeros(len(header.classes), dtype=torch.float64)
    task = tasks.find(header.task)
    rows, outputs = [], []
    for batch in Loader(dataset, order, workers=chosen, device=processes.device):
        with without_tf32():
            found = in_halves(model, transform, batch.images, processes, "prediction")
        if part.bags is None:
            total += task.activate(found).double().sum(dim=0).cpu()
        else:
            rows.append(batch.rows.numpy())
            outputs.append(found.float().cpu().numpy())
    gathered = processes.gather((total.numpy(), rows, outputs))
    if part.bags is None:
        return np.asarray(sum(shares for shares, *_ in gathered), np.float64)
    bags = np.concatenate([part.bags[one] for _, some, _ in gathered for one in some])
    table = np.concatenate([one for *_, some in gathered for one in some])
    pool = header.arguments.get("pool") or MEAN
    if pool == ATTENTION:
        shares = task.probabilities(attended(table, bags))
    else:
        shares = task.pool(task.probabilities(table), bags, pool)
    return np.asarray(shares.sum(axis=0), np.float64)
