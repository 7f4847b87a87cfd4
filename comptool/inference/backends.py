"""What computes the logits: torch, or ONNX Runtime, which needs no torch once a graph is kept."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from comptool.data.image_io import Pixels, chip_forms
from comptool.inference.config import Computing
from comptool.inference.decode import Form
from comptool.inference.plan import TrainedMember
from comptool.io.records import Computed, RunHeader
from comptool.lazy_torch import loading_torch

Logits = npt.NDArray[np.float32]


class Networks(Protocol):
    """Trained networks; ``forms`` are their distinct input forms, in batch order.

    ``computed`` says how they are computed, ``notes`` what is done in a slower way, in sentences.
    """

    forms: list[Form]
    computed: Computed
    notes: list[str]

    def each(
        self, batches: Iterable[Sequence[Pixels]], views: Sequence[str]
    ) -> Iterator[list[Logits]]:
        """Logits (V, B, K) of V views for each network, batch after batch.

        A batch has one array (B, H, W, C) per form; the next one may be begun early.
        """
        ...

    def room(self, shape: tuple[int, ...], dtype: Any) -> Pixels:
        """Zeros for the images of a batch, in memory suited for the device."""
        ...


def open_networks(
    members: Sequence[TrainedMember], views: Sequence[str], computing: Computing
) -> Networks:
    """Open networks on the best backend; a note says if it is not the preferred one.

    The members have one list of modalities; the ``views`` to compute are checked now. Raises an
    InputError if a checkpoint cannot be used; a UsageError if the device is missing, a network does
    not take a view, or ONNX Runtime was asked for by name and a network cannot be exported.
    """
    notes: list[str] = []
    if computing.tries_onnx:
        # Imported here: ONNX Runtime starts threads of its own.
        from comptool.inference.onnx_backend import NoGraph, OnnxNetworks

        try:
            return OnnxNetworks(members, views)
        except NoGraph as error:
            if computing.backend == "onnx":
                raise
            notes.append(f"{error}; torch computes, which takes longer")
    with loading_torch():
        from comptool.inference.torch_backend import TorchNetworks
    networks = TorchNetworks(members, computing)
    networks.check_views(views)
    networks.notes[:0] = notes
    return networks


def forms_of(header: RunHeader) -> list[Form]:
    """Input form of each modality of a checkpoint."""
    chips = chip_forms(
        header.img_size, header.channels, header.bits, header.ranges, header.modalities
    )
    return [Form(number, chip) for number, chip in enumerate(chips)]


def distinct(forms: Sequence[Sequence[Form]]) -> list[Form]:
    """The distinct forms of several networks."""
    return list(dict.fromkeys(form for own in forms for form in own))
