"""What computes here: the GPU, its driver, the CUDA that PyTorch was built for."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from serving.sam.errors import DeviceError

if TYPE_CHECKING:
    import torch

# Linux only, where the driver's module is loaded: "NVRM version: NVIDIA UNIX ... 550.90.07 ...".
DRIVER_FILE = Path("/proc/driver/nvidia/version")

# PyTorch's own texts: "CUDA error: an illegal memory access was encountered", "CUDA error:
# device-side assert triggered", "CUDA error: CUBLAS_STATUS_EXECUTION_FAILED", "cuDNN error: ...".
# A lack of memory reads "CUDA out of memory", and passes. No GPU was at hand: UNVERIFIED.
_SIGNS = ("CUDA error", "cuDNN error")


def is_lost_device(error: Exception) -> bool:
    """Whether the error is one of an accelerator that no later call of this process can use."""
    return any(sign in str(error) for sign in _SIGNS)


def driver_version() -> str:
    """The version of NVIDIA's driver, or an empty text where none is loaded."""
    try:
        text = DRIVER_FILE.read_text("utf-8", errors="replace")
    except OSError:
        return ""
    found = re.search(r"\b(\d{3,4}\.\d+(?:\.\d+)?)\b", text)
    return found.group(1) if found else "unknown"


def describe_device(device: torch.device) -> dict[str, str]:
    """What a log or a reply says of the device: its name, driver, CUDA, and PyTorch's version."""
    import torch

    known = {"device": str(device), "torch": str(torch.__version__)}
    if device.type == "cuda":
        known["gpu"] = torch.cuda.get_device_name(device)
        known["cuda"] = str(torch.version.cuda or "")
        known["driver"] = driver_version()
    return known


def require_accelerator(accelerator: str, device: torch.device) -> None:
    """Refuse to compute on the CPU of a machine whose accelerator is paid for.

    Args:
        accelerator: that the machine was asked for with; empty for none.
        device: on which the network would compute.

    Raises:
        DeviceError: there should be a GPU, and PyTorch does not see one.
    """
    import torch

    if not accelerator or device.type == "cuda":
        return
    driver = driver_version()
    found = f"driver {driver}" if driver else "no NVIDIA driver"
    built = f"CUDA {torch.version.cuda}" if torch.version.cuda else "CPUs only"
    raise DeviceError(
        f"this machine has {accelerator}, but PyTorch {torch.__version__} sees no GPU ({found}; "
        f"built for {built}); it would compute on the CPU at the accelerator's price. Use an image "
        "whose CUDA the driver supports, or a machine without accelerator"
    )
