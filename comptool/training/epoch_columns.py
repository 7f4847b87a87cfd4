"""Columns added to ``metrics.csv`` each epoch, such as fusion weights."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from statistics import fmean
from typing import Any

from torch import nn

from comptool.models.backbones.eurosat import fusion_weights


class EpochLogger(ABC):
    """Columns of ``metrics.csv`` that only some runs have.

    One that looks at the model at the end of an epoch has no state. One that follows the updates
    has that of the epoch under way, so that a run goes on in the middle of it.
    """

    @abstractmethod
    def read(self) -> dict[str, float | None]:
        """Values of the epoch that ends, by column; what follows belongs to the next.

        The columns are the same after every epoch; None where there is nothing to tell.
        """

    def state_dict(self) -> dict[str, Any]:
        """What :meth:`read` depends on beside the model, as plain values and tensors."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a :meth:`state_dict`."""
        if state:
            raise ValueError(f"this gauge keeps nothing, and was handed {', '.join(state)}")


class Gauges:
    """The gauges of a training, by name.

    Parameters
    ----------
    named
        Each of them; names are those that its state is kept under.
    """

    def __init__(self, **named: EpochLogger) -> None:
        self._named = named

    def read(self) -> dict[str, float | None]:
        """The columns of all gauges."""
        return {
            column: value
            for gauge in self._named.values()
            for column, value in gauge.read().items()
        }

    def state_dict(self) -> dict[str, Any]:
        """The state of each gauge, by its name."""
        return {name: gauge.state_dict() for name, gauge in self._named.items()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a :meth:`state_dict`; a gauge that it does not know begins anew."""
        for name, gauge in self._named.items():
            if name in state:
                gauge.load_state_dict(state[name])


class FusionGauge(EpochLogger):
    """The fusion weights of a model as columns of ``metrics.csv``.

    Parameters
    ----------
    model
        Whose weights are looked at when an epoch ends; those that are validated.
    """

    def __init__(self, model: nn.Module) -> None:
        self._model = model

    def read(self) -> dict[str, float | None]:
        """One column per block and their mean; none for models without such weights."""
        return {**fusion_columns(self._model)}


def fusion_columns(model: nn.Module) -> dict[str, float]:
    """As :func:`comptool.models.backbones.eurosat.fusion_weights`, and ``alpha_mean``; or empty."""
    alphas = fusion_weights(model)
    return {**alphas, "alpha_mean": fmean(alphas.values())} if alphas else {}
