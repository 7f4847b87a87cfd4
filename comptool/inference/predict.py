"""The forward pass over a test set: several networks, several views, each image decoded once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from tqdm import tqdm

from comptool.data.batches import Loader, choose_workers
from comptool.data.devices import choose_device
from comptool.data.files import ImageFiles
from comptool.data.sampling import in_order
from comptool.errors import InputError, UsageError
from comptool.inference.decoding import DecodedBatch, DecodedSamples, Form, Original, findings
from comptool.inference.members import Member
from comptool.inference.networks import Networks
from comptool.inference.schemes import Scheme
from comptool.samples import Samples

PRECISIONS: dict[str, torch.dtype | None] = {
    "fp32": None,
    "bf16": torch.bfloat16,
    "fp16": torch.float16,
}
Table = npt.NDArray[np.float32]
Probabilities = Table
Compute = Callable[[Networks, Sequence[Tensor]], list[Tensor]]


@dataclass(frozen=True)
class Computing:
    """How predictions are computed; none of it changes what they are, ``precision`` aside.

    Parameters
    ----------
    device
        ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
    precision
        ``fp32``, ``bf16`` or ``fp16``; logits are float32 in any case before they become
        probabilities, because a sigmoid in half precision is exactly one from 8.4 on.
    batch_size
        Samples per forward pass.
    workers
        Processes that load images; None chooses.
    missing
        ``error``, or ``zero`` for a black chip in the place of a missing image.
    quiet
        Whether the progress bar is left out.
    purpose
        What the progress bar says.
    """

    device: str = "auto"
    precision: str = "fp32"
    batch_size: int = 64
    workers: int | None = None
    missing: str = "error"
    quiet: bool = False
    purpose: str = "predict"


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
        Sentences about missing, all-zero and pixel-identical images.

    Raises
    ------
    InputError
        If an image or a checkpoint cannot be used, or probabilities are not finite.
    UsageError
        If the device is not there or out of memory, or a network does not take a view.
    """
    task = members[0].header["task"]

    def probabilities(networks: Networks, images: Sequence[Tensor]) -> list[Tensor]:
        return networks.probabilities(images, schemes, task)

    tables, originals = forward(
        members, samples, computing, probabilities, "probabilities", schemes
    )
    ids = samples.frame[samples.id].tolist()
    return tables, findings(ids, list(samples.paths), originals)


def forward(
    members: Sequence[Member],
    samples: Samples,
    computing: Computing,
    compute: Compute,
    what: str,
    schemes: Sequence[Scheme] = (),
) -> tuple[list[Table], list[list[Original | None]]]:
    """What the networks make of every sample, and what the images were.

    Parameters
    ----------
    members
        Networks of one list of modalities.
    samples
        N samples, ``paths`` in the networks' order.
    computing
        Device, precision and the like.
    compute
        Gives T tensors (B, ...) of the networks and a batch, one uint8 tensor per form.
    what
        What these are, for a message.
    schemes
        Whose views ``compute`` takes; checked first.

    Returns
    -------
    list of numpy.ndarray
        T float32 arrays of shape (N, ...).
    list of lists
        The originals of each sample, one per modality, None where it is missing.

    Raises
    ------
    InputError
        If an image or a checkpoint cannot be used, or what comes out is not finite.
    UsageError
        If the device is not there or out of memory, or a network does not take a view.
    """
    device = choose_device(computing.device)
    with _full_float32(), torch.inference_mode(), _memory_errors():
        networks = Networks(members, device, PRECISIONS[computing.precision])
        networks.check_views(schemes)
        parts: list[list[Tensor]] = []
        originals: list[list[Original | None]] = []
        for batch in _load(samples, networks.forms, computing, device):
            images = [tensor.to(device, non_blocking=True) for tensor in batch.images]
            parts.append([tensor.cpu() for tensor in compute(networks, images)])
            originals += batch.originals
    tables = [np.asarray(torch.cat(part).numpy(), np.float32) for part in zip(*parts, strict=True)]
    for table in tables:
        _check_finite(table, what, samples.frame[samples.id].tolist(), members, computing)
    return tables, originals


def _load(
    samples: Samples, forms: Sequence[Form], computing: Computing, device: torch.device
) -> Iterator[DecodedBatch]:
    files = ImageFiles(samples, computing.missing)
    dataset = DecodedSamples(files, len(samples.paths), forms)
    loader = Loader(
        dataset,
        dataset.collate,
        in_order(len(dataset), computing.batch_size),
        workers=choose_workers(computing.workers, device),
        device=device,
    )
    # disable=None: no bar where stderr is no terminal.
    hidden = True if computing.quiet else None
    with tqdm(total=len(dataset), unit="img", desc=computing.purpose, disable=hidden) as bar:
        for batch in loader:
            yield batch
            bar.update(len(batch.rows))


@contextmanager
def _full_float32() -> Iterator[None]:
    # By default cuDNN rounds the factors of float32 convolutions to 10 bits (TF32).
    allowed = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = allowed


@contextmanager
def _memory_errors() -> Iterator[None]:
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise UsageError(
            f"the device is out of memory; try a smaller --batch-size ({error})"
        ) from error


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
