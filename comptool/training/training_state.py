"""``last.pt``: state of a training run, to resume it exactly.

Without random generator states: each step is seeded by (seed, epoch, step).
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from comptool.errors import InputError
from comptool.io.atomic import atomic_output
from comptool.io.records import Figure, RunHeader, misfit, parse

STATE_FORMAT = 1
MEND = "Train again with --force"


@dataclass
class Progress:
    """Progress of a run, updated in place."""

    epoch: int = 0  # current epoch, from 0
    update: int = 0  # completed updates of the epoch
    loss_sum: float = 0.0  # over the images of the epoch so far
    seen: int = 0  # number of these images
    seconds: float = 0.0  # of the epoch, before an interruption
    best_score: Figure | None = None
    best_epoch: int | None = None  # from 1
    stale: int = 0  # epochs without improvement
    finished: str = ""  # reason: ``epochs`` or ``patience``; empty while training
    history: list[dict[str, Figure | int | None]] = field(default_factory=list)  # ``metrics.csv``
    at_once: int | None = None  # most images in one pass; None: whole batches
    digests: dict[str, str] = field(default_factory=dict)  # of the files of the run, by name

    def next_epoch(self) -> None:
        """Start the next epoch."""
        self.epoch += 1
        self.update = self.seen = 0
        self.loss_sum = self.seconds = 0.0


@dataclass(frozen=True)
class TrainState:
    """Content of ``last.pt``.

    ``weights`` are tensors by name, ``optimisation`` and ``gauges`` states of objects of the
    session, ``identity`` JSON values that must not change.
    """

    progress: Progress
    weights: dict[str, Any]
    optimisation: dict[str, Any]
    header: RunHeader
    identity: dict[str, Any]
    gauges: dict[str, Any] = field(default_factory=dict)

    def check(self, path: Path) -> None:
        """Raise an InputError for a value that no training writes; names its key."""
        counts = {name: getattr(self.progress, name) for name in COUNTS}
        wrong = [
            misfit(f"progress.{name}", f"{COUNTS[name]} or more", count)
            for name, count in counts.items()
            if count is not None and count < COUNTS[name]
        ] + [
            misfit(f"weights.{name}", "a tensor", value)
            for name, value in self.weights.items()
            if not isinstance(value, Tensor)
        ]
        if wrong:
            raise InputError(f"its training state {wrong[0]}", file=path, mend=MEND)
        self.header.check(path)


# The least values of the counts of a progress.
COUNTS = {"epoch": 0, "update": 0, "seen": 0, "seconds": 0, "stale": 0, "at_once": 1}


def write_state(
    path: Path,
    progress: Progress,
    weights: Mapping[str, Any],
    optimisation: Mapping[str, Any],
    header: RunHeader,
    identity: Mapping[str, Any],
    gauges: Mapping[str, Any],
) -> None:
    """Write ``last.pt`` atomically, replacing an older one; it names no device."""
    document = {
        "format": STATE_FORMAT,
        "progress": asdict(progress),
        "weights": _on_cpu(weights),
        "optimisation": _on_cpu(optimisation),
        "header": header.document(),
        "identity": dict(identity),
        "gauges": dict(gauges),
    }
    # An own stream: torch's error for a full disk is unclear.
    with atomic_output(path, force=True) as temporary, temporary.open("wb") as stream:
        torch.save(document, stream)


def _on_cpu(state: Any) -> Any:
    """A state whose tensors are in this machine's memory."""
    if isinstance(state, Mapping):
        return {name: _on_cpu(value) for name, value in state.items()}
    if isinstance(state, list | tuple):
        return type(state)(map(_on_cpu, state))
    return state.cpu() if isinstance(state, Tensor) else state


def read_state(path: Path) -> TrainState:
    """Read ``last.pt`` to the CPU, without executing code; an InputError if it is damaged."""
    if not path.is_file():
        raise InputError("there is no state to resume from", file=path, mend=MEND)
    try:
        with warnings.catch_warnings():
            # torch warns about unusual pickles.
            warnings.simplefilter("ignore", UserWarning)
            document = torch.load(path, map_location="cpu", weights_only=True)
    # Of torch's unpickler on damaged files IndexError, AttributeError and many more.
    except Exception as error:
        raise InputError(
            "is no readable training state, it may be truncated or hold code",
            file=path,
            mend=MEND,
        ) from error
    if not isinstance(document, dict) or document.get("format") != STATE_FORMAT:
        raise InputError("is no training state of this version", file=path, mend=MEND)
    state = parse(TrainState, document, path, "training state", mend=MEND)
    state.check(path)
    return state
