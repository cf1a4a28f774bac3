"""The parts of a loaded network that compute."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import torch

from serving.sam.checkpoints import LoadedCheckpoint
from serving.sam.decoder import FastDecoder
from serving.sam.image_embedder import ImageEmbedder
from serving.sam.machine.devices import Precision, keep_digits

if TYPE_CHECKING:
    from segment_anything.modeling import Sam

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
# Of smaller embeddings the mask decoder gains no time in half precision, and loses digits.
SMALL_EMBEDDING_VALUES = 1 << 19


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Network:
    """What the generator and the prompted masks call.

    Attributes:
        sam: the official network: sizes, prompt encoder, thresholds.
        decoder: its decoder in a faster order.
        embed: its image encoder in a faster order.
    """

    sam: Sam
    decoder: FastDecoder
    embed: ImageEmbedder


def build_network(
    checkpoint: LoadedCheckpoint, device: torch.device, precision: Precision
) -> Network:
    """Move a loaded network to a device and put its parts in their faster order.

    Args:
        checkpoint: the network and its shape.
        device: where to compute.
        precision: ``fp32``, ``bf16`` or ``fp16``, of the large products.
    """
    if device.type == "cuda":
        keep_digits()
    sam, shape, dtype = checkpoint.sam.to(device), checkpoint.architecture, DTYPES[precision]
    small = shape.grid**2 * shape.embedding_channels < SMALL_EMBEDDING_VALUES
    with torch.inference_mode():
        embedder = ImageEmbedder(sam, checkpoint.family, dtype)
        decoder = FastDecoder(sam, torch.float32 if small else dtype)
    return Network(sam, decoder, embedder)
