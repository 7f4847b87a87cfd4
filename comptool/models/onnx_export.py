"""ONNX export of a model with its image normalisation, checked against torch.

The tracing exporter of torch exports a network in half a second (dual MobileNetV2; the exporter of
``torch.export`` takes 9 s) and needs no other package.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from inspect import signature
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from onnxruntime import InferenceSession
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from comptool import tasks
from comptool.errors import UsageError
from comptool.models.checkpoint_file import load_checkpoint
from comptool.models.deploy import OfPixels, of_pixels
from comptool.tasks import Task

OPSET = 18
# Tracing a batch of one would make the batch size a constant. Checked with one image too, as the
# last batch of a test set may be.
TRACED_BATCH, CHECKED_BATCHES = 2, (1, 3)
TOLERANCE = 1e-4
Sizes = Sequence[tuple[int, int]]
Table = npt.NDArray[np.float32]


def export(model: OfPixels, sizes: Sizes, channels: Sequence[int]) -> bytes:
    """Export a model, on the CPU, for images of the given sizes and channels and any batch size.

    The inputs are ``images0``, ``images1``, ..., float32 [B, H, W, C], the output is ``logits``,
    float32 [B, K], or [B, K + 1] if the last one is the score of an image in its bag. Raises a
    UsageError with the reason if the export fails.
    """
    inputs = [f"images{number}" for number in range(len(sizes))]
    try:
        with TemporaryDirectory() as folder, _traceable(), _silenced():
            torch.onnx.export(
                model,
                tuple(torch.zeros(shape) for shape in _shapes(TRACED_BATCH, sizes, channels)),
                Path(folder) / "graph.onnx",
                input_names=inputs,
                output_names=["logits"],
                dynamic_axes={name: {0: "batch"} for name in (*inputs, "logits")},
                opset_version=OPSET,
                dynamo=False,
            )
            return (Path(folder) / "graph.onnx").read_bytes()
    # Unsupported layers fail with many types of exceptions.
    except Exception as error:
        raise UsageError(
            f"the network cannot be exported to ONNX ({_first_line(error)})"
        ) from error


def export_checkpoint(run: Path, sizes: Sizes) -> tuple[bytes, float]:
    """Export the best weights of one run for images of a (height, width) per modality.

    Returns the ONNX model, see :func:`export`, and the largest difference on noise of a
    probability, or of a number as a share of the largest. Raises an InputError if the checkpoint is
    not usable, a UsageError if the export fails or that differs by more than `TOLERANCE`.
    """
    model, header = load_checkpoint(run)
    channels = [header.channels[name] for name in header.modalities]
    whole = of_pixels(model, header)
    graph = export(whole, sizes, channels)
    random = np.random.default_rng(0)
    images = [
        random.integers(256, size=shape).astype(np.float32)
        for shape in _shapes(max(CHECKED_BATCHES), sizes, channels)
    ]
    try:
        session = InferenceSession(graph, providers=["CPUExecutionProvider"])
        task = tasks.find(header.task)
        num_logits = task.outputs(len(header.classes))
        differences = [
            _difference(whole, session, [image[:count] for image in images], task, num_logits)
            for count in CHECKED_BATCHES
        ]
    # ONNX Runtime has no common exception type.
    except Exception as error:
        raise UsageError(f"the network's ONNX graph does not run ({_first_line(error)})") from error
    difference = float(np.max(differences))  # NaN if one of them is
    if not difference <= TOLERANCE:
        raise UsageError(
            f"the network's ONNX graph gives other predictions than torch (by {difference:.2g})"
        )
    return graph, difference


def _difference(
    model: OfPixels, session: InferenceSession, images: Sequence[Table], task: Task, num_logits: int
) -> float:
    """Largest difference of a probability, or share of a number, between torch and ONNX Runtime.

    What follows the logits is compared as numbers are.
    """
    with torch.no_grad():
        wanted = model(*map(torch.from_numpy, images)).numpy()
    (logits,) = session.run(None, {f"images{n}": image for n, image in enumerate(images)})
    if logits.shape != wanted.shape:
        raise ValueError(f"it gives logits of shape {logits.shape}, torch {wanted.shape}")
    (ours, own), (theirs, other) = (np.split(one, [num_logits], axis=1) for one in (wanted, logits))
    if not task.numbers:
        ours, theirs = task.probabilities(ours), task.probabilities(theirs)
    scale = max(1.0, float(np.abs(ours).max())) if task.numbers else 1.0
    scores = np.abs(other - own) / np.maximum(1, np.abs(own))
    return float(np.max([np.abs(theirs - ours).max() / scale, scores.max(initial=0)]))


class _Exportable(TorchFunctionMode):
    """Replace functions without an ONNX operator by exportable ones."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        given = kwargs or {}
        if func is functional.interpolate and given.get("antialias"):
            return _resize(**signature(func).bind(*args, **given).arguments)
        if func is functional.rms_norm:
            return _rms_norm(*args, **given)
        return func(*args, **given)


def _resize(input: Tensor, size: Sequence[int], mode: str, **_: Any) -> Tensor:
    """Resize by one matrix for rows and one for columns, for position embeddings."""
    with ThreadPoolExecutor(1) as untraced:  # the tracer only records its own thread
        down, across = (
            untraced.submit(_resizing, int(now), int(wanted), mode).result()
            for now, wanted in zip(input.shape[2:], size, strict=True)
        )
    return down @ input @ across.T


def _rms_norm(
    input: Tensor, shape: Sequence[int], weight: Tensor | None = None, eps: float | None = None
) -> Tensor:
    least = torch.finfo(input.dtype).eps if eps is None else eps
    mean = input.square().mean([-1 - axis for axis in range(len(shape))], keepdim=True)
    normalised = input * torch.rsqrt(mean + least)
    return normalised if weight is None else normalised * weight


def _resizing(now: int, wanted: int, mode: str) -> Tensor:
    """Matrix (wanted, now) that resizes ``now`` rows to ``wanted``."""
    one = torch.eye(now)[None, None]
    return functional.interpolate(one, (wanted, now), mode=mode, antialias=True)[0, 0]


@contextmanager
def _traceable() -> Iterator[None]:
    # ONNX has no operator for torch's fused transformer layer.
    fused = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with torch.no_grad(), warnings.catch_warnings(), _Exportable():
            # The tracer warns of every Python number; the result is checked numerically.
            warnings.simplefilter("ignore")
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fused)


@contextmanager
def _silenced() -> Iterator[None]:
    # On failure the exporter prints the whole graph to stdout, from C++.
    torch._C._jit_set_onnx_log_output_stream("stderr")
    stderr = os.dup(2)
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)


def _first_line(error: Exception) -> str:
    return next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)


def _shapes(batch: int, sizes: Sizes, channels: Sequence[int]) -> list[tuple[int, int, int, int]]:
    return [
        (batch, height, width, count)
        for (height, width), count in zip(sizes, channels, strict=True)
    ]
