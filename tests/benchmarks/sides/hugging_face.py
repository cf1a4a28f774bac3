"""The mask-generation pipeline of Hugging Face transformers, with the same weights.

For an environment of its own (torch, torchvision, transformers, pillow, numpy), so all it has of
ours is the repair of a torchvision whose compiled operators do not fit:

    /elsewhere/bin/python tests/benchmarks/sides/hugging_face.py WEIGHTS
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[3])]

from serving.sam.machine.torchvision_ops import ensure_torchvision_ops  # noqa: E402

ensure_torchvision_ops()

import numpy as np  # noqa: E402
import torch  # noqa: E402
from loop import serve  # type: ignore[import-not-found]  # noqa: E402
from PIL import Image  # noqa: E402
from transformers import (  # noqa: E402
    SamConfig,
    SamImageProcessor,
    SamModel,
    SamVisionConfig,
    pipeline,
)

# The official names and those of transformers, first to last.
RENAMED = [
    (r"^image_encoder\.", "vision_encoder."),
    (r"patch_embed\.proj\.", "patch_embed.projection."),
    (r"vision_encoder\.blocks\.", "vision_encoder.layers."),
    (r"(vision_encoder\.layers\.\d+)\.norm", r"\1.layer_norm"),
    (r"neck\.0\.", "neck.conv1."),
    (r"neck\.1\.", "neck.layer_norm1."),
    (r"neck\.2\.", "neck.conv2."),
    (r"neck\.3\.", "neck.layer_norm2."),
    (r"mask_downscaling\.0\.", "mask_embed.conv1."),
    (r"mask_downscaling\.1\.", "mask_embed.layer_norm1."),
    (r"mask_downscaling\.3\.", "mask_embed.conv2."),
    (r"mask_downscaling\.4\.", "mask_embed.layer_norm2."),
    (r"mask_downscaling\.6\.", "mask_embed.conv3."),
    (r"point_embeddings\.", "point_embed."),
    (
        r"prompt_encoder\.pe_layer\.positional_encoding_gaussian_matrix",
        "shared_image_embedding.positional_embedding",
    ),
    (r"output_upscaling\.0\.", "upscale_conv1."),
    (r"output_upscaling\.1\.", "upscale_layer_norm."),
    (r"output_upscaling\.3\.", "upscale_conv2."),
    (r"(mlps\.\d|iou_prediction_head)\.layers\.0\.", r"\1.proj_in."),
    (r"(mlps\.\d|iou_prediction_head)\.layers\.1\.", r"\1.layers.0."),
    (r"(mlps\.\d|iou_prediction_head)\.layers\.2\.", r"\1.proj_out."),
    (r"(transformer\.layers\.\d)\.norm", r"\1.layer_norm"),
    (r"norm_final_attn", "layer_norm_final_attn"),
]


def load(weights: str) -> SamModel:
    """A model with official weights."""
    state = torch.load(weights, weights_only=True)
    width = state["image_encoder.pos_embed"].shape[-1]
    depth, heads, whole = {
        768: (12, 12, [2, 5, 8, 11]),
        1024: (24, 16, [5, 11, 17, 23]),
        1280: (32, 16, [7, 15, 23, 31]),
    }[width]
    config = SamVisionConfig(
        hidden_size=width,
        num_hidden_layers=depth,
        num_attention_heads=heads,
        global_attn_indexes=whole,
        mlp_dim=4 * width,
    )
    model = SamModel(SamConfig(vision_config=config))
    renamed = {}
    for name, value in state.items():
        for old, new in RENAMED:
            name = re.sub(old, new, name)
        renamed[name] = value
        if name == "shared_image_embedding.positional_embedding":
            renamed["prompt_encoder.shared_embedding.positional_embedding"] = value
    model.load_state_dict(renamed)
    return model.eval()


def main() -> None:
    """Load, then answer."""
    processor = SamImageProcessor()
    made = pipeline(
        "mask-generation", model=load(sys.argv[1]), image_processor=processor, device="cpu"
    )
    held: dict[str, Any] = {}

    def load_image(request: dict[str, Any]) -> None:
        held["image"] = Image.fromarray(np.load(request["image"]))

    def automatic(request: dict[str, Any]) -> int:
        side = request["points_per_side"]
        output = made(
            held["image"],
            points_per_batch=64,
            points_per_crop=side,
            pred_iou_thresh=request["pred_iou_thresh"],
            stability_score_thresh=request["stability_score_thresh"],
        )
        return len(output["masks"])

    serve({"load": load_image, "automatic": automatic})


if __name__ == "__main__":
    main()
