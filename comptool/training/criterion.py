"""The loss of a run, with its options, class counts and class weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from comptool import losses
from comptool.errors import UsageError
from comptool.key_value import parse_assignments
from comptool.losses.class_weights import class_weights
from comptool.losses.wrappers import DeferredWeights, Standardised, WithoutClasses
from comptool.tasks import Task
from comptool.training.config import TYPED, TrainSettings
from comptool.training.data import TrainMember, TrainPlan

OPTION = "--loss-option"


def make_loss(plan: TrainPlan, member: TrainMember) -> nn.Module:
    """The loss with the given options, on the logits of the classes that are kept."""
    name, num_classes = plan.loss, len(plan.rows.classes)
    entry = losses.LOSSES.find(name)
    masked = () if plan.settings.keep_dropped_logits else plan.dropped
    kept = [index for index in range(num_classes) if index not in masked]
    counts = list(plan.rows.counts(member.drawn).values())
    options = _given(plan.settings, name, entry.types())
    weights = _weights(plan, counts)
    if weights is not None and not plan.settings.defer_weights:
        options["class_weights"] = [weights[index] for index in kept]
    if plan.prior is not None:
        options["prior"] = plan.prior
    known = plan.rows.known(member.drawn)
    of_rows = {
        "class_counts": [counts[index] for index in kept],
        "num_samples": [known[index] for index in kept],
    }
    options |= {key: value for key, value in of_rows.items() if key in entry.options()}
    criterion = losses.create(name, **options)
    if weights is not None and plan.settings.defer_weights:
        late = [weights[index] for index in kept]
        criterion = DeferredWeights(criterion, late, plan.settings.defer_weights)
    _try(criterion, name, len(kept), plan.rows.task)
    if plan.rows.task.numbers:
        return Standardised(criterion, *plan.rows.scale(member.drawn))
    return WithoutClasses(criterion, masked, num_classes) if masked else criterion


def _weights(plan: TrainPlan, counts: Sequence[int]) -> list[float] | None:
    """Class weights of the K classes; 1 for dropped ones."""
    if plan.class_weights is not None:
        return list(plan.class_weights)
    if plan.settings.scheme is None:
        return None
    kept = [index for index in range(len(counts)) if index not in plan.dropped]
    found = class_weights(plan.settings.scheme, [counts[index] for index in kept])
    weights = [1.0] * len(counts)
    for index, weight in zip(kept, found, strict=True):
        weights[index] = weight
    return weights


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


def _try(criterion: nn.Module, name: str, num_classes: int, task: Task) -> None:
    """Try the loss with the number of classes, before training."""
    logits = torch.zeros(2, task.outputs(num_classes))
    targets = torch.from_numpy(task.blank_targets(2, num_classes))
    if losses.LOSSES.find(name).is_users:
        _try_users(criterion, name, logits.requires_grad_(), targets)
        return
    try:
        criterion(logits, targets)
    except (ValueError, RuntimeError) as error:
        raise UsageError(
            f"the options of the loss '{name}' do not fit {num_classes} classes ({error})"
        ) from error


def _try_users(criterion: nn.Module, name: str, logits: Tensor, targets: Tensor) -> None:
    """Check that a user's ``loss(logits, targets)`` returns a scalar with a gradient."""
    shapes = f"logits {tuple(logits.shape)} and targets {tuple(targets.shape)}"
    try:
        found = criterion(logits, targets)
    except Exception as error:
        raise UsageError(
            f"the loss '{name}' cannot be called as loss(logits, targets) with {shapes} of "
            f"{targets.dtype} ({type(error).__name__}: {error})"
        ) from error
    if not isinstance(found, Tensor) or found.ndim or not found.requires_grad:
        is_tensor = isinstance(found, Tensor)
        shown = f"a tensor of shape {tuple(found.shape)}" if is_tensor else type(found).__name__
        raise UsageError(
            f"the loss '{name}' has to give a scalar tensor with a gradient; it gives {shown}"
        )
