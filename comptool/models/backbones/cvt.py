"""CvT, from the optional package ``transformers``: timm has none.

Wu, Xiao, Codella, Liu, Dai, Yuan, Zhang 2021, "CvT: Introducing Convolutions to Vision
Transformers", arXiv:2103.15808, table 2.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from timm.data import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD
from timm.models import adapt_input_conv
from torch import Tensor, nn

from comptool.errors import UsageError
from comptool.models.pretrained import load_exactly, published_file, read_backbone, shapes
from comptool.models.streams import DataConfig, Encoder

STEM = "cvt.encoder.stages.0.embedding.convolution_embeddings.projection.weight"


@dataclass(frozen=True)
class _Variant:
    """Layers, widths and heads of the three stages, and the source of published weights."""

    depth: tuple[int, int, int]
    widths: tuple[int, int, int]
    heads: tuple[int, int, int]
    size: int
    source: str


VARIANTS = {
    "cvt-21": _Variant((1, 4, 16), (64, 192, 384), (1, 3, 6), 224, "microsoft/cvt-21"),
    "cvt-w24-384": _Variant(
        (2, 2, 20), (192, 768, 1024), (3, 12, 16), 384, "microsoft/cvt-w24-384-22k"
    ),
}


class Cvt(nn.Module):
    """A CvT without classifier, with the interface of timm's backbones.

    It returns the normalised class token (B, F); ``forward_features`` the map (B, F, H / 16, W /
    16).
    """

    def __init__(self, variant: _Variant, in_chans: int) -> None:
        super().__init__()
        transformers = _transformers()
        config = transformers.CvtConfig(
            num_channels=in_chans,
            depth=list(variant.depth),
            embed_dim=list(variant.widths),
            num_heads=list(variant.heads),
        )
        self.num_features = self.head_hidden_size = variant.widths[-1]
        self.in_chans = in_chans
        self.cvt = transformers.CvtModel(config, add_pooling_layer=False)
        self.layernorm = nn.LayerNorm(self.num_features)

    def forward_features(self, images: Tensor) -> Tensor:
        """The map (B, F, h, w) of images (B, C, H, W)."""
        features: Tensor = self.cvt(images).last_hidden_state
        return features

    def forward(self, images: Tensor) -> Tensor:
        """Pooled features (B, F) of images (B, C, H, W)."""
        pooled: Tensor = self.layernorm(self.cvt(images).cls_token_value).mean(dim=1)
        return pooled

    def no_weight_decay(self) -> set[str]:
        """Parameters without weight decay, for timm's optimizers."""
        return {"cvt.encoder.stages.2.cls_token"}

    def group_matcher(self, coarse: bool = False) -> dict[str, Any]:
        """Layers for timm's layer-wise learning rate decay."""
        stage = r"^cvt\.encoder\.stages\.(\d+)"
        if coarse:
            return {"blocks": stage}
        # A stage's embedding belongs to its first layer.
        return {"blocks": [(stage + r"\.layers\.(\d+)", None), (stage, (0,))]}


def build(
    name: str,
    *,
    in_chans: int,
    pretrained: bool | Path,
    img_size: tuple[int, int] | None = None,
) -> Encoder:
    """A CvT of :data:`VARIANTS` as an encoder; any image size is supported."""
    variant = VARIANTS[name]
    module = Cvt(variant, in_chans)
    if pretrained is True:
        pretrained = published_file(source(name), source(name), None, None)
    if isinstance(pretrained, Path):
        _load(module, pretrained, name)
    data_config = DataConfig(
        IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD, (variant.size, variant.size)
    )
    shape = (in_chans, *(img_size or data_config.input_size))
    return Encoder(module, module.num_features, data_config, shape)


def source(name: str) -> str:
    """Hugging Face hub repository of the published weights."""
    return VARIANTS[name].source


def _transformers() -> Any:
    try:
        return import_module("transformers")
    except ModuleNotFoundError:
        raise UsageError(
            "CvT backbones need the package 'transformers'. Install it with: "
            "pip install 'comptool[cvt]'"
        ) from None


def _load(module: Cvt, path: Path, name: str) -> None:
    classifier = ("classifier.weight", "classifier.bias")
    weights = read_backbone(path, shapes(module), beside=classifier)
    if STEM in weights:
        stem = weights[STEM]
        weights[STEM] = adapt_input_conv(module.in_chans, stem, base_chans=stem.shape[1])
    load_exactly(module, weights, path, name)
