"""How predictions are computed, settled before torch is imported."""

from __future__ import annotations

import ctypes
import os
from dataclasses import dataclass
from typing import Literal

from comptool.data.device_names import check_device_name
from comptool.errors import UsageError

Backend = Literal["auto", "torch", "onnx"]
Precision = Literal["auto", "fp32", "bf16", "fp16"]


@dataclass(frozen=True)
class Computing:
    """How predictions are computed; none of it changes what they are, ``precision`` aside.

    Parameters
    ----------
    device
        ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
    precision
        ``fp32``, ``bf16`` or ``fp16``; ``auto`` for fp16 on a CUDA card that is faster in it, else
        fp32: its 10 bits keep probabilities nearer to those of fp32 than the 7 of bf16. Logits are
        float32 in any case before they become probabilities, because a sigmoid in half precision
        is exactly one from 8.4 on.
    batch_size
        Samples per forward pass.
    workers
        Threads that load images; None takes one per core.
    missing
        ``error``, or ``zero`` for a black chip in the place of a missing image.
    quiet
        Whether the progress bar is left out.
    purpose
        What the progress bar says.
    backend
        ``torch``; ``onnx`` for ONNX Runtime, which is several times faster on a CPU; ``auto`` for
        that wherever the device is the CPU, the precision fp32 and the network can be exported.
    """

    device: str = "auto"
    precision: Precision = "fp32"
    batch_size: int = 64
    workers: int | None = None
    missing: str = "error"
    quiet: bool = False
    purpose: str = "predict"
    backend: Backend = "auto"

    def __post_init__(self) -> None:
        """Check the device's name, and what ONNX Runtime is asked for.

        Raises
        ------
        UsageError
            If no device is called so, or ONNX Runtime is asked for what it does not do here.
        """
        check_device_name(self.device)
        if self.backend == "onnx" and not self._onnx_fits:
            raise UsageError(
                "--backend onnx computes on the CPU in full precision; leave --device, --bf16 "
                "and --fp16 out, or take --backend torch"
            )

    @property
    def tries_onnx(self) -> bool:
        """Whether ONNX Runtime is to be tried."""
        if self.backend == "onnx":
            return True
        return self.backend == "auto" and self._onnx_fits and self._on_cpu

    @property
    def may_be_half(self) -> bool:
        """Whether the networks may be computed in half precision."""
        return self.precision in ("bf16", "fp16") or (
            self.precision == "auto" and not self._on_cpu and self.backend != "onnx"
        )

    @property
    def _on_cpu(self) -> bool:
        return self.device == "cpu" or not has_cuda()

    @property
    def _onnx_fits(self) -> bool:
        return self.precision in ("auto", "fp32") and self.device in ("auto", "cpu")


def has_cuda() -> bool:
    """Whether a CUDA device is here, asked of the driver itself."""
    if os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1"):
        return False
    try:
        driver = ctypes.CDLL("nvcuda.dll" if os.name == "nt" else "libcuda.so.1")
    except OSError:
        return False
    count = ctypes.c_int()
    failed = driver.cuInit(0) or driver.cuDeviceGetCount(ctypes.byref(count))
    return not failed and count.value > 0
