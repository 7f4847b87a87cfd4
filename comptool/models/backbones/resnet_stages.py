"""Residual stages of networks trained from scratch: initialisation and activation checkpointing.

Activation checkpointing: Chen et al. 2016, "Training Deep Nets with Sublinear Memory Cost",
arXiv:1604.06174, by ``torch.utils.checkpoint``, which alone would update the running statistics of
batch normalisation twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any, ClassVar

from timm.data import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint

from comptool.errors import UsageError
from comptool.models.backbones.drop_block import progressive_rates
from comptool.models.backbones.timm_backbone import try_size
from comptool.models.pretrained import (
    MEND,
    WeightsUnavailableError,
    load_exactly,
    read_backbone,
    shapes,
)
from comptool.models.streams import DataConfig, Encoder


def recomputed(block: nn.Module, images: Tensor) -> Tensor:
    """The output of a block, recomputed in the backward pass with the same random state."""

    def contexts() -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
        return nullcontext(), _statistics_kept(block)

    output: Tensor = checkpoint(block, images, use_reentrant=False, context_fn=contexts)
    return output


@contextmanager
def _statistics_kept(block: nn.Module) -> Iterator[None]:
    """Do not update the running statistics of batch normalisation."""
    # The layers have to save as many tensors as in the first pass, so they keep their statistics.
    layers = [layer for layer in block.modules() if isinstance(layer, _BatchNorm)]
    saved = [(layer.momentum, layer.num_batches_tracked) for layer in layers]
    for layer in layers:
        layer.momentum, layer.num_batches_tracked = 0.0, None
    try:
        yield
    finally:
        for layer, (momentum, count) in zip(layers, saved, strict=True):
            layer.momentum, layer.num_batches_tracked = momentum, count


Size = tuple[int, int]


class ScratchNetwork(nn.Module):
    """A network without classifier, with the interface of timm's backbones.

    It maps images (B, C, H, W) to features (B, ``head_hidden_size``); ``forward_features`` returns
    the last map, (B, ``num_features``, h, w). ``own_size`` is the (height, width) it was published
    for, ``drop_rate`` the dropout of its own classifier.
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
    """The network as an encoder, optionally with the weights of a file.

    ``name`` is for messages; ``img_size`` is tested on the network if given.
    """
    if pretrained is True:
        raise WeightsUnavailableError(f"no weights are published for '{name}'", mend=MEND)
    if isinstance(pretrained, Path):
        weights = read_backbone(pretrained, shapes(module))
        load_exactly(module, weights, pretrained, name)
    if img_size is not None:
        try_size(module, name, module.in_chans, img_size)
    data_config = DataConfig(IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD, module.own_size)
    shape = (module.in_chans, *(img_size or module.own_size))
    return Encoder(module, module.head_hidden_size, data_config, shape, module.drop_rate)


def check_least_side(name: str, size: Size, least: int) -> None:
    """Raise a UsageError if a side of the images, in pixels, is below ``least``."""
    if min(size) < least:
        raise UsageError(
            f"the backbone '{name}' takes no images of {size[0]}x{size[1]} pixels ({least} or more)"
        )


def initialise(module: nn.Module) -> None:
    """Initialise convolutions by He et al. 2015, fan-out, with biases of zero."""
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


class StagedNetwork(ScratchNetwork):
    """A stem and stages of blocks; all but the first stage halve height and width, rounded up.

    ``block`` is called with the channels before and after, the stride and the DropBlock rate;
    ``widths`` are the channels after the stem and each stage, ``depths`` the blocks of each stage.
    """

    def __init__(
        self,
        in_chans: int,
        stem: nn.Module,
        block: Callable[[int, int, int, float], nn.Module],
        widths: Sequence[int],
        depths: Sequence[int],
        drop_block: float,
    ) -> None:
        super().__init__(in_chans, widths[-1])
        self.grad_checkpointing = False
        self.stem = stem
        rates = progressive_rates(drop_block, len(depths))
        self.stages = nn.ModuleList(
            nn.ModuleList(
                block(
                    widths[stage + 1] if index else widths[stage],
                    widths[stage + 1],
                    2 if stage and not index else 1,
                    rates[stage],
                )
                for index in range(depth)
            )
            for stage, depth in enumerate(depths)
        )
        initialise(self)

    def set_grad_checkpointing(self, enable: bool = True) -> None:
        """Whether to recompute a block's activations in the backward pass."""
        self.grad_checkpointing = enable

    def forward_features(self, images: Tensor) -> Tensor:
        """The map (B, F, h, w) of images (B, C, H, W)."""
        features: Tensor = self.stem(images)
        recompute = self.grad_checkpointing and self.training
        for stage in self.stages:
            for block in stage:  # type: ignore[attr-defined]
                features = recomputed(block, features) if recompute else block(features)
        return features

    def forward(self, images: Tensor) -> Tensor:
        """Pooled features (B, F) of images (B, C, H, W)."""
        return self.forward_features(images).mean((2, 3))

    def group_matcher(self, coarse: bool = False) -> dict[str, Any]:
        """Layers for timm's layer-wise learning rate decay."""
        return {"stem": r"^stem", "blocks": r"^stages\.(\d+)" + ("" if coarse else r"\.(\d+)")}
