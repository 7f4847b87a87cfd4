"""Models by name; importing this package does not import torch.

A model name is ``<backbone>[-dual][+<head>]``. The backbone is one of :data:`BACKBONES` or a timm
name, with or without its pretrained tag (``resnet34.a1_in1k``); ``-dual`` stands for two or more
streams, one per image of a sample; the head is one of :data:`HEADS`, by default ``linear``. Every
model is a :class:`comptool.models.streams.StreamModel`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

from comptool import tasks
from comptool.errors import UsageError, unknown_name
from comptool.io.records import RunHeader, named_by
from comptool.registry import Entry, Registry, is_user_object

if TYPE_CHECKING:
    from comptool.models.streams import StreamModel

TIMM = "comptool.models.backbones.timm_backbone:build"
DEFAULT_HEAD = "linear"


@dataclass(frozen=True)
class Head(Entry):
    """An entry of the registry of heads."""

    tasks: tuple[str, ...] | None = None  # that it is for; None: all


# fmt: off
# A target is called as (name, *, in_chans, pretrained, **options) and returns one Encoder.
BACKBONES = Registry(
    "model",
    Entry("mobilenetv2", TIMM,
        "MobileNetV2 of width 1.0, 1280 features; timm's mobilenetv2_100.",
        "Sandler et al. 2018, arXiv:1801.04381"),
    Entry("resnet34", TIMM,
        "ResNet of 34 layers, 512 features.",
        "He et al. 2016, arXiv:1512.03385"),
    Entry("cvt-21", "comptool.models.backbones.cvt:build",
        "CvT of 21 layers, 384 features; needs comptool[cvt].",
        "Wu et al. 2021, arXiv:2103.15808"),
    Entry("cvt-w24-384", "comptool.models.backbones.cvt:build",
        "CvT of 24 wide layers, 1024 features, for 384 pixels; needs comptool[cvt].",
        "Wu et al. 2021, arXiv:2103.15808"),
    *(
        Entry(f"shake-shake-26-2x{width}d", "comptool.models.backbones.shake_shake:build",
            f"Shake-Shake of 26 layers, two branches {width} wide, {4 * width} features.",
            "Gastaldi 2017, arXiv:1705.07485, S-S-I")
        for width in (32, 64, 96)
    ),
    Entry("eurosat-baseline", "comptool.models.backbones.eurosat:build_baseline",
        "Three convolutions and a hidden layer of 512; 4,293,642 parameters.",
        "Vir 2025, arXiv:2510.15527, baseline"),
    Entry("eurosat-cbam", "comptool.models.backbones.eurosat:build_cbam",
        "Seven layers with block attention, 256 features; 9,912,212 parameters.",
        "Vir 2025, arXiv:2510.15527, CBAM-enhanced"),
    Entry("eurosat-bmta", "comptool.models.backbones.eurosat:build_bmta",
        "Twelve layers, coordinate and channel attention in learnt shares; 13,115,813 parameters.",
        "Vir 2025, arXiv:2510.15527, balanced multi-task attention"),
)

# A target is called as (encoders, num_classes, **options) and returns the StreamModel.
HEADS: Registry[Head] = Registry(
    "head",
    Head(DEFAULT_HEAD, "comptool.models.late_fusion:FusedClassifier",
        "The default: pooled features of all streams, concatenated, and one linear layer.",
        "two-stream solution of the MAVOC challenge"),
    Head("cosine", "comptool.models.late_fusion:CosineClassifier",
        "Linear layer with scaled cosines as logits; for the loss 'ldam'.",
        "Cao et al. 2019, arXiv:1906.07413, authors' code"),
    Head("coral", "comptool.models.late_fusion:CoralClassifier",
        "One weight vector, and a threshold between neighbouring grades (ordinal).",
        "Cao, Mirjalili & Raschka 2020, arXiv:1901.07884; McCullagh 1980", tasks=("ordinal",)),
    Head("ml-decoder", "comptool.models.heads.ml_decoder:build",
        "Cross-attention of fixed queries to the feature map, and a linear layer per query.",
        "Ridnik et al. 2023, arXiv:2111.12933, section 2"),
    Head("ml-decoder-learnable", "comptool.models.heads.ml_decoder:build_learnable",
        "ML-Decoder with trained queries.",
        "Ridnik et al. 2023, arXiv:2111.12933, section 2"),
    Head("q2l", "comptool.models.heads.query2label:build_light",
        "Query2Label, light: a query per class in a transformer 256 wide.",
        "multi-label solution of the AICOSS 2023 challenge; Liu et al. 2021, arXiv:2107.10834"),
    Head("q2l-full", "comptool.models.heads.query2label:build_full",
        "Query2Label, official: sine positions, 2048 wide, a linear layer per class.",
        "Liu et al. 2021, arXiv:2107.10834, section 3"),
)
# fmt: on

DUAL = "-dual"

# timm names have no hyphen, so names with one are refused without importing timm.
_TIMM_NAME = re.compile(r"[a-z0-9_]+(\.[a-z0-9_]+)?")


@dataclass(frozen=True)
class ModelName:
    """The parts of a model name: a backbone (maybe of timm), streams, a head.

    ``streams`` is the least number of images per sample: 1, or 2 for as many as there are.
    """

    backbone: str
    streams: int
    head: str

    def __str__(self) -> str:
        head = "" if self.head == DEFAULT_HEAD else f"+{self.head}"
        return f"{self.backbone}{DUAL if self.streams == 2 else ''}{head}"


def names() -> list[str]:
    """The listed names; any timm name may replace the backbone."""
    return [name + suffix for name in BACKBONES.names for suffix in ("", DUAL)]


def listing(pattern: str = "") -> list[Entry]:
    """Listed models that match a substring or shell pattern, each before its ``-dual`` form."""
    return [
        entry
        for backbone in BACKBONES
        for entry in (backbone, _dual(backbone))
        if fnmatchcase(entry.name, wildcard(pattern))
    ]


def search(pattern: str) -> list[Entry]:
    """Listed models that match a pattern, then timm's backbones; a UsageError without a match."""
    from comptool.models.backbones.timm_backbone import search as search_timm

    entries = [*listing(pattern), *search_timm(pattern)]
    if not entries:
        raise unknown_name("model", pattern, names())
    return entries


