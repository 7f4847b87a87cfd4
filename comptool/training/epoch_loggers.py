"""Columns of ``metrics.csv`` that only some runs have, besides loss and score."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from statistics import fmean
from typing import Any

from torch import nn

from comptool.models.backbones.eurosat import fusion_weights


class EpochLogger(ABC):
    """What is logged after every epoch.

    One that looks at the model at the end of an epoch has no state. One that follows the updates
    has that of the epoch under way, so that a run resumes in the middle of it.
    """

    @abstractmethod
    def read(self) -> dict[str, float | None]:
        """Values of the epoch that ends, by column; what follows belongs to the next.

        The columns are the same after every epoch; None where there is no value.
        """

    def state_dict(self) -> dict[str, Any]:
        """What :meth:`read` depends on besides the model, as plain values and tensors."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a :meth:`state_dict`."""
        if state:
            raise ValueError(f"this logger keeps nothing, and was handed {', '.join(state)}")


class EpochLoggers:
    """The loggers of a training, by the names that their state is kept under."""

    def __init__(self, **named: EpochLogger) -> None:
        self._named = named

    def read(self) -> dict[str, float | None]:
        """The columns of all loggers."""
        return {
            column: value
            for logger in self._named.values()
            for column, value in logger.read().items()
        }

    def state_dict(self) -> dict[str, Any]:
        """The state of each logger, by its name."""
        return {name: logger.state_dict() for name, logger in self._named.items()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a :meth:`state_dict`; a logger without a state in it starts empty."""
        for name, logger in self._named.items():
            if name in state:
                logger.load_state_dict(state[name])


class FusionLogger(EpochLogger):
    """The fusion weights of a model as they are validated, with balanced attention."""

    def __init__(self, model: nn.Module) -> None:
        self._model = model

    def read(self) -> dict[str, float | None]:
        """One column per block and their mean; none for models without such weights."""
        return {**fusion_columns(self._model)}


def fusion_columns(model: nn.Module) -> dict[str, float]:
    """As :func:`comptool.models.backbones.eurosat.fusion_weights`, and ``alpha_mean``; or empty."""
    alphas = fusion_weights(model)
    return {**alphas, "alpha_mean": fmean(alphas.values())} if alphas else {}
