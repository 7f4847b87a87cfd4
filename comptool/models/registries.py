"""The tables of backbones and heads, which import no torch."""

from __future__ import annotations

from comptool.registry import Entry, Registry

TIMM = "comptool.models.timm_encoder:build"
DEFAULT_HEAD = "linear"

# A target here is called (name, *, in_chans, pretrained, <its options>) and gives one Encoder.
BACKBONES = Registry(
    "model",
    Entry(
        "mobilenetv2",
        TIMM,
        "MobileNetV2 of width 1.0, 1280 features; timm's mobilenetv2_100.",
        "Sandler et al. 2018, arXiv:1801.04381",
    ),
    Entry(
        "resnet34",
        TIMM,
        "ResNet of 34 layers, 512 features.",
        "He et al. 2016, arXiv:1512.03385",
    ),
    Entry(
        "cvt-21",
        "comptool.models.cvt:build",
        "CvT of 21 layers, 384 features; needs comptool[cvt].",
        "Wu et al. 2021, arXiv:2103.15808",
    ),
    Entry(
        "cvt-w24-384",
        "comptool.models.cvt:build",
        "CvT of 24 wide layers, 1024 features, for 384 pixels; needs comptool[cvt].",
        "Wu et al. 2021, arXiv:2103.15808",
    ),
    *(
        Entry(
            f"shake-shake-26-2x{width}d",
            "comptool.models.shake_shake:build",
            f"Shake-Shake of 26 layers, two branches {width} wide, {4 * width} features.",
            "Gastaldi 2017, arXiv:1705.07485, S-S-I",
        )
        for width in (32, 64, 96)
    ),
    Entry(
        "eurosat-baseline",
        "comptool.models.eurosat_baseline:build",
        "Three convolutions and a hidden layer of 512; 4,293,642 parameters.",
        "Vir 2025, arXiv:2510.15527, baseline",
    ),
    Entry(
        "eurosat-cbam",
        "comptool.models.eurosat_cbam:build",
        "Seven layers with block attention, 256 features; 9,912,212 parameters.",
        "Vir 2025, arXiv:2510.15527, CBAM-enhanced",
    ),
    Entry(
        "eurosat-bmta",
        "comptool.models.eurosat_bmta:build",
        "Twelve layers, coordinate and channel attention in learnt shares; 13,115,813 parameters.",
        "Vir 2025, arXiv:2510.15527, balanced multi-task attention",
    ),
)

# A target here is called (encoders, num_classes, *, <its options>) and gives the StreamModel.
HEADS = Registry(
    "head",
    Entry(
        DEFAULT_HEAD,
        "comptool.models.fused:FusedClassifier",
        "The default: pooled features of all streams, concatenated, and one linear layer.",
        "two-stream solution of the MAVOC challenge",
    ),
    Entry(
        "cosine",
        "comptool.models.fused:CosineClassifier",
        "As linear, with cosines for logits; what the loss 'ldam' is made for.",
        "Cao et al. 2019, arXiv:1906.07413, authors' code",
    ),
    Entry(
        "ml-decoder",
        "comptool.models.heads.ml_decoder:build",
        "Fixed queries that read the feature map in one layer, and a linear layer each.",
        "Ridnik et al. 2023, arXiv:2111.12933, section 2",
    ),
    Entry(
        "ml-decoder-learnable",
        "comptool.models.heads.ml_decoder:build_learnable",
        "ML-Decoder whose queries are trained.",
        "Ridnik et al. 2023, arXiv:2111.12933, section 2",
    ),
    Entry(
        "q2l",
        "comptool.models.heads.query2label:build_light",
        "Query2Label, light: a query per class in a transformer 256 wide.",
        "multi-label solution of the AICOSS 2023 challenge; Liu et al. 2021, arXiv:2107.10834",
    ),
    Entry(
        "q2l-full",
        "comptool.models.heads.query2label:build_full",
        "Query2Label, official: sine positions, 2048 wide, a linear layer per class.",
        "Liu et al. 2021, arXiv:2107.10834, section 3",
    ),
)
