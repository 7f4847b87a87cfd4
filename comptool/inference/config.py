"""Settings of inference, decided before torch is imported."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from comptool.errors import UsageError
from comptool.machine import check_device_name, has_cuda
from comptool.options import (
    ADVANCED,
    EMBEDDINGS,
    PREDS,
    PREDS_TTA,
    Output,
    WithCompetition,
    WithDevice,
    WithReader,
    WithSeed,
    argument,
    option,
    required_option,
)

PRECISIONS: tuple[Precision, ...] = ("fp32", "bf16", "fp16")


@dataclass(frozen=True)
class WithImages(WithReader, WithDevice):
    """A command that loads images by threads."""

    missing_modality: Literal["error", "zero"] = option(
        "error",
        help="Missing image: an error, or replaced with black (zero).",
        metavar="error|zero",
        panel=ADVANCED,
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
class PredictionOptions(Output, WithCompetition, WithImages):
    """Common options of ``infer`` and ``tta``."""

    runs: tuple[str, ...] = argument((), help="Runs to average.", shown="the latest")
    test: Path | None = option(help="Table to predict.", shown="the competition's test set")
    pool: Literal["mean", "max", "noisy-or", "attention", "none"] | None = option(
        help="Several images per answer: how the predictions of a bag's images become one row; "
        "none keeps a row per image; attention is for runs that have learnt it.",
        metavar="mean|max|noisy-or|attention|none",
        shown="as the run was validated",
    )
    fp32: bool = option(
        False, help="Full precision (float32); the default on a CPU.", panel=ADVANCED
    )
    bf16: bool = option(False, help="Mixed precision in bfloat16.", panel=ADVANCED)
    fp16: bool = option(
        False, help="Mixed precision in float16; the default on a GPU.", panel=ADVANCED
    )
    backend: Backend = option(
        "auto",
        help="onnx: ONNX Runtime, several times faster on a CPU; auto: onnx on a CPU in float32.",
        panel=ADVANCED,
    )

    def computing(self) -> Computing:
        """How the forward pass is computed."""
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
class InferConfig(PredictionOptions):
    """The options of ``comptool infer``."""

    output: Path = option(PREDS, help="Predictions to write.", names=("--output", "-o"))


@dataclass(frozen=True)
class TtaConfig(WithSeed, PredictionOptions):
    """The options of ``comptool tta``."""

    transforms: str = option(
        "flips",
        help="Views: flips (3), d4 (8 flips and rotations), 5crop (corners and centre, 7/8 of the "
        "side), multiscale (0.75, 1 and 1.25 times the size), several joined by commas, or a "
        "JSON or TOML file of views and optional weights, such as --search writes.",
    )
    merge: Literal["mean", "gmean", "max"] = option(
        "mean", help="Merging of the views; gmean is the geometric mean."
    )
    search: Literal["greedy", "continuous"] | None = option(
        help="Select views and their weights on out-of-fold rows; writes them as .json."
    )
    output: Path = option(PREDS_TTA, help="Predictions to write.", names=("--output", "-o"))


@dataclass(frozen=True)
class FeaturesConfig(WithSeed, Output, WithCompetition, WithImages):
    """The options of ``comptool features``."""

    runs: tuple[str, ...] = argument((), help="Runs, one panel each.", shown="the latest")
    output: Path = option(
        Path("features.png"),
        help="Picture to write; the points go to a CSV next to it.",
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


@dataclass(frozen=True)
class EmbedConfig(WithSeed, Output, WithCompetition, WithImages):
    """The options of ``comptool embed``."""

    model: str = required_option(help="Network; see comptool models.", names=("--model", "-m"))
    pretrained: str = option(
        "yes",
        help="Its weights: yes (published), no (random), a file, or package:NAME (of an installed "
        "package).",
    )
    img_size: tuple[str, ...] = option(
        (),
        help="Image size: 128, 128x96 (height x width) or sar=64; repeatable.",
        metavar="SIZE",
        shown="the images' own",
    )
    transforms: str | None = option(
        help="Views whose features are averaged, as in tta: flips, d4, 5crop, multiscale.",
        shown="the image as it is",
    )
    modality: tuple[str, ...] = option(
        (), help="Images to take; repeatable.", metavar="NAME", shown="all"
    )
    output: Path = option(
        EMBEDDINGS,
        help="Features of the training rows to write (.npy, .parquet or .csv); those of the test "
        "set go next to it, as NAME_test.",
        names=("--output", "-o"),
    )
    folds: Path | None = option(
        help="Training rows.", shown="folds.csv, otherwise the competition's training table"
    )
    test: Path | None = option(help="Table to predict.", shown="the competition's test set")
    backend: Backend = option(
        "auto",
        help="onnx: ONNX Runtime, several times faster on a CPU; auto: onnx on a CPU.",
        panel=ADVANCED,
    )

    def computing(self) -> Computing:
        """How the forward pass is computed."""
        return Computing(
            device=self.device,
            batch_size=self.batch_size,
            workers=self.workers,
            missing=self.missing_modality,
            quiet=self.quiet,
            backend=self.backend,
            purpose="embed",
        )


Backend = Literal["auto", "torch", "onnx"]
Precision = Literal["auto", "fp32", "bf16", "fp16"]


@dataclass(frozen=True)
class Computing:
    """How predictions are computed; only ``precision`` changes them."""

    device: str = "auto"  # ``auto``, ``cpu``, ``cuda`` or ``cuda:N``
    # ``auto`` is fp16 on a CUDA card that is faster in it, else fp32: its 10 bits are nearer to
    # fp32 than the 7 of bf16. Logits are float32 before they become probabilities: a sigmoid in
    # half precision is exactly one from 8.4 on.
    precision: Precision = "fp32"
    batch_size: int = 64
    workers: int | None = None  # threads that load images; None: one per core
    missing: str = "error"  # or ``zero`` for a black image in place of a missing one
    quiet: bool = False
    purpose: str = "predict"  # label of the progress bar
    # ``onnx`` is ONNX Runtime, several times faster on a CPU; ``auto`` takes it on a CPU in fp32 if
    # the network can be exported.
    backend: Backend = "auto"

    def __post_init__(self) -> None:
        """Check the device's name and the backend."""
        check_device_name(self.device)
        if self.backend == "onnx" and not self._onnx_fits:
            raise UsageError(
                "--backend onnx computes on the CPU in full precision; leave --device, --bf16 "
                "and --fp16 out, or take --backend torch"
            )

    @property
    def tries_onnx(self) -> bool:
        """Whether to try ONNX Runtime."""
        if self.backend == "onnx":
            return True
        return self.backend == "auto" and self._onnx_fits and self._on_cpu

    @property
    def may_be_half(self) -> bool:
        """Whether the networks may be computed in half precision."""
        return self.precision in ("bf16", "fp16") or (
            self.precision == "auto" and not self._on_cpu and self.backend != "onnx"
        )

    @property
    def _on_cpu(self) -> bool:
        return self.device == "cpu" or not has_cuda()

    @property
    def _onnx_fits(self) -> bool:
        return self.precision in ("auto", "fp32") and self.device in ("auto", "cpu")
