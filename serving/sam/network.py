"""The parts of a loaded network that compute, and how many prompts they take at once."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, TypeVar

import torch

from serving.sam.decoder import FastDecoder, ImageSide
from serving.sam.images import RgbImage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from segment_anything.modeling import Sam

T = TypeVar("T")

CPU_BATCH = 16  # prompts whose tokens go together; measured from 1 to 32, more gains nothing
GPU_MEMORY_SHARE = 0.5  # of what is free, for a batch of prompts


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Network:
    """What generator and prompts call.

    Attributes:
        sam: the official network: sizes, prompt encoder, thresholds.
        decoder: its decoder in a faster order.
        embed: (H, W, 3) uint8 image to its embedding (1, C, G, G) and its size in the network.
    """

    sam: Sam
    decoder: FastDecoder
    embed: Callable[[RgbImage], tuple[torch.Tensor, tuple[int, int]]]


def prompts_at_once(decoder: FastDecoder, shared: ImageSide, most: int) -> int:
    """How many prompts to decode together: few on a CPU, on a GPU what its memory takes."""
    if shared.side.device.type != "cuda":
        return min(CPU_BATCH, most)
    free, _ = torch.cuda.mem_get_info(shared.side.device)
    return max(1, min(most, int(free * GPU_MEMORY_SHARE / decoder.bytes_per_prompt(shared))))


def in_batches(count: int, at_once: int, work: Callable[[slice], T]) -> Iterator[tuple[int, T]]:
    """Do some of many things at a time; less at a time from where a GPU's memory runs out.

    Args:
        count: of things.
        at_once: to begin with.
        work: of a slice of them; done again, for fewer, when it did not fit.

    Yields:
        The first of each batch, and what was made of it.

    Raises:
        torch.OutOfMemoryError: a single one does not fit.
    """
    start = 0
    while start < count:
        size = min(at_once, count - start)
        try:
            done = work(slice(start, start + size))
        except torch.OutOfMemoryError:
            if size == 1:
                raise
            at_once = size // 2
            torch.cuda.empty_cache()
            continue
        yield start, done
        start += size
