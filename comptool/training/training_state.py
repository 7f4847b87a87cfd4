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
    """How far a run has come; it changes as the run goes.

    Parameters
    ----------
    epoch
        Epoch under way, from 0.
    update
        Weight updates done in it.
    loss_sum, seen
        Sum of the training loss over the images seen in it, and their number.
    seconds
        Time spent in it before an interruption.
    best_score, best_epoch
        Best validation score so far and its epoch from 1, None before the first.
    stale
        Epochs since the best one: the counter of early stopping.
    finished
        Why the run ended: ``epochs`` or ``patience``; empty while it goes on.
    history
        One row per epoch done, as in ``metrics.csv``.
    at_once
        Most images in one pass, where the memory did not hold a batch; None: whole batches.
    """

    epoch: int = 0
    update: int = 0
    loss_sum: float = 0.0
    seen: int = 0
    seconds: float = 0.0
    best_score: float | None = None
    best_epoch: int | None = None
    stale: int = 0
    finished: str = ""
    history: list[dict[str, float | int | None]] = field(default_factory=list)
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
    """Write ``last.pt`` atomically, replacing an older one.

    Parameters
    ----------
    path
        The file.
    progress
        How far the run has come.
    weights, optimisation
        State dicts of the model and of its :class:`~comptool.training.optim.Optimisation`.
    header
        Of the run's checkpoints, without score and epoch.
    identity
        JSON values that a resumed run has to agree with.
    gauges
        State of its :class:`~comptool.training.epoch_loggers.EpochLoggers`.
    """
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
    """The document that :func:`write_state` wrote, on the CPU; no code in it can run.

    Raises
    ------
    InputError
        If the file is missing, truncated, of another kind, or holds more than plain values.
    """
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
