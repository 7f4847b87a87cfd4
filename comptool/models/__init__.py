"""The models by name; importing this imports no torch.

A model's name is ``<backbone>[-dual][+<head>]``. A backbone is one of :data:`BACKBONES` or any
timm name, with or without its pretrained tag (``resnet34.a1_in1k``); ``-dual`` makes two streams,
one image of each sample going into each; a head is one of :data:`HEADS`, ``linear`` if none is
named. Every model is a :class:`comptool.models.streams.StreamModel`.
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
    """The model of that name.

    Parameters
    ----------
    name
        See the module's first lines.
    num_classes
        K, 1 or more.
    in_chans
        Channels of the images: one number for all streams, or one per stream.
    pretrained
        False draws random weights; True loads those that timm publishes for the backbone, from
        the cache or the hub; a path loads a ``.safetensors``, ``.pth``, ``.pt`` or ``.bin`` file of
        the backbone's weights, without running code from it. Every stream starts from the same.
    options
        ``drop_rate``: share of the features dropped before a linear head in training, in [0, 1).
        ``auxiliary_heads``: whether each of two streams has a linear head of its own in training.
        ``scale``: the largest logit of the cosine head.
        ``dropout``, ``num_queries``, ``learnable_queries``, ``hidden_dim``: of the other heads, see
        :mod:`comptool.models.heads`.
        ``drop_path_rate``: share of the residual branches dropped, for backbones that have them.
        ``drop_block``: share of the last map dropped in squares, for ResNets and our own residual
        networks. ``depth``, ``widen``, ``grad_checkpointing``: see the backbone's ``build``.
        ``img_size``: (height, width) of the images, or one such pair per stream. A backbone of a
        fixed input size is built for it, and any backbone is tried on one image of it.

    Raises
    ------
    UsageError
        If a part of the name or an option is unknown, or the backbone does not take the option.
    InputError
        If the pretrained weights cannot be had, or the file's are not the backbone's.

    Examples
    --------
    >>> model = create("mobilenetv2-dual", 10)
    >>> model.streams, model.classifier.in_features
    (2, 2560)
    """
    if num_classes < 1:
        raise ValueError(f"a model needs one class or more; got {num_classes}")
    parsed = parse_name(name)
    from comptool.models.late_fusion import assemble

    model: StreamModel = assemble(
        parsed, num_classes, in_chans=in_chans, pretrained=pretrained, options=options
    )
    return model
