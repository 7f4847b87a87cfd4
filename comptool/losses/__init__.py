"""Losses by name; importing this package does not import torch.

Every loss is called as ``loss(logits, targets)`` with logits (B, K), or as many outputs as the task
has, and returns a scalar, the mean over the batch, computed in float32 or better, also inside
autocast.

To add a loss: its class in the file of its kind, and its entry in :data:`LOSSES`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from comptool import tasks
from comptool.errors import ComptoolError, UsageError
from comptool.registry import Entry, Registry, refuse_unknown_options

if TYPE_CHECKING:
    from torch import nn

SINGLE, SEVERAL, GRADES = ("multiclass",), ("multilabel",), ("ordinal",)
NUMBERS = ("regression", *GRADES)


@dataclass(frozen=True)
class Loss(Entry):
    """An entry of the registry. The defaults are those of a user's own loss.

    Training fills the options of :data:`FROM_ROWS`.
    """

    tasks: tuple[str, ...] = (*SINGLE, *SEVERAL, *NUMBERS)
    hard_targets: bool = False  # whether targets have to be 0 or 1, without mixup and cutmix
    calibrated: bool = True  # whether its minimum has probabilities that are shares of rows
    takes_prior: bool = False  # whether --prior applies, as its option ``prior``
    of_cosines: bool = False  # whether it expects logits that are cosines times its ``scale``
    # Values of its option ``mode`` that treat cells without a label mostly as absent.
    absent_modes: tuple[str, ...] = ()
    # Default of its option ``mode``; None: it ignores cells without a label.
    default_mode: str | None = None


# fmt: off
LOSSES: Registry[Loss] = Registry(
    "loss",
    Loss("ce", "comptool.losses.softmax:CrossEntropy",
        "Softmax cross-entropy, with label smoothing and class weights.",
        "torch.nn.CrossEntropyLoss; smoothing: Szegedy et al. 2016, arXiv:1512.00567, section 7",
        tasks=SINGLE),
    Loss("focal", "comptool.losses.softmax:Focal",
        "Cross-entropy, smoothed by 0.1, with less weight for well classified samples.",
        "Lin et al. 2017, arXiv:1708.02002, equation 4, in its softmax form", tasks=SINGLE),
    Loss("poly-softmax", "comptool.losses.softmax:PolySoftmax",
        "Cross-entropy plus epsilon (1 - p_t).",
        "Leng et al. 2022, arXiv:2204.12511, Poly-1 in its softmax form", tasks=SINGLE),
    Loss("ldam", "comptool.losses.softmax:Ldam",
        "Cross-entropy with wider margins for rarer classes; for the head +cosine.",
        "Cao et al. 2019, arXiv:1906.07413, equations 11 to 13", tasks=SINGLE, of_cosines=True),
    Loss("balanced-softmax", "comptool.losses.softmax:BalancedSoftmax",
        "Logit adjustment: tau times the logarithm of the classes' frequencies in training.",
        "Ren et al. 2020, arXiv:2007.10740; Menon et al. 2021, arXiv:2007.07314, equation 10",
        tasks=SINGLE),
    Loss("bce", "comptool.losses.sigmoid:BinaryCrossEntropy",
        "Binary cross-entropy of every class (multi-label; leaves out -1).",
        "torch.nn.BCEWithLogitsLoss", tasks=SEVERAL),
    Loss("sigmoid-focal", "comptool.losses.sigmoid:SigmoidFocal",
        "Focal loss of every class (multi-label; leaves out -1).",
        "Lin et al. 2017, arXiv:1708.02002, equation 5", tasks=SEVERAL, calibrated=False),
    Loss("asl", "comptool.losses.sigmoid:Asymmetric",
        "Focal loss that forgives easy negatives most (multi-label; leaves out -1).",
        "Ben-Baruch, Ridnik et al. 2021, arXiv:2009.14119, section 2", tasks=SEVERAL,
        calibrated=False),
    Loss("partial-asl", "comptool.losses.sigmoid:PartialAsymmetric",
        "ASL with several ways to treat -1 (multi-label).",
        "Ben-Baruch et al. 2022, arXiv:2110.10955, section 3", tasks=SEVERAL, takes_prior=True,
        absent_modes=("negative", "selective"), default_mode="selective"),
    Loss("zlpr", "comptool.losses.sigmoid:Zlpr",
        "Ranks positives above 0 above negatives (multi-label; leaves out -1).",
        "Su et al. 2022, arXiv:2208.02955", tasks=SEVERAL, calibrated=False),
    Loss("two-way", "comptool.losses.sigmoid:TwoWay",
        "Ranks the classes of a sample and the samples of a class (multi-label; leaves out -1).",
        "Kobayashi 2023, Two-Way Multi-Label Loss, CVPR, section 3", tasks=SEVERAL,
        calibrated=False, hard_targets=True),
    Loss("distribution-balanced", "comptool.losses.sigmoid:DistributionBalanced",
        "BCE re-weighted for a long tail of co-occurring classes (multi-label; leaves out -1).",
        "Wu et al. 2020, arXiv:2007.09654, section 3", tasks=SEVERAL, calibrated=False),
    Loss("poly", "comptool.losses.sigmoid:Poly",
        "BCE plus epsilon (1 - p_t) (multi-label; leaves out -1).",
        "Leng et al. 2022, arXiv:2204.12511, Poly-1 in its sigmoid form", tasks=SEVERAL),
    Loss("corn", "comptool.losses.ordinal_losses:Corn",
        "Cross-entropy of grades by the questions \"above k, if above k - 1\" (ordinal).",
        "Shi, Cao & Raschka 2021, arXiv:2111.08851, equation 7", tasks=GRADES),
    Loss("coral", "comptool.losses.ordinal_losses:Coral",
        "Binary cross-entropies of the questions \"above k\" (ordinal); for the head +coral.",
        "Cao, Mirjalili & Raschka 2020, arXiv:1901.07884, equation 4", tasks=GRADES),
    Loss("mse", "comptool.losses.number_losses:MeanSquared",
        "Squared distance of a number, or of the expected grade (regression, ordinal).",
        "torch.nn.MSELoss", tasks=NUMBERS, calibrated=False),
    Loss("smooth-l1", "comptool.losses.number_losses:SmoothL1",
        "Squared distance that grows linearly from beta on (regression, ordinal).",
        "Girshick 2015, arXiv:1504.08083, equation 3", tasks=NUMBERS, calibrated=False),
    Loss("huber", "comptool.losses.number_losses:Huber",
        "Half the squared distance that grows linearly from delta on (regression, ordinal).",
        "Huber 1964, doi:10.1214/aoms/1177703732", tasks=NUMBERS, calibrated=False),
)
# fmt: on

# Options filled from the rows or from a file, never typed.
FROM_ROWS = ("class_counts", "num_samples", "class_weights", "prior")


def names() -> list[str]:
    """The names of the losses, in the registry's order."""
    return LOSSES.names


