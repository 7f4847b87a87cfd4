"""Networks prepared for inference: BatchNorm folded, normalization built in.

BatchNorm folded into the convolutions before it, for prediction.

In evaluation it is a multiplication and an addition per channel, which the weights and the bias of
a convolution can do. torch has the arithmetic (`torch.nn.utils.fusion`); its search for the pairs
(`torch.fx.experimental.optimization.fuse`) takes neither timm's BatchNormAct2d nor a network that
asks in ``forward`` what it was given, so the pairs are found here by what is handed to what.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from comptool.io.records import RunHeader

TOLERANCE = 1e-4  # of the largest output, or of one if that is less


def fold_batch_norm(model: nn.Module, inputs: Sequence[Tensor]) -> int:
    """Fold each BatchNorm that is given what a convolution gives into it, in place.

    Parameters
    ----------
    model
        In evaluation mode, float32.
    inputs
        What it takes, and is tried on before and after.

    Returns
    -------
    int
        How many are folded: none where the model then computes something else, because a
        convolution's output goes elsewhere too or its weights are made in ``forward``.
    """
    with torch.no_grad():
        with _watched(model) as calls:
            wanted = model(*inputs)
        replaced: list[tuple[str, nn.Module]] = []
        for convolution, norm in _pairs(calls, model):
            replaced += [(name, model.get_submodule(name)) for name in (convolution, norm)]
            folded = fuse_conv_bn_eval(*(cast(Any, module) for _, module in replaced[-2:]))
            model.set_submodule(convolution, folded)
            model.set_submodule(norm, _rest(replaced[-1][1]))
        if not _gives(model, inputs, wanted):
            for name, module in replaced:
                model.set_submodule(name, module)
            return 0
    return len(replaced) // 2


Call = tuple[nn.Module, Tensor, Tensor]


@contextmanager
def _watched(model: nn.Module) -> Iterator[list[Call]]:
    """The calls of convolutions and norms, in their order, with what they took and gave."""
    calls: list[Call] = []

    def note(module: nn.Module, taken: tuple[Any, ...], gave: Tensor) -> None:
        calls.append((module, taken[0], gave))

    kinds = (nn.Conv2d, nn.BatchNorm2d)
    watched = [module for module in model.modules() if isinstance(module, kinds)]
    handles = [module.register_forward_hook(note) for module in watched]
    try:
        yield calls
    finally:
        for handle in handles:
            handle.remove()


def _pairs(calls: Sequence[Call], model: nn.Module) -> list[tuple[str, str]]:
    """Names of the convolutions and norms of which one is called once with what the other gives."""
    names = {module: name for name, module in model.named_modules()}
    count = Counter(module for module, _, _ in calls)
    givers = {id(gave): module for module, _, gave in calls if isinstance(module, nn.Conv2d)}
    readers = Counter(id(taken) for _, taken, _ in calls)
    return [
        (names[giver], names[norm])
        for norm, taken, _ in calls
        if isinstance(norm, nn.BatchNorm2d) and norm.running_var is not None
        if (giver := givers.get(id(taken))) is not None
        if count[giver] == count[norm] == readers[id(taken)] == 1
    ]


def _rest(norm: nn.Module) -> nn.Module:
    """What a module does after it has normalised: timm's drops and activates."""
    rest = [getattr(norm, name) for name in ("drop", "act") if hasattr(norm, name)]
    return nn.Sequential(*rest) if rest else nn.Identity()


def _gives(model: Callable[..., Tensor], inputs: Sequence[Tensor], wanted: Tensor) -> bool:
    try:
        difference = (model(*inputs) - wanted).abs().max()
    # A layer may look into its norm.
    except (AttributeError, RuntimeError, TypeError):
        return False
    return bool(difference <= TOLERANCE * wanted.abs().max().clamp(min=1))


class OfPixels(nn.Module):
    """A model that takes images as they are decoded: float32 [B, H, W, C] of 0 to 255.

    Parameters
    ----------
    model
        Takes normalised images [B, C, H, W], one tensor per modality.
    mean, std
        For each modality one number per channel, on the scale 0 to 1.
    """

    def __init__(
        self, model: nn.Module, mean: Sequence[Sequence[float]], std: Sequence[Sequence[float]]
    ) -> None:
        super().__init__()
        self.model = model
        for number, (middle, width) in enumerate(zip(mean, std, strict=True)):
            self.register_buffer(f"mean{number}", 255 * torch.tensor(middle).view(-1, 1, 1))
            self.register_buffer(f"std{number}", 255 * torch.tensor(width).view(-1, 1, 1))

    def forward(self, *images: Tensor) -> Tensor:
        """Logits [B, K]."""
        logits: Tensor = self.model(*self.normalised(images))
        return logits

    def normalised(self, images: Sequence[Tensor]) -> list[Tensor]:
        """What the model itself takes, [B, C, H, W]."""
        return [
            (pixels.permute(0, 3, 1, 2) - self.get_buffer(f"mean{number}"))
            / self.get_buffer(f"std{number}")
            for number, pixels in enumerate(images)
        ]


def of_pixels(model: nn.Module, header: RunHeader) -> OfPixels:
    """The model with the normalisation that its checkpoint's header names."""
    names = header.modalities
    means, stds = ([getattr(header, key)[name] for name in names] for key in ("mean", "std"))
    return OfPixels(model, means, stds).eval()
