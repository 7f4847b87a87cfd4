"""Trained networks in torch, and what they make of views of the same images."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from comptool.data.devices import choose_device
from comptool.data.images import Pixels
from comptool.errors import UsageError
from comptool.inference.backends import Logits, distinct, forms_of
from comptool.inference.computing import Computing, Precision
from comptool.inference.members import Member
from comptool.inference.transfers import Arriving, transfers
from comptool.inference.views import see
from comptool.models.checkpoints import load_checkpoint
from comptool.models.folding import fold_batch_norm
from comptool.models.of_pixels import OfPixels, of_pixels

TRIED = 2  # images that a network is tried on
TENSOR_CORES = (7, 0)  # the compute capability from which fp16 is faster than float32


def autocast_dtype(precision: Precision, device: torch.device) -> torch.dtype | None:
    """The type that layers run in under autocast; None for float32 throughout.

    Raises
    ------
    UsageError
        If bf16 is asked of a card that has none.
    """
    cuda = device.type == "cuda"
    if precision == "auto":
        fast = cuda and torch.cuda.get_device_capability(device) >= TENSOR_CORES
        return torch.float16 if fast else None
    if precision == "bf16" and cuda and not torch.cuda.is_bf16_supported(including_emulation=False):
        raise UsageError("this card does not compute in bf16; take --fp16")
    return {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}[precision]


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
        self._autocast = autocast_dtype(computing.precision, self._device)
        self._members = members
        self._forms = [forms_of(member.header) for member in members]
        self.forms = distinct(self._forms)
        self._models = [self._loaded(number) for number in range(len(members))]
        self._transfers = transfers(self._device)

    def logits(self, images: Sequence[Pixels], views: Sequence[str]) -> Iterator[Logits]:
        """Of each network the logits (V, B, K) of V views, from one (B, H, W, C) per form.

        Raises
        ------
        UsageError
            If the device is out of memory.
        """
        yield from next(self.each([images], views))

    def each(
        self, batches: Iterable[Sequence[Pixels]], views: Sequence[str]
    ) -> Iterator[list[Logits]]:
        """What `logits` gives, batch after batch; on a card the next ones are begun before it.

        Raises
        ------
        UsageError
            If the device is out of memory.
        """
        begun: deque[Arriving] = deque()
        for images in batches:
            with _computing():
                begun.append(self._begin(images, views))
                if len(begun) <= self._transfers.ahead:
                    continue
                first = begun.popleft().arrays()
            yield first
        while begun:
            with _computing():
                first = begun.popleft().arrays()
            yield first

    def room(self, shape: tuple[int, ...], dtype: Any) -> Pixels:
        """Zeros for a batch's images, page-locked where they go to a card."""
        return self._transfers.room(shape, dtype)

    def features(self, images: Sequence[Pixels]) -> list[Logits]:
        """What each member's classifier sees, float32 (B, F), from one (B, H, W, C) per form.

        Raises
        ------
        UsageError
            If the device is out of memory.
        """
        with _computing():
            placed = self._transfers.there(images)
            features = [
                self._model_features(number, self._own(number, placed))
                for number in range(len(self._models))
            ]
            return self._transfers.back(features, images).arrays()

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
                        noise = [image.permute(0, 3, 1, 2) for image in self._noise(number)]
                        self._logits(number, view, [image.to(self._device) for image in noise])
                except (AssertionError, RuntimeError, ValueError) as error:
                    raise UsageError(
                        f"the network of {member.folder} does not take the view '{view}' ({error})"
                    ) from error

    def _loaded(self, number: int) -> OfPixels:
        model, header = load_checkpoint(self._members[number].folder)
        whole = of_pixels(model, header)
        fold_batch_norm(whole, self._noise(number))
        whole.to(memory_format=torch.channels_last)  # as the images are
        return whole.to(self._device)

    def _noise(self, number: int) -> list[Tensor]:
        random = torch.Generator().manual_seed(0)
        return [
            torch.randint(256, (TRIED, *form.chip.shape), generator=random).float()
            for form in self._forms[number]
        ]

    def _begin(self, images: Sequence[Pixels], views: Sequence[str]) -> Arriving:
        placed = self._transfers.there(images)
        logits = [
            torch.stack([self._logits(number, view, self._own(number, placed)) for view in views])
            for number in range(len(self._models))
        ]
        return self._transfers.back(logits, images)

    def _own(self, number: int, placed: Sequence[Tensor]) -> list[Tensor]:
        return [placed[self.forms.index(form)] for form in self._forms[number]]

    def _logits(self, number: int, view: str, images: Sequence[Tensor]) -> Tensor:
        with self._casting():
            seen = [see(image.float(), view).permute(0, 2, 3, 1) for image in images]
            logits: Tensor = self._models[number](*seen)
        return logits.float()

    def _model_features(self, number: int, images: Sequence[Tensor]) -> Tensor:
        whole = self._models[number]
        floats = [image.float().permute(0, 2, 3, 1) for image in images]
        model: Any = whole.model
        features: Tensor = model.forward_features(*whole.normalised(floats))
        return features.float()

    def _casting(self) -> torch.autocast:
        enabled = self._autocast is not None
        return torch.autocast(self._device.type, dtype=self._autocast, enabled=enabled)


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
