"""Probabilities of many rows, summed: each process takes its share of them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

from comptool.data.batches import SampleDataset
from comptool.data.loading import choose_workers, loader
from comptool.data.sampling import in_order
from comptool.models.checkpoints import load_checkpoint
from comptool.training.estimation import Part
from comptool.training.processes import Processes
from comptool.training.validation import Eye, probabilities_of


@torch.inference_mode()
def summed(
    part: Part, processes: Processes, batch_size: int, workers: int | None, missing: str
) -> npt.NDArray[np.float64]:
    """Sum over all rows of the probability of each class, float64 of shape (K,).

    Parameters
    ----------
    part
        A checkpoint and the rows.
    processes
        Whose shares are put together; every process gets the whole sum.
    batch_size, workers
        Of loading.
    missing
        What a missing image is; see `comptool.data.files.ImageFiles`.
    """
    model, header = load_checkpoint(part.folder, str(processes.device))
    eye = Eye.of(header, processes.device, channels_last=False)
    dataset = SampleDataset(
        part.samples,
        None,
        sizes=header["img_size"],
        channels=header["channels"],
        missing=missing,
        bits=header.get("bits"),
    )
    order = in_order(len(dataset), batch_size, rank=processes.rank, world_size=processes.size)
    chosen = choose_workers(workers, processes.device)
    total = torch.zeros(len(header["classes"]), dtype=torch.float64)
    for batch in loader(dataset, order, workers=chosen, device=processes.device):
        shares = probabilities_of(model(*eye.see(batch.images)), multilabel=True)
        total += shares.double().sum(dim=0).cpu()
    return np.asarray(sum(processes.gather(total.numpy())), np.float64)
