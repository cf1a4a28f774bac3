"""A prediction by the engine in this process, in the form of a model server's reply."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scripts.checkpoints.cache import resolve_checkpoint
from scripts.online_predictions.requests import RequestedImage
from serving.sam.machine.allocator import keep_freed_memory
from serving.sam.prompts import Prompt

if TYPE_CHECKING:
    from serving.sam.engine import Engine
    from serving.sam.machine.devices import Precision


def predict_here(
    image: RequestedImage,
    prompts: Sequence[Prompt],
    *,
    checkpoint: str,
    multimask: bool,
    points_per_side: int | None,
    precision: Precision = "auto",
    family: str = "",
) -> dict[str, Any]:
    """Segment one image; return what a model server would reply, without logits.

    Args:
        image: the image, with its content.
        prompts: one for each object; none for automatic masks.
        checkpoint: name, file or URI.
        multimask: whether to make three candidates for each object.
        points_per_side: grid of automatic masks; ``None`` for the checkpoint's own.
        precision: of the network.
        family: of the network, where the checkpoint does not say.

    Raises:
        OperatorError, SamError, StorageError: the checkpoint, the image or a prompt cannot be used.
    """
    from serving.sam.images import decode_image

    pixels = decode_image(image.data or b"", image.name)
    for number, prompt in enumerate(prompts):
        label = f"prompt {number + 1}" if len(prompts) > 1 else "prompt"
        prompt.check_inside(pixels.shape[1], pixels.shape[0], label)
    engine = load_engine(checkpoint, precision, family)
    prediction: dict[str, Any] = {"file_path": image.name}
    if not prompts:
        settings = engine.checkpoint.automatic
        if points_per_side is not None:
            settings = type(settings)(**{**settings.to_json(), "points_per_side": points_per_side})
        return {"predictions": [{**prediction, "masks": engine.generate(pixels, settings)}]}
    masks, scores = _prompted(engine, pixels, prompts, multimask=multimask)
    if len(prompts) == 1:
        masks, scores = masks[0], scores[0]
    return {"predictions": [{**prediction, "masks": masks, "scores": scores}]}


def load_engine(checkpoint: str, precision: Precision, family: str = "") -> Engine:
    """Load a checkpoint by name, file or URI; the first import of PyTorch in this process."""
    keep_freed_memory()
    from pipeline.run.checkpoint_source import local_checkpoint
    from serving.sam.engine import Engine

    with local_checkpoint(resolve_checkpoint(checkpoint)) as (path, entry):
        return Engine.load(Path(path), entry, precision=precision, family=family)


def _prompted(
    engine: Engine, pixels: Any, prompts: Sequence[Prompt], *, multimask: bool
) -> tuple[list[Any], list[Any]]:
    """The candidates of each prompt as COCO RLE, and their scores."""
    from serving.sam.masks import encode_mask

    masks: list[Any] = [None] * len(prompts)
    scores: list[Any] = [None] * len(prompts)
    embedding = engine.embed(pixels)
    for number, prediction in engine.predictions(embedding, prompts, multimask_output=multimask):
        masks[number] = [encode_mask(mask) for mask in prediction.masks]
        scores[number] = [float(score) for score in prediction.scores]
    return masks, scores
