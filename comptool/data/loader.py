"""Batches that worker processes load: they decode and resize, and apply the policy of a file."""

from __future__ import annotations

import os
import re
import signal
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any

import cv2
import torch
from torch.utils.data import DataLoader, Dataset

from comptool.data.dataset import Batch, SampleDataset
from comptool.errors import InputError
from comptool.machine import usable_cores

MOST_WORKERS = 8


class Loader:
    """Batches of a data set, in the order of ``batches``: an `EpochBatches` or lists of `in_order`.

    ``workers`` processes load, 0 for this one; for a CUDA ``device`` they put the batches into
    page-locked memory. A damaged image raises its own `InputError` in the iterating process; torch
    would wrap it in the traceback of a worker.
    """

    def __init__(
        self,
        dataset: SampleDataset,
        batches: Iterable[Sequence[Any]],
        *,
        workers: int = 0,
        device: str | torch.device = "cpu",
    ) -> None:
        guarded = _Guarded(dataset)
        self._loader: DataLoader[Any] = DataLoader(
            guarded,
            batch_sampler=batches,  # type: ignore[arg-type]
            collate_fn=guarded.collate,
            num_workers=workers,
            # The default of newer Pythons would copy all decoded images to each worker.
            multiprocessing_context="fork" if workers and sys.platform == "linux" else None,
            pin_memory=torch.device(device).type == "cuda",
            persistent_workers=workers > 0,
            worker_init_fn=_prepare_worker,
        )

    def __len__(self) -> int:
        return len(self._loader)

    def __iter__(self) -> Iterator[Batch]:
        for batch in self._loader:
            if isinstance(batch, InputError):
                raise batch
            yield batch


DEAD = re.compile(r"DataLoader worker \(pid.*?\) (is killed|exited unexpectedly)")
KILLED = re.compile(r"is killed by signal: ([^.]*)")
OUT_OF_MEMORY, OUT_OF_SHARED = "Killed", "Bus error"


@contextmanager
def naming_dead_loaders() -> Iterator[None]:
    """Convert torch's error of a worker that died to an InputError with the likely reason.

    torch raises it in the main thread at any time, also between two batches.
    """
    try:
        yield
    except RuntimeError as error:
        if not DEAD.search(str(error)):
            raise
        # The signal stands in the error or in its cause, if torch heard of it.
        found = KILLED.search(f"{error} {error.__cause__}")
        by = found[1] if found else ""
        if by == OUT_OF_SHARED:
            what, mend = "ended for want of shared memory (/dev/shm)", "Use none with --workers 0"
        elif by == OUT_OF_MEMORY:
            what = "was killed, most likely for want of memory"
            mend = "Use fewer with --workers, or find an image that is too large: comptool inspect"
        elif by:
            what = f"crashed ({by.lower()}), most likely at a damaged image"
            mend = "Find it: comptool inspect"
        else:
            what = "crashed or was killed, at a damaged image or for want of memory"
            mend = "Look for the image with comptool inspect, or use fewer with --workers"
        raise InputError(f"a process that loads images {what}", mend=mend) from error


class _Guarded(Dataset[Any]):
    def __init__(self, dataset: SampleDataset) -> None:
        self._dataset = dataset

    def __getitem__(self, draw: Any) -> Any:
        try:
            return self._dataset[draw]
        except InputError as error:
            return error

    def collate(self, members: list[Any]) -> Any:
        errors = [member for member in members if isinstance(member, InputError)]
        return errors[0] if errors else self._dataset.collate(members)


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
