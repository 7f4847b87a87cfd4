"""Checkpoints: weights with a JSON header in one safetensors file; loading never unpickles.

:func:`comptool.io.runs.read_header` reads the header without torch.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from comptool import models, tasks
from comptool.errors import InputError, UsageError, quoted
from comptool.io.atomic import atomic_output
from comptool.io.records import RunHeader
from comptool.io.runs import BEST, HEADER_FORMAT, HEADER_KEY, read_header
from comptool.models.streams import OutputScale, StreamModel


def save_checkpoint(
    path: Path, model: nn.Module, header: RunHeader, *, force: bool = False
) -> None:
    """Write the ``state_dict`` of a model on any device, and its header, atomically.

    ``force`` replaces an existing file.
    """
    # Cloned because safetensors refuses tensors that share memory, such as tied weights.
    weights = {
        name: tensor.detach().cpu().clone(memory_format=torch.contiguous_format)
        for name, tensor in model.state_dict().items()
    }
    text = json.dumps({**header.document(), "format": HEADER_FORMAT})
    with atomic_output(path, force=force) as temporary:
        save_file(weights, temporary, metadata={HEADER_KEY: text})


def load_checkpoint(run: Path, device: str = "cpu") -> tuple[StreamModel, RunHeader]:
    """Load the best weights of a run into its model, in evaluation mode; also returns the header.

    ``run`` is the folder of one run (a member, not a folded run) or its ``best.safetensors``;
    ``device`` is ``cpu``, ``cuda`` or ``cuda:N``. Raises an InputError if the checkpoint is
    missing, truncated or of another program, or its model is unknown or does not fit the weights.
    """
    header = read_header(run)
    try:
        model = build_model(header)
    except UsageError as error:
        path = run / BEST if run.is_dir() else run
        raise InputError(f"its model cannot be built here: {error}", file=path) from error
    load_weights(model, run)
    return model.to(device).eval(), header


def build_model(header: RunHeader) -> StreamModel:
    """The model that a header describes, with random weights."""
    described = header.model
    channels = [header.channels[name] for name in header.modalities]
    task, num_classes = tasks.find(header.task), len(header.classes)
    model = models.create(
        described.name, task.outputs(num_classes), in_chans=channels, **described.options
    )
    if task.numbers:
        model.output = OutputScale([0.0] * num_classes, [1.0] * num_classes)
    return model


def load_weights(model: nn.Module, run: Path, *, dispensable: tuple[str, ...] = ()) -> None:
    """Copy all weights of a run, its folder or ``best.safetensors``, into a model of its kind.

    ``dispensable`` are prefixes of weights that either side may lack; the model keeps its own.
    Raises an InputError if the file is not readable, or a weight is missing, unexpected or of
    another shape.
    """
    path = run / BEST if run.is_dir() else run
    try:
        weights: dict[str, Tensor] = load_file(path)
    except (SafetensorError, OSError) as error:
        raise InputError(f"is not a readable checkpoint ({error})", file=path) from error
    own = model.state_dict()
    spared = {name for name in weights.keys() ^ own.keys() if name.startswith(dispensable)}
    weights = {name: weights[name] for name in weights if name not in spared}
    weights |= {name: own[name] for name in own if name in spared}
    complaint = _difference(weights, own)
    if complaint:
        raise InputError(f"its weights do not fit the model: {complaint}", file=path)
    model.load_state_dict(weights)


def _difference(given: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> str:
    """Missing, unexpected and misshapen weights, up to three of each; empty if there are none."""
    shapes = [
        f"{name} {tuple(given[name].shape)}"
        for name in wanted
        if name in given and given[name].shape != wanted[name].shape
    ]
    parts = {
        "missing": [name for name in wanted if name not in given],
        "unexpected": [name for name in given if name not in wanted],
        "of another shape": shapes,
    }
    return "; ".join(f"{what} {quoted(names)}" for what, names in parts.items() if names)
