"""The loss of a run, with the options that were given and the counts that it asks for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from comptool import losses
from comptool.assignments import parse_assignments
from comptool.errors import UsageError
from comptool.training.plan import Member, Plan
from comptool.training.settings import TrainSettings
from comptool.training.task import TYPED

OPTION = "--loss-option"
EFFECTIVE = 0.9999


def make_loss(plan: Plan, member: Member) -> nn.Module:
    """The loss with the options that were given; what was not given is the loss's own.

    Raises
    ------
    UsageError
        If there is no option of that name, a value is out of its range, or a list is not one
        number per class.
    """
    name = plan.loss
    entry = losses.LOSSES.find(name)
    counts = plan.rows.counts(member.train)
    options = _given(plan.settings, name, entry.types())
    if plan.settings.balance == "weights":
        options["class_weights"] = effective_weights(list(counts.values()))
    if plan.prior is not None:
        options["prior"] = plan.prior
    taken = entry.options()
    if "class_counts" in taken:
        options |= {"class_counts": list(counts.values()), "num_samples": len(member.train)}
    criterion = losses.create(name, **options)
    _try(criterion, name, len(counts), multilabel=plan.rows.multilabel)
    return criterion


def _given(settings: TrainSettings, name: str, types: Mapping[str, Any]) -> dict[str, Any]:
    hints = {option: hint for option, hint in types.items() if option not in losses.FROM_ROWS}
    options = parse_assignments(OPTION, f"the loss '{name}'", settings.loss_option, hints)
    named = {"gamma": settings.gamma, "smoothing": settings.label_smoothing}
    for option, value in named.items():
        if value is None:
            continue
        if option in options:
            raise UsageError(f"{TYPED[option]} and {OPTION} {option} are one; give one of them")
        options[option] = value
    return options


def _try(criterion: nn.Module, name: str, num_classes: int, *, multilabel: bool) -> None:
    """Refuse a list of another length than the classes before anything is trained."""
    logits = torch.zeros(2, num_classes)
    targets = torch.zeros(2, num_classes) if multilabel else torch.zeros(2, dtype=torch.int64)
    try:
        criterion(logits, targets)
    except (ValueError, RuntimeError) as error:
        raise UsageError(
            f"the options of the loss '{name}' do not fit {num_classes} classes ({error})"
        ) from error


def effective_weights(counts: list[int]) -> list[float]:
    """Class weights by effective number, (1 - b) / (1 - b^n) with b = 0.9999, of sum K.

    Cui et al. 2019, "Class-Balanced Loss Based on Effective Number of Samples", arXiv:1901.05555,
    equation 2 and section 4.2. A class without rows counts as one of a single row.

    Examples
    --------
    >>> [round(weight, 3) for weight in effective_weights([100, 10, 10])]
    [0.143, 1.428, 1.428]
    """
    raw = [(1 - EFFECTIVE) / (1 - EFFECTIVE ** max(count, 1)) for count in counts]
    return [len(raw) * weight / sum(raw) for weight in raw]
