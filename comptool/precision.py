"""Arithmetic of torch on a device: TF32 in convolutions, and deterministic operations."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from comptool.errors import UsageError

WORKSPACE = "CUBLAS_WORKSPACE_CONFIG"
TF32_FROM = (8, 0)  # compute capability
_NO_VERSION = re.compile(r"(.+?) does not have a deterministic implementation")
_BY_CUBLAS = re.compile(r"not deterministic because it uses CuBLAS")


@contextmanager
def arithmetic(
    *, tf32: bool, deterministic: bool = False, benchmark: bool = False
) -> Iterator[None]:
    """Torch's settings of arithmetic for a while; the ones before return at the end.

    Parameters
    ----------
    tf32
        Whether float32 convolutions may round their factors to 10 bits (TF32), as cuDNN does by
        default. Products of matrices do not, unless torch has been told so.
    deterministic
        Whether an operation without a deterministic version is an error.
    benchmark
        Whether cuDNN times its kernels for each shape, and takes the fastest.
    """
    cudnn = torch.backends.cudnn
    before = (cudnn.allow_tf32, cudnn.deterministic, cudnn.benchmark)
    strict = torch.are_deterministic_algorithms_enabled()
    warns = torch.is_deterministic_algorithms_warn_only_enabled()
    cudnn.allow_tf32, cudnn.deterministic, cudnn.benchmark = tf32, deterministic, benchmark
    _be_strict(deterministic)
    try:
        yield
    finally:
        cudnn.allow_tf32, cudnn.deterministic, cudnn.benchmark = before
        _be_strict(strict, warn_only=warns)


def _be_strict(strict: bool, *, warn_only: bool = False) -> None:
    now = (
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
    )
    # It imports 900 modules of torch's compiler.
    if now != (strict, warn_only):
        torch.use_deterministic_algorithms(strict, warn_only=warn_only)


@contextmanager
def without_tf32() -> Iterator[None]:
    """Float32 convolutions in all 23 bits for a while, as on a CPU."""
    allowed = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = allowed


def has_tf32(device: torch.device) -> bool:
    """Whether a device has TF32."""
    return device.type == "cuda" and torch.cuda.get_device_capability(device) >= TF32_FROM


def reserve_workspace() -> None:
    """Let cuBLAS sum in one order; read when it is first used."""
    os.environ.setdefault(WORKSPACE, ":4096:8")


@contextmanager
def deterministic_errors() -> Iterator[None]:
    """Turn torch's error for an operation without a deterministic version into a UsageError."""
    try:
        yield
    except RuntimeError as error:
        if found := _NO_VERSION.search(str(error)):
            raise UsageError(
                f"--deterministic: torch has no deterministic version of {found[1]}, which this "
                "training needs; leave --deterministic out, or take another model, loss or device"
            ) from error
        if _BY_CUBLAS.search(str(error)):
            raise UsageError(
                f"--deterministic needs {WORKSPACE}=:4096:8 or :16:8, and it is "
                f"'{os.environ.get(WORKSPACE, '')}'"
            ) from error
        raise
