"""What the task makes of a run's settings; no torch."""

from __future__ import annotations

from dataclasses import replace

from comptool.errors import UsageError
from comptool.losses import LOSSES, check_task
from comptool.options import kebab
from comptool.training.config import EVENED, TrainSettings

# bce before asl: its sigmoids are probabilities, as thresholds and pseudo-labels need them.
# It also ranked better: mAP 0.589 and 0.538 against 0.549 and 0.527 (two seeds of 20 epochs of
# mobilenetv3_small_100 at 64 pixels on `simulate aicoss --scale 0.01`).
DEFAULT_LOSS = {"multiclass": "ce", "multilabel": "bce"}
# They rank positives against negatives, and a share between the two is neither.
HARD_TARGETS = ("two-way",)
WITH_PRIOR = "partial-asl"
# Options of losses that have an option of their own on the command line.
TYPED = {
    "gamma": "--gamma",
    "smoothing": "--label-smoothing",
    "class_weights": "--balance weights",
    "prior": "--prior",
}
OF_ONE_CLASS = ("under", "over", "weights")
STAGE = ("drop_classes", "per_class", "weighting", "class_weights")


def for_task(settings: TrainSettings, task: str) -> TrainSettings:
    """The settings with the task's own loss where none is named.

    Parameters
    ----------
    settings
        As they were given.
    task
        ``multiclass`` or ``multilabel``.

    Raises
    ------
    UsageError
        If the loss is unknown or for another task, or an option has no meaning for the loss or
        the task.
    """
    loss = settings.loss or DEFAULT_LOSS[task]
    check_task(loss, task)
    if task == "multilabel" and settings.balance in OF_ONE_CLASS:
        raise UsageError(
            f"--balance {settings.balance} needs one class per image, and the task is multilabel; "
            "take --balance class-aware (an image of each class in turn) or "
            "--loss distribution-balanced"
        )
    for name in STAGE:
        if task == "multilabel" and getattr(settings, name):
            raise UsageError(f"{kebab(name)} needs one class per image, and the task is multilabel")
    _check_mixing(settings, loss)
    if settings.prior is not None and loss != WITH_PRIOR:
        raise UsageError(f"--prior is for the loss '{WITH_PRIOR}', and the loss is '{loss}'")
    _check_options(settings, loss)
    return replace(settings, loss=loss)


def _check_mixing(settings: TrainSettings, loss: str) -> None:
    for name in ("mixup", "cutmix", "balanced_mixup"):
        if loss in HARD_TARGETS and getattr(settings, name):
            raise UsageError(
                f"the loss '{loss}' needs targets of 0 and 1, and {kebab(name)} mixes them; "
                "leave it out"
            )
    others = [kebab(name) for name in ("mixup", "cutmix", "per_class") if getattr(settings, name)]
    if settings.balance in EVENED:
        others.append(f"--balance {settings.balance}")
    if settings.balanced_mixup and others:
        raise UsageError(
            "--balanced-mixup mixes the rows as they come with one of each class in turn; leave "
            f"out {' and '.join(others)}"
        )


def _check_options(settings: TrainSettings, loss: str) -> None:
    given = {
        "gamma": settings.gamma is not None,
        "smoothing": settings.label_smoothing is not None,
        "class_weights": settings.weighted is not None,
    }
    taken = LOSSES.find(loss).option_names()
    for name, is_given in given.items():
        if is_given and name not in taken:
            asked = settings.weighted if name == "class_weights" else TYPED[name]
            known = ", ".join(typed for own, typed in TYPED.items() if own in taken) or "none"
            raise UsageError(
                f"the loss '{loss}' has no use for {asked}; of such options it takes {known}"
            )
