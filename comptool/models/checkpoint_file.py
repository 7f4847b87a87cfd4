"""Weights with a JSON header in one safetensors file; loading it never runs a pickle.

The header is what :func:`comptool.io.runs.read_header` reads without torch.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from comptool import models
from comptool.errors import InputError, UsageError, quoted
from comptool.io.atomic import atomic_output
from comptool.io.records import RunHeader
from comptool.io.runs import BEST, HEADER_FORMAT, HEADER_KEY, read_header
from comptool.models.streams import StreamModel


def save_checkpoint(
    path: Path, model: nn.Module, header: RunHeader, *, force: bool = False
) -> None:
    """Write a model's weights and its header atomically.

    Parameters
    ----------
    path
        The ``best.safetensors`` to write.
    model
        Its ``state_dict`` is written; it stays where it is.
    header
        What :func:`comptool.io.runs.read_header` will give back; ``format`` is added.

    Raises
    ------
    OutputExistsError
        If ``path`` exists and ``force`` is off.
    InputError
        If it cannot be written; ``path`` is left as it was.
    """
    # clone: safetensors refuses tensors that share memory, which tied weights do.
    weights = {
        name: tensor.detach().cpu().clone(memory_format=torch.contiguous_format)
        for name, tensor in model.state_dict().items()
    }
    text = json.dumps({**header.document(), "format": HEADER_FORMAT})
    with atomic_output(path, force=force) as temporary:
        save_file(weights, temporary, metadata={HEADER_KEY: text})


def load_checkpoint(run: Path, device: str = "cpu") -> tuple[StreamModel, RunHeader]:
    """The model of a run with its best weights, in evaluation mode, and its header.

    Parameters
    ----------
    run
        Folder of one run (a member, not a folded run) or its ``best.safetensors``.
    device
        Where the model is put: ``cpu``, ``cuda``, ``cuda:1``.

    Raises
    ------
    InputError
        If the checkpoint is missing, truncated or not comptool's, its header names a model that
        there is not, or its weights are not of that model.
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
    return models.create(
        described.name, len(header.classes), in_chans=channels, **described.options
    )


def load_weights(model: nn.Module, run: Path, *, dispensable: str | None = None) -> None:
    """Copy the weights of a run into ``model``, all of them.

    Parameters
    ----------
    model
        Of the same architecture.
    run
        Folder of one run or its ``best.safetensors``.
    dispensable
        What the names of weights begin with that one of the two may lack: the model keeps its own.

    Raises
    ------
    InputError
        If the file is not readable, or a weight is missing, left over or of another shape.
    """
    path = run / BEST if run.is_dir() else run
    try:
        weights: dict[str, Tensor] = load_file(path)
    except (SafetensorError, OSError) as error:
        raise InputError(f"is no readable checkpoint ({error})", file=path) from error
    own = model.state_dict()
    if dispensable is not None:
        spared = {name for name in weights.keys() ^ own.keys() if name.startswith(dispensable)}
        weights = {name: weights[name] for name in weights if name not in spared}
        weights |= {name: own[name] for name in own if name in spared}
    complaint = _difference(weights, own)
    if complaint:
        raise InputError(f"its weights are not those of the model: {complaint}", file=path)
    model.load_state_dict(weights)


def _difference(found: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> str:
    """What is missing, left over or of another shape, up to three of each; empty if nothing is."""
    shapes = [
        f"{name} {tuple(found[name].shape)}"
        for name in wanted
        if name in found and found[name].shape != wanted[name].shape
    ]
    parts = {
        "it lacks": [name for name in wanted if name not in found],
        "it has too many": [name for name in found if name not in wanted],
        "of another shape are": shapes,
    }
    return "; ".join(f"{what} {quoted(names)}" for what, names in parts.items() if names)
