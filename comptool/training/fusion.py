"""How networks with balanced attention have learnt to weigh its two ways, epoch by epoch."""

from __future__ import annotations

from statistics import fmean

from torch import nn

from comptool.models.eurosat_bmta import fusion_weights
from comptool.training.gauges import Gauge


class FusionGauge(Gauge):
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
    """As :func:`comptool.models.eurosat_bmta.fusion_weights`, and ``alpha_mean``; or empty."""
    alphas = fusion_weights(model)
    return {**alphas, "alpha_mean": fmean(alphas.values())} if alphas else {}
