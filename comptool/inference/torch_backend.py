"""The torch backend: networks, asynchronous copies, and views of a batch as tensors."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from comptool.data.image_io import Pixels
from comptool.data.transfers import Arriving, transfers
from comptool.device import choose_device, memory_errors
from comptool.errors import UsageError
from comptool.inference.backends import Logits, distinct, forms_of
from comptool.inference.config import Computing, Precision
from comptool.inference.plan import TrainedMember
from comptool.inference.tta.policies import D4, seen_box, seen_size
from comptool.io.records import Computed
from comptool.models.checkpoint_file import load_checkpoint
from comptool.models.deploy import OfPixels, fold_batch_norm, logits_of, of_pixels
from comptool.precision import without_tf32


def see(images: Tensor, view: str) -> Tensor:
    """A view of images [B, C, H, W]; see :mod:`comptool.inference.tta.policies`."""
    if view in D4:
        turn = D4[view]
        if turn.transposed:
            images = images.transpose(-2, -1)
        reversals = {-2: turn.rows_reversed, -1: turn.columns_reversed}
        axes = [axis for axis, reversed_ in reversals.items() if reversed_]
        return images.flip(axes) if axes else images
    height, width = images.shape[-2:]
    top, left, rows, columns = seen_box(view, height, width)
    part = images[..., top : top + rows, left : left + columns]
    size = seen_size(view, height, width)
    if tuple(part.shape[-2:]) == size:
        return part
    return functional.interpolate(part, size, mode="bilinear", antialias=True)


SHORT = "out of memory"  # how the note on parts of batches begins
TRIED = 2  # images that a network is tried on
TENSOR_CORES = (7, 0)  # the compute capability from which fp16 is faster than float32


def autocast_dtype(precision: Precision, device: torch.device) -> torch.dtype | None:
    """The autocast type; None for float32 throughout."""
    cuda = device.type == "cuda"
    if precision == "auto":
        fast = cuda and torch.cuda.get_device_capability(device) >= TENSOR_CORES
        return torch.float16 if fast else None
    if precision == "bf16" and cuda and not torch.cuda.is_bf16_supported(including_emulation=False):
        raise UsageError("this card does not compute in bf16; take --fp16")
    return {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}[precision]


class TorchNetworks:
    """Networks on a device; ``notes`` say what the device does without.

    A batch that does not fit into memory is computed in parts, which are halved until they fit and
    stay so for later batches; the results are those of the whole batch, up to rounding.
    """

    def __init__(self, members: Sequence[TrainedMember], computing: Computing) -> None:
        self._device = choose_device(computing.device)
        self._at_once: int | None = None  # the most images that fitted; None: whole batches
        self.notes: list[str] = []
        self._autocast, asynchronous = self._checked(computing.precision)
        self._members = members
        self._forms = [forms_of(member.header) for member in members]
        self.forms = distinct(self._forms)
        with self._enough_memory():
            self._models = [self._loaded(number) for number in range(len(members))]
        self._transfers = transfers(self._device, asynchronous=asynchronous)
        cuda = self._device.type == "cuda"
        self.computed = Computed(
            device=str(self._device),
            card=torch.cuda.get_device_name(self._device) if cuda else None,
            precision=str(self._autocast or torch.float32).removeprefix("torch."),
            asynchronous_copies=cuda and asynchronous,
            fallbacks=self.notes,
        )

    def each(
        self, batches: Iterable[Sequence[Pixels]], views: Sequence[str]
    ) -> Iterator[list[Logits]]:
        """Logits (V, B, K) of V views for each network; a CUDA device begins batches early."""
        begun: deque[Arriving] = deque()
        for images in batches:
            with self._computing():
                begun.append(self._begin(images, views))
                if len(begun) <= self._transfers.ahead:
                    continue
                first = begun.popleft().arrays()
            yield first
        while begun:
            with self._computing():
                first = begun.popleft().arrays()
            yield first

    def room(self, shape: tuple[int, ...], dtype: Any) -> Pixels:
        """Zeros for the images of a batch, page-locked for a CUDA device."""
        return self._transfers.room(shape, dtype)

    def features(self, images: Sequence[Pixels]) -> list[Logits]:
        """Input of each member's classifier, float32 (B, F), from one (B, H, W, C) per form."""

        def compute(placed: Sequence[Tensor]) -> list[Tensor]:
            return [
                self._model_features(number, self._own(number, placed))
                for number in range(len(self._models))
            ]

        with self._computing():
            return self._in_parts(images, compute).arrays()

    def check_views(self, views: Sequence[str]) -> None:
        """Refuse views that a network of fixed input size does not take."""
        for number, member in enumerate(self._members):
            for view in sorted(set(views) - {"identity"}):
                try:
                    with self._computing():
                        noise = [image[:1].permute(0, 3, 1, 2) for image in self._noise(number)]
                        self._logits(number, view, [image.to(self._device) for image in noise])
                except (AssertionError, RuntimeError, ValueError) as error:
                    raise UsageError(
                        f"the network of {member.folder} does not take the view '{view}' ({error})"
                    ) from error

    def _checked(self, precision: Precision) -> tuple[torch.dtype | None, bool]:
        """The autocast type, and whether copies are asynchronous, by the self-check of a card."""
        dtype = autocast_dtype(precision, self._device)
        if self._device.type != "cuda":
            return dtype, False
        # Late: a CPU needs none of it.
        from comptool.training.self_check import verdict

        half = verdict("fp16-inference", self._device) if dtype is torch.float16 else None
        if half is not None and half.failed:
            if precision == "auto":
                dtype = None
                self.notes.append(half.sentence(self._device))
            else:
                self.notes.append(half.warning(self._device, f"--{precision}"))
        copies = verdict("copies", self._device)
        if copies.failed:
            self.notes.append(copies.sentence(self._device))
        return dtype, not copies.failed

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
        def compute(placed: Sequence[Tensor]) -> list[Tensor]:
            return [
                torch.stack(
                    [self._logits(number, view, self._own(number, placed)) for view in views]
                )
                for number in range(len(self._models))
            ]

        return self._in_parts(images, compute)

    def _in_parts(
        self, images: Sequence[Pixels], compute: Callable[[Sequence[Tensor]], list[Tensor]]
    ) -> Arriving:
        """Tensors (..., B, K), computed of images on the device; in parts if memory is short."""
        count = len(images[0])
        while True:
            most = min(self._at_once or count, count)
            try:
                with memory_errors():
                    parts = [
                        compute(
                            self._transfers.there([one[start : start + most] for one in images])
                        )
                        for start in range(0, count, most)
                    ]
                    joined = [torch.cat(own, dim=-2) for own in zip(*parts, strict=True)]
                    return self._transfers.back(joined, images)
            except torch.OutOfMemoryError:
                if most == 1:
                    raise
            # Outside the except block, where the tensors of the pass are released.
            self._halve(most)

    def _halve(self, tried: int) -> None:
        self._at_once = -(-tried // 2)
        self.notes[:] = [note for note in self.notes if not note.startswith(SHORT)]
        self.notes.append(f"{SHORT}: at most {self._at_once} images at once")
        if self._device.type == "cuda":
            torch.cuda.empty_cache()

    def _own(self, number: int, placed: Sequence[Tensor]) -> list[Tensor]:
        return [placed[self.forms.index(form)] for form in self._forms[number]]

    def _logits(self, number: int, view: str, images: Sequence[Tensor]) -> Tensor:
        seen = [see(image.float(), view).permute(0, 2, 3, 1) for image in images]
        return logits_of(self._models[number], seen, self._autocast)

    def _model_features(self, number: int, images: Sequence[Tensor]) -> Tensor:
        whole = self._models[number]
        floats = [image.float().permute(0, 2, 3, 1) for image in images]
        model: Any = whole.model
        features: Tensor = model.forward_features(*whole.normalised(floats))
        return features.float()

    @contextmanager
    def _computing(self) -> Iterator[None]:
        with torch.inference_mode(), without_tf32(), self._enough_memory():
            yield

    @contextmanager
    def _enough_memory(self) -> Iterator[None]:
        try:
            with memory_errors():
                yield
        except torch.OutOfMemoryError as error:
            mend = "another --device"
            if len(self._members) > 1:
                mend = "fewer runs at a time, averaged by 'comptool ensemble'"
            raise UsageError(
                f"the memory of {self._device} does not hold the networks and a single image; "
                f"take {mend}"
            ) from error