def check_task(name: str, task: str) -> None:
    """Raise a UsageError unless the loss supports the task."""
    taken = LOSSES.find(name).tasks
    if task not in taken:
        suited = [entry.name for entry in LOSSES if task in entry.tasks]
        has = " or ".join(tasks.find(other).has for other in taken)
        raise UsageError(
            f"the loss '{name}' is for {has} per image and the task is {task}; take "
            f"{', '.join(map(repr, suited[:-1]))} or {suited[-1]!r}"
        )


def options(name: str) -> dict[str, Any]:
    """The options of a loss with their defaults; imports the loss."""
    return LOSSES.find(name).options()


def create(name: str, **given: Any) -> nn.Module:
    """Create a loss by name; options that are not given keep the defaults of the loss.

    Parameters
    ----------
    name
        One of :func:`names`, ``FILE.py:Class``, or the name of a plugin.
    given
        Any of :func:`options`.

    Raises
    ------
    UsageError
        If the loss or an option is unknown, a value is out of range, or a user's loss is not a
        :class:`torch.nn.Module`.

    Examples
    --------
    >>> create("focal", gamma=2, smoothing=0.1)
    Focal(gamma=2, smoothing=0.1)
    """
    entry = LOSSES.find(name)
    refuse_unknown_options(f"the loss '{name}'", given, entry.options())
    if not entry.is_users:
        loss: nn.Module = entry.load()(**given)
        return loss
    return _users(name, entry.load(), given)


def _users(name: str, factory: Any, given: dict[str, Any]) -> nn.Module:
    from torch import nn

    if not (isinstance(factory, type) and issubclass(factory, nn.Module)):
        raise UsageError(
            f"the loss '{name}' has to be a class that inherits from torch.nn.Module and is "
            "called as loss(logits, targets)"
        )
    try:
        loss: nn.Module = factory(**given)
    except ComptoolError:
        raise
    except Exception as error:
        raise UsageError(
            f"the loss '{name}' cannot be made with the options {given or 'that it has'} "
            f"({type(error).__name__}: {error})"
        ) from error
    return loss
