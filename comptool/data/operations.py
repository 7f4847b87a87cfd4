"""What the operations of ``weak`` and ``strong`` do, in numbers, whatever computes them.

RandAugment: Cubuk et al. 2020, "RandAugment: Practical automated data augmentation with a reduced
search space", arXiv:1909.13719. AutoAugment: Cubuk et al. 2019, "AutoAugment: Learning
augmentation policies from data", arXiv:1805.09501, table 9 (ImageNet). Cutout: DeVries & Taylor
2017, "Improved regularization of convolutional neural networks with Cutout", arXiv:1708.04552.

`comptool.data.policies` computes them image by image with albumentations, and
`comptool.data.batch_policies` for whole batches with torch. Neither is imported here.
"""

from __future__ import annotations

from comptool.errors import UsageError

RAND_AUGMENT_STEPS = 30
AUTO_AUGMENT_STEPS = 9
CUTOUT_SHARE = 0.5
GEOMETRIC = ("shear-x", "shear-y", "translate-x", "translate-y", "rotate")
PHOTOMETRIC = (
    "brightness",
    "colour",
    "contrast",
    "sharpness",
    "posterize",
    "solarize",
    "autocontrast",
    "equalize",
    "identity",
)
DIRECTED = (*GEOMETRIC, "brightness", "colour", "contrast", "sharpness")
# At strength 1.
SHEAR = 0.3
SHIFT = 150 / 331  # of the side
ANGLE = 30  # degrees
GAIN = 0.9  # 1 + GAIN is the factor of brightness, colour, contrast and sharpness
BITS_LOST = 4  # by posterize, of 8
Step = tuple[str, float, int]
IMAGENET_POLICY: tuple[tuple[Step, Step], ...] = (
    (("posterize", 0.4, 8), ("rotate", 0.6, 9)),
    (("solarize", 0.6, 5), ("autocontrast", 0.6, 0)),
    (("equalize", 0.8, 0), ("equalize", 0.6, 0)),
    (("posterize", 0.6, 7), ("posterize", 0.6, 6)),
    (("equalize", 0.4, 0), ("solarize", 0.2, 4)),
    (("equalize", 0.4, 0), ("rotate", 0.8, 8)),
    (("solarize", 0.6, 3), ("equalize", 0.6, 0)),
    (("posterize", 0.8, 5), ("equalize", 1.0, 0)),
    (("rotate", 0.2, 3), ("solarize", 0.6, 8)),
    (("equalize", 0.6, 0), ("posterize", 0.4, 6)),
    (("rotate", 0.8, 8), ("colour", 0.4, 0)),
    (("rotate", 0.4, 9), ("equalize", 0.6, 0)),
    (("equalize", 0.0, 0), ("equalize", 0.8, 0)),
    (("invert", 0.6, 0), ("equalize", 1.0, 0)),
    (("colour", 0.6, 4), ("contrast", 1.0, 8)),
    (("rotate", 0.8, 8), ("colour", 1.0, 2)),
    (("colour", 0.8, 8), ("solarize", 0.8, 7)),
    (("sharpness", 0.4, 7), ("invert", 0.6, 0)),
    (("shear-x", 0.6, 5), ("equalize", 1.0, 0)),
    (("colour", 0.4, 0), ("equalize", 0.6, 0)),
    (("equalize", 0.4, 0), ("solarize", 0.2, 4)),
    (("solarize", 0.6, 5), ("autocontrast", 0.6, 0)),
    (("invert", 0.6, 0), ("equalize", 1.0, 0)),
    (("colour", 0.6, 4), ("contrast", 1.0, 8)),
    (("equalize", 0.8, 0), ("equalize", 0.6, 0)),
)


def rand_augment_strength(magnitude: float) -> float:
    """The strength, 0 to 1, of a magnitude of RandAugment.

    Raises
    ------
    UsageError
        If the magnitude is above 30.
    """
    if magnitude > RAND_AUGMENT_STEPS:
        raise UsageError(f"--magnitude is {magnitude:g}; it goes from 0 to {RAND_AUGMENT_STEPS}")
    return magnitude / RAND_AUGMENT_STEPS
