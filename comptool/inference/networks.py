"""Trained networks on a device, and what they make of views of the same images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from comptool.data.batches import normalise
from comptool.data.images import FULL_DEPTH
from comptool.errors import UsageError
from comptool.inference.decoding import Form
from comptool.inference.members import Member
from comptool.inference.schemes import Scheme
from comptool.inference.views import find_view, merge
from comptool.models.checkpoints import load_checkpoint


class Networks:
    """The members on the device.

    Parameters
    ----------
    members
        What to load.
    device
        Where to.
    autocast
        Half-precision type of the forward pass, or None.
    """

    def __init__(
        self, members: Sequence[Member], device: torch.device, autocast: torch.dtype | None
    ) -> None:
        self._device = device
        self._autocast = autocast
        loaded = [load_checkpoint(member.folder, str(device)) for member in members]
        self._members = members
        self._models = [model for model, _ in loaded]
        self._forms = [_forms(header) for _, header in loaded]
        self._statistics = [_statistics(header) for _, header in loaded]
        self.forms = list(dict.fromkeys(form for forms in self._forms for form in forms))

    def probabilities(
        self, images: Sequence[Tensor], schemes: Sequence[Scheme], task: str
    ) -> list[Tensor]:
        """One tensor [B, K] per scheme from one uint8 tensor per form."""
        views = dict.fromkeys(view for scheme in schemes for view in scheme.views)
        totals: list[Tensor | None] = [None] * len(schemes)
        for number in range(len(self._models)):
            inputs = self._inputs(number, images)
            logits = {view: self._logits(number, inputs, view) for view in views}
            for place, scheme in enumerate(schemes):
                stacked = torch.stack([logits[view] for view in scheme.views])  # [V, B, K]
                merged = merge(stacked, scheme.merge, task, scheme.weights)
                total = totals[place]
                totals[place] = merged if total is None else total + merged
        return [total / len(self._models) for total in totals if total is not None]

    def features(self, images: Sequence[Tensor]) -> list[Tensor]:
        """What each member's classifier sees, float32 (B, F), from one uint8 tensor per form."""
        return [
            model.forward_features(*self._inputs(number, images)).float()
            for number, model in enumerate(self._models)
        ]

    def check_views(self, schemes: Sequence[Scheme]) -> None:
        """Refuse views that a network of fixed input size does not take.

        Raises
        ------
        UsageError
            Naming the run and the view.
        """
        views = {view for scheme in schemes for view in scheme.views} - {"identity"}
        for number, member in enumerate(self._members):
            for view in sorted(views):
                try:
                    self._logits(number, self._blank(number), view)
                except torch.OutOfMemoryError:
                    raise
                except (AssertionError, RuntimeError, ValueError) as error:
                    raise UsageError(
                        f"the network of {member.folder} does not take the view '{view}' ({error})"
                    ) from error

    def _blank(self, number: int) -> list[Tensor]:
        shapes = [(1, form.channels, form.height, form.width) for form in self._forms[number]]
        return [torch.zeros(shape, device=self._device) for shape in shapes]

    def _inputs(self, number: int, images: Sequence[Tensor]) -> list[Tensor]:
        pairs = zip(self._forms[number], self._statistics[number], strict=True)
        return [
            normalise(images[self.forms.index(form)], *statistics) for form, statistics in pairs
        ]

    def _logits(self, number: int, inputs: Sequence[Tensor], view: str) -> Tensor:
        seen = find_view(view)
        enabled = self._autocast is not None
        with torch.autocast(self._device.type, dtype=self._autocast, enabled=enabled):
            logits: Tensor = self._models[number](*(seen(tensor) for tensor in inputs))
        return logits.float()


def _forms(header: dict[str, Any]) -> list[Form]:
    bits = header.get("bits", {})
    return [
        Form(number, height, width, header["channels"][name], bits.get(name, FULL_DEPTH))
        for number, name in enumerate(header["modalities"])
        for height, width in [header["img_size"][name]]
    ]


def _statistics(header: dict[str, Any]) -> list[tuple[list[float], list[float]]]:
    return [(header["mean"][name], header["std"][name]) for name in header["modalities"]]
