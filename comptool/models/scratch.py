"""Encoders of networks that nobody publishes weights of: they are trained from scratch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from timm.data import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD
from torch import nn

from comptool.models.hub import MEND, WeightsUnavailableError
from comptool.models.streams import DataConfig, Encoder
from comptool.models.timm_encoder import try_size
from comptool.models.weights import load_exactly, read_backbone

Size = tuple[int, int]


def as_encoder(
    module: Any,
    name: str,
    *,
    pretrained: bool | Path,
    img_size: Size | None,
    own_size: Size,
    drop_rate: float = 0.0,
) -> Encoder:
    """The network as an encoder, with the weights of a local file if one is given.

    Parameters
    ----------
    module
        Gives pooled features, ``head_hidden_size`` wide, of images of ``in_chans`` channels.
    name
        What to call it in messages.
    pretrained
        See :func:`comptool.models.create`; a file holds the weights of this module and no others.
    img_size
        Height and width in pixels; tried on the network if given.
    own_size
        What the network was published for.
    drop_rate
        Share of the features that its own classifier drops in training, in [0, 1).

    Raises
    ------
    WeightsUnavailableError
        If published weights are asked for: there are none.
    InputError
        If the file's weights are not the network's.
    UsageError
        If the network does not take the size.
    """
    if pretrained is True:
        raise WeightsUnavailableError(f"no weights are published for '{name}'", mend=MEND)
    if isinstance(pretrained, Path):
        load_exactly(module, read_backbone(pretrained), pretrained, name)
    if img_size is not None:
        try_size(module, name, module.in_chans, img_size)
    data_config = DataConfig(IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD, own_size)
    shape = (module.in_chans, *(img_size or own_size))
    return Encoder(module, module.head_hidden_size, data_config, shape, drop_rate)


def initialise(module: nn.Module) -> None:
    """Draw the weights of convolutions by He et al. 2015, fan-out, and put their biases to zero."""
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
