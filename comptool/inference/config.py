"""Options of the commands with a forward pass: ``infer``, ``tta`` and ``features``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from comptool.errors import UsageError
from comptool.inference.computing import Backend, Computing, Precision
from comptool.options import (
    ADVANCED,
    PREDS,
    PREDS_TTA,
    Output,
    WithCompetition,
    WithDevice,
    WithSeed,
    argument,
    option,
)

PRECISIONS: tuple[Precision, ...] = ("fp32", "bf16", "fp16")


@dataclass(frozen=True)
class WithImages(WithDevice):
    """A command that loads images by threads."""

    missing_modality: Literal["error", "zero"] = option(
        "error", help="Missing image: an error, or replaced with black (zero).", panel=ADVANCED
    )
    batch_size: int = option(64, help="Images per batch.", names=("--batch-size", "-b"), min=1)
    workers: int | None = option(
        help="Threads that load images.",
        names=("--workers", "-j"),
        min=0,
        shown="one per core",
        panel=ADVANCED,
    )


@dataclass(frozen=True)
class Prediction(Output, WithCompetition, WithImages):
    """What ``infer`` and ``tta`` have in common."""

    runs: tuple[str, ...] = argument((), help="Runs to average.", shown="the latest")
    test: Path | None = option(help="Table to predict.", shown="the competition's test set")
    fp32: bool = option(
        False, help="Full precision (float32); the default on a CPU.", panel=ADVANCED
    )
    bf16: bool = option(False, help="Mixed precision in bfloat16.", panel=ADVANCED)
    fp16: bool = option(
        False, help="Mixed precision in float16; the default on a GPU.", panel=ADVANCED
    )
    backend: Backend = option(
        "auto",
        help="onnx: ONNX Runtime, several times as fast on a CPU, its graph kept with the "
        "checkpoint; auto: onnx on a CPU in full precision, otherwise torch.",
        panel=ADVANCED,
    )

    def computing(self) -> Computing:
        """How the forward pass is computed.

        Raises
        ------
        UsageError
            If options contradict one another.
        """
        wanted = [name for name in PRECISIONS if getattr(self, name)]
        if len(wanted) > 1:
            raise UsageError(f"--{' and --'.join(wanted)} contradict each other; give one")
        return Computing(
            device=self.device,
            precision=wanted[0] if wanted else "auto",
            batch_size=self.batch_size,
            workers=self.workers,
            missing=self.missing_modality,
            quiet=self.quiet,
            backend=self.backend,
        )


@dataclass(frozen=True)
class InferConfig(Prediction):
    """The options of ``comptool infer``."""

    output: Path = option(PREDS, help="Predictions to write.", names=("--output", "-o"))


@dataclass(frozen=True)
class TtaConfig(WithSeed, Prediction):
    """The options of ``comptool tta``."""

    transforms: str = option(
        "flips",
        help="Views: flips (3), d4 (8 flips and rotations), 5crop (corners and centre, 7/8 of the "
        "side), multiscale (0.75, 1, 1.25 times the size), several joined by commas, or a JSON or "
        "TOML file of views and optional weights, such as --search writes.",
    )
    merge: Literal["mean", "gmean", "max"] = option(
        "mean", help="How predictions of the views are merged; gmean is the geometric mean."
    )
    search: Literal["greedy", "continuous"] | None = option(
        help="Select views and their weights on out-of-fold rows (only the plain image where none "
        "helps); writes them as .json."
    )
    output: Path = option(PREDS_TTA, help="Predictions to write.", names=("--output", "-o"))


@dataclass(frozen=True)
class FeaturesConfig(WithSeed, Output, WithCompetition, WithImages):
    """The options of ``comptool features``."""

    runs: tuple[str, ...] = argument((), help="Runs, one panel each.", shown="the latest")
    output: Path = option(
        Path("features.png"),
        help="Picture to write; the points are written next to it, as .csv.",
        names=("--output", "-o"),
    )
    table: Path | None = option(help="Labelled rows to draw.", shown="each run's validation rows")
    highlight: tuple[str, ...] = option(
        (),
        help="Classes to highlight, joined by commas; repeatable.",
        metavar="CLASSES",
        shown="none",
    )
    method: Literal["pca", "tsne"] = option(
        "pca", help="Projection: principal components, or t-SNE, which preserves neighbours."
    )
    per_class: int = option(200, help="Largest number of rows per class, a random sample.", min=1)
