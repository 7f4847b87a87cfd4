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

    Parameters
    ----------
    name
        See the module's docstring.
    num_classes
        K, 1 or more.
    in_chans
        Channels of the images: one number for all streams, or one per stream.
    pretrained
        False: random weights. True: the weights that timm publishes for the backbone, from the
        cache or the hub. A path: a ``.safetensors``, ``.pth``, ``.pt`` or ``.bin`` file of the
        backbone's weights, read without running code from it. All streams start from the same
        weights.
    options
        ``drop_rate``: dropout before a linear head, in [0, 1). ``auxiliary_heads``: whether each of
        two streams has its own linear head in training. ``scale``: largest logit of the cosine
        head. ``dropout``, ``num_queries``, ``learnable_queries``, ``hidden_dim``: options of the
        other heads, see :mod:`comptool.models.heads`. ``drop_path_rate``: share of residual
        branches to drop, if the backbone has them. ``drop_block``: share of the last feature map to
        drop in squares, for ResNets and comptool's own residual networks. ``depth``, ``widen``,
        ``grad_checkpointing``: see the backbone's ``build``. ``img_size``: (height, width) of the
        images, or one such pair per stream; the model is tested on one such image. A backbone of a
        fixed input size is built for it.

    Raises
    ------
    UsageError
        If a part of the name or an option is unknown, or the backbone does not support the option.
    InputError
        If the pretrained weights are not available or do not fit the backbone.

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
