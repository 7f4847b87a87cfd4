"""Automatic mixed precision (AMP) with loss scaling for fp16."""

from __future__ import annotations

import torch

from comptool.errors import UsageError
from comptool.training.config import Amp


def autocast_dtype(amp: Amp, device: torch.device) -> torch.dtype | None:
    """The autocast type, or None for float32.

    ``auto`` is bf16 on a GPU that supports it, else fp16, and off on a CPU, where bf16 without AMX
    is about fifteen times slower than float32.
    """
    if amp == "off" or (amp == "auto" and device.type != "cuda"):
        return None
    has_bf16 = device.type != "cuda" or torch.cuda.is_bf16_supported(including_emulation=False)
    if amp == "bf16" and not has_bf16:
        raise UsageError("this card does not compute in bf16; take --amp fp16")
    return torch.float16 if amp == "fp16" or not has_bf16 else torch.bfloat16


class MixedPrecision:
    """Autocast and loss scaling for all types."""

    def __init__(self, amp: Amp, device: torch.device) -> None:
        self.dtype = autocast_dtype(amp, device)
        self.device = device
        # Gradients in fp16 underflow below 6e-8; bf16 has float32's range.
        self.scaler = torch.amp.GradScaler(device.type, enabled=self.dtype is torch.float16)

    @property
    def name(self) -> str:
        """``float32``, ``bfloat16`` or ``float16``."""
        return str(self.dtype or torch.float32).removeprefix("torch.")

    def autocast(self) -> torch.autocast:
        """Context of the forward pass; no effect in float32."""
        return torch.autocast(self.device.type, dtype=self.dtype, enabled=self.dtype is not None)
