"""Models assembled from encoders, late fusion and heads."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from comptool.errors import UsageError
from comptool.models import HEADS, ModelName, encoder_entry
from comptool.models.bag_pooling import GatedAttention
from comptool.models.streams import Encoder, StreamModel
from comptool.registry import refuse_unknown_options

Size = tuple[int, int]


@torch.inference_mode(False)  # inference tensors cannot be trained
def assemble(
    name: ModelName,
    num_classes: int,
    *,
    in_chans: int | Sequence[int],
    pretrained: bool | Path,
    options: Mapping[str, Any],
) -> StreamModel:
    """Create the model; the arguments are those of :func:`comptool.models.create`."""
    backbone, head = encoder_entry(name.backbone), HEADS.find(name.head)
    of_backbone, of_head = backbone.options(), head.options()
    refuse_unknown_options(f"the model '{name}'", options, {**of_backbone, **of_head})
    shared = {key: options[key] for key in of_backbone if key in options and key != "img_size"}
    img_size = options.get("img_size")
    streams = _streams(name, in_chans, img_size)
    channels = _channels(in_chans, name, streams)
    sizes = _sizes(img_size, name, streams)
    encoders = [
        backbone.load()(
            name.backbone, in_chans=channel, pretrained=pretrained, **{**shared, **size}
        )
        for channel, size in zip(channels, sizes, strict=True)
    ]
    model: StreamModel = head.load()(
        encoders, num_classes, **{key: options[key] for key in of_head if key in options}
    )
    return model


def _streams(name: ModelName, in_chans: int | Sequence[int], img_size: Sequence[Any] | None) -> int:
    """Number of streams: of ``-dual`` as many as channels or sizes are given for, at least two."""
    if name.streams == 1:
        return 1
    given = [] if isinstance(in_chans, int) else [len(in_chans)]
    if img_size is not None and not isinstance(img_size[0], int):
        given.append(len(img_size))
    return max([name.streams, *given])


def _channels(in_chans: int | Sequence[int], name: ModelName, streams: int) -> list[int]:
    channels = [in_chans] * streams if isinstance(in_chans, int) else list(in_chans)
    _check_length("in_chans", channels, name, streams)
    if min(channels) < 1:
        raise ValueError(f"in_chans has to be 1 or more; got {in_chans}")
    return channels


def _sizes(img_size: Sequence[Any] | None, name: ModelName, streams: int) -> list[dict[str, Size]]:
    if img_size is None:
        return [{}] * streams
    pairs = [img_size] * streams if isinstance(img_size[0], int) else list(img_size)
    _check_length("img_size", pairs, name, streams)
    return [{"img_size": (int(height), int(width))} for height, width in pairs]


def _check_length(option: str, given: Sequence[object], name: ModelName, streams: int) -> None:
    if len(given) != streams:
        raise UsageError(
            f"the model '{name}' has {streams} stream(s), but {option} was given for {len(given)}"
        )


# Prefixes of weights that only some trainings need.
DISPENSABLE = ("auxiliary.", "attention.")


class FusedClassifier(StreamModel):
    """Late fusion: pooled features of M independent encoders, concatenated, and one linear layer.

    ``drop_rate`` is the dropout before the classifier, by default the largest of the encoders' own;
    with ``auxiliary_heads`` each stream has its own classifier in training; with ``attention`` the
    last output is the image's score in its bag, of the fused features and for every classifier.
    """

    classifier: nn.Module

    def __init__(
        self,
        encoders: Sequence[Encoder],
        num_classes: int,
        *,
        drop_rate: float | None = None,
        auxiliary_heads: bool = False,
        attention: bool = False,
    ) -> None:
        super().__init__()
        if drop_rate is None:
            drop_rate = max(encoder.drop_rate for encoder in encoders)
        if not 0 <= drop_rate < 1:
            raise UsageError(f"drop_rate is {drop_rate}; it has to be in [0, 1)")
        if auxiliary_heads and len(encoders) < 2:
            raise UsageError(
                "auxiliary_heads are for models of several streams, whose name has -dual"
            )
        self.streams = len(encoders)
        self.data_config = encoders[0].data_config
        self.encoders = nn.ModuleList(encoder.module for encoder in encoders)
        self.dropout = nn.Dropout(drop_rate)
        widths = [encoder.width for encoder in encoders]
        self.classifier = self.layer(sum(widths), num_classes)
        self.auxiliary = nn.ModuleList(
            self.layer(width, num_classes) for width in widths if auxiliary_heads
        )
        self.attention = GatedAttention(sum(widths)) if attention else None

    def layer(self, width: int, num_classes: int) -> nn.Module:
        """A classifier of features (B, ``width``)."""
        return nn.Linear(width, num_classes)

    def forward_features(self, *images: Tensor) -> Tensor:
        """Concatenated features (B, F) of M tensors (B, C, H, W)."""
        return torch.cat(self._pooled(images), dim=1)

    def forward(self, *images: Tensor) -> Tensor:
        """Logits (B, K) of M tensors (B, C, H, W); with attention (B, K + 1).

        In training with auxiliary heads (1 + M, B, K): the fused logits, then those of each stream.
        """
        heads = [self.classifier, *(self.auxiliary if self.training else ())]
        fused, *single = self.junction(self._pooled(images), len(heads))
        seen = [torch.cat(fused, dim=1), *(each[index] for index, each in enumerate(single))]
        logits = [
            head(self.dropout(each)) for head, each in zip(heads, seen, strict=True)
        ]  # (B, K)
        found: Tensor = self.output(torch.stack(logits) if single else logits[0])
        if self.attention is None:
            return found
        scores = self.attention(seen[0]).expand(*found.shape[:-1], 1)
        return torch.cat([found.to(scores.dtype), scores], dim=-1)

    def _pooled(self, images: Sequence[Tensor]) -> list[Tensor]:
        self.check_streams(images)
        return [encoder(image) for encoder, image in zip(self.encoders, images, strict=True)]


class CosineLinear(nn.Linear):
    """``scale * cos(features, class weights)``: lengths do not matter."""

    def __init__(self, in_features: int, out_features: int, scale: float) -> None:
        super().__init__(in_features, out_features, bias=False)
        self.scale = scale

    def forward(self, features: Tensor) -> Tensor:
        """Logits (B, K) of features (B, F), in float32 or better."""
        # Half precision rounds cosines by more than the difference between classes.
        with torch.autocast(features.device.type, enabled=False):
            precise = features.to(self.weight.dtype)
            directions = functional.normalize(self.weight, dim=1)
            return self.scale * functional.linear(functional.normalize(precise, dim=1), directions)


class CosineClassifier(FusedClassifier):
    """The plain classifier with logits that are cosines to the class weights times ``scale``.

    Frequent classes do not gain longer weight vectors, and margins in the logits are comparable.
    """

    def __init__(
        self,
        encoders: Sequence[Encoder],
        num_classes: int,
        *,
        drop_rate: float | None = None,
        auxiliary_heads: bool = False,
        scale: float = 30.0,
    ) -> None:
        if not scale > 0:
            raise UsageError(f"scale is {scale}; it has to be above 0")
        self._scale = scale
        super().__init__(
            encoders, num_classes, drop_rate=drop_rate, auxiliary_heads=auxiliary_heads
        )

    def layer(self, width: int, num_classes: int) -> nn.Module:
        """A cosine classifier of features (B, ``width``)."""
        return CosineLinear(width, num_classes, self._scale)


class CoralLinear(nn.Module):
    """One weight vector and a threshold between neighbouring grades, as conditional logits.

    The log-odds of "above k" are ``c_k = w x + b_k`` with falling b_k. The classifier of
    :mod:`comptool.tasks.ordinal_task` needs those of "above k, if above k - 1", whose probability
    is ``sigmoid(c_k) / sigmoid(c_(k - 1))``.
    """

    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__()
        self.in_features, self.out_features = in_features, out_features
        self.direction = nn.Linear(in_features, 1)  # its bias is the first threshold
        # softplus of it is the distance to the threshold before; 1 at first.
        self.steps = nn.Parameter(torch.full((out_features - 1,), math.log(math.e - 1)))

    def forward(self, features: Tensor) -> Tensor:
        """Logits (B, K - 1) of features (B, F), in float32 or better."""
        with torch.autocast(features.device.type, enabled=False):
            first = self.direction(features.to(self.steps.dtype))  # (B, 1)
            distance = functional.softplus(self.steps)  # (K - 2,)
            above = first - distance.cumsum(dim=0)  # (B, K - 2) log-odds of "above k"
            before = torch.cat([first, above[:, :-1]], dim=1)[:, : above.shape[1]]
            # The share that is not above k, of those above k - 1.
            stays = torch.log(-torch.expm1(-distance))
            return torch.cat([first, above + functional.softplus(-before) - stays], dim=1)


class CoralClassifier(FusedClassifier):
    """The plain classifier with one weight vector for all grades: only thresholds differ.

    Source: Cao, Mirjalili & Raschka 2020, arXiv:1901.07884, section 3.3. With the loss ``coral`` it
    is CORAL, with ``corn`` the cumulative link model (McCullagh 1980, "Regression Models for
    Ordinal Data") by maximum likelihood.

    Differs from the paper: thresholds are in order by construction, not only at the optimum.
    """

    # Without attention: these logits of a mean of features are no mean of logits.
    def __init__(
        self,
        encoders: Sequence[Encoder],
        num_classes: int,
        *,
        drop_rate: float | None = None,
        auxiliary_heads: bool = False,
    ) -> None:
        super().__init__(
            encoders, num_classes, drop_rate=drop_rate, auxiliary_heads=auxiliary_heads
        )

    def layer(self, width: int, num_classes: int) -> nn.Module:
        """A classifier of features (B, ``width``) for ``num_classes`` + 1 grades."""
        return CoralLinear(width, num_classes)
