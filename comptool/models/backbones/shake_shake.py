"""Shake-Shake: two residual branches, mixed with random weights that differ in the backward pass.

Gastaldi 2017, "Shake-Shake regularization", arXiv:1705.07485, section 2 and table 1; the variant
"Shake-Shake-Image" (S-S-I) of CIFAR: depth 26, two branches 32, 64 or 96 wide. The down-sampling
skip follows the author's code.

Differs from the author's code: the random weights of both passes are drawn in the forward pass, so
that they repeat when activations are recomputed or the graph is compiled.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import Function
from torch.nn import functional

from comptool.errors import UsageError
from comptool.models.backbones.drop_block import DropBlock
from comptool.models.backbones.resnet_stages import StagedNetwork, as_encoder
from comptool.models.streams import Encoder

STEM = 16
STAGES = 3
# Each block in every stage adds six layers; stem and classifier are two.
LAYERS_PER_BLOCK, LAYERS_OUTSIDE = 2 * STAGES, 2
WIDTHS = {"shake-shake-26-2x32d": 32, "shake-shake-26-2x64d": 64, "shake-shake-26-2x96d": 96}


class _Mix(Function):
    """``a * first + (1 - a) * second`` with the gradient of weight ``b`` in place of ``a``."""

    @staticmethod
    def forward(first: Tensor, second: Tensor, ahead: Tensor, back: Tensor) -> Tensor:
        return torch.lerp(second, first, ahead)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        ctx.save_for_backward(inputs[3])

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None, None]:
        (back,) = ctx.saved_tensors
        (gradient,) = gradients
        return back * gradient, (1 - back) * gradient, None, None


def shake(first: Tensor, second: Tensor) -> Tensor:
    """Mix two branches (B, C, H, W) with random weights per image, uniform in [0, 1).

    Forward and backward weights are drawn independently, from torch's generator.
    """
    shares = torch.rand(2, len(first), 1, 1, 1, device=first.device).to(first.dtype)
    mixed: Tensor = _Mix.apply(first, second, shares[0], shares[1])
    return mixed


class ShiftedSkip(nn.Module):
    """Skip for a change of width: two 1x1 paths, the second shifted by a pixel."""

    def __init__(self, in_chans: int, out_chans: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.straight = nn.Conv2d(in_chans, out_chans // 2, 1, bias=False)
        self.shifted = nn.Conv2d(in_chans, out_chans - out_chans // 2, 1, bias=False)
        self.norm = nn.BatchNorm2d(out_chans)

    def forward(self, images: Tensor) -> Tensor:
        """(B, C, H, W) to (B, out_chans, H / stride, W / stride), rounded up."""
        active = functional.relu(images)
        aside = functional.pad(active, (0, 1, 0, 1))[:, :, 1:, 1:]
        step = self.stride
        paths = (
            self.straight(active[:, :, ::step, ::step]),
            self.shifted(aside[:, :, ::step, ::step]),
        )
        skipped: Tensor = self.norm(torch.cat(paths, dim=1))
        return skipped


class ShakeBlock(nn.Module):
    """``skip(x) + shake(branch_1(x), branch_2(x))``; the mean of the branches in evaluation."""

    def __init__(self, in_chans: int, out_chans: int, stride: int, drop_block: float) -> None:
        super().__init__()
        self.first = _branch(in_chans, out_chans, stride)
        self.second = _branch(in_chans, out_chans, stride)
        self.drop_block = DropBlock(drop_block)
        self.skip: nn.Module = nn.Identity()
        if in_chans != out_chans or stride != 1:
            self.skip = ShiftedSkip(in_chans, out_chans, stride)

    def forward(self, images: Tensor) -> Tensor:
        """(B, C, H, W) to (B, out_chans, H / stride, W / stride), rounded up."""
        active = functional.relu(images)
        first, second = self.first(active), self.second(active)
        mixed = shake(first, second) if self.training else (first + second) * 0.5
        added: Tensor = self.skip(images) + self.drop_block(mixed)
        return added


def _branch(in_chans: int, out_chans: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(in_chans, out_chans, 3, stride, 1, bias=False),
        nn.BatchNorm2d(out_chans),
        nn.ReLU(inplace=True),
        nn.Conv2d(out_chans, out_chans, 3, 1, 1, bias=False),
        nn.BatchNorm2d(out_chans),
    )


class ShakeShake(StagedNetwork):
    """A Shake-Shake network without classifier; its map has a quarter of the image's sides.

    The stages are ``width`` x 1, 2 and 4 channels wide.
    """

    own_size = (32, 32)

    def __init__(self, in_chans: int, width: int, blocks: int, drop_block: float) -> None:
        stem = nn.Sequential(nn.Conv2d(in_chans, STEM, 3, 1, 1, bias=False), nn.BatchNorm2d(STEM))
        widths = (STEM, *(width * 2**stage for stage in range(STAGES)))
        super().__init__(in_chans, stem, ShakeBlock, widths, [blocks] * STAGES, drop_block)

    def forward_features(self, images: Tensor) -> Tensor:
        """The map (B, F, h, w) of images (B, C, H, W)."""
        return functional.relu(super().forward_features(images))


def build(
    name: str,
    *,
    in_chans: int,
    pretrained: bool | Path,
    img_size: tuple[int, int] | None = None,
    depth: int = 26,
    widen: int = 1,
    drop_block: float = 0.0,
    grad_checkpointing: bool = False,
) -> Encoder:
    """A Shake-Shake network of :data:`WIDTHS` as an encoder; any image size is supported.

    ``depth`` is 6 n + 2 for n blocks per stage, ``widen`` multiplies the width in the name,
    ``drop_block`` is the rate in the last stage.
    """
    blocks, odd = divmod(depth - LAYERS_OUTSIDE, LAYERS_PER_BLOCK)
    if blocks < 1 or odd:
        raise UsageError(f"depth is {depth}; it has to be 6 n + 2: 8, 14, 20, 26, ...")
    if widen < 1:
        raise UsageError(f"widen is {widen}; it has to be 1 or more")
    module = ShakeShake(in_chans, widen * WIDTHS[name], blocks, drop_block)
    module.set_grad_checkpointing(grad_checkpointing)
    return as_encoder(module, name, pretrained, img_size)
