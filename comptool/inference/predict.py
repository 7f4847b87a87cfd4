"""The forward pass over a test set: several networks, several views, each image decoded once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from typing import Any

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from comptool.data.files import ImageFiles
from comptool.data.images import Pixels
from comptool.errors import InputError
from comptool.inference.backends import open_networks
from comptool.inference.computing import Computing
from comptool.inference.decoding import DecodedSamples, Form, Originals, findings
from comptool.inference.members import Member
from comptool.inference.merging import merge
from comptool.inference.schemes import Scheme
from comptool.machine import usable_cores
from comptool.samples import Samples

Table = npt.NDArray[np.float32]
Probabilities = Table
Compute = Callable[[Sequence[Pixels]], list[npt.NDArray[Any]]]


def predict(
    members: Sequence[Member], samples: Samples, schemes: Sequence[Scheme], computing: Computing
) -> tuple[list[Probabilities], list[str]]:
    """Probabilities under each scheme, averaged over the members, and what is odd in the images.

    Views that several schemes share are computed once.

    Parameters
    ----------
    members
        Networks of one task, class list and list of modalities.
    samples
        N samples, ``paths`` in the networks' order.
    schemes
        Views and merges.
    computing
        Device, precision and the like.

    Returns
    -------
    list of numpy.ndarray
        One float32 array of shape (N, K) per scheme.
    list of str
        Sentences about missing, all-zero and pixel-identical images, and about ONNX Runtime where
        it was to be taken and cannot be.

    Raises
    ------
    InputError
        If an image or a checkpoint cannot be used, or probabilities are not finite.
    UsageError
        If the device is not there or out of memory, or a network does not take a view.
    """
    task = members[0].header["task"]
    views = tuple(dict.fromkeys(view for scheme in schemes for view in scheme.views))
    networks, notes = open_networks(members, views, computing)

    def probabilities(images: Sequence[Pixels]) -> list[npt.NDArray[Any]]:
        totals: list[npt.NDArray[Any]] = [np.zeros(1, np.float32)] * len(schemes)
        for logits in networks.logits(images, views):
            for number, scheme in enumerate(schemes):
                own = logits[[views.index(view) for view in scheme.views]]
                totals[number] = totals[number] + merge(own, scheme.merge, task, scheme.weights)
        return [np.asarray(total) / np.float32(len(members)) for total in totals]

    tables, originals = forward(
        members, samples, computing, networks.forms, probabilities, "probabilities"
    )
    ids = samples.frame[samples.id].tolist()
    return tables, [*notes, *findings(ids, list(samples.paths), originals)]


def forward(
    members: Sequence[Member],
    samples: Samples,
    computing: Computing,
    forms: Sequence[Form],
    compute: Compute,
    what: str,
) -> tuple[list[Table], Originals]:
    """What the networks make of every sample, and what the images were.

    Parameters
    ----------
    members
        Networks of one list of modalities.
    samples
        N samples, ``paths`` in the networks' order.
    computing
        Device, precision and the like.
    forms
        How the networks take the images.
    compute
        Gives T arrays (B, ...) of a batch, one uint8 array (B, H, W, C) per form.
    what
        What these are, for a message.

    Returns
    -------
    list of numpy.ndarray
        T float32 arrays of shape (N, ...).
    numpy.ndarray
        What the images were, (N, M); see `comptool.inference.decoding.ORIGINAL`.

    Raises
    ------
    InputError
        If an image or a checkpoint cannot be used, or what comes out is not finite.
    UsageError
        If the device is out of memory.
    """
    files = ImageFiles(samples, computing.missing)
    dataset = DecodedSamples(files, len(samples.paths), forms)
    workers = usable_cores() if computing.workers is None else computing.workers
    parts: list[list[npt.NDArray[Any]]] = []
    originals: list[Originals] = []
    # disable=None: no bar where stderr is no terminal.
    hidden = True if computing.quiet else None
    bar = tqdm(total=len(dataset), unit="img", desc=computing.purpose, disable=hidden)
    with bar, closing(dataset.batches(computing.batch_size, workers)) as batches:
        for batch in batches:
            parts.append(compute(batch.images))
            originals.append(batch.originals)
            bar.update(len(batch.originals))
    tables = [np.concatenate(part).astype(np.float32) for part in zip(*parts, strict=True)]
    for table in tables:
        _check_finite(table, what, samples.frame[samples.id].tolist(), members, computing)
    return tables, np.concatenate(originals)


def _check_finite(
    table: Table,
    what: str,
    ids: Sequence[str],
    members: Sequence[Member],
    computing: Computing,
) -> None:
    bad = np.flatnonzero(~np.isfinite(table).all(axis=1))
    if bad.size:
        half = computing.precision != "fp32"
        raise InputError(
            f"the network gives no finite {what} for {bad.size} samples",
            file=members[0].folder,
            values=[ids[row] for row in bad.tolist()],
            mend="Try --fp32" if half else "Its training diverged; train again",
        )
