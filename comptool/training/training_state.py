"""``last.pt``: state of a training run, to resume it exactly.

Without random generator states: each step is seeded by (seed, epoch, step).
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
    """Progress of a run, updated in place."""

    epoch: int = 0  # current epoch, from 0
    update: int = 0  # completed updates of the epoch
    loss_sum: float = 0.0  # over the images of the epoch so far
    seen: int = 0  # number of these images
    seconds: float = 0.0  # of the epoch, before an interruption
    best_score: float | None = None
    best_epoch: int | None = None  # from 1
    stale: int = 0  # epochs without improvement
    finished: str = ""  # reason: ``epochs`` or ``patience``; empty while training
    history: list[dict[str, float | int | None]] = field(default_factory=list)  # ``metrics.csv``
    at_once: int | None = None  # most images in one pass; None: whole batches
    digests: dict[str, str] = field(default_factory=dict)  # of the files of the run, by name

    def next_epoch(self) -> None:
        """Start the next epoch."""
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
    # An own stream: torch's error for a full disk is unclear.
    with atomic_output(path, force=True) as temporary, temporary.open("wb") as stream:
        torch.save(document, stream)


def read_state(path: Path) -> dict[str, Any]:
    """Read ``last.pt`` to the CPU, without executing code."""
    if not path.is_file():
        raise InputError(
            "there is no state to resume from", file=path, mend="Train again with --force"
        )
    try:
        with warnings.catch_warnings():
            # torch warns about unusual pickles.
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
