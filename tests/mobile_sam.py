"""The official MobileSAM, with weights from a seed.

The package ``mobilesam-mirror`` 1.0.0 holds the files of ChaoningZhang/MobileSAM (commit 34bbbfd)
byte for byte. Of ``timm`` they use four names, none of which does anything when nothing is trained.
"""

from __future__ import annotations

import functools
import importlib
import sys
import types
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from serving.sam.machine.torchvision_ops import ensure_torchvision_ops

if TYPE_CHECKING:
    from collections.abc import Sequence

    from segment_anything.modeling import Sam

    from serving.sam.images import RgbImage


def _without_timm() -> dict[str, types.ModuleType]:
    layers: Any = types.ModuleType("timm.models.layers")
    layers.DropPath = nn.Identity
    layers.to_2tuple = lambda value: value if isinstance(value, tuple) else (value, value)
    layers.trunc_normal_ = nn.init.trunc_normal_
    registry: Any = types.ModuleType("timm.models.registry")
    registry.register_model = lambda function: function
    packages = {name: types.ModuleType(name) for name in ("timm", "timm.models")}
    return {**packages, layers.__name__: layers, registry.__name__: registry}


@functools.cache
def mobile_sam() -> Any:
    """The official package."""
    ensure_torchvision_ops()
    stand_ins = _without_timm()
    sys.modules.update(stand_ins)
    try:
        return importlib.import_module("mobile_sam")
    finally:
        for name in stand_ins:
            del sys.modules[name]


def official_mobile_sam(decoder_of: Sam | None = None, seed: int = 0) -> Sam:
    """The official network; every weight of its encoder is drawn, statistics and biases too.

    Args:
        decoder_of: whose prompt encoder and mask decoder it gets; by default its own, drawn.
        seed: of what is drawn.
    """
    registry = mobile_sam().sam_model_registry
    torch.manual_seed(seed)
    sam: Sam = registry["vit_t"]()
    with torch.no_grad():
        for name, value in sam.image_encoder.state_dict().items():
            if name.endswith("running_var"):
                value.uniform_(0.5, 2.0)
            elif name.endswith(("running_mean", "attention_biases", "bias")):
                value.normal_(0, 0.3)
            elif name.endswith(("bn.weight", "norm.weight")):
                value.normal_(1, 0.2)
    if decoder_of is not None:
        sam.prompt_encoder.load_state_dict(decoder_of.prompt_encoder.state_dict())
        sam.mask_decoder.load_state_dict(decoder_of.mask_decoder.state_dict())
    # Again, as its README does: its attention keeps the biases of the last call to eval().
    return sam.requires_grad_(False).eval()


def mobile_sam_masks(
    sam: Sam, image: RgbImage, boxes: Sequence[tuple[float, ...]]
) -> list[NDArray[np.bool_]]:
    """The masks of boxes by the official predictor."""
    predictor = mobile_sam().SamPredictor(sam)
    predictor.set_image(image)
    return [predictor.predict(box=np.array(b), multimask_output=False)[0][0] for b in boxes]
