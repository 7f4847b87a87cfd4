"""Checkpoints: weights with a JSON header in one safetensors file; loading never unpickles.

:func:`comptool.io.runs.read_header` reads the header without torch.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from comptool import models, tasks
from comptool.errors import InputError, UsageError, quoted
from comptool.io.atomic import atomic_output
from comptool.io.records import LARGEST_SIDE, ModelRecord, RunHeader, checked_value, misfit
from comptool.io.runs import BEST, HEADER_FORMAT, HEADER_KEY, read_header
from comptool.models.streams import OutputScale, StreamModel

# ``img_size``: height and width, or such a pair for each stream; None: the model's own.
Sizes = tuple[int, int] | list[tuple[int, int]] | None
# Of a size, depth, width or number of queries: beyond, memory ends before the weights are compared.
LARGEST_OPTION = LARGEST_SIDE


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
    model = build_model(header, run / BEST if run.is_dir() else run)
    load_weights(model, run)
    return model.to(device).eval(), header


def build_model(header: RunHeader, path: Path) -> StreamModel:
    """The model that a header describes, with random weights.

    Raises an InputError with the ``path`` of the header if the model or an option of it is unknown,
    or it cannot be built. Nothing is downloaded, and no code but comptool's runs.
    """
    models.check_recorded(header, path)
    described = header.model
    channels = [header.channels[name] for name in header.modalities]
    task, num_classes = tasks.find(header.task), len(header.classes)
    try:
        options = checked_options(described, path)
        model = models.create(
            described.name, task.outputs(num_classes), in_chans=channels, **options
        )
    # A header may ask for any size or depth, of which torch and timm raise what they like.
    except (
        UsageError,
        ValueError,
        TypeError,
        RuntimeError,
        OverflowError,
        AssertionError,
    ) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise InputError(f"its model cannot be built here: {reason}", file=path) from error
    if task.numbers:
        model.output = OutputScale([0.0] * num_classes, [1.0] * num_classes)
    return model


def checked_options(described: ModelRecord, path: Path) -> dict[str, Any]:
    """The recorded options of a model, which have to be those of its backbone and head.

    Raises an InputError with the ``path`` of the header for another one, or a wrong type.
    """
    parsed = models.parse_name(described.name)
    types = models.encoder_entry(parsed.backbone).types() | models.HEADS.find(parsed.head).types()
    for name, value in described.options.items():
        place = f"model.options.{name}"
        if name not in types:
            known = ", ".join(types) or "none"
            raise InputError(
                f"its header is damaged: {place} is not an option of the model "
                f"'{described.name}', which takes {known}",
                file=path,
            )
        hint = Sizes if name == "img_size" else types[name]
        checked_value(hint, value, place, file=path, what="header")
        for number in _numbers(value):
            if abs(number) > LARGEST_OPTION:
                wanted = f"at most {LARGEST_OPTION}"
                raise InputError(f"its header {misfit(place, wanted, value)}", file=path)
    return described.options


def _numbers(value: Any) -> list[float]:
    if isinstance(value, list):
        return [number for one in value for number in _numbers(one)]
    return [value] if isinstance(value, int | float) else []


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
