"""From an image to its embedding: scaled, encoded, and again in float32 where 16 bits overflow."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import torch

from serving.sam.batches import with_memory_freed
from serving.sam.encoder import FastEncoder
from serving.sam.errors import ParameterError
from serving.sam.images import RgbImage
from serving.sam.machine.finite import check_finite, is_finite

if TYPE_CHECKING:
    from segment_anything.modeling import Sam

log = logging.getLogger("sam")


class ImageEmbedder:
    """Runs the image encoder.

    Args:
        sam: the loaded network on its device.
        dtype: of the encoder's matrix products; float32 is exact.
    """

    def __init__(self, sam: Sam, dtype: torch.dtype) -> None:
        from segment_anything.utils.transforms import ResizeLongestSide

        self._sam, self._dtype = sam, dtype
        self._transform = ResizeLongestSide(sam.image_encoder.img_size)
        self._encoder = FastEncoder(sam.image_encoder, dtype)
        self._exact = self._encoder if dtype == torch.float32 else None

    def __call__(self, image: RgbImage) -> tuple[torch.Tensor, tuple[int, int]]:
        """Return an image's embedding (1, C, G, G) float32 and its size in the network's frame.

        Numbers of 16 bits may overflow where those of 32 do not; such an image is embedded again.

        Args:
            image: (H, W, 3) uint8 RGB.

        Raises:
            ParameterError: one side is too short for the network.
            NotFiniteError: the embedding is not finite in float32 either.
        """
        height, width = image.shape[:2]
        side = self._transform.target_length
        if not min(self._transform.get_preprocess_shape(height, width, side)):
            raise ParameterError(
                f"image: {width}x{height} pixels; brought to {side} pixels a side, nothing is "
                f"left of the shorter one: its sides may differ by {2 * side} times at most"
            )
        scaled = torch.as_tensor(self._transform.apply_image(image), device=self._sam.device)
        pixels = scaled.permute(2, 0, 1)[None].contiguous()
        framed = self._sam.preprocess(pixels)
        features = with_memory_freed(lambda: self._encoder(framed))
        if self._dtype != torch.float32 and not is_finite(features):
            log.warning(
                "an embedding in %s is not finite; this image is embedded in float32", self._dtype
            )
            features = with_memory_freed(lambda: self._exact_encoder()(framed))
        check_finite(features, "image embeddings")
        return features, (int(pixels.shape[2]), int(pixels.shape[3]))

    def _exact_encoder(self) -> FastEncoder:
        if self._exact is None:  # shares the network's own weights, which are float32
            self._exact = FastEncoder(self._sam.image_encoder, torch.float32)
        return self._exact
