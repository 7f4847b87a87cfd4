"""Trained networks in torch, and what they make of views of the same images."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor

from comptool.data.batches import normalise
from comptool.data.devices import choose_device
from comptool.data.images import Pixels
from comptool.errors import UsageError
from comptool.inference.backends import Logits, distinct, forms_of
from comptool.inference.computing import Computing
from comptool.inference.members import Member
from comptool.inference.views import see
from comptool.models.checkpoints import load_checkpoint

PRECISIONS: dict[str, torch.dtype | None] = {
    "fp32": None,
    "bf16": torch.bfloat16,
    "fp16": torch.float16,
}


class TorchNetworks:
    """The members on a device.

    Parameters
    ----------
    members
        What to load.
    computing
        Where to, and in which precision.

    Raises
    ------
    InputError
        If a checkpoint cannot be used.
    UsageError
        If the device is not there.
    """

    def __init__(self, members: Sequence[Member], computing: Computing) -> None:
        self._device = choose_device(computing.device)
        self._autocast = PRECISIONS[computing.precision]
        loaded = [load_checkpoint(member.folder, str(self._device)) for member in members]
        self._members = members
        self._models = [model for model, _ in loaded]
        self._forms = [forms_of(header) for _, header in loaded]
        self._statistics = [_statistics(header) for _, header in loaded]
        self.forms = distinct(self._forms)

    def logits(self, images: Sequence[Pixels], views: Sequence[str]) -> Iterator[Logits]:
        """Of each network the logits (V, B, K) of V views, from one (B, H, W, C) per form.

        Raises
        ------
        UsageError
            If the device is out of memory.
        """
        placed = self._placed(images)
        for number in range(len(self._models)):
            with _computing():
                inputs = self._inputs(number, placed)
                seen = [self._logits(number, inputs, view) for view in views]
                stacked = torch.stack(seen).cpu().numpy()
            yield stacked

    def features(self, images: Sequence[Pixels]) -> list[Logits]:
        """What each member's classifier sees, float32 (B, F), from one (B, H, W, C) per form.

        Raises
        ------
        UsageError
            If the device is out of memory.
        """
        placed = self._placed(images)
        with _computing():
            return [
                np.asarray(
                    model.forward_features(*self._inputs(number, placed)).float().cpu().numpy()
                )
                for number, model in enumerate(self._models)
            ]

    def check_views(self, views: Sequence[str]) -> None:
        """Refuse views that a network of fixed input size does not take.

        Raises
        ------
        UsageError
            Naming the run and the view.
        """
        for number, member in enumerate(self._members):
            for view in sorted(set(views) - {"identity"}):
                try:
                    with _computing():
                        self._logits(number, self._blank(number), view)
                except (AssertionError, RuntimeError, ValueError) as error:
                    raise UsageError(
                        f"the network of {member.folder} does not take the view '{view}' ({error})"
                    ) from error

    def _placed(self, images: Sequence[Pixels]) -> list[Tensor]:
        """uint8 tensors [B, C, H, W] on the device, in the memory order channels last."""
        return [
            torch.from_numpy(pixels).permute(0, 3, 1, 2).to(self._device, non_blocking=True)
            for pixels in images
        ]

    def _blank(self, number: int) -> list[Tensor]:
        chips = [form.chip for form in self._forms[number]]
        shapes = [(1, chip.channels, chip.height, chip.width) for chip in chips]
        return [torch.zeros(shape, device=self._device) for shape in shapes]

    def _inputs(self, number: int, images: Sequence[Tensor]) -> list[Tensor]:
        pairs = zip(self._forms[number], self._statistics[number], strict=True)
        return [
            normalise(images[self.forms.index(form)], *statistics) for form, statistics in pairs
        ]

    def _logits(self, number: int, inputs: Sequence[Tensor], view: str) -> Tensor:
        enabled = self._autocast is not None
        with torch.autocast(self._device.type, dtype=self._autocast, enabled=enabled):
            logits: Tensor = self._models[number](*(see(tensor, view) for tensor in inputs))
        return logits.float()


@contextmanager
def _computing() -> Iterator[None]:
    # By default cuDNN rounds the factors of float32 convolutions to 10 bits (TF32).
    allowed = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    try:
        with torch.inference_mode():
            yield
    except torch.OutOfMemoryError as error:
        raise UsageError(
            f"the device is out of memory; try a smaller --batch-size ({error})"
        ) from error
    finally:
        torch.backends.cudnn.allow_tf32 = allowed


def _statistics(header: dict[str, Any]) -> list[tuple[list[float], list[float]]]:
    return [(header["mean"][name], header["std"][name]) for name in header["modalities"]]
