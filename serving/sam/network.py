"""The parts of a loaded network that compute, and how many prompts they take at once."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, TypeVar

import torch

from serving.sam.checkpoints import LoadedCheckpoint
from serving.sam.decoder import FastDecoder, PreparedImage
from serving.sam.encoder import FastEncoder
from serving.sam.errors import ParameterError
from serving.sam.images import RgbImage
from serving.sam.machine.devices import Precision

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from segment_anything.modeling import Sam

T = TypeVar("T")

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
# Of smaller embeddings the mask decoder gains no time in half precision, and loses digits.
SMALL_EMBEDDING_VALUES = 1 << 19
CPU_BATCH = 16  # prompts whose tokens go together; measured from 1 to 32, more gains nothing
GPU_MEMORY_SHARE = 0.5  # of what is free, for a batch of prompts


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Network:
    """What the generator and the prompted masks call.

    Attributes:
        sam: the official network: sizes, prompt encoder, thresholds.
        decoder: its decoder in a faster order.
        embed: (H, W, 3) uint8 image to its embedding (1, C, G, G) and its size in the network.
    """

    sam: Sam
    decoder: FastDecoder
    embed: Callable[[RgbImage], tuple[torch.Tensor, tuple[int, int]]]


def build_network(
    checkpoint: LoadedCheckpoint, device: torch.device, precision: Precision
) -> Network:
    """Move a loaded network to a device and put its parts in their faster order.

    Args:
        checkpoint: the network and its shape.
        device: where to compute.
        precision: ``fp32``, ``bf16`` or ``fp16``, of the large products.
    """
    from segment_anything.utils.transforms import ResizeLongestSide

    sam, shape, dtype = checkpoint.sam.to(device), checkpoint.architecture, DTYPES[precision]
    small = shape.grid**2 * shape.embedding_channels < SMALL_EMBEDDING_VALUES
    with torch.inference_mode():
        encoder = FastEncoder(sam.image_encoder, dtype)
        decoder = FastDecoder(sam, torch.float32 if small else dtype)
    transform = ResizeLongestSide(sam.image_encoder.img_size)

    def embed(image: RgbImage) -> tuple[torch.Tensor, tuple[int, int]]:
        height, width = image.shape[:2]
        side = transform.target_length
        if not min(transform.get_preprocess_shape(height, width, side)):
            raise ParameterError(
                f"image: {width}x{height} pixels; brought to {side} pixels a side, nothing is "
                f"left of the shorter one: its sides may differ by {2 * side} times at most"
            )
        scaled = torch.as_tensor(transform.apply_image(image), device=device)
        pixels = scaled.permute(2, 0, 1)[None].contiguous()
        input_size_hw = int(pixels.shape[2]), int(pixels.shape[3])
        return encoder(sam.preprocess(pixels)), input_size_hw

    return Network(sam, decoder, embed)


def prompts_at_once(decoder: FastDecoder, shared: PreparedImage, most: int) -> int:
    """How many prompts to decode together: few on a CPU, on a GPU what its memory takes."""
    if shared.tokens.device.type != "cuda":
        return min(CPU_BATCH, most)
    free, _ = torch.cuda.mem_get_info(shared.tokens.device)
    return max(1, min(most, int(free * GPU_MEMORY_SHARE / decoder.bytes_per_prompt(shared))))


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
        try:
            result = work(slice(start, start + size))
        except torch.OutOfMemoryError:
            if size == 1:
                raise
            at_once = size // 2
            torch.cuda.empty_cache()
            continue
        yield start, result
        start += size
