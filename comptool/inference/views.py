"""The views of an image, and how predictions of several views are merged.

A view is a function of a batch [B, C, H, W]. It speaks of shares of the image, never of pixels,
so that one view is the same place and turn in modalities of different sizes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional

from comptool.errors import UsageError, unknown_name
from comptool.inference.schemes import CROP_SHARE, scale_of

View = Callable[[Tensor], Tensor]


def _crop(row: float, column: float) -> View:
    """The view of the part at (row, column), 0 to 1 from the top left, at the image's own size."""

    def view(images: Tensor) -> Tensor:
        height, width = images.shape[-2:]
        rows, columns = round(CROP_SHARE * height), round(CROP_SHARE * width)
        top, left = round(row * (height - rows)), round(column * (width - columns))
        part = images[..., top : top + rows, left : left + columns]
        return _resized(part, (height, width))

    return view


def _scaled(factor: float) -> View:
    """The view of the whole image at ``factor`` times its size."""

    def view(images: Tensor) -> Tensor:
        height, width = images.shape[-2:]
        return _resized(images, (max(1, round(factor * height)), max(1, round(factor * width))))

    return view


def _resized(images: Tensor, size: tuple[int, int]) -> Tensor:
    if tuple(images.shape[-2:]) == size:
        return images
    return functional.interpolate(images, size, mode="bilinear", antialias=True)


D4: dict[str, View] = {
    "identity": lambda images: images,
    "horizontal": lambda images: images.flip(-1),
    "vertical": lambda images: images.flip(-2),
    "rotate-180": lambda images: images.flip(-2, -1),
    "transpose": lambda images: images.transpose(-2, -1),
    "rotate-90": lambda images: images.transpose(-2, -1).flip(-2),
    "rotate-270": lambda images: images.transpose(-2, -1).flip(-1),
    "anti-transpose": lambda images: images.transpose(-2, -1).flip(-2, -1),
}
CROPS: dict[str, View] = {
    "crop-top-left": _crop(0, 0),
    "crop-top-right": _crop(0, 1),
    "crop-bottom-left": _crop(1, 0),
    "crop-bottom-right": _crop(1, 1),
    "crop-centre": _crop(0.5, 0.5),
}
VIEWS = {**D4, **CROPS}


def find_view(name: str) -> View:
    """The view of that name: one of `VIEWS`, or ``scale-FACTOR``.

    Raises
    ------
    UsageError
        If there is none; names the three nearest.
    """
    return VIEWS[name] if name in VIEWS else _scaled(scale_of(name))


def merge_mean(logits: Tensor, weights: Sequence[float] = ()) -> Tensor:
    """Arithmetic mean, by V weights that sum to one, of probabilities of [V, ..., C] logits."""
    probabilities = logits.softmax(-1)
    if not weights:
        return probabilities.mean(0)
    mixed: Tensor = torch.tensordot(probabilities.new_tensor(weights), probabilities, dims=1)
    return mixed


def merge_gmean(logits: Tensor) -> Tensor:
    """Geometric mean of the probabilities, made to sum to one.

    It is taken of logarithms: products of small probabilities would vanish.
    """
    return logits.log_softmax(-1).mean(0).softmax(-1)


def merge_max(logits: Tensor) -> Tensor:
    """Largest probability of each class, made to sum to one."""
    largest = logits.softmax(-1).amax(0)
    return largest / largest.sum(-1, keepdim=True)


MERGES: dict[str, Callable[[Tensor], Tensor]] = {
    "mean": merge_mean,
    "gmean": merge_gmean,
    "max": merge_max,
}


def merge(logits: Tensor, how: str, task: str, weights: Sequence[float] = ()) -> Tensor:
    """Probabilities of B samples from the logits of V views.

    Parameters
    ----------
    logits
        float32 of shape [V, B, K].
    how
        One of `MERGES`.
    task
        ``multiclass``: softmax over the classes. ``multilabel``: each class is a choice of its own
        between yes and no, so that the same three merges apply to it.
    weights
        Of the V views in a mean, summing to one; empty for equal ones.

    Returns
    -------
    torch.Tensor
        float32 of shape [B, K].

    Raises
    ------
    UsageError
        If no merge is called so, or another than the mean is given weights.
    """
    if how not in MERGES:
        raise unknown_name("merge", how, MERGES)
    if weights and how != "mean":
        raise UsageError(f"weights of views are those of the mean, not of {how}")
    merged = partial(merge_mean, weights=weights) if weights else MERGES[how]
    if task == "multiclass":
        return merged(logits)
    against_no = torch.stack([torch.zeros_like(logits), logits], dim=-1)  # [V, B, K, 2]
    return merged(against_no)[..., 1]
