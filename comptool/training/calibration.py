"""Which gradients are calibrated, as it is typed; needs no torch.

What it means stands in :mod:`comptool.training.gradient_calibration`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, cast, get_args

from comptool.errors import UsageError, unknown_name
from comptool.models import HEADS, parse_name

if TYPE_CHECKING:
    from comptool.training.config import TrainSettings

Reference = Literal["mean", "max", "min"]
LIMITS = (0.1, 10.0)
CALIBRATE, LIMITED, AUXILIARY = "--calibrate-gradients", "--calibration-limits", "--auxiliary-heads"


@dataclass(frozen=True)
class Calibration:
    """Which levels are calibrated.

    Parameters
    ----------
    intra
        What the gradient of every modality is brought to: the ``mean``, ``max`` or ``min`` of their
        norms; None leaves them.
    inter
        Whether the objectives are balanced.
    limits
        Smallest and largest factor of a modality, 0 < smallest <= 1 <= largest.

    Raises
    ------
    UsageError
        If the reference is unknown or the limits are none.
    """

    intra: Reference | None = None
    inter: bool = False
    limits: tuple[float, float] = LIMITS

    def __post_init__(self) -> None:
        if self.intra is not None and self.intra not in get_args(Reference):
            raise unknown_name("reference of gradient norms", self.intra, get_args(Reference))
        low, high = self.limits
        if not 0 < low <= 1 <= high < math.inf:
            raise UsageError(
                f"factors of gradients are limited to {low:g} and {high:g}; the smallest has to be "
                "above 0 and at most 1, the largest 1 or more and finite"
            )


def parse_calibration(texts: Sequence[str], limits: str | None = None) -> Calibration:
    """What ``intra``, ``intra:mean``, ``intra:max``, ``intra:min`` and ``inter`` ask for, together.

    Parameters
    ----------
    texts
        Such words, or words joined by commas.
    limits
        The smallest and the largest factor of a modality, ``0.1,10``; None: :data:`LIMITS`.

    Raises
    ------
    UsageError
        If a word is none of these, a level is asked for twice, or the limits are none or without
        anything to limit.

    Examples
    --------
    >>> parse_calibration(["inter,intra:max"])
    Calibration(intra='max', inter=True, limits=(0.1, 10.0))
    """
    known = ["intra", *(f"intra:{reference}" for reference in get_args(Reference)), "inter"]
    words = [word.strip() for text in texts for word in text.split(",")]
    for word in words:
        if word not in known:
            raise unknown_name("gradient calibration", word, known)
    levels = {word.partition(":")[0]: word.partition(":")[2] for word in words}
    if len(levels) < len(words):
        raise UsageError(f"a gradient calibration is asked for twice: {', '.join(words)}")
    if limits is not None and "intra" not in levels:
        raise UsageError(f"{LIMITED} limits the factors of {CALIBRATE} intra, which is not given")
    intra = cast(Reference, levels["intra"] or "mean") if "intra" in levels else None
    return Calibration(intra, "inter" in levels, _limits(limits))


def calibration_of(settings: TrainSettings) -> Calibration | None:
    """How the gradients of a training are calibrated; None: they are not.

    Raises
    ------
    UsageError
        As :func:`parse_calibration`.
    """
    texts, limits = settings.calibrate_gradients, settings.calibration_limits
    return parse_calibration(texts, limits) if texts or limits is not None else None


def check_objectives(settings: TrainSettings) -> None:
    """Refuse what the model has no streams, no head or no objectives for.

    Raises
    ------
    UsageError
        Naming the ``-dual`` model, the heads that can have others beside them, or the option that
        gives more objectives; or as :func:`calibration_of`.
    """
    calibration = calibration_of(settings)
    if calibration is None and not settings.auxiliary_heads:
        return
    name = parse_name(settings.model)
    if name.streams < 2:
        asked = AUXILIARY if calibration is None else CALIBRATE
        raise UsageError(
            f"{asked} is for models of two streams, and '{name}' has one; try "
            f"'{replace(name, streams=2)}'"
        )
    heads = [entry.name for entry in HEADS if "auxiliary_heads" in entry.option_names()]
    if settings.auxiliary_heads and name.head not in heads:
        raise UsageError(
            f"{AUXILIARY} can stand beside the heads {' and '.join(heads)}; that of '{name}' is "
            f"{name.head}"
        )
    if calibration is not None and calibration.inter and not settings.auxiliary_heads:
        raise UsageError(
            f"{CALIBRATE} inter balances objectives, and the model has one; add {AUXILIARY}, or "
            "leave inter out"
        )


def _limits(text: str | None) -> tuple[float, float]:
    if text is None:
        return LIMITS
    try:
        low, high = map(float, text.split(","))
    except ValueError:
        raise UsageError(
            f"{LIMITED} is '{text}'; it has to be two numbers such as 0.1,10"
        ) from None
    return low, high
