"""The parts of a loaded network that compute."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import torch

from serving.sam.batched_decoder import BatchedDecoder
from serving.sam.checkpoints import LoadedCheckpoint
from serving.sam.families.family import MaskHead
from serving.sam.image_embedder import ImageEmbedder
from serving.sam.layers.point_tokens import PointTokens
from serving.sam.low_rank_decoder import LAYERS, LowRankDecoder
from serving.sam.machine.devices import Precision, keep_digits
from serving.sam.mask_decoder import MaskDecoder

if TYPE_CHECKING:
    from segment_anything.modeling import Sam

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
# Of smaller embeddings the batched decoder gains no time in half precision, and loses digits.
SMALL_EMBEDDING_VALUES = 1 << 19


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Network:
    """What the generator and the prompted masks call.

    Attributes:
        sam: the official network: sizes, encoder of mask prompts, thresholds.
        tokens: its encoder of points and boxes without waits for a GPU.
        decoder: its decoder in a faster order.
        embed: its image encoder in a faster order.
        head: how its masks are read.
    """

    sam: Sam
    tokens: PointTokens
    decoder: MaskDecoder[Any, Any]
    embed: ImageEmbedder
    head: MaskHead


def build_network(
    checkpoint: LoadedCheckpoint, device: torch.device, precision: Precision
) -> Network:
    """Move a loaded network to a device and put its parts in their faster order.

    Args:
        checkpoint: the network and its shape.
        device: where to compute.
        precision: ``fp32``, ``bf16`` or ``fp16``, of the large products. On a CPU the mask decoder
            is float32 in every precision, which costs little by low rank.
    """
    if device.type == "cuda":
        keep_digits()
    sam, shape, dtype = checkpoint.sam.to(device), checkpoint.architecture, DTYPES[precision]
    with torch.inference_mode():
        embedder = ImageEmbedder(sam, checkpoint.family, dtype)
        tokens, head = PointTokens(sam.prompt_encoder), checkpoint.family.head
        if device.type == "cpu" and shape.decoder_depth == LAYERS:
            return Network(sam, tokens, LowRankDecoder(sam), embedder, head)
        small = shape.grid**2 * shape.embedding_channels < SMALL_EMBEDDING_VALUES
        exact = small or device.type == "cpu"
        decoder = BatchedDecoder(sam, torch.float32 if exact else dtype)
    return Network(sam, tokens, decoder, embedder, head)
