"""The options that commands with a forward pass share."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from comptool.inference.computing import Computing


class Missing(StrEnum):
    """What becomes of a sample that lacks an image."""

    error = "error"
    zero = "zero"


Runs = Annotated[list[str] | None, typer.Argument(help="Runs to average. [default: the latest]")]
Test = Annotated[
    Path | None, typer.Option("--test", help="Table to predict. [default: the competition's]")
]
Output = Annotated[Path, typer.Option("--output", "-o", help="Where the probabilities go.")]
MissingModality = Annotated[
    Missing, typer.Option("--missing-modality", help="A missing image: an error, or a black chip.")
]
Fp32 = Annotated[bool, typer.Option("--fp32", help="Full precision; the default.")]
Bf16 = Annotated[bool, typer.Option("--bf16", help="Forward pass in bfloat16.")]
Fp16 = Annotated[bool, typer.Option("--fp16", help="Forward pass in float16.")]


class Backend(StrEnum):
    """What computes."""

    auto = "auto"
    torch = "torch"
    onnx = "onnx"


BackendChoice = Annotated[
    Backend,
    typer.Option(
        help="onnx: ONNX Runtime, several times as fast on a CPU, its graph kept beside the "
        "checkpoint; auto: that on a CPU in full precision, else torch."
    ),
]
Workers = Annotated[
    int | None,
    typer.Option("--workers", "-j", min=0, help="Threads that load images. [default: one a core]"),
]


def computing(
    *,
    device: str,
    batch_size: int,
    workers: int | None,
    missing: Missing,
    quiet: bool,
    backend: Backend,
    fp32: bool = False,
    bf16: bool = False,
    fp16: bool = False,
) -> Computing:
    """How predictions are computed, as the options say.

    Raises
    ------
    UsageError
        If they contradict one another.
    """
    from comptool.errors import UsageError
    from comptool.inference.computing import Computing

    wanted = [name for name, on in {"fp32": fp32, "bf16": bf16, "fp16": fp16}.items() if on]
    if len(wanted) > 1:
        raise UsageError(f"--{' and --'.join(wanted)} contradict each other; give one")
    precision = wanted[0] if wanted else "fp32"
    return Computing(
        device, precision, batch_size, workers, missing.value, quiet, backend=backend.value
    )
