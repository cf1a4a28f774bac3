"""What a machine computes on: the device and its driver; is it what is paid for, is it lost."""

from __future__ import annotations

import platform
import re
from pathlib import Path
from typing import TYPE_CHECKING

from serving.sam.errors import DeviceError

if TYPE_CHECKING:
    import torch

# PyTorch's own texts: "CUDA error: an illegal memory access was encountered", "CUDA error:
# device-side assert triggered", "CUDA error: CUBLAS_STATUS_EXECUTION_FAILED", "cuDNN error: ...".
# A lack of memory reads "CUDA out of memory", and passes. No GPU was at hand: UNVERIFIED.
_SIGNS = ("CUDA error", "cuDNN error")
_DRIVER = Path("/proc/driver/nvidia/version")  # of the kernel module; containers see the host's


def describe_device(device: torch.device) -> dict[str, str]:
    """Say what a device is.

    Args:
        device: as :func:`serving.sam.machine.devices.choose_device` returns it.

    Returns:
        ``device`` and ``name``; for a GPU also ``driver``, ``cuda`` (which PyTorch was built for)
        and ``capability``, each empty where it is not known.
    """
    import torch

    if device.type != "cuda":
        return {"device": str(device), "name": platform.processor() or platform.machine()}
    return {
        "device": str(device),
        "name": torch.cuda.get_device_name(device),
        "driver": nvidia_driver(),
        "cuda": str(torch.version.cuda or ""),
        "capability": ".".join(map(str, torch.cuda.get_device_capability(device))),
    }


def nvidia_driver(path: Path | None = None) -> str:
    """The version of this machine's NVIDIA driver; empty for none.

    It is in the first line: ``NVRM version: ... Kernel Module  550.54.15  Tue ...``.

    Args:
        path: the kernel module's own account.
    """
    try:
        text = (path or _DRIVER).read_text("utf-8")
    except OSError:
        return ""
    version = re.search(r"\b(\d{3}\.\d+(?:\.\d+)?)\b", text)
    return version[1] if version else ""


def is_lost_device(error: Exception) -> bool:
    """Whether the error is one of an accelerator that no later call of this process can use."""
    return any(sign in str(error) for sign in _SIGNS)


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
    driver = nvidia_driver()
    found = f"driver {driver}" if driver else "no NVIDIA driver"
    built = f"CUDA {torch.version.cuda}" if torch.version.cuda else "CPUs only"
    raise DeviceError(
        f"this machine has {accelerator}, but PyTorch {torch.__version__} sees no GPU ({found}; "
        f"built for {built}); it would compute on the CPU at the accelerator's price. Use an image "
        "whose CUDA the driver supports, or a machine without accelerator"
    )
