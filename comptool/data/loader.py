"""Batches that worker processes load: they decode and resize, and apply the policy of a file."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from types import FrameType
from typing import Any, Generic, TypeVar

import cv2
import torch
from torch.utils.data import DataLoader, Dataset

from comptool.data.dataset import Batch, SampleDataset
from comptool.errors import InputError
from comptool.machine import usable_cores

T = TypeVar("T")
S = TypeVar("S")
MOST_WORKERS = 8


class Loader(Generic[T]):
    """Batches of a dataset, in the order of ``batches``: an `EpochBatches` or lists of `in_order`.

    A damaged image raises its own `InputError` in the iterating process; torch would wrap it in
    the traceback of a worker.

    Parameters
    ----------
    collate
        Makes a batch of a list of members.
    workers
        Loading processes; 0 = this one.
    device
        Target device; batches for CUDA are put into page-locked memory.
    """

    def __init__(
        self,
        dataset: Dataset[S],
        collate: Callable[[list[S]], T],
        batches: Iterable[Sequence[Any]],
        *,
        workers: int = 0,
        device: str | torch.device = "cpu",
    ) -> None:
        self._loader: DataLoader[Any] = DataLoader(
            _Guarded(dataset),
            batch_sampler=batches,  # type: ignore[arg-type]
            collate_fn=_Collate(collate),
            num_workers=workers,
            # The default of newer Pythons would copy all decoded images to each worker.
            multiprocessing_context="fork" if workers and sys.platform == "linux" else None,
            pin_memory=torch.device(device).type == "cuda",
            persistent_workers=workers > 0,
            worker_init_fn=_prepare_worker,
        )

    def __len__(self) -> int:
        return len(self._loader)

    def __iter__(self) -> Iterator[T]:
        for batch in self._loader:
            if isinstance(batch, InputError):
                raise batch
            yield batch


def loader(
    dataset: SampleDataset,
    batches: Iterable[Sequence[Any]],
    *,
    workers: int = 0,
    device: str | torch.device = "cpu",
) -> Loader[Batch]:
    """A `Loader` of a `SampleDataset`."""
    return Loader(dataset, dataset.collate, batches, workers=workers, device=device)


class _Guarded(Dataset[Any]):
    def __init__(self, dataset: Dataset[Any]) -> None:
        self._dataset = dataset

    def __getitem__(self, draw: Any) -> Any:
        try:
            return self._dataset[draw]
        except InputError as error:
            return error


class _Collate:
    def __init__(self, collate: Callable[[list[Any]], Any]) -> None:
        self._collate = collate

    def __call__(self, members: list[Any]) -> Any:
        errors = [member for member in members if isinstance(member, InputError)]
        return errors[0] if errors else self._collate(members)


def _prepare_worker(worker: int) -> None:
    # Only the parent handles Ctrl-C.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # A time limit may signal the whole group; torch would take the end of a worker for a crash.
    signal.signal(signal.SIGTERM, _leave)
    # OpenCV's own threads would compete with the other workers.
    cv2.setNumThreads(0)


def _leave(number: int, frame: FrameType | None) -> None:
    os._exit(0)


def choose_workers(workers: int | None, device: str | torch.device) -> int:
    """The number of workers as asked for, else by the machine.

    For a GPU one per core, at most eight. A network on the CPU needs the cores itself: one worker
    for every two of the other cores, at most two, none on two cores.
    """
    if workers is not None:
        return workers
    cores = usable_cores()
    if torch.device(device).type == "cuda":
        return min(cores, MOST_WORKERS)
    return min((cores - 1) // 2, 2)
