"""Optional columns of ``metrics.csv``, besides loss and score."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from statistics import fmean
from typing import Any

from torch import nn

from comptool.models.backbones.eurosat import fusion_weights


class EpochLogger(ABC):
    """Logs values after every epoch; state covers the current epoch, if needed to resume."""

    @abstractmethod
    def read(self) -> dict[str, float | None]:
        """Values by column, the same columns after every epoch; starts the next epoch."""

    def state_dict(self) -> dict[str, Any]:
        """State to resume within an epoch, as plain values and tensors."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore a :meth:`state_dict`."""
        if state:
            raise ValueError(f"this logger keeps nothing, and was handed {', '.join(state)}")


class EpochLoggers:
    """The loggers of a training, by name."""

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
        """State of each logger, by name."""
        return {name: logger.state_dict() for name, logger in self._named.items()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore a :meth:`state_dict`; a logger without state starts empty."""
        for name, logger in self._named.items():
            if name in state:
                logger.load_state_dict(state[name])


class FusionLogger(EpochLogger):
    """Fusion weights of the validated model, with balanced attention."""

    def __init__(self, model: nn.Module) -> None:
        self._model = model

    def read(self) -> dict[str, float | None]:
        """One column per block and their mean; empty without fusion weights."""
        return {**fusion_columns(self._model)}


def fusion_columns(model: nn.Module) -> dict[str, float]:
    """Fusion weights per block and ``alpha_mean``; empty without fusion weights."""
    alphas = fusion_weights(model)
    return {**alphas, "alpha_mean": fmean(alphas.values())} if alphas else {}
