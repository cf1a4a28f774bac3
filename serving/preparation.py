"""Before prediction: fetch and decode the image of an instance, check the prompts against it."""

from __future__ import annotations

import hashlib

from serving.contract import Instance
from serving.embedding_cache import EmbeddingCache
from serving.errors import Refusal, RequestError
from serving.object_access import read_object
from serving.parameters import Parameters
from serving.request_budget import RequestBudget
from serving.sam.checkpoints import LoadedCheckpoint
from serving.sam.errors import InputError
from serving.sam.images import RgbImage, decode_image, header_pixels
from serving.settings import ServingSettings
from serving.work import Prepared


def prepare_instance(
    instance: Instance,
    parameters: Parameters,
    *,
    checkpoint: LoadedCheckpoint,
    cache: EmbeddingCache,
    limits: ServingSettings,
    budget: RequestBudget,
) -> Prepared | Refusal:
    """Fetch, decode and check an instance; return what is wrong with it instead of raising.

    Args:
        instance: as the request gives it.
        parameters: of the request.
        checkpoint: the loaded network, for its thresholds and its size of mask inputs.
        cache: embeddings of earlier images; a prompted image in it needs no decoding.
        limits: of this server.
        budget: pixels and bytes that the request has left.
    """
    try:
        return _prepared(instance, parameters, checkpoint, cache, limits, budget)
    except InputError as error:
        return RequestError(str(error))
    except Refusal as error:
        return error


def _prepared(
    instance: Instance,
    parameters: Parameters,
    checkpoint: LoadedCheckpoint,
    cache: EmbeddingCache,
    limits: ServingSettings,
    budget: RequestBudget,
) -> Prepared:
    field = f"{instance.field}.{'image_uri' if instance.image is None else 'image'}"
    data = instance.image
    if data is None:
        data = read_object(instance.image_uri, limits.max_image_bytes, field)
    digest = hashlib.sha256(data).hexdigest()
    settings = parameters.automatic_settings(checkpoint.automatic)
    embedding = cache.get(digest) if instance.prompts else None
    image: RgbImage | None = None
    masks = len(instance.prompts) * (3 if instance.multimask_output else 1)
    # How many automatic masks there will be nobody knows yet.
    side = checkpoint.architecture.mask_input_size if instance.prompts else 0
    if embedding is None:
        pixels = header_pixels(data) or 0
        if pixels <= limits.max_pixels:  # a larger one has an error of its own
            budget.take_pixels(field, pixels)
            budget.take_masks(instance.field, masks or 1, pixels, side)
        image = decode_image(data, field, max_pixels=limits.max_pixels)
        height, width = image.shape[:2]
    else:
        height, width = embedding.original_size_hw
        budget.take_masks(instance.field, masks, height * width, side)
    _check_prompts(instance, width, height, checkpoint.architecture.mask_input_size)
    return Prepared(
        instance=instance, digest=digest, image=image, embedding=embedding, settings=settings
    )


def _check_prompts(instance: Instance, width: int, height: int, mask_side: int) -> None:
    for number, prompt in enumerate(instance.prompts):
        suffix = f".objects[{number}]" if instance.several else ""
        prompt.check_inside(width, height, instance.field + suffix)
    for logits in instance.mask_inputs:
        if logits.shape != (1, mask_side, mask_side):
            raise RequestError(
                f"{instance.field}.mask_input: expected shape (1, {mask_side}, {mask_side}), "
                f"got {logits.shape}"
            )
