"""The options that commands with a forward pass share."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from comptool.inference.computing import Computing
    from comptool.inference.plan import Plan


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
Fp32 = Annotated[bool, typer.Option("--fp32", help="Full precision; the default on a CPU.")]
Bf16 = Annotated[bool, typer.Option("--bf16", help="Forward pass in bfloat16.")]
Fp16 = Annotated[
    bool, typer.Option("--fp16", help="Forward pass in float16; the default on a GPU.")
]


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


def settled(given: Mapping[str, Any]) -> tuple[Plan, Computing]:
    """What is predicted and how, as the options of ``infer`` and ``tta`` say.

    Parameters
    ----------
    given
        The command's arguments by name.

    Raises
    ------
    UsageError
        If options contradict one another.
    InputError
        If a run, the samples or the output cannot be used.
    """
    from comptool.errors import UsageError
    from comptool.inference.computing import Computing, Precision
    from comptool.inference.plan import make_plan

    precisions: tuple[Precision, ...] = ("fp32", "bf16", "fp16")
    wanted = [name for name in precisions if given[name]]
    if len(wanted) > 1:
        raise UsageError(f"--{' and --'.join(wanted)} contradict each other; give one")
    computing = Computing(
        device=given["device"],
        precision=wanted[0] if wanted else "auto",
        batch_size=given["batch_size"],
        workers=given["workers"],
        missing=given["missing_modality"].value,
        quiet=given["quiet"],
        backend=given["backend"].value,
    )
    plan = make_plan(
        given["runs"] or [],
        output=given["output"],
        test=given["test"],
        competition=given["competition"],
        force=given["force"],
    )
    return plan, computing
