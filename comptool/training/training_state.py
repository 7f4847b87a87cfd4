"""``last.pt``: everything that a stopped run needs to go on as if it had never stopped.

No generator state is kept: every step draws from (seed, epoch, step), so the place is enough.
"""

from __future__ import annotations

import pickle
import warnings
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from comptool.errors import InputError
from comptool.io.atomic import atomic_output
from comptool.io.records import RunHeader

STATE_FORMAT = 1


@dataclass
class Progress:
    """How far a run has come; it changes as the run goes."""

    epoch: int = 0  # epoch under way, from 0
    update: int = 0  # weight updates done in it
    # sum of the training loss over the images seen in it, and their number
    loss_sum: float = 0.0
    seen: int = 0
    seconds: float = 0.0  # time spent in it before an interruption
    # best validation score so far and its epoch from 1, None before the first
    best_score: float | None = None
    best_epoch: int | None = None
    stale: int = 0  # epochs since the best one: the counter of early stopping
    finished: str = ""  # why the run ended: ``epochs`` or ``patience``; empty while it goes on
    # one row per epoch done, as in ``metrics.csv``
    history: list[dict[str, float | int | None]] = field(default_factory=list)
    # most images in one pass, where the memory did not hold a batch; None: whole batches
    at_once: int | None = None

    def next_epoch(self) -> None:
        """Turn to the next epoch's first update."""
        self.epoch += 1
        self.update = self.seen = 0
        self.loss_sum = self.seconds = 0.0


def write_state(
    path: Path,
    progress: Progress,
    weights: Mapping[str, Any],
    optimisation: Mapping[str, Any],
    header: RunHeader,
    identity: Mapping[str, Any],
    gauges: Mapping[str, Any],
) -> None:
    """Write ``last.pt`` atomically, replacing an older one."""
    document = {
        "format": STATE_FORMAT,
        "progress": asdict(progress),
        "weights": dict(weights),
        "optimisation": dict(optimisation),
        "header": header.document(),
        "identity": dict(identity),
        "gauges": dict(gauges),
    }
    # A stream of our own: torch's tells of a full disk without saying so.
    with atomic_output(path, force=True) as temporary, temporary.open("wb") as stream:
        torch.save(document, stream)


def read_state(path: Path) -> dict[str, Any]:
    """The document that :func:`write_state` wrote, on the CPU; no code in it can run."""
    if not path.is_file():
        raise InputError(
            "there is nothing to go on from", file=path, mend="Train again with --force"
        )
    try:
        with warnings.catch_warnings():
            # torch tells its own developers which pickles it has not seen before.
            warnings.simplefilter("ignore", UserWarning)
            document = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, ValueError, KeyError) as error:
        raise InputError(
            "is no readable training state, it may be truncated or hold code",
            file=path,
            mend="Train again with --force",
        ) from error
    if not isinstance(document, dict) or document.get("format") != STATE_FORMAT:
        raise InputError(
            "is no training state of this version", file=path, mend="Train again with --force"
        )
    return document
