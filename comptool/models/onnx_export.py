"""A model as an ONNX graph, with the normalisation of its images, checked against torch.

torch's exporter by tracing is used: it takes a network in half a second (dual MobileNetV2; the one
by ``torch.export`` 9 s) and needs no other package.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from comptool.errors import UsageError

OPSET = 18
# A batch of one would let the tracer take the number of images for a constant.
TRACED_BATCH = 2
Sizes = Sequence[tuple[int, int]]


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
        normalised = [
            (pixels.permute(0, 3, 1, 2) - self.get_buffer(f"mean{number}"))
            / self.get_buffer(f"std{number}")
            for number, pixels in enumerate(images)
        ]
        logits: Tensor = self.model(*normalised)
        return logits


def of_pixels(model: nn.Module, header: Mapping[str, Any]) -> OfPixels:
    """The model with the normalisation that its checkpoint's header names."""
    names = header["modalities"]
    means, stds = ([header[key][name] for name in names] for key in ("mean", "std"))
    return OfPixels(model, means, stds).eval()


def export(model: OfPixels, sizes: Sizes, channels: Sequence[int]) -> bytes:
    """The graph of a model for images of given sizes, any number of them at a time.

    Parameters
    ----------
    model
        In evaluation mode, on the CPU.
    sizes, channels
        Height and width, and the number of channels, of each modality.

    Returns
    -------
    bytes
        An ONNX model; inputs ``images0``, ``images1``, ..., float32 [B, H, W, C], and output
        ``logits``, float32 [B, K].

    Raises
    ------
    UsageError
        If the model cannot be written as such a graph; says why.
    """
    inputs = [f"images{number}" for number in range(len(sizes))]
    stream = io.BytesIO()
    try:
        with torch.no_grad(), warnings.catch_warnings():
            # The tracer warns of every Python number it sees; what it made is checked by numbers.
            warnings.simplefilter("ignore")
            torch.onnx.export(
                model,
                tuple(torch.zeros(shape) for shape in _shapes(TRACED_BATCH, sizes, channels)),
                stream,
                input_names=inputs,
                output_names=["logits"],
                dynamic_axes={name: {0: "batch"} for name in (*inputs, "logits")},
                opset_version=OPSET,
                dynamo=False,
            )
    # Each layer that does not fit fails in a way of its own.
    except Exception as error:
        reason = next((line for line in str(error).splitlines() if line.strip()), "no reason given")
        raise UsageError(f"the network cannot be exported to ONNX ({reason})") from error
    return stream.getvalue()


def check_images(
    sizes: Sizes, channels: Sequence[int], batch_size: int = 3
) -> list[npt.NDArray[np.float32]]:
    """Images [B, H, W, C] on which two forms of a model are compared: noise, from 0 to 255."""
    random = np.random.default_rng(0)
    return [
        random.integers(256, size=shape).astype(np.float32)
        for shape in _shapes(batch_size, sizes, channels)
    ]


def _shapes(batch: int, sizes: Sizes, channels: Sequence[int]) -> list[tuple[int, int, int, int]]:
    return [
        (batch, height, width, count)
        for (height, width), count in zip(sizes, channels, strict=True)
    ]
