"""Networks prepared for inference: BatchNorm folded into convolutions, normalisation built in.

In evaluation mode BatchNorm is a multiplication and an addition per channel, which the weights and
the bias of the previous convolution can absorb. torch has the arithmetic
(`torch.nn.utils.fusion`); its search for the pairs (`torch.fx.experimental.optimization.fuse`)
supports neither timm's BatchNormAct2d nor networks with data-dependent ``forward``, so pairs are
found here by following tensors between modules.
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

TOLERANCE = 1e-4  # relative to the largest output, at least 1


def fold_batch_norm(model: nn.Module, inputs: Sequence[Tensor]) -> int:
    """Fold each BatchNorm that directly follows a convolution into it, in place.

    The model is float32, in evaluation mode; its outputs for ``inputs`` are compared. Returns the
    number of folded layers: 0 if the output would change, because a convolution's output is used
    elsewhere too, or its weights are computed in ``forward``.
    """
    with torch.no_grad():
        with _recorded(model) as calls:
            wanted = model(*inputs)
        replaced: list[tuple[str, nn.Module]] = []
        for convolution, norm in _pairs(calls, model):
            replaced += [(name, model.get_submodule(name)) for name in (convolution, norm)]
            folded = fuse_conv_bn_eval(*(cast(Any, module) for _, module in replaced[-2:]))
            model.set_submodule(convolution, folded)
            model.set_submodule(norm, _rest(replaced[-1][1]))
        if not _matches(model, inputs, wanted):
            for name, module in replaced:
                model.set_submodule(name, module)
            return 0
    return len(replaced) // 2


Call = tuple[nn.Module, Tensor, Tensor]


@contextmanager
def _recorded(model: nn.Module) -> Iterator[list[Call]]:
    """Record the calls of convolutions and norms with their input and output."""
    calls: list[Call] = []

    def record(module: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> None:
        calls.append((module, inputs[0], output))

    layers = [m for m in model.modules() if isinstance(m, nn.Conv2d | nn.BatchNorm2d)]
    handles = [layer.register_forward_hook(record) for layer in layers]
    try:
        yield calls
    finally:
        for handle in handles:
            handle.remove()


def _pairs(calls: Sequence[Call], model: nn.Module) -> list[tuple[str, str]]:
    """Names of convolutions and of the norms that are the only readers of their output."""
    names = {module: name for name, module in model.named_modules()}
    count = Counter(module for module, _, _ in calls)
    sources = {id(output): module for module, _, output in calls if isinstance(module, nn.Conv2d)}
    readers = Counter(id(read) for _, read, _ in calls)
    return [
        (names[source], names[norm])
        for norm, read, _ in calls
        if isinstance(norm, nn.BatchNorm2d) and norm.running_var is not None
        if (source := sources.get(id(read))) is not None
        if count[source] == count[norm] == readers[id(read)] == 1
    ]


def _rest(norm: nn.Module) -> nn.Module:
    """The rest of a norm module: timm's includes dropout and activation."""
    rest = [getattr(norm, name) for name in ("drop", "act") if hasattr(norm, name)]
    return nn.Sequential(*rest) if rest else nn.Identity()


def _matches(model: Callable[..., Tensor], inputs: Sequence[Tensor], wanted: Tensor) -> bool:
    try:
        difference = (model(*inputs) - wanted).abs().max()
    # A layer may access attributes of its norm.
    except (AttributeError, RuntimeError, TypeError):
        return False
    return bool(difference <= TOLERANCE * wanted.abs().max().clamp(min=1))


class OfPixels(nn.Module):
    """A model for raw pixels: float32 images [B, H, W, C] of 0 to 255.

    ``model`` is of normalised images [B, C, H, W], one tensor per modality; ``mean`` and ``std``
    have one number per channel of each modality, on the scale 0 to 1.
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
        """The images as the inner model expects them, [B, C, H, W]."""
        return [
            (pixels.permute(0, 3, 1, 2) - self.get_buffer(f"mean{number}"))
            / self.get_buffer(f"std{number}")
            for number, pixels in enumerate(images)
        ]


def logits_of(model: OfPixels, images: Sequence[Tensor], dtype: torch.dtype | None) -> Tensor:
    """Float32 logits [B, K], computed in mixed precision of ``dtype``, or float32 if None."""
    kind = images[0].device.type
    with torch.autocast(kind, dtype=dtype, enabled=dtype is not None):
        logits: Tensor = model(*images)
    return logits.float()


def of_pixels(model: nn.Module, header: RunHeader) -> OfPixels:
    """The model with the normalisation of its checkpoint's header."""
    names = header.modalities
    means, stds = ([getattr(header, key)[name] for name in names] for key in ("mean", "std"))
    return OfPixels(model, means, stds).eval()
