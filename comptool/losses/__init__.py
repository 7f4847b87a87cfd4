"""The losses by name, in a table that imports no torch.

Every loss is called ``loss(logits, targets)`` with logits of shape (B, K) and gives one scalar, the
mean over the batch. It computes in float32 or better, whatever autocast or the logits' type say.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from comptool.errors import UsageError
from comptool.registry import Entry, Registry, refuse_unknown_options

if TYPE_CHECKING:
    from torch import nn

LOSSES = Registry(
    "loss",
    Entry(
        "ce",
        "comptool.losses.softmax:CrossEntropy",
        "Softmax cross-entropy, with label smoothing and class weights.",
        "torch.nn.CrossEntropyLoss; smoothing: Szegedy et al. 2016, arXiv:1512.00567, section 7",
    ),
    Entry(
        "focal",
        "comptool.losses.softmax:Focal",
        "Cross-entropy, smoothed by 0.1, that counts a sample less the better it is classified.",
        "Lin et al. 2017, arXiv:1708.02002, equation 4, in its softmax form",
    ),
    Entry(
        "poly-softmax",
        "comptool.losses.sigmoid:PolySoftmax",
        "Cross-entropy plus epsilon (1 - p_t).",
        "Leng et al. 2022, arXiv:2204.12511, Poly-1 in its softmax form",
    ),
    Entry(
        "ldam",
        "comptool.losses.softmax:Ldam",
        "Cross-entropy with wider margins for rarer classes; for the head +cosine.",
        "Cao et al. 2019, arXiv:1906.07413, equations 11 to 13",
    ),
    Entry(
        "balanced-softmax",
        "comptool.losses.softmax:BalancedSoftmax",
        "Logit adjustment: tau times the logarithm of the classes' frequencies in training.",
        "Ren et al. 2020, arXiv:2007.10740; Menon et al. 2021, arXiv:2007.07314, equation 10",
    ),
    Entry(
        "bce",
        "comptool.losses.sigmoid:BinaryCrossEntropy",
        "Binary cross-entropy of every class (multi-label; leaves out -1).",
        "torch.nn.BCEWithLogitsLoss",
    ),
    Entry(
        "sigmoid-focal",
        "comptool.losses.sigmoid:SigmoidFocal",
        "Focal loss of every class (multi-label; leaves out -1).",
        "Lin et al. 2017, arXiv:1708.02002, equation 5",
    ),
    Entry(
        "asl",
        "comptool.losses.sigmoid:Asymmetric",
        "Focal loss that forgives easy negatives most (multi-label; leaves out -1).",
        "Ben-Baruch, Ridnik et al. 2021, arXiv:2009.14119, section 2",
    ),
    Entry(
        "partial-asl",
        "comptool.losses.partial:PartialAsymmetric",
        "ASL with a choice of what to make of -1 (multi-label).",
        "Ben-Baruch et al. 2022, arXiv:2110.10955, section 3",
    ),
    Entry(
        "zlpr",
        "comptool.losses.sigmoid:Zlpr",
        "Ranks positives above 0 above negatives (multi-label; leaves out -1).",
        "Su et al. 2022, arXiv:2208.02955",
    ),
    Entry(
        "two-way",
        "comptool.losses.sigmoid:TwoWay",
        "Ranks the classes of a sample and the samples of a class (multi-label; leaves out -1).",
        "Kobayashi 2023, Two-Way Multi-Label Loss, CVPR, section 3",
    ),
    Entry(
        "distribution-balanced",
        "comptool.losses.sigmoid:DistributionBalanced",
        "BCE re-weighted for a long tail of co-occurring classes (multi-label; leaves out -1).",
        "Wu et al. 2020, arXiv:2007.09654, section 3",
    ),
    Entry(
        "poly",
        "comptool.losses.sigmoid:Poly",
        "BCE plus epsilon (1 - p_t) (multi-label; leaves out -1).",
        "Leng et al. 2022, arXiv:2204.12511, Poly-1 in its sigmoid form",
    ),
)

# Their targets are one class per image; the others' are one cell per image and class.
SINGLE_LABEL = ("ce", "focal", "poly-softmax", "ldam", "balanced-softmax")

# Options that follow from the rows, or have a file of their own; nobody types them.
FROM_ROWS = ("class_counts", "num_samples", "class_weights", "prior")


def names() -> list[str]:
    """The names of the losses, in the table's order."""
    return LOSSES.names


def check_task(name: str, task: str) -> None:
    """Raise a UsageError unless the loss is one for the task, ``multiclass`` or ``multilabel``."""
    suited = [n for n in names() if (n in SINGLE_LABEL) == (task != "multilabel")]
    if LOSSES.find(name).name not in suited:
        labels = "one label" if name in SINGLE_LABEL else "several labels"
        raise UsageError(
            f"the loss '{name}' is for {labels} per image and the task is {task}; take "
            f"{', '.join(map(repr, suited[:-1]))} or {suited[-1]!r}"
        )


def options(name: str) -> dict[str, Any]:
    """The options that the loss takes, with their defaults; imports the loss.

    Raises
    ------
    UsageError
        If no loss has that name; names the three nearest.
    """
    return LOSSES.find(name).options()


def create(name: str, **given: Any) -> nn.Module:
    """The loss of that name; what is not given keeps the loss's own default.

    Parameters
    ----------
    name
        One of :func:`names`.
    given
        Any of :func:`options`.

    Raises
    ------
    UsageError
        If no loss has that name, if it does not take an option that was given (names those it
        takes), or if a value is out of its range.

    Examples
    --------
    >>> create("focal", gamma=2, smoothing=0.1)
    Focal(gamma=2, smoothing=0.1)
    """
    entry = LOSSES.find(name)
    refuse_unknown_options(f"the loss '{name}'", given, entry.options())
    loss: nn.Module = entry.load()(**given)
    return loss
