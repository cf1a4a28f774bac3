"""The shared core: images in, masks out. Knows nothing of Google or HTTP.

What a user needs, each loaded when it is first used, so that importing this package imports neither
PyTorch nor an image library::

    from serving.sam import Engine, Prompt, load_image

    engine = Engine.load("vit_tiny")
    image = load_image("apple.jpg")
    embedding = engine.embed(image)
    records = engine.segment(embedding, [Prompt(points=((40, 50),), labels=(1,))])
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from serving.sam.automatic_settings import AutomaticSettings
    from serving.sam.checkpoints import LoadedCheckpoint, load_checkpoint
    from serving.sam.embedding import Embedding
    from serving.sam.engine import Engine
    from serving.sam.errors import SamError
    from serving.sam.images import load_image
    from serving.sam.masks import MaskRecord, decode_mask
    from serving.sam.prompted_masks import Prediction
    from serving.sam.prompts import Prompt

_MODULES = {
    "AutomaticSettings": "automatic_settings",
    "Embedding": "embedding",
    "Engine": "engine",
    "LoadedCheckpoint": "checkpoints",
    "MaskRecord": "masks",
    "Prediction": "prompted_masks",
    "Prompt": "prompts",
    "SamError": "errors",
    "decode_mask": "masks",
    "load_checkpoint": "checkpoints",
    "load_image": "images",
}

__all__ = [
    "AutomaticSettings",
    "Embedding",
    "Engine",
    "LoadedCheckpoint",
    "MaskRecord",
    "Prediction",
    "Prompt",
    "SamError",
    "decode_mask",
    "load_checkpoint",
    "load_image",
]


if not TYPE_CHECKING:  # else a misspelt name would pass the type checker

    def __getattr__(name: str) -> Any:
        """Import the module of a public name when the name is first used."""
        if name not in _MODULES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
        globals()[name] = value
        return value
