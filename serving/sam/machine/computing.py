"""In which state PyTorch computes: without gradients, on the cores that are free."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from serving.sam.machine import waiting_threads
from serving.sam.machine.free_cores import threads_on_free_cores

if TYPE_CHECKING:
    import torch


@contextlib.contextmanager
def computing(device: torch.device) -> Iterator[Callable[[], None]]:
    """Compute a block without gradients, on a CPU with as many threads as there are free cores.

    Args:
        device: where it computes.

    Yields:
        A function that looks for free cores again, for a block that goes on for long.
    """
    import torch

    with contextlib.ExitStack() as stack:
        stack.enter_context(torch.inference_mode())
        if device.type == "cpu" and waiting_threads.DEFAULT.on_free_cores:
            yield stack.enter_context(threads_on_free_cores())
        else:
            yield lambda: None