def _dual(backbone: Entry) -> Entry:
    return replace(
        backbone,
        name=backbone.name + DUAL,
        summary=f"{backbone.name} encoders, one per modality, joined before the classifier.",
        source=f"two-stream solution of the MAVOC challenge; encoder: {backbone.source}",
    )


def wildcard(pattern: str) -> str:
    """The pattern if it has wildcards, else one that matches it as a substring."""
    return pattern if set(pattern) & set("*?[") else f"*{pattern}*"


def parse_name(name: str) -> ModelName:
    """Parse a model name, without torch; timm names are only checked for their form.

    Examples
    --------
    >>> parse_name("mobilenetv2-dual")
    ModelName(backbone='mobilenetv2', streams=2, head='linear')
    """
    stem, plus, head = name.partition("+")
    backbone = stem.removesuffix(DUAL)
    if backbone not in BACKBONES and not _TIMM_NAME.fullmatch(backbone):
        raise unknown_name("model", stem, names())
    if plus:
        HEADS.find(head)
    return ModelName(backbone, 2 if stem.endswith(DUAL) else 1, head or DEFAULT_HEAD)


def encoder_entry(backbone: str) -> Entry:
    """The registry entry of a backbone: comptool's own, or timm's for any other name."""
    if backbone in BACKBONES:
        return BACKBONES.find(backbone)
    return Entry(backbone, TIMM, "A backbone of timm.", "timm")


def check_head(name: str, task: str) -> None:
    """Raise a UsageError unless the model's head is for the task."""
    parsed = parse_name(name)
    taken = HEADS.find(parsed.head).tasks
    if taken is not None and task not in taken:
        raise UsageError(
            f"the head '{parsed.head}' is for the task {' or '.join(taken)}, and the task is "
            f"{task}; take '{replace(parsed, head=DEFAULT_HEAD)}'"
        )


def check_modalities(name: str, modalities: Sequence[str]) -> None:
    """Raise a UsageError unless the model takes that number of images per sample."""
    parsed = parse_name(name)
    if parsed.streams != min(len(modalities), 2):
        if parsed.backbone not in BACKBONES:  # refuse unknown names first
            from comptool.models.backbones.timm_backbone import timm_name

            timm_name(parsed.backbone)
        twin = ModelName(parsed.backbone, min(len(modalities), 2), parsed.head)
        takes = "1 image" if parsed.streams == 1 else "2 or more images"
        hint = f"; try '{twin}'" if modalities else ""
        raise UsageError(
            f"the model '{name}' takes {takes} per sample and the competition has "
            f"{len(modalities)}: {', '.join(modalities)}{hint}"
        )


def check_recorded(header: RunHeader, path: Path) -> None:
    """Raise an InputError unless the task and the model of a checkpoint are known and agree."""
    tasks.recorded(header.task, path)
    with named_by(path, "model.name"):
        parsed = parse_name(header.model.name)
        if is_user_object(parsed.head):  # a header runs no code
            raise unknown_name("head", parsed.head, HEADS.names)
        check_head(header.model.name, header.task)
        if parsed.streams != min(len(header.modalities), 2):
            takes = "1 image" if parsed.streams == 1 else "2 or more images"
            raise UsageError(f"'{parsed}' takes {takes}, and modalities has {header.modalities}")


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
        ``<backbone>[-dual][+<head>]``, see the first lines of the module.
    num_classes
        Number of classes K, 1 or more.
    in_chans
        Channels of the images: one number for all streams, or one per stream. ``-dual`` has as
        many streams as there are numbers here or pairs in ``img_size``; two if one is for all.
    pretrained
        False: random weights. True: timm's published weights of the backbone, from the cache or
        the hub. A path: weights of the backbone in a ``.safetensors``, ``.pth``, ``.pt`` or
        ``.bin`` file, loaded without running code from it. Every stream starts from the same.
    options
        ``drop_rate``: dropout of the features before a linear head, in [0, 1).
        ``auxiliary_heads``: a linear head for each of several streams during training.
        ``attention``: one more output, the score of an image in its bag. ``scale``:
        largest logit of the cosine head. ``dropout``, ``num_queries``, ``learnable_queries``,
        ``hidden_dim``: options of the other heads, see :mod:`comptool.models.heads`.
        ``drop_path_rate``: stochastic depth of backbones with residual branches. ``drop_block``:
        share of the last feature map dropped in squares (ResNets and our own residual networks).
        ``depth``, ``widen``, ``grad_checkpointing``: see ``build`` of the backbone. ``img_size``:
        (height, width), or one pair per stream; backbones of a fixed size are built for it, and
        every backbone is tried on one image of it.

    Raises
    ------
    UsageError
        If a part of the name or an option is unknown, or the backbone does not take the option.
    InputError
        If the pretrained weights are not available, or do not fit the backbone.

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
