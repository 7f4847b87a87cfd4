"""Residual stages of networks trained from scratch: initialization and activation checkpointing.

Activations that are computed again in the backward pass instead of being kept.

Chen et al. 2016, "Training Deep Nets with Sublinear Memory Cost", arXiv:1604.06174; the work is
``torch.utils.checkpoint``'s. Written here because the second computation would update the running
statistics of batch normalisation a second time: a run that saves memory would end with others than
one that does not.
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
from comptool.models.pretrained import MEND, WeightsUnavailableError, load_exactly, read_backbone
from comptool.models.streams import DataConfig, Encoder


def recomputed(block: nn.Module, images: Tensor) -> Tensor:
    """What the block makes of a tensor; its activations are computed again when needed.

    Everything random in the block is drawn as in the first computation.
    """

    def contexts() -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
        return nullcontext(), _statistics_kept(block)

    output: Tensor = checkpoint(block, images, use_reentrant=False, context_fn=contexts)
    return output


@contextmanager
def _statistics_kept(block: nn.Module) -> Iterator[None]:
    """Batch normalisation still uses the statistics of the batch, and remembers nothing of it."""
    # Not by leaving the statistics out: the layer has to keep as many tensors as the first time.
    layers = [layer for layer in block.modules() if isinstance(layer, _BatchNorm)]
    remembered = [(layer.momentum, layer.num_batches_tracked) for layer in layers]
    for layer in layers:
        layer.momentum, layer.num_batches_tracked = 0.0, None
    try:
        yield
    finally:
        for layer, (momentum, count) in zip(layers, remembered, strict=True):
            layer.momentum, layer.num_batches_tracked = momentum, count


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


class StagedNetwork(ScratchNetwork):
    """A stem and stages of blocks; all but the first stage halve height and width, rounded up.

    Parameters
    ----------
    in_chans
        C of the images.
    stem
        Maps images (B, C, H, W) to (B, ``stem_width``, H, W).
    block
        Makes a block from the channels before and after it, the stride of its first convolution,
        and the rate of DropBlock.
    widths
        Channels behind the stem, and behind each of the S stages.
    depths
        Blocks of each stage, S of them.
    drop_block
        Rate of DropBlock in the last stage, in [0, 1); see
        :mod:`comptool.models.backbones.drop_block`.

    Raises
    ------
    UsageError
        If the rate is out of its range.
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
        """Whether a block's activations are computed again in the backward pass, not kept."""
        self.grad_checkpointing = enable

    def forward_features(self, images: Tensor) -> Tensor:
        """The map (B, F, h, w) of images (B, C, H, W)."""
        features: Tensor = self.stem(images)
        again = self.grad_checkpointing and self.training
        for stage in self.stages:
            for block in stage:  # type: ignore[attr-defined]
                features = recomputed(block, features) if again else block(features)
        return features

    def forward(self, images: Tensor) -> Tensor:
        """Pooled features (B, F) of images (B, C, H, W)."""
        return self.forward_features(images).mean((2, 3))

    def group_matcher(self, coarse: bool = False) -> dict[str, Any]:
        """Layers for timm's layer-wise learning rates."""
        return {"stem": r"^stem", "blocks": r"^stages\.(\d+)" + ("" if coarse else r"\.(\d+)")}
