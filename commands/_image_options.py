"""The options of ``comptool train`` that say what becomes of the images."""

from __future__ import annotations

from typing import Annotated, Literal

from ._help import option as _option

IMAGES = "Images"

ImgSize = Annotated[
    list[str] | None,
    _option(
        IMAGES,
        "Pixels: 64, 64x48 (height, width) or sar=64; may be repeated. [default: the images' own, "
        "64 to 224]",
    ),
]
Channels = Annotated[
    Literal["1", "3", "auto"] | None,
    _option(
        IMAGES,
        "What the network takes of an image: 1 (grey) or 3; auto: 1 where the images are grey. "
        "[default: 3, or as the run of --init-from]",
    ),
]
Augment = Annotated[
    str, _option(IMAGES, "none, flips, weak, strong, or a file that albumentations wrote.")
]
Cutout = Annotated[
    float | None,
    _option(
        IMAGES,
        "Of flips, weak and strong: side of the cut-out, 0 to 1. [default: 0.5; flips: none]",
    ),
]
Magnitude = Annotated[
    float | None,
    _option(IMAGES, "Of weak: strength of its operations, 0 to 30. [default: 9]", min=0, max=30),
]
NumOps = Annotated[
    int | None, _option(IMAGES, "Of weak: operations per image. [default: 2]", min=1)
]
Mixup = Annotated[float, _option(IMAGES, "Alpha of Beta(alpha, alpha); 0 is off.", min=0)]
Cutmix = Annotated[
    float, _option(IMAGES, "The same; beside --mixup each batch takes one of them.", min=0)
]
BalancedMixup = Annotated[
    float,
    _option(
        IMAGES,
        "For long tails: alpha of Beta(alpha, 1), the share in each image of a second one, one of "
        "each class in turn; such as 0.2, 0 is off.",
        min=0,
    ),
]
Modality = Annotated[
    list[str] | None,
    _option(IMAGES, "Only this one, in the model's order; may be repeated. [default: all]"),
]
Cache = Annotated[
    Literal["auto", "ram", "disk", "off"],
    _option(
        IMAGES,
        "Where decoded images are kept; auto: on the disk if there is room, else in memory, else "
        "nowhere.",
    ),
]
DataOn = Annotated[
    Literal["auto", "gpu", "cpu"],
    _option(
        IMAGES,
        "gpu: all images of training lie there, and whole batches are augmented; cpu: worker "
        "processes load and augment them; auto: gpu if they fit into half of its free memory.",
    ),
]
MissingModality = Annotated[
    Literal["zero", "drop"] | None,
    _option(IMAGES, "A missing image is black, or its row is left out. [default: an error]"),
]
