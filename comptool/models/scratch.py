"""Encoders of networks that nobody publishes weights of: they are trained from scratch."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from timm.data import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD
from torch import nn

from comptool.errors import UsageError
from comptool.models.hub import MEND, WeightsUnavailableError
from comptool.models.streams import DataConfig, Encoder
from comptool.models.timm_encoder import try_size
from comptool.models.weights import load_exactly, read_backbone

Size = tuple[int, int]


class ScratchNetwork(nn.Module):
    """A network without its classifier, with the interface of timm's backbones.

    Called with images (B, C, H, W) it gives features (B, ``head_hidden_size``);
    ``forward_features`` gives the last map, (B, ``num_features``, h, w). ``own_size`` is the
    height and width that it was published for, ``drop_rate`` the share of the features that its
    own classifier drops in training, in [0, 1).

    Parameters
    ----------
    in_chans
        C of the images.
    num_features
        Channels of the last map.
    head_hidden_size
        Number of features; by default as many as the map has channels.
    """

    own_size: ClassVar[Size]
    drop_rate: ClassVar[float] = 0.0

    def __init__(
        self, in_chans: int, num_features: int, head_hidden_size: int | None = None
    ) -> None:
        super().__init__()
        self.in_chans = in_chans
        self.num_features = num_features
        self.head_hidden_size = head_hidden_size or num_features


def as_encoder(
    module: ScratchNetwork, name: str, pretrained: bool | Path, img_size: Size | None
) -> Encoder:
    """The network as an encoder, with the weights of a local file if one is given.

    Parameters
    ----------
    module
        The network.
    name
        What to call it in messages.
    pretrained
        See :func:`comptool.models.create`; a file holds the weights of this network and no others.
    img_size
        Height and width in pixels; tried on the network if given.

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
    data_config = DataConfig(IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD, module.own_size)
    shape = (module.in_chans, *(img_size or module.own_size))
    return Encoder(module, module.head_hidden_size, data_config, shape, module.drop_rate)


def check_least_side(name: str, size: Size, least: int) -> None:
    """Raise a UsageError if the height or width of the images, in pixels, is below ``least``."""
    if min(size) < least:
        raise UsageError(
            f"the backbone '{name}' takes no images of {size[0]}x{size[1]} pixels ({least} or more)"
        )


def initialise(module: nn.Module) -> None:
    """Draw the weights of convolutions by He et al. 2015, fan-out, and put their biases to zero."""
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
