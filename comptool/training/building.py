"""The model of a run with the weights it starts from, and what its checkpoints say of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from comptool import __version__, models, provenance
from comptool.assignments import parse_assignments
from comptool.models import timm_encoder
from comptool.models.checkpoints import build_model, load_weights
from comptool.models.fused import AUXILIARY
from comptool.models.pretrained import create_from
from comptool.models.streams import StreamModel
from comptool.runs import BEST
from comptool.training import sizes
from comptool.training.channels import channels_of
from comptool.training.config import TrainSettings
from comptool.training.depths import bit_depths
from comptool.training.freezing import head_weights
from comptool.training.plan import Member, Plan
from comptool.training.seeds import INITIAL, mixed

Header = dict[str, Any]
Say = Callable[[str], None]


def new_model(plan: Plan, member: Member, say: Say) -> tuple[StreamModel, Header]:
    """The model of a run that begins, and the header of its checkpoints.

    Parameters
    ----------
    plan, member
        What is trained.
    say
        Takes messages.

    Raises
    ------
    UsageError
        If the model is unknown or does not take the image size.
    InputError
        If weights that were asked for cannot be had, or do not fit.
    """
    img_size = _sizes(plan, member)
    options = {
        "img_size": [list(img_size[name]) for name in plan.modalities],
        **model_options(plan.settings),
    }
    channels = channels_of(plan, member)
    torch.manual_seed(mixed(plan.settings.seed, INITIAL))
    in_chans = [channels[name] for name in plan.modalities]
    model, pretrained = _with_weights(plan, member, {**options, "in_chans": in_chans}, say)
    bits, told = bit_depths(plan, member)
    for sentence in told:
        say(sentence)
    origin = [] if member.parent is None else [member.parent / BEST]
    statistics = {name: model.data_config.statistics(channels[name]) for name in plan.modalities}
    header = {
        "comptool": __version__,
        "model": {"name": plan.settings.model, "options": options},
        "task": plan.competition.task,
        "classes": list(plan.rows.classes),
        "class_counts": plan.rows.class_counts,
        "trained_counts": plan.rows.counts(member.train),
        "modalities": list(plan.modalities),
        "img_size": sizes.document(img_size),
        "channels": channels,
        "bits": bits,
        "mean": {name: list(mean) for name, (mean, _) in statistics.items()},
        "std": {name: list(std) for name, (_, std) in statistics.items()},
        "metric": plan.metric,
        "fold": member.fold,
        "seed": plan.settings.seed,
        "pretrained": pretrained,
        "init_from": None if member.parent is None else str(member.parent),
        "leak": member.leak,
        "dropped": [plan.rows.classes[index] for index in plan.dropped],
        "arguments": plan.settings.document(),
        "inputs": provenance.hashes([*plan.inputs, *origin]),
    }
    return model, header


def model_options(settings: TrainSettings) -> dict[str, Any]:
    """Options of the backbone and of the head, by name.

    Raises
    ------
    UsageError
        If there is no such option, or its value is of another type.
    """
    name = models.parse_name(settings.model)
    types = models.encoder_entry(name.backbone).types() | models.HEADS.find(name.head).types()
    for own in ("img_size", "auxiliary_heads"):  # options of their own
        types.pop(own, None)
    options = parse_assignments(
        "--model-option", f"the model '{settings.model}'", settings.model_option, types
    )
    return options | ({"auxiliary_heads": True} if settings.auxiliary_heads else {})


def resumed_model(header: Header) -> StreamModel:
    """The model of a run that goes on; its weights come from ``last.pt``."""
    return build_model(header)


def _sizes(plan: Plan, member: Member) -> dict[str, sizes.Size]:
    given = sizes.parse_sizes(plan.settings.img_size, plan.modalities)
    if set(given) == set(plan.modalities):
        return given
    backbone = _timm_backbone(plan.settings.model)
    published = None if backbone is None else timm_encoder.published(backbone)
    if published is not None and published.fixed_input_size:
        height, width = published.input_size[1:]
        return dict.fromkeys(plan.modalities, (height, width)) | given
    missing = plan.settings.missing_modality
    native = sizes.native_sizes(
        plan.rows.take(member.train), "zero" if missing == "zero" else "error"
    )
    return native | given


def _with_weights(
    plan: Plan, member: Member, options: dict[str, Any], say: Say
) -> tuple[StreamModel, str]:
    """The model, and where its weights come from."""
    name, num_classes = plan.settings.model, len(plan.rows.classes)
    if member.parent is None:
        return create_from(plan.settings.pretrained, name, num_classes, say=say, **options)
    model = models.create(name, num_classes, **options)
    anew = head_weights(model) if plan.settings.reset_head else {}
    load_weights(model, member.parent, dispensable=AUXILIARY)
    model.load_state_dict(anew, strict=False)
    return model, str(member.parent)


def _timm_backbone(name: str) -> str | None:
    """The backbone of a model's name if it is one of timm's, which know their weights and size."""
    backbone = models.parse_name(name).backbone
    return backbone if models.encoder_entry(backbone).target == models.TIMM else None
