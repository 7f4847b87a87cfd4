"""Residual networks of stages, to train from scratch: what Shake-Shake and BMTA have in common."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor, nn

from comptool.models.drop_block import progressive_rates
from comptool.models.recomputing import recomputed
from comptool.models.scratch import ScratchNetwork, initialise


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
        Rate of DropBlock in the last stage, in [0, 1); see :mod:`comptool.models.drop_block`.

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
