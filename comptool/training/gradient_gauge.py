"""What gradient calibration finds and does, epoch by epoch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from comptool.training.calibration import Calibration
from comptool.training.gauges import Gauge


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


def _columns(calibration: Calibration, modalities: Sequence[str]) -> list[str]:
    columns = [f"gradient_norm_{name}" for name in modalities]
    if calibration.intra is not None:
        columns += [f"gradient_ratio_{name}" for name in modalities]
    if calibration.inter:
        columns += ["joint_objective_weight"]
        columns += [f"objective_weight_{name}" for name in modalities]
    return columns
