"""How many prompts go through the decoder together, and what happens when memory runs out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import torch

from serving.sam.mask_decoder import MaskDecoder, PreparedImage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

T = TypeVar("T")

CPU_BATCH = 16  # prompts whose tokens go together; measured from 1 to 32, more gains nothing
GPU_BATCH = 256  # beyond, a GPU is busy and gains nothing, UNVERIFIED
GPU_MEMORY_SHARE = 0.5  # of what is free, for a batch of prompts


def prompts_at_once(decoder: MaskDecoder[Any, Any], shared: PreparedImage, most: int) -> int:
    """How many prompts to decode together: few on a CPU, on a GPU what its memory takes.

    Args:
        decoder: of the network.
        shared: the image that the prompts point into.
        most: on a CPU, where the caller asks for fewer.
    """
    device = shared.device
    if device.type != "cuda":
        return min(CPU_BATCH, most)
    free, _ = torch.cuda.mem_get_info(device)
    # What the allocator holds and does not use is free as well.
    free += torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    fits = int(free * GPU_MEMORY_SHARE / decoder.bytes_per_prompt(shared))
    return max(1, min(GPU_BATCH, fits))


def in_batches(count: int, at_once: int, work: Callable[[slice], T]) -> Iterator[tuple[int, T]]:
    """Process many items in batches; smaller ones from where a GPU's memory runs out.

    Args:
        count: of items.
        at_once: items in a batch, to begin with.
        work: processes a slice of them; called again, for fewer, when the memory ran out.

    Yields:
        The first item's number of each batch, and the batch's result.

    Raises:
        torch.OutOfMemoryError: a single item does not fit.
    """
    start = 0
    while start < count:
        size = min(at_once, count - start)
        fits = True
        try:
            result = work(slice(start, start + size))
        except torch.OutOfMemoryError:
            if size == 1:
                raise
            fits = False
        if not fits:
            # Only here: inside ``except`` the traceback still holds the failed batch's tensors.
            torch.cuda.empty_cache()
            at_once = size // 2
            continue
        yield start, result
        start += size


def with_memory_freed(work: Callable[[], T]) -> T:
    """Do work that cannot be divided; once more, where memory that lies unused made it fail.

    Raises:
        torch.OutOfMemoryError: it does not fit.
    """
    try:
        return work()
    except torch.OutOfMemoryError:
        pass
    torch.cuda.empty_cache()
    return work()
