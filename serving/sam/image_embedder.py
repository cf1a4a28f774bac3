"""From an image to its embedding, and that again in float32 where numbers of 16 bits overflow."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import torch

from serving.sam.batches import with_memory_freed
from serving.sam.families.family import Family, ImageEncoder
from serving.sam.families.preprocessing import Frame
from serving.sam.images import RgbImage
from serving.sam.machine.finite import check_finite, is_finite

if TYPE_CHECKING:
    from segment_anything.modeling import Sam

log = logging.getLogger("sam")


class ImageEmbedder:
    """Runs the image encoder.

    Args:
        sam: the loaded network on its device.
        family: of the network.
        dtype: of the encoder's matrix products; float32 is exact.
    """

    def __init__(self, sam: Sam, family: Family, dtype: torch.dtype) -> None:
        self._sam, self._family, self._dtype = sam, family, dtype
        self._preprocessing = family.preprocessing(sam.image_encoder.img_size)
        self._encoder = family.encoder(sam, dtype)
        self._exact = self._encoder if dtype == torch.float32 else None

    def shrink(self, image: RgbImage) -> RgbImage:
        """What the encoder sees of an image (H, W, 3): (h, w, 3) uint8 RGB.

        Raises:
            ParameterError: one side is too short for the network.
        """
        self._preprocessing.frame((image.shape[0], image.shape[1]))  # refuses it
        return self._preprocessing.shrink(image)

    def __call__(
        self, image: RgbImage, shrunk: RgbImage | None = None
    ) -> tuple[torch.Tensor, Frame]:
        """Return an image's embedding (1, C, G, G) float32 and where the image lies in its square.

        Numbers of 16 bits may overflow where those of 32 do not; such an image is embedded again.

        Args:
            image: (H, W, 3) uint8 RGB.
            shrunk: what ``shrink`` returns of it, where somebody has made it already.

        Raises:
            ParameterError: one side is too short for the network.
            NotFiniteError: the embedding is not finite in float32 either.
        """
        frame = self._preprocessing.frame((image.shape[0], image.shape[1]))
        if shrunk is None:
            shrunk = self._preprocessing.shrink(image)
        square = self._preprocessing.square(shrunk, self._sam.device)
        features = with_memory_freed(lambda: self._encoder(square))
        if is_finite(features):
            return features, frame
        if self._dtype != torch.float32:
            log.warning(
                "an embedding in %s is not finite; this image is embedded in float32", self._dtype
            )
            features = with_memory_freed(lambda: self._exact_encoder()(square))
        check_finite(features, "image embeddings")
        return features, frame

    def _exact_encoder(self) -> ImageEncoder:
        if self._exact is None:  # shares the network's own weights, which are float32
            self._exact = self._family.encoder(self._sam, torch.float32)
        return self._exact
