"""Models by name; importing this package does not import torch.

A model name is ``<backbone>[-dual][+<head>]``. The backbone is one of :data:`BACKBONES` or a timm
name, with or without its pretrained tag (``resnet34.a1_in1k``); ``-dual`` stands for two streams,
one per image of a sample; the head is one of :data:`HEADS`, by default ``linear``. Every model is a
:class:`comptool.models.streams.StreamModel`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from comptool.models.model_registry import (
    BACKBONES,
    DEFAULT_HEAD,
    DUAL,
    HEADS,
    TIMM,
    ModelName,
    check_modalities,
    encoder_entry,
    listing,
    names,
    parse_name,
    search,
    wildcard,
)

if TYPE_CHECKING:
    from comptool.models.streams import StreamModel

__all__ = [
    "BACKBONES",
    "DEFAULT_HEAD",
    "DUAL",
    "HEADS",
    "TIMM",
    "ModelName",
    "check_modalities",
    "create",
    "encoder_entry",
    "listing",
    "names",
    "parse_name",
    "search",
    "wildcard",
]


def create(
    name: str,
    num_classes: int,
    *,
    in_chans: int | Sequence[int] = 3,
    pretrained: bool | Path = False,
    **options: Any,
) -> StreamModel:
    """Create a model by name.

    Examples
    --------
    >>> model = create("mobilenetv2-dual", 10)
    >>> model.streams, model.classifier.in_features
    (2, 2560)
    """
    if num_classes < 1:
        raise ValueError(f"a model needs at least one class; got {num_classes}")
    parsed = parse_name(name)
    from comptool.models.late_fusion import assemble

    model: StreamModel = assemble(
        parsed, num_classes, in_chans=in_chans, pretrained=pretrained, options=options
    )
    return model
