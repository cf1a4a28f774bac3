"""What families of networks make of boxes by their own code, or by its steps as it has them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from serving.sam.checkpoints import LoadedCheckpoint
from serving.sam.images import RgbImage

# Of objects in ``draw_scene(160, 120)``.
BOXES = [(20.0, 30.0, 110.0, 100.0), (60.0, 50.0, 140.0, 118.0), (5.0, 5.0, 150.0, 112.0)]

Bitmap = NDArray[np.bool_]


def mask_iou(one: Bitmap, other: Bitmap) -> float:
    return float((one & other).sum() / max(int((one | other).sum()), 1))


def medsam_square(image: RgbImage, side: int) -> torch.Tensor:
    """An image as ``MedSAM_Inference.py`` prepares it (bowang-lab/MedSAM, commit d71e8a1)."""
    from skimage import transform

    resized = transform.resize(
        image, (side, side), order=3, preserve_range=True, anti_aliasing=True
    ).astype(np.uint8)
    span = np.clip(int(resized.max()) - int(resized.min()), 1e-8, None)
    return torch.tensor((resized - resized.min()) / span).float().permute(2, 0, 1)[None]


def medsam_masks(
    checkpoint: LoadedCheckpoint, image: RgbImage, boxes: Sequence[tuple[float, ...]]
) -> list[Bitmap]:
    """The masks of boxes by the official network, in the steps of ``MedSAM_Inference.py``."""
    sam, (height, width) = checkpoint.sam, image.shape[:2]
    side = sam.image_encoder.img_size
    with torch.no_grad():
        embedding = sam.image_encoder(medsam_square(image, side))
        scaled = np.array(boxes) / np.array([width, height, width, height]) * side
        sparse, dense = sam.prompt_encoder(
            points=None, boxes=torch.as_tensor(scaled, dtype=torch.float)[:, None], masks=None
        )
        logits, _ = sam.mask_decoder(
            image_embeddings=embedding,
            image_pe=sam.prompt_encoder.get_dense_pe(),
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
            multimask_output=False,
        )
        probability = torch.nn.functional.interpolate(
            torch.sigmoid(logits), size=(height, width), mode="bilinear", align_corners=False
        )
    return list(probability[:, 0].numpy() > 0.5)
