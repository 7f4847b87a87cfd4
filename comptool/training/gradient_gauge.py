"""What gradient calibration finds and does, epoch by epoch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from comptool.evaluation.curves import Curves
from comptool.training.calibration import Calibration
from comptool.training.gauges import Gauge

NORM, RATIO, WEIGHT = "gradient_norm_", "gradient_ratio_", "objective_weight_"
JOINT = "joint_objective_weight"


class CalibrationGauge(Gauge):
    """Means over the backward passes of an epoch: norms, and what the calibration made of them.

    The columns are ``gradient_norm_<modality>``; with ``intra``, ``gradient_ratio_<modality>``, the
    factor; with ``inter``, ``joint_objective_weight`` and ``objective_weight_<modality>``. Passes
    whose gradients were not finite do not count.

    Parameters
    ----------
    calibration
        Which of them there are.
    modalities
        M names, in the order of the streams.
    device
        Where the norms are.
    """

    def __init__(
        self, calibration: Calibration, modalities: Sequence[str], device: torch.device
    ) -> None:
        self._calibration = calibration
        self._columns = _columns(calibration, modalities)
        self._total = torch.zeros(len(self._columns), dtype=torch.float64, device=device)
        self._passes = torch.zeros((), dtype=torch.int64, device=device)

    def observe(self, norms: Tensor, ratios: Tensor, weights: Tensor) -> None:
        """Add a backward pass; see the junction."""
        found = [norms]
        if self._calibration.intra is not None:
            found.append(ratios)
        if self._calibration.inter:
            found.append(weights)
        values = torch.cat([part.to(self._total) for part in found])
        finite = values.isfinite().all()
        self._total += torch.where(finite, values, 0)
        self._passes += finite

    def read(self) -> dict[str, float | None]:
        """The means by column, None for all if no pass counts."""
        passes = int(self._passes)
        means = [total / passes if passes else None for total in self._total.tolist()]
        self._total.zero_()
        self._passes.zero_()
        return dict(zip(self._columns, means, strict=True))

    def state_dict(self) -> dict[str, Any]:
        """Sums and number of the passes so far."""
        return {"total": self._total.tolist(), "passes": int(self._passes)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a :meth:`state_dict`."""
        self._total.copy_(torch.tensor(state["total"], dtype=torch.float64))
        self._passes.fill_(state["passes"])


def gradient_curves(history: Sequence[Mapping[str, float | None]]) -> list[Curves]:
    """What the rows of a ``metrics.csv`` have of gradients; nothing if none were calibrated.

    Parameters
    ----------
    history
        One row for each of E epochs, 1 or more.
    """

    def lines(prefix: str) -> dict[str, list[float | None]]:
        columns = [column for column in history[0] if column.startswith(prefix)]
        return {name.removeprefix(prefix): [row[name] for row in history] for name in columns}

    weights = lines(WEIGHT)
    if weights:
        weights["joint head"] = [row[JOINT] for row in history]
    panels = [
        Curves("norm of an image's gradient at the features", lines(NORM)),
        Curves("factor that it has on its way into the encoder", lines(RATIO), level=1.0),
        Curves("weight of each head's objective", weights),
    ]
    return [panel for panel in panels if panel.series]


def _columns(calibration: Calibration, modalities: Sequence[str]) -> list[str]:
    columns = [NORM + name for name in modalities]
    if calibration.intra is not None:
        columns += [RATIO + name for name in modalities]
    if calibration.inter:
        columns += [JOINT, *(WEIGHT + name for name in modalities)]
    return columns
