"""From the host to the device without waiting."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray


def upload(values: torch.Tensor | NDArray[Any], device: torch.device) -> torch.Tensor:
    """Values on the device, of the same type; on a CPU they are the same memory.

    To a GPU they go from pinned memory, so that the host does not wait until it has done everything
    before (https://docs.pytorch.org/docs/stable/notes/cuda.html, "Use pinned memory buffers").

    Args:
        values: on the host.
        device: where they are needed.
    """
    tensor = torch.from_numpy(values) if isinstance(values, np.ndarray) else values
    if device.type == "cpu":
        return tensor
    return tensor.pin_memory().to(device, non_blocking=True)
