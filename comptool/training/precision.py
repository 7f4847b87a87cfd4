"""Automatic mixed precision: which, and the loss scaling that fp16 alone needs."""

from __future__ import annotations

import torch

from comptool.errors import UsageError
from comptool.training.config import Amp


def autocast_dtype(amp: Amp, device: torch.device) -> torch.dtype | None:
    """The type that layers run in under autocast; None for float32 throughout.

    ``auto`` is bf16 on a CUDA card that computes in it, fp16 on an older card, and off on a CPU,
    where bf16 without AMX is some fifteen times slower than float32.
    """
    if amp == "off" or (amp == "auto" and device.type != "cuda"):
        return None
    has_bf16 = device.type != "cuda" or torch.cuda.is_bf16_supported(including_emulation=False)
    if amp == "bf16" and not has_bf16:
        raise UsageError("this card does not compute in bf16; take --amp fp16")
    return torch.float16 if amp == "fp16" or not has_bf16 else torch.bfloat16


class MixedPrecision:
    """Autocast and loss scaling as one code path, whatever the type.

    Parameters
    ----------
    amp
        ``auto``, ``bf16``, ``fp16`` or ``off``.
    device
        Where the model runs.
    """

    def __init__(self, amp: Amp, device: torch.device) -> None:
        self.dtype = autocast_dtype(amp, device)
        self.device = device
        # fp16 underflows below 6e-8, bf16 has float32's range: only fp16 is scaled.
        self.scaler = torch.amp.GradScaler(device.type, enabled=self.dtype is torch.float16)

    @property
    def name(self) -> str:
        """``float32``, ``bfloat16`` or ``float16``."""
        return str(self.dtype or torch.float32).removeprefix("torch.")

    def autocast(self) -> torch.autocast:
        """A context for the forward pass; without effect in float32."""
        return torch.autocast(self.device.type, dtype=self.dtype, enabled=self.dtype is not None)
