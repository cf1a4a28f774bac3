"""A GPU whose error stays: every later call of the process would fail as this one did."""

from __future__ import annotations

EXIT_CODE = 75  # of the worker; sysexits.h calls it a temporary failure

# PyTorch's own texts: "CUDA error: an illegal memory access was encountered", "CUDA error:
# device-side assert triggered", "CUDA error: CUBLAS_STATUS_EXECUTION_FAILED", "cuDNN error: ...".
# A lack of memory reads "CUDA out of memory", and passes. No GPU was at hand: UNVERIFIED.
_SIGNS = ("CUDA error", "cuDNN error")


class LostDeviceError(Exception):
    """The accelerator is lost to this process; another process may have it again."""


def is_lost_device(error: Exception) -> bool:
    """Whether the error is one of an accelerator that no later call of this process can use."""
    return any(sign in str(error) for sign in _SIGNS)
